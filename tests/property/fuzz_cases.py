"""Damaged files for every reader: valid ones to start from, ways to damage them, and what must hold.

Used by the property test beside it and by `benchmarks/fuzz_readers.py`.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from sleuth.data.bright import join_excluded, join_rewrites
from sleuth.data.readers import read_corpus, read_qrels, read_queries, read_run
from sleuth.data.writers import write_qrels, write_queries, write_run
from sleuth.errors import SleuthError
from sleuth.text.chunk import count_tokens
from sleuth.types import Query

__all__ = ["attempt", "damaged", "file_names", "valid"]


def _json_lines(*records: object) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


_PDF = b"""%PDF-1.4
1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj
2 0 obj << /Type /Pages /Kids [4 0 R] /Count 1 >> endobj
3 0 obj << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> endobj
4 0 obj << /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 5 0 R /Resources << /Font << /F1 3 0 R >> >> >> endobj
5 0 obj << /Length 40 >>
stream
BT /F1 12 Tf 72 700 Td (Some words.) Tj ET
endstream
endobj
trailer << /Size 6 /Root 1 0 R >>
startxref
0
%%EOF
"""

_SEEDS: dict[str, bytes] = {
    "corpus.jsonl": _json_lines(
        {"_id": "d 1", "title": "T", "text": "Some text.", "metadata": {"a": [1, {"b": None}]}},
        {"id": "d2", "content": "한국어 문장입니다."},
    ),
    "corpus.tsv": b"id\ttitle\ttext\nd1\tT\tx\nd 2\t\ty\n",
    "queries.jsonl": _json_lines(
        {"_id": "q1", "text": "why?", "rewrites": ["r"], "excluded_ids": ["N/A", "d1"], "task": "t"},
        {"id": "q2", "query": "how?", "excluded_ids": ["d3"], "gold_ids": ["d1", "d1"], "gold_ids_long": ["N/A"]},
    ),
    "queries.tsv": b"q1\twhy is it?\nq2\thow?\n",
    "topics": b"<top>\n<num> Number: 301\n<title> a title\n<desc> Description:\nwords\n</top>\n<top><num>2<desc>x</top>\n",
    "run.trec": b"q1 Q0 d1 1 2.5 t\nq1 Q0 d 2 2 -1e-3 t\nq2\tQ0\td%20\t1\t7\tt\n",
    "run.gz": gzip.compress(b"q1 Q0 d1 1 2.5 t\nq1 Q0 d2 2 2.5 t\n"),
    "a.qrels": b"q1 0 d1 1\nq1 0 d 2 0\nq2\t0\td3\t-1\n",
    "qrels.tsv": b"query-id\tcorpus-id\tscore\nq1\td 1\t2\nq2\td2\t0\n",
    "requests.json": json.dumps(
        [{"query": {"text": "x", "qid": "q"}, "candidates": [{"docid": "d", "score": 1.5, "doc": {}}]}]
    ).encode(),
    "score.json": b'{"q1": {"d1": 1.5, "d2": -3}, "q2": {}}',
    "page.html": b"<html><title>t</title><h1>A</h1><p>words<br>more <b>x</b></p><pre> y\n</pre><h2>B</h2><ul><li>z</ul>",
    "guide.md": b"---\na: b\n---\n# A\n\nText.\n\n```\ncode\n```\n\nB\n---\n\n- item\n| t |\n",
    "doc.rst": "=====\nTitle\n=====\n\nText::\n\n  code\n\n제목\n----\n\nx\n".encode(),
    "code.py": b'import os\n\n@deco(\n  1)\nclass A:\n    """Doc."""\n    def f(self):\n        return 1\n',
    "words.txt": "One. Two! 셋. 四。".encode(),
    "paper.pdf": _PDF,
}

_NASTY = [
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc3", b"\r", b"\n", b"\r\n", b"\t", b" ", b"\x0b", b"\x1c", b"\xc2\x85",
    b"\xe2\x80\xa8", b"\x1f\x8b\x08", b'"', b"\\", b"\\ud800", b"{", b"}", b"[", b"]", b"null", b"true", b"1e999", b"-0", b"NaN", b"inf", b"9" * 40,
    b"0x1", b"1_0", b".", b",", b"%", b"#", b"`" * 3, b"---\n", b"===\n", b"<top>", b"</top>", b"<num>", b"<div>", b"<!--", b"<script>",
    b"query-id\tcorpus-id\tscore\n", b"[" * 3000, b"<b>" * 6000, b"(" * 500, b"A" * 5000, b" " * 5000, b"q1 Q0 d1 1 2.5 t\n", b"PAR1", b"%PDF-1.7",
    b"/Kids [4 0 R 2 0 R]", b"/Count 99999999", b"/Length 99999999", b"stream\n", b"/Filter /FlateDecode", b"endobj", b"0 R",
]  # fmt: skip


def file_names() -> list[str]:
    """Names of the valid files that damage starts from."""
    return list(_SEEDS)


def valid(name: str) -> bytes:
    """One of them."""
    return _SEEDS[name]


def damaged(random: Random, name: str) -> bytes:
    """A valid file after one to six accidents."""
    data = _SEEDS[name]
    for _ in range(random.randint(0, 6)):
        at = random.randint(0, len(data))
        to = min(len(data), at + random.choice([1, 3, 20, 200]))
        accident = random.randint(0, 6)
        if accident == 0:
            data = data[:at] + random.choice(_NASTY) + data[at:]
        elif accident == 1:
            data = data[:at] + data[to:]
        elif accident == 2:
            data = data[:to] + data[at:]
        elif accident == 3:
            data = data[:at] + bytes([random.randint(0, 255)]) + data[at + 1 :]
        elif accident == 4:
            data = data[:at]
        elif accident == 5:
            other = _SEEDS[random.choice(list(_SEEDS))]
            data = data[:at] + other[random.randint(0, len(other)) :]
        else:
            data = data[:at] + data[at:to] * random.choice([2, 50]) + data[to:]
    if random.randint(0, 9) == 0:
        packed = gzip.compress(data)
        data = packed if random.randint(0, 1) else packed[: random.randint(0, len(packed))]
    return data


def attempt(path: Path) -> Counter[str]:
    """Hand a file to every reader; "reader: ok" or "reader: refused", how often.

    Whatever a reader accepts must also survive being written and read again. Any exception that is not
    Sleuth's own passes through: it is a bug.
    """
    outcomes: Counter[str] = Counter()
    for name, read in _READERS.items():
        for skip in (False, True):
            try:
                read(path, skip)
            except SleuthError:
                outcomes[f"{name}: refused"] += 1
            else:
                outcomes[f"{name}: ok"] += 1
    return outcomes


def _corpus(path: Path, skip: bool) -> None:
    corpus = read_corpus(path, skip_bad_lines=skip)
    ids = [doc.doc_id for doc in corpus]
    assert len(set(ids)) == len(ids)
    assert [doc.doc_id for doc in corpus] == ids
    for problem in corpus.problems:
        str(problem).encode()


def _folder(path: Path, skip: bool) -> None:
    for doc in read_corpus(path.parent, chunk_tokens=7, overlap=3 if skip else 0):
        assert count_tokens(doc.text) <= 7
        doc.text.encode()


def _queries(path: Path, skip: bool) -> None:
    queries = read_queries(path, skip_bad_lines=skip)
    written = path.parent / "again" / "queries.jsonl"
    written.parent.mkdir(exist_ok=True)
    write_queries(queries, written)
    assert read_queries(written) == queries


def _qrels(path: Path, skip: bool) -> None:
    qrels = read_qrels(path, skip_bad_lines=skip)
    written = path.parent / "again" / "q.qrels"
    written.parent.mkdir(exist_ok=True)
    write_qrels(qrels, written, escape_ids=True)
    again = read_qrels(written)
    assert [list(judged.values()) for judged in again.values()] == [list(j.values()) for j in qrels.values() if j]


def _run(path: Path, skip: bool) -> None:
    run = read_run(path, skip_bad_lines=skip, ties="file" if skip else "score")
    written = path.parent / "again" / "r.trec"
    written.parent.mkdir(exist_ok=True)
    write_run(run, written)
    again = read_run(written)
    assert [ranking.doc_ids for ranking in again.values()] == [r.doc_ids for r in run.values() if len(r)]


def _joins(path: Path, skip: bool) -> None:
    join = join_rewrites if skip else join_excluded
    join([Query("q1", "why?")], path)


_READERS: dict[str, Callable[[Path, bool], None]] = {
    "corpus": _corpus,
    "folder": _folder,
    "queries": _queries,
    "qrels": _qrels,
    "run": _run,
    "joins": _joins,
}
