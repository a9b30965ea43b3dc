"""Documents and queries, one record a line: what is read, what is refused, and where."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from sleuth.data import lines as lines_module
from sleuth.data.lines import Problem
from sleuth.data.readers import read_corpus, read_queries
from sleuth.errors import FormatError, UsageError
from sleuth.types import Doc, Query


def put(path: Path, *rows: object) -> Path:
    """One line a row: text as it is, everything else as JSON."""
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    data = text.encode("utf-8", "surrogatepass")
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


class TestDocuments:
    def test_the_three_spellings(self, tmp_path: Path) -> None:
        path = put(
            tmp_path / "c.jsonl",
            {"_id": "a b%20", "title": "T", "text": "x", "metadata": {"source": "s"}, "lang": "ko"},
            {"id": "b", "content": " y\u0000\r\n "},
            {"id": "c", "contents": ""},
            {"_id": 7, "text": "z", "title": None, "metadata": None},
        )
        assert list(read_corpus(path)) == [
            Doc("a b%20", "x", "T", {"lang": "ko", "source": "s"}),
            Doc("b", " y\u0000\r\n "),
            Doc("c", ""),
            Doc("7", "z"),
        ]

    def test_tsv(self, tmp_path: Path) -> None:
        assert list(read_corpus(put(tmp_path / "c.tsv", "1\tone two", "a b\t"))) == [
            Doc("1", "one two"),
            Doc("a b", ""),
        ]
        assert list(read_corpus(put(tmp_path / "c3.tsv.gz", "1\tT\tx"))) == [Doc("1", "x", "T")]
        headed = put(tmp_path / "h.tsv", "id\ttext\ttitle\tlang", '1\t"x"\tT\tko')
        assert list(read_corpus(headed)) == [Doc("1", '"x"', "T", {"lang": "ko"})]
        assert list(read_corpus(put(tmp_path / "c.txt.unknown", "1\tone"))) == [Doc("1", "one")]

    @pytest.mark.parametrize(
        ("row", "reason"),
        [
            ('{"_id": "a", "text": "x"', "not JSON"),
            ("[1]", "JSON of type list; expected an object"),
            ({"text": "x"}, 'an id is missing: found text; expected "_id" or "id"'),
            ({"_id": "a"}, 'a text is missing: found _id; expected "text" or "content"'),
            ({}, "found no fields"),
            ({"_id": "", "text": "x"}, '"_id" is empty'),
            ({"_id": 1.5, "text": "x"}, r'"_id" is 1.5 \(float\); expected a string'),
            ({"_id": True, "text": "x"}, '"_id" is True'),
            ({"_id": "a\nb", "text": "x"}, "line break or NUL"),
            ({"_id": "a", "text": None}, '"text" is None'),
            ({"_id": "a", "text": ["x"] * 50}, r'"text" is \[.{30,50}… \(list\)'),
            ({"_id": "a", "text": "x", "title": 3}, '"title" is 3'),
            ({"_id": "a", "text": "x", "metadata": [1]}, r'"metadata" is \[1\] \(list\); expected an object'),
            ('{"_id": "a", "text": "\\ud800"}', "not JSON"),
            ('{"_id": "a", "text": "x", "m": ' + "[" * 40 + "]" * 40 + "}", "nested deeper than 32"),
            ('{"_id": "a", "text": "x", "m": ' + "[" * 100_000 + "]" * 100_000 + "}", "not JSON"),
            ("\udcff\udcfe", "not JSON"),
            ({"_id": "first", "text": "x"}, r"the id 'first' is there twice \(first on line 1\)"),
            ({"_id": "first", "text": "\u0000"}, "there twice"),
        ],
    )
    def test_bad_lines_are_named_or_skipped(self, tmp_path: Path, row: object, reason: str) -> None:
        path = put(tmp_path / "c.jsonl", {"_id": "first", "text": "x"}, "", row, {"_id": "last", "text": "y"})
        corpus = read_corpus(path)
        with pytest.raises(FormatError, match=f"c.jsonl, line 3: .*{reason}"):
            list(corpus)
        seen: list[Problem] = []
        corpus = read_corpus(path, skip_bad_lines=True, report=seen.append)
        for _ in range(2):
            assert [doc.doc_id for doc in corpus] == ["first", "last"]
            assert [problem.line for problem in corpus.problems] == [3]
        assert len(seen) == 2

    @pytest.mark.parametrize(
        ("rows", "reason"),
        [
            (["1\ta", "2\tb\tc"], "line 2: 3 columns, expected 2 as in the first line"),
            (["1\ta\tb\tc"], "line 1: 4 columns, expected 2"),
            (["\tx"], 'line 1: "_id" is empty'),
            (["1\ta", "1\tb"], r"line 2: the id '1' is there twice \(first on line 1\)"),
        ],
    )
    def test_bad_rows(self, tmp_path: Path, rows: list[str], reason: str) -> None:
        with pytest.raises(FormatError, match=reason):
            list(read_corpus(put(tmp_path / "c.tsv", *rows)))

    def test_a_bad_first_row_does_not_set_the_width(self, tmp_path: Path) -> None:
        path = put(tmp_path / "c.tsv", "1\ta\tb\tc", "2\tb")
        assert [doc.doc_id for doc in read_corpus(path, skip_bad_lines=True)] == ["2"]

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b'[{"_id": "a"}]', "JSON array; expected one object a line"),
            (b"PAR1\x15\x04", "binary"),
            (b"just words\n", "neither JSON lines"),
            (b"\x00\x01\t\x02", "binary"),
        ],
    )
    def test_other_files_are_named_for_what_they_are(self, tmp_path: Path, data: bytes, reason: str) -> None:
        (tmp_path / "c.dat").write_bytes(data)
        with pytest.raises(FormatError, match=reason):
            list(read_corpus(tmp_path / "c.dat", skip_bad_lines=True))

    def test_overlong_lines_are_left_unread(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lines_module, "LONGEST_LINE_BYTES", 1000)
        path = put(
            tmp_path / "c.jsonl", {"_id": "a", "text": "x"}, {"_id": "b", "text": "y" * 5000}, {"_id": "c", "text": "z"}
        )
        with pytest.raises(FormatError, match=r"line 2: 5,0\d\d bytes in one line, more than the limit of 1,000"):
            list(read_corpus(path))
        assert [doc.doc_id for doc in read_corpus(path, skip_bad_lines=True)] == ["a", "c"]

    def test_empty_and_marked_files(self, tmp_path: Path) -> None:
        (tmp_path / "e.jsonl").write_bytes(b"")
        (tmp_path / "b.jsonl").write_bytes(b'\xef\xbb\xbf\r\n{"_id": "a", "text": "x"}')
        assert list(read_corpus(tmp_path / "e.jsonl")) == []
        assert list(read_corpus(tmp_path / "b.jsonl")) == [Doc("a", "x")]

    def test_records_are_cut_only_when_asked(self, tmp_path: Path) -> None:
        path = put(tmp_path / "c.jsonl", {"_id": "a", "title": "T", "text": "one two three. four five", "k": 1})
        assert [doc.doc_id for doc in read_corpus(path)] == ["a"]
        docs = list(read_corpus(path, chunk_tokens=3))
        assert [(doc.doc_id, doc.title, doc.text) for doc in docs] == [
            ("a#0", "T", "one two three."),
            ("a#1", "T", "four five"),
        ]
        assert docs[1].metadata == {"k": 1, "source": "a", "start": 15, "end": 24}
        for wrong in ({"chunk_tokens": 0}, {"chunk_tokens": 5, "overlap": 5}, {"overlap": -1}):
            with pytest.raises(UsageError):
                read_corpus(path, **wrong)

    def test_names_say_where_a_corpus_is_from(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = put(tmp_path / "corpus.jsonl", {"_id": "a", "text": "x"})
        monkeypatch.chdir(tmp_path)
        assert read_corpus(tmp_path).name == read_corpus(path).name == read_corpus("corpus.jsonl").name == str(path)
        with pytest.raises(UsageError, match="no corpus at"):
            read_corpus(tmp_path / "absent")
        with pytest.raises(UsageError, match="no corpus at"):
            read_corpus("a\0b")


class TestQueries:
    def test_json_with_all_fields(self, tmp_path: Path) -> None:
        full = {
            "_id": "q1", "text": "why?", "rewrites": ["r1", "r2"], "instruction": "i", "task": "t",
            "excluded_ids": ["N/A", "d 1", 2, "d 1"], "metadata": {"a": 1}, "reasoning": "note",
        }  # fmt: skip
        path = put(tmp_path / "q.jsonl", full, {"id": 3, "query": "", "rewrites": "one", "excluded_ids": None})
        assert read_queries(path) == [
            Query("q1", "why?", ("r1", "r2"), "t", "i", frozenset({"d 1", "2"}), {"reasoning": "note", "a": 1}),
            Query("3", "", ("one",)),
        ]

    @pytest.mark.parametrize(
        ("row", "reason"),
        [
            ({"_id": "a", "text": "x", "rewrites": [1]}, '"rewrites" must be a list of strings'),
            ({"_id": "a", "text": "x", "excluded_ids": "d1"}, "\"excluded_ids\" is 'd1' .*expected a list"),
            ({"_id": "a", "text": "x", "excluded_ids": [None]}, r'"excluded_ids\[\]" is None'),
            ({"_id": "a", "text": "x", "task": 1}, '"task" is 1'),
        ],
    )
    def test_bad_fields(self, tmp_path: Path, row: object, reason: str) -> None:
        with pytest.raises(FormatError, match=f"line 1: {reason}"):
            read_queries(put(tmp_path / "q.jsonl", row))

    def test_only_commands_with_the_flag_name_it(self, tmp_path: Path) -> None:
        path = put(tmp_path / "x.jsonl", {"_id": "a"})
        with pytest.raises(FormatError, match=r"\. Pass skip_bad_lines=True to leave"):
            read_queries(path)
        with pytest.raises(FormatError, match=r"\. Pass --skip-bad-lines \(skip_bad_lines=True\) to leave"):
            list(read_corpus(path))

    def test_tsv_and_folder(self, tmp_path: Path) -> None:
        assert read_queries(put(tmp_path / "q.tsv", "1\twhy is it?", "2\t왜?")) == [
            Query("1", "why is it?"),
            Query("2", "왜?"),
        ]
        assert read_queries(put(tmp_path / "topics.x", "query_id\ttext", "1\twhy")) == [Query("1", "why")]
        with pytest.raises(UsageError, match="has no queries"):
            read_queries(tmp_path)
        put(tmp_path / "queries.jsonl.gz", {"_id": "1", "text": "t"})
        assert read_queries(tmp_path) == [Query("1", "t")]

    def test_topics(self, tmp_path: Path) -> None:
        text = """
<top>
<num> Number: 301
<title> International
Organized Crime

<desc> Description:
Identify organizations.
<narr> Narrative:
A relevant document names one.
</top>
<top><num>302</num><desc>Only a description</desc></top>
<TOP>
<num> Number: 303 <title> Topic: 한국어
</TOP>
"""
        queries = read_queries(put(tmp_path / "t", text))
        assert [(query.query_id, query.text) for query in queries] == [
            ("301", "International Organized Crime"),
            ("302", "Only a description"),
            ("303", "한국어"),
        ]
        assert queries[0].metadata == {
            "description": "Identify organizations.",
            "narrative": "A relevant document names one.",
        }

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("<top>\n<title> x\n</top>", "line 1: a topic without <num>"),
            ("<top>\n<num> 1\n</top>", "topic 1 has neither"),
            ("<top><num>1<title>x</top>\nstray\n", "line 2: text outside"),
            (
                "<top><num>1<title>x</top>\n<top><num>1<title>y</top>",
                r"line 2: the id '1' is there twice \(first on line 1\)",
            ),
        ],
    )
    def test_bad_topics(self, tmp_path: Path, text: str, reason: str) -> None:
        with pytest.raises(FormatError, match=reason):
            read_queries(put(tmp_path / "t", text))
