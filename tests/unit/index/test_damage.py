"""Damaged, half-written, foreign and older folders: a clear error that names the command that helps."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from sleuth.errors import IndexCorrupt, IndexError_, IndexNotFound, IndexOutdated, SleuthError
from sleuth.index.build import build_index, stored_settings
from sleuth.index.handle import Index, open_index
from sleuth.index.store import _checksum, begin
from sleuth.types import Doc


@pytest.fixture
def path(make: Callable[..., Index], docs: list[Doc], encoder: Any) -> Path:
    index = make(docs, encoder=encoder)
    index.delete(["doc 0%"])
    return index.path


def every_file(path: Path) -> list[Path]:
    return sorted(p for p in path.glob("segments/*/*") if p.name != "segment.json")


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest and mend its checksum."""
    record = orjson.loads((path / "manifest.json").read_bytes())
    del record["checksum"]
    change(record)
    (path / "manifest.json").write_bytes(orjson.dumps({**record, "checksum": _checksum(record)}))


def test_every_missing_or_cut_file_is_named_on_opening(path: Path, tmp_path: Path) -> None:
    files = every_file(path)
    assert {"vectors.npy", "docs.jsonl", "rows.npys", "postings.npys", "deleted-000002.npy"} <= {
        file.name for file in files
    }
    for file in files:
        content = file.read_bytes()
        file.unlink()
        with pytest.raises(IndexCorrupt, match=rf"{file.name} is missing.*--replace"):
            open_index(path)
        file.write_bytes(content[:-1])
        with pytest.raises(IndexCorrupt, match=rf"{file.name} has .*--replace"):
            open_index(path)
        file.write_bytes(content)
    assert open_index(path).check() == []


def test_every_changed_byte_is_found_by_check(path: Path) -> None:
    for file in every_file(path):
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        shown = file.relative_to(path).as_posix()
        assert open_index(path).check() == [f"{shown}: its bytes have changed"]
        file.write_bytes(content)


def test_headers_of_arrays_are_checked(path: Path) -> None:
    for file in every_file(path):
        if file.suffix in (".npy", ".npys"):
            content = file.read_bytes()
            file.write_bytes(b"\x00" * 16 + content[16:])
            with pytest.raises(IndexCorrupt, match=file.name):
                open_index(path)
            file.write_bytes(content)


