"""A folder of files as a corpus: ids, places, what is left out, and what is reported."""

from __future__ import annotations

import os
import socket
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from sleuth.data import files, folder
from sleuth.data.readers import read_corpus
from sleuth.errors import UsageError
from sleuth.index.build import build_index
from sleuth.index.store import begin

GUIDE = """---
title: Guide
---
# Guide

Intro.

## Install `it`

Use pip. Then wait.

```sh
# not a heading
pip install x
```

Linux
-----

Mac works, too.
"""


def write(root: Path, files_by_name: dict[str, str | bytes]) -> Path:
    for name, content in files_by_name.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def test_chunks_know_where_they_are_from(tmp_path: Path) -> None:
    write(tmp_path, {"docs/guide.md": GUIDE, "b.txt": "Plain words.", "a.py": "def f():\n    return 1\n"})
    docs = list(read_corpus(tmp_path, chunk_tokens=14))
    by_source: dict[str, list] = {}
    for doc in docs:
        text = (tmp_path / doc.metadata["source"]).read_text(encoding="utf-8")
        assert text[doc.metadata["start"] : doc.metadata["end"]] == doc.text
        assert doc.doc_id == f"{doc.metadata['source']}#{len(by_source.setdefault(doc.metadata['source'], []))}"
        by_source[doc.metadata["source"]].append(doc)
    assert list(by_source) == ["a.py", "b.txt", "docs/guide.md"]
    assert [(d.title, d.metadata["heading"]) for d in by_source["b.txt"]] == [("b.txt", "")]
    assert [d.title for d in by_source["a.py"]] == ["f"]
    assert [d.title for d in by_source["docs/guide.md"]] == [
        "guide.md",
        "Guide",
        "Guide > Install it",
        "Guide > Linux",
    ]
    assert all(doc.metadata["page"] is None for doc in docs)


def test_one_file_is_a_corpus_too(tmp_path: Path) -> None:
    write(tmp_path, {"guide.md": GUIDE})
    corpus = read_corpus(tmp_path / "guide.md")
    assert [doc.doc_id for doc in corpus] == ["guide.md#0"]
    assert corpus.name == str(tmp_path / "guide.md")
    assert (corpus.chunk_tokens, corpus.overlap) == (180, 0)


def test_what_is_left_out(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            ".git/x.md": "x", ".hidden.md": "x", "node_modules/a/b.js": "x", "sub/__pycache__/x.py": "x", "env/pyvenv.cfg": "",
            "env/lib/x.py": "x", "p.egg-info/x.txt": "x", "photo.PNG": b"\x89PNG", "LICENSE": "x", "empty.md": "", "blank.txt": " \n",
            "UPPER.MD": "kept",
        },
    )  # fmt: skip
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    corpus = read_corpus(tmp_path)
    assert [doc.doc_id for doc in corpus] == ["UPPER.MD#0"]
    assert corpus.problems == []
    assert corpus.ignored == {".png": 1, "(no suffix)": 1, "(link to a folder)": 1}


def test_files_that_cannot_be_read_are_reported_and_the_rest_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LARGEST_FILE_BYTES", 10_000)
    write(
        tmp_path,
        {
            "binary.txt": b"abc\x00\xff", "cp949.txt": "안녕하세요".encode("cp949"), "good.txt": "fine",
            "large.txt": b"x" * 10_001, "utf16.txt": "wide".encode("utf-16"), "late.txt": b"ok " + b"x" * 8192 + b"\x00",
        },
    )  # fmt: skip
    (tmp_path / "broken.md").symlink_to(tmp_path / "absent.md")
    (tmp_path / "circle.md").symlink_to(tmp_path / "circle.md")
    (tmp_path / "link.md").symlink_to(tmp_path / "good.txt")
    os.mkfifo(tmp_path / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)
        server.bind("socket.txt")
        corpus = read_corpus(tmp_path)
        docs = list(corpus)
    assert list(dict.fromkeys(doc.metadata["source"] for doc in docs)) == [
        "good.txt",
        "late.txt",
        "link.md",
        "utf16.txt",
    ]
    reasons = {problem.path: problem.reason for problem in corpus.problems}
    assert sorted(reasons) == sorted(
        ["binary.txt", "broken.md", "circle.md", "cp949.txt", "large.txt", "pipe.txt", "socket.txt"]
    )
    assert "NUL" in reasons["binary.txt"]
    assert "not UTF-8 at byte 0" in reasons["cp949.txt"]
    assert "limit" in reasons["large.txt"]
    assert reasons["pipe.txt"] == reasons["socket.txt"] == "not a regular file"
    assert corpus.failed("binary.txt")
    assert not corpus.failed("good.txt")
    list(corpus)
    assert len(corpus.problems) == 7, "problems are those of the last reading"


