"""What the backend in process says without torch, and before anything is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from types import ModuleType

import pytest

from sleuth.errors import MissingExtra, ModelError, UsageError
from sleuth.llm.transformers import Transformers
from sleuth.models import causal_files

pytestmark = pytest.mark.usefixtures("own_cache")


def test_importing_it_loads_neither_torch_nor_the_library():
    code = (
        "import sys, sleuth.llm.transformers, sleuth.models.causal_lm; "
        "print([name for name in ('torch', 'transformers', 'scipy', 'numba') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("absent", ["torch", "transformers"])
def test_the_missing_extra_is_named(make_tokenizer, monkeypatch, absent):
    monkeypatch.setattr(causal_files, "find_spec", lambda name: None if name == absent else object())
    with pytest.raises(MissingExtra, match=r"a language model in this process needs the extra 'models'.*pip install"):
        Transformers(make_tokenizer())


def test_what_can_be_told_without_torch_is(make_tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(causal_files, "find_spec", lambda name: object())
    folder = make_tokenizer()
    with pytest.raises(ModelError, match=r"no config\.json"):
        Transformers(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen3", "max_position_embeddings": 40}))
    with pytest.raises(ModelError, match="no safetensors weights"):
        Transformers(folder)
    (folder / "model.safetensors").write_bytes(b"weights")
    llm = Transformers(folder, name="tiny")
    assert llm.window == 40 and llm.name == "tiny" and llm.tokenizer == str(folder)
    assert llm.control_tokens == ("</think>", "<think>", "<|endoftext|>", "<|im_end|>", "<|im_start|>")
    assert llm.identity.startswith("transformers/") and llm.identity.endswith("/float32")
    assert Transformers(folder, chat_options={"enable_thinking": False}).identity != llm.identity
    with pytest.raises(UsageError, match="chat_options must be JSON-like"):
        Transformers(folder, chat_options={"x": object()})
    with pytest.raises(UsageError, match="concurrency"):
        Transformers(folder, concurrency=0)
    with pytest.raises(UsageError, match="is a folder, and revision 'main'"):
        Transformers(folder, revision="main")


def test_a_revision_reaches_the_hub_with_the_chat_template(monkeypatch):
    asked = []
    hub = ModuleType("huggingface_hub")

    def snapshot_download(name, **options):
        asked.append((name, options))
        raise FileNotFoundError("offline")

    hub.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    with pytest.raises(ModelError, match=r"org/name can't be got.*offline"):
        Transformers("org/name", revision="v2")
    ((name, options),) = asked
    assert (name, options["revision"]) == ("org/name", "v2")
    assert "*.jinja" in options["allow_patterns"]


def test_other_names_are_refused():
    with pytest.raises(UsageError, match="a folder or a name"):
        Transformers(" ")
    with pytest.raises(ModelError, match="neither a folder nor a name on the model hub"):
        Transformers("./nowhere/at/all")
