"""End to end: a tiny random Qwen3-like model behind `transformers serve`, asked over HTTP.

The model and its tokenizer (bytes as tokens) are made here. The server answers with text only.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sleuth.errors import LLMError, RequestRefused
from sleuth.llm.chat import ChatRequest, Decoding, Message
from sleuth.llm.openai import OpenAI

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

for module in ("openai", "fastapi", "torch", "transformers", "accelerate"):
    pytest.importorskip(module)

LIFE_S = 240
"""The server ends by itself after this long, whatever happens to the test."""

BOUNDED = f"import os, signal, sys; signal.alarm({LIFE_S}); os.execv(sys.argv[1], sys.argv[1:])"
"""Runs a command that an alarm ends: alarms outlive exec."""

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build_checkpoint(folder: Path) -> None:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    vocabulary = {token: at for at, token in enumerate([*sorted(pre_tokenizers.ByteLevel.alphabet()), *special])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    torch.manual_seed(1)
    config = Qwen3Config(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=8192,
        initializer_range=0.3,  # large, so that the likeliest token is not always the same one
        eos_token_id=vocabulary["<|im_end|>"],
        pad_token_id=vocabulary["<|endoftext|>"],
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """(base URL, checkpoint) of a running server."""
    place = tmp_path_factory.mktemp("served")
    build_checkpoint(place / "tiny")
    (place / "hub").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).parent / "transformers"
    command = [sys.executable, "-c", BOUNDED, program, "serve", place / "tiny"]
    log = (place / "log").open("wb")
    process = subprocess.Popen(
        [*command, "--device", "cpu", "--host", "127.0.0.1", "--port", str(port)],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(place / "hub"), "OMP_NUM_THREADS": "1"},
        stdout=log,
        stderr=log,
    )
    try:
        _wait(f"http://127.0.0.1:{port}/health", process, place / "log")
        yield f"http://127.0.0.1:{port}/v1", place / "tiny"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        log.close()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 150
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.25)


def in_process(checkpoint: Path, text: str, n: int) -> str:
    """What the model writes, without any server."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    prompt = f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
    ids = torch.tensor([tokenizer.encode(prompt, add_special_tokens=False)])
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=n, do_sample=False)
    return str(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))


@pytest.mark.parametrize("stream", [False, True])
def test_text_is_the_models(served: tuple[str, Path], stream: bool) -> None:
    url, checkpoint = served
    backend = OpenAI(model=str(checkpoint), base_url=url, cache=None, stream=stream)
    text = "Why does [1] hang? 왜?"
    request = ChatRequest(messages=(Message("user", text),), decoding=Decoding(max_tokens=24))
    reply = backend.submit(request).result(120)
    backend.close()
    expected = in_process(checkpoint, text, 24)
    assert expected.strip()
    assert reply.text.strip() == expected.strip()
    assert reply.finish_reason == "length"
    assert (reply.usage.completion_tokens, reply.usage.estimated) == (24, False)


def test_labels_are_refused_not_guessed(served: tuple[str, Path]) -> None:
    url, checkpoint = served
    backend = OpenAI(model=str(checkpoint), base_url=url, cache=None)
    request = ChatRequest(messages=(Message("user", "?"),), labels=("y", "n"), decoding=Decoding(max_tokens=1))
    with pytest.raises(LLMError) as caught:
        backend.submit(request).result(120)
    assert type(caught.value) is RequestRefused
    backend.close()


def test_a_stage_over_it_keeps_every_document(served: tuple[str, Path]) -> None:
    """A model that writes noise: no order can be read, so the prior one stands, and the counts say why."""
    from sleuth.rerank.listwise import Listwise
    from sleuth.rerank.window import SlidingWindow
    from sleuth.types import Doc, Query, Ranking, Run

    url, checkpoint = served
    backend = OpenAI(model=str(checkpoint), base_url=url, cache=None)
    ids = tuple(f"d{i}" for i in range(6))
    docs: Any = {doc_id: Doc(doc_id, f"text of {doc_id}") for doc_id in ids}
    run = Run({"q": Ranking(ids, [float(6 - i) for i in range(6)], scale="bm25")})
    stage = SlidingWindow(Listwise(backend, prompt="rankgpt", on_bad_reply="prior"), window=4, stride=2)
    result = stage.rerank([Query("q", "which?")], run, docs)
    backend.close()
    assert sorted(result.run["q"].doc_ids) == sorted(ids)
    assert result.complete
    assert (
        sum(result.counts[name] for name in ("ok", "repaired", "unfinished", "invalid") if name in result.counts) == 2
    )