@pytest.fixture
def folder_of_nobody() -> Iterator[Path]:
    """A folder that a user without rights may read; root, who may read everything, becomes that user."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        yield Path(place)
        if os.getuid() == 0:
            os.seteuid(0)


def test_no_permission(folder_of_nobody: Path) -> None:
    write(folder_of_nobody, {"a.txt": "x", "secret/b.txt": "y", "c.txt": "z"})
    (folder_of_nobody / "a.txt").chmod(0)
    (folder_of_nobody / "secret").chmod(0)
    if os.getuid() == 0:
        os.seteuid(65534)
    corpus = read_corpus(folder_of_nobody)
    assert [doc.doc_id for doc in corpus] == ["c.txt#0"]
    assert [problem.path for problem in corpus.problems] == ["a.txt", "secret/"]
    assert corpus.failed("secret/b.txt")


def test_a_folder_that_cannot_be_listed_covers_all_below_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"secret/b.txt": "y", "c.txt": "z"})
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(folder.os, "scandir", refuse)
    corpus = read_corpus(tmp_path)
    assert [doc.doc_id for doc in corpus] == ["c.txt#0"]
    assert [str(problem) for problem in corpus.problems] == ["secret/: can't be listed: Permission denied"]
    assert corpus.failed("secret/deep/b.txt")
    assert not corpus.failed("secrets.txt")


def test_paths_are_unicode_nfc(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "한글 é.txt")
    write(tmp_path, {decomposed: "안녕"})
    name = unicodedata.normalize("NFC", decomposed)
    assert [doc.doc_id for doc in read_corpus(tmp_path)] == [f"{name}#0"]
    write(tmp_path, {name: "둘"})
    corpus = read_corpus(tmp_path)
    assert len(list(corpus)) == 1
    assert [problem.reason for problem in corpus.problems] == [
        f"another file has the same name in Unicode NFC, {name!r}"
    ]


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    os.close(os.open(os.fsencode(tmp_path) + b"/caf\xe9.txt", os.O_CREAT | os.O_WRONLY))
    corpus = read_corpus(tmp_path)
    assert list(corpus) == []
    assert [problem.reason for problem in corpus.problems] == ["its name is not UTF-8"]
    corpus.problems[0].path.encode("utf-8")


def test_line_ends_and_marks_keep_places_true(tmp_path: Path) -> None:
    write(tmp_path, {"a.txt": b"\xef\xbb\xbfone\r\n\r\ntwo\rthree\x0cfour"})
    (doc,) = read_corpus(tmp_path)
    text = (tmp_path / "a.txt").read_text(encoding="utf-8-sig")
    assert doc.text == "one\n\ntwo\nthree four"
    assert text[doc.metadata["start"] : doc.metadata["end"]].replace("\x0c", " ") == doc.text


def test_an_empty_folder_and_none(tmp_path: Path) -> None:
    assert list(read_corpus(tmp_path)) == []
    with pytest.raises(UsageError, match="no corpus"):
        read_corpus(tmp_path / "nothing")


@pytest.mark.parametrize("source", ["", "  ", None, 5, b"x"])
def test_a_corpus_without_a_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: object) -> None:
    write(tmp_path, {"a.txt": "secret"})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"empty|named by a str"):
        read_corpus(source)  # type: ignore[arg-type]
    assert len(list(read_corpus("."))) == 1


@pytest.mark.parametrize("option", [{"chunk_tokens": "90"}, {"chunk_tokens": 9.5}, {"overlap": "1"}, {"overlap": True}])
def test_budgets_are_whole_numbers(tmp_path: Path, option: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(option))} must be a whole number"):
        read_corpus(tmp_path, **option)  # type: ignore[arg-type]


def test_indexes_among_the_files_are_skipped(tmp_path: Path) -> None:
    write(tmp_path, {"a.txt": "one", "sub/b.txt": "two", "app/manifest.json": '{"name": "app"}', "app/c.txt": "three"})
    made = tmp_path / "sub" / "my.index"
    build_index(read_corpus(tmp_path), made)
    (made / "note.txt").write_text("a stranger's file")
    begin(write(tmp_path / "half", {"segments/000001-00/docs.jsonl": "", "d.txt": "four"}))
    corpus = read_corpus(tmp_path)
    assert [doc.doc_id for doc in corpus] == ["a.txt#0", "app/c.txt#0", "sub/b.txt#0"]
    assert dict(corpus.ignored) == {".json": 1}
    for made_folder in (made, tmp_path / "half"):
        with pytest.raises(UsageError, match="is an index of Sleuth, not a corpus"):
            read_corpus(made_folder)


def test_an_index_being_built_inside_its_corpus_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, {"a.txt": "one", "z/b.txt": "two"})
    corpus = read_corpus(tmp_path)
    build_index(corpus, tmp_path / "my.index", part_documents=1)
    assert not corpus.ignored


class TestHtml:
    PAGE = (
        "<html><head><title>Page &amp; title</title><style>p{}</style></head><body><p>Before.</p><h1>One <b>two</b></h1>"
        "<script>alert('no')</script><p>First<br>line &lt;x&gt;</p><!-- no --><h2>Sub</h2><ul><li>a</li><li>b</li></ul>"
        "<table><tr><td>c</td><td>d</td></tr></table><pre>  keep\n    this</pre></body></html>"
    )

    @pytest.mark.slow
    def test_blocks_and_headings(self, tmp_path: Path) -> None:
        write(tmp_path, {"p.html": self.PAGE, "bare.htm": "just words"})
        docs = list(read_corpus(tmp_path, chunk_tokens=8))
        assert [(doc.doc_id, doc.title, doc.text) for doc in docs] == [
            ("bare.htm#0", "bare.htm", "just words"),
            ("p.html#0", "Page & title", "Before."),
            ("p.html#1", "One two", "One two\n\nFirst line <x>"),
            ("p.html#2", "One two > Sub", "Sub\n\na\n\nb\n\nc d\n\n  keep\n    this"),
        ]

    @pytest.mark.slow
    def test_bottomless_nesting_is_reported(self, tmp_path: Path) -> None:
        write(tmp_path, {"p.html": "<div></p>" * 20_000})
        corpus = read_corpus(tmp_path)
        assert list(corpus) == []
        assert "5,000 tags open" in corpus.problems[0].reason

    @pytest.mark.parametrize(("name", "module"), [("p.html", "selectolax.lexbor"), ("p.pdf", "pypdf")])
    def test_without_the_extra_the_file_is_a_problem(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str
    ) -> None:
        monkeypatch.setitem(__import__("sys").modules, module, None)
        write(tmp_path, {name: "<p>x", "b.txt": "fine"})
        corpus = read_corpus(tmp_path)
        assert [doc.doc_id for doc in corpus] == ["b.txt#0"]
        assert "pip install 'sleuth[files]'" in corpus.problems[0].reason


def pdf_of(pages: list[str]) -> bytes:
    """A minimal PDF with one line of text a page."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for n, text in enumerate(pages):
        stream = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * n} 0 R /Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    body, places = "%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    size = len(objects) + 1
    trailer = f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(body)}\n%%EOF\n"
    return (body + f"xref\n0 {size}\n0000000000 65535 f \n" + table + trailer).encode("latin-1")


class TestPdf:
    @pytest.mark.slow
    def test_chunks_have_pages(self, tmp_path: Path) -> None:
        write(tmp_path, {"a.pdf": pdf_of(["First page here.", "", "Third page."])})
        docs = list(read_corpus(tmp_path))
        assert [(doc.doc_id, doc.text, doc.metadata["page"]) for doc in docs] == [
            ("a.pdf#0", "First page here.", 1),
            ("a.pdf#1", "Third page.", 3),
        ]

    @pytest.mark.slow
    def test_damaged_and_empty_ones_are_problems(self, tmp_path: Path) -> None:
        whole = pdf_of(["Text."])
        write(
            tmp_path,
            {"a.pdf": b"%PDF-1.4 nonsense", "b.pdf": whole[:200], "c.pdf": b"", "d.pdf": pdf_of([""]), "e.pdf": whole},
        )
        corpus = read_corpus(tmp_path)
        assert [doc.doc_id for doc in corpus] == ["e.pdf#0"]
        assert [problem.path for problem in corpus.problems] == ["a.pdf", "b.pdf", "c.pdf", "d.pdf"]
        assert "scan" in corpus.problems[3].reason