def test_a_damaged_manifest(path: Path, docs: list[Doc]) -> None:
    manifest = path / "manifest.json"
    content = manifest.read_bytes()
    broken = [b"", content[:-20], content.replace(b'"k1": 1.2', b'"k1": 1.3'), b"[]", b"\xff"]
    for damaged in broken:
        manifest.write_bytes(damaged)
        for act in (lambda: open_index(path), lambda: build_index(docs, path)):
            with pytest.raises(IndexCorrupt, match="manifest"):
                act()


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record["segments"][0].update(name="../../elsewhere"),
        lambda record: record["segments"][0]["files"].update({"../x.npy": {"bytes": 1, "sha256": ""}}),
        lambda record: record["segments"][0]["deletions"].update(file="/etc/passwd"),
        lambda record: record.pop("segments"),
        lambda record: record.update(k1="fast"),
        lambda record: record.update(analyzer=None),
        lambda record: record["segments"][0].update(documents=41),
        lambda record: record["segments"][0]["files"].pop("docs.jsonl"),
        lambda record: record["segments"][0]["files"].pop("rows.npys"),
    ],
)
def test_a_manifest_that_makes_no_sense(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    rewrite(path, change)
    with pytest.raises(IndexCorrupt):
        open_index(path)


@pytest.mark.parametrize(
    ("version", "match"), [(0, "--replace"), (2, "Update Sleuth"), ("x", "--replace"), (None, "None")]
)
def test_another_format_version(path: Path, docs: list[Doc], version: Any, match: str) -> None:
    rewrite(path, lambda record: record.update(version=version))
    with pytest.raises(IndexOutdated, match=match):
        open_index(path)
    with pytest.raises(IndexOutdated):
        build_index(docs, path)
    assert build_index(docs[:3], path, replace=True).counts.added == 3
    assert len(open_index(path).docs) == 3


def test_terms_of_an_older_analyzer(path: Path, docs: list[Doc], encoder: Any) -> None:
    rewrite(path, lambda record: record["analyzer"].update(version="0"))
    index = open_index(path)
    with pytest.raises(IndexOutdated, match=r"version 0.*--replace"):
        index.analyzer.tokens("x")
    with pytest.raises(IndexOutdated):
        index.add([Doc("x", "y")])
    with pytest.raises(SleuthError, match="--replace"):
        build_index(docs, path)
    build_index(docs, path, replace=True, open_encoder=lambda name: encoder)
    assert open_index(path).analyzer.tokens("x") == ["x"]


def test_nothing_foreign_or_half_written(tmp_path: Path, docs: list[Doc]) -> None:
    with pytest.raises(IndexNotFound, match="sleuth index"):
        open_index(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(IndexNotFound, match="sleuth index"):
        open_index(tmp_path / "empty")
    (tmp_path / "half" / "segments" / "000001-0123456789abcdef").mkdir(parents=True)
    begin(tmp_path / "half")
    with pytest.raises(IndexCorrupt, match="carries on"):
        open_index(tmp_path / "half")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "notes.txt").write_text("hello")
    with pytest.raises(IndexCorrupt, match="not an index"):
        open_index(tmp_path / "foreign")
    (tmp_path / "foreign" / "manifest.json").write_text('{"name": "web app"}')
    with pytest.raises(IndexCorrupt, match="not an index"):
        open_index(tmp_path / "foreign")
    with pytest.raises(IndexCorrupt, match="is a file"):
        open_index(tmp_path / "foreign" / "notes.txt")
    assert build_index(docs, tmp_path / "half").counts.added == 40
    assert build_index(docs, tmp_path / "empty").counts.added == 40


@pytest.mark.parametrize("name", ["docs.jsonl", "rows.npys", "manifest.json"])
def test_replace_makes_a_damaged_index_sound(path: Path, docs: list[Doc], encoder: Any, name: str) -> None:
    file = next(path.rglob(name))
    content = file.read_bytes()
    file.write_bytes(content[:-3] + bytes(byte ^ 0xFF for byte in content[-3:]))
    build_index(docs, path, encoder=encoder, replace=True)
    index = open_index(path)
    assert dict(index.docs) == {doc.doc_id: doc for doc in docs}
    assert index.check() == []
    assert len(list((path / "segments").iterdir())) == 1


def test_leftovers_do_no_harm_and_go(path: Path, docs: list[Doc], encoder: Any) -> None:
    junk = path / "segments" / "000099-ffffffffffffffff"
    junk.mkdir()
    (junk / "docs.jsonl").write_bytes(b"torn")
    (path / ".manifest.json.abc.part").write_bytes(b"torn")
    index = open_index(path, encoder=encoder)
    assert len(index.docs) == 39
    index.add([Doc("x", "y")])
    assert not junk.exists()
    assert sorted(p.name for p in path.iterdir()) == ["manifest.json", "segments"]


@pytest.fixture
def nobody() -> Iterator[Callable[[], None]]:
    """Permissions do not bind root: a function that gives root's rights up until the end of the test."""
    uid, gid = os.geteuid(), os.getegid()

    def become_nobody() -> None:
        if uid == 0:
            os.setegid(65534)
            os.seteuid(65534)

    yield become_nobody
    os.seteuid(uid)
    os.setegid(gid)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_read_only_folder_can_be_searched_and_says_why_it_cannot_be_changed(
    path: Path, docs: list[Doc], nobody: Callable[[], None]
) -> None:
    assert open_index(path).bm25_search([["common"]], depth=99)
    with tempfile.TemporaryDirectory() as open_to_all:
        Path(open_to_all).chmod(0o755)
        copy = Path(open_to_all) / "index"
        shutil.copytree(path, copy)
        everything = [copy, *copy.rglob("*")]
        for item in everything:
            item.chmod(0o555 if item.is_dir() else 0o444)
        nobody()
        index = open_index(copy)
        assert len(index.bm25_search([["common"]], depth=99)[0][0]) == 39
        assert index.check() == []
        changes: list[Callable[[], object]] = [
            lambda: index.delete(["doc 1%"]),
            lambda: index.add([Doc("x", "y")]),
            index.compact,
            lambda: build_index(docs, copy),
        ]
        for change in changes:
            with pytest.raises(IndexError_, match="can't be written"):
                change()
        with pytest.raises(IndexError_, match="can't be made"):
            build_index(docs, copy / "below")
        assert sorted(copy.rglob("*")) == sorted(everything[1:])
        if os.getuid() == 0:
            os.seteuid(0)
        for item in everything:
            item.chmod(0o755)


def test_a_place_that_cannot_be_made(tmp_path: Path, docs: list[Doc]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(IndexError_, match="can't be made"):
        build_index(docs, tmp_path / "file" / "below")


def test_a_finished_index_without_its_manifest_is_not_taken_for_an_unfinished_one(
    path: Path, docs: list[Doc], encoder: Any
) -> None:
    before = {file: file.read_bytes() for file in every_file(path)}
    (path / "manifest.json").unlink()
    acts = (lambda: open_index(path), lambda: stored_settings(path), lambda: build_index(docs, path))
    for act in acts:
        with pytest.raises(IndexCorrupt, match=r"damaged: .*manifest\.json is gone.*--replace"):
            act()
    assert {file: file.read_bytes() for file in every_file(path)} == before
    assert [child.name for child in path.iterdir()] == ["segments"]
    build_index(docs, path, encoder=encoder, replace=True)
    index = open_index(path)
    assert index.check() == []
    assert len(list((path / "segments").iterdir())) == 1
