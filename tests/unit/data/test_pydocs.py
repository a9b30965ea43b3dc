"""The corpus that every machine has, and our questions on it."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from sleuth.data.pydocs import Pydocs, pydocs_qrels, pydocs_queries, read_pydocs
from sleuth.data.pydocs.harvest_job import _fold
from sleuth.errors import UsageError

COMMON_WORDS_THAT_MAY_STAY = 40
"""Names made of everyday words (time, list, open) can't always be avoided; this many at most."""


@pytest.fixture(scope="module")
def docs() -> Pydocs:
    return read_pydocs()


def test_the_standard_library_is_there(docs: Pydocs) -> None:
    assert len(docs) > 3_500
    for name in ("subprocess.Popen.communicate", "os.fork", "str.partition", "heapq", "os.path.exists", "sorted"):
        assert name in docs.doc_id_of, name
    assert all(len(doc.text.split()) >= 9 for doc in docs)
    assert len({doc.text for doc in docs}) == len(docs)
    assert not any(part.startswith("_") for doc in docs for part in doc.doc_id.split("."))


def test_harvest_is_the_same_twice(docs: Pydocs) -> None:
    again = read_pydocs()
    assert list(again) == list(docs)
    assert again.doc_id_of == docs.doc_id_of


def test_no_memory_addresses(docs: Pydocs) -> None:
    assert [doc.doc_id for doc in docs if re.search(r"0x[0-9a-f]{8,}", doc.title)] == []


def test_equal_docstrings_are_one_document_under_the_shortest_name() -> None:
    def record(name: str, doc: str) -> dict[str, str]:
        return {"name": name, "signature": "()", "doc": doc, "kind": "function", "module": "m"}

    folded = _fold([record("posix.fork", "d"), record("os.fork", "d"), record("b.x", "e"), record("a.x", "e")])
    assert [doc.doc_id for doc in folded] == ["a.x", "os.fork"]
    assert folded.doc_id_of["posix.fork"] == "os.fork"
    assert folded[1].metadata["aliases"] == ["posix.fork"]
    assert folded[1].title == "os.fork()"


def test_counts_of_questions() -> None:
    dev, test = pydocs_queries("dev"), pydocs_queries("test")
    assert (len(dev), len(test)) == (60, 100)
    assert len({query.text for query in dev + test}) == 160
    korean = pydocs_queries("dev", language="ko") + pydocs_queries("test", language="ko")
    assert len(korean) >= 160 / 3
    assert all(re.search("[가-힣]", query.text) for query in korean)
    with pytest.raises(UsageError, match="dev and test"):
        pydocs_queries("train")  # type: ignore[arg-type]


@pytest.mark.parametrize("split", ["dev", "test"])
def test_every_question_has_a_document_that_solves_it(docs: Pydocs, split: str) -> None:
    report = pydocs_qrels(docs, split)  # type: ignore[arg-type]
    queries = pydocs_queries(split)  # type: ignore[arg-type]
    assert set(report.qrels) == {query.query_id for query in queries}
    for query_id, judged in report.qrels.items():
        assert max(judged.values(), default=0) == 2, f"{query_id}: {judged}; missing {report.missing}"
        assert set(judged.values()) <= {0, 1, 2}
        for doc_id, grade in judged.items():
            assert grade == 0 or report.reasons[query_id, doc_id], (query_id, doc_id)
    assert len(report.missing) <= 0.02 * sum(map(len, report.qrels.values()))


def test_questions_do_not_name_their_answers(docs: Pydocs) -> None:
    named: Counter[str] = Counter()
    for split in ("dev", "test"):
        report = pydocs_qrels(docs, split)  # type: ignore[arg-type]
        for query in pydocs_queries(split):  # type: ignore[arg-type]
            words = set(re.findall(r"[a-z]+", query.text.lower()))
            for doc_id, grade in report.qrels[query.query_id].items():
                pieces = {p.lower() for p in re.split(r"[._]", doc_id) if len(p) >= 4}
                if grade == 2 and query.text.lower().count(doc_id.lower()) and len(doc_id) > 6:
                    pytest.fail(f"{query.query_id} names {doc_id}")
                if grade == 2:
                    named.update(f"{query.query_id}:{piece}" for piece in pieces & words)
    assert len(named) <= COMMON_WORDS_THAT_MAY_STAY, sorted(named)
