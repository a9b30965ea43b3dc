"""What a run was, and writing files so that nobody sees a half."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from sleuth.manifest import Manifest, file_sha256, write_atomic


def test_manifest_names_versions_and_inputs(tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_bytes(b"abc")
    manifest = Manifest.begin(
        "retrieve", seed=3, settings={"api_key": "s3cret", "depth": 10, "llm": {"Authorization": "x", "model": "m"}}
    )
    manifest.add_input("queries", source)
    path = manifest.write(tmp_path / "out.trec")
    assert path.name == "out.trec.manifest.json"
    written = orjson.loads(path.read_bytes())
    assert written["schema"] == "sleuth.manifest/1"
    assert written["settings"] == {"depth": 10, "llm": {"model": "m"}}
    assert written["inputs"]["queries"]["sha256"] == file_sha256(source)
    assert written["versions"]["numpy"]
    assert b"s3cret" not in path.read_bytes()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "f"
    write_atomic(target, b"old")

    def broken(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", broken)
    with pytest.raises(OSError, match="disk full"):
        write_atomic(target, b"new")
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
