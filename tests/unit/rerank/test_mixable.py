"""Interpolation is checked when a pipeline is made: before anything is paid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sleuth.errors import UnknownName, UsageError
from sleuth.front import build_index
from sleuth.pipeline import Pipeline
from sleuth.rerank.interpolate import Interpolate
from sleuth.rerank.parts import Case, Verdict
from sleuth.rerank.window import SlidingWindow
from sleuth.retrieve.dense import Dense
from sleuth.retrieve.hybrid import Hybrid
from sleuth.retrieve.imported import Imported
from sleuth.retrieve.lexical import Lexical
from sleuth.stages import Embeddings, StageResult
from sleuth.types import Doc, Query, Ranking, Run

DOCS = {name: Doc(name, f"a passage of {name}") for name in "abc"}
QUERY = Query("q", "a passage")


class Turner:
    """A LocalJudge that turns every list round."""

    name, kind, scale, max_docs, min_docs = "turner", "order", "rank", None, 2

    def verdicts(self, cases: Sequence[Case]) -> Iterator[tuple[int, Verdict]]:
        for at, case in enumerate(cases):
            yield at, Verdict(tuple(reversed(range(len(case.docs)))))


def judged(**options: Any) -> SlidingWindow:
    return SlidingWindow(Turner(), **options)  # type: ignore[arg-type]


def listed(name: str = "run", **parts: list[float]) -> Imported:
    return Imported(Run({"q": Ranking([*"abc"], [3, 2, 1], parts=parts)}), name=name)


def made(first: Any, *stages: Any) -> Pipeline:
    return Pipeline(retrieve=first, rerank=stages, docs=DOCS)


PARTS = {"bm25": [1.0, 2.0, 3.0]}


@pytest.mark.parametrize(
    ("first", "stages"),
    [
        (listed(), [judged(), Interpolate()]),
        (listed(), [judged(name="one"), judged(), Interpolate(with_="one", judge="rerank-2")]),
        (listed(), [judged(), Interpolate(name="mix"), judged(), Interpolate(with_="mix")]),
        (listed(**PARTS), [judged(), Interpolate(with_="bm25")]),
        (listed(**PARTS, dense=[3.0, 2.0, 1.0]), [Interpolate(with_="bm25", judge="dense")]),
        (Hybrid(listed("one"), listed("two"), fusion="rrf"), [judged(), Interpolate(with_="two")]),
        (Hybrid(listed("one", **PARTS), listed("two"), fusion="rrf"), [judged(), Interpolate(with_="one/bm25")]),
        (made(Hybrid(listed("one"), listed("two"), fusion="rrf")), [judged(), Interpolate(with_="one")]),
    ],
)
def test_what_is_accepted_runs(first: Any, stages: list[Any]) -> None:
    found = made(first, *stages).run([QUERY]).run["q"]
    assert sorted(found.doc_ids) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("first", "stages", "says"),
    [
        (
            listed(),
            [judged(), Interpolate(with_="bm25")],
            r"with \(stage 'rerank-2'\) 'bm25'.*Known: rerank-1, retrieve",
        ),
        (listed(), [judged(), Interpolate(with_="retreive")], "Did you mean 'retrieve'"),
        (listed(), [judged(), Interpolate(judge="rerank-2")], r"judge's part.*Known: rerank-1, retrieve"),
        (listed(), [judged(), Interpolate(with_="rerank-1")], "no judge runs after 'rerank-1'"),
        (listed(), [judged(), Interpolate(with_="rerank-3"), judged()], "Known: rerank-1, retrieve"),
        (listed(), [Interpolate()], "no judge runs before it"),
        (listed(**PARTS), [judged(), Interpolate(with_="bm52")], "Did you mean 'bm25'"),
        (Hybrid(listed("one"), listed("two"), fusion="rrf"), [judged(), Interpolate(with_="to")], "Did you mean 'two'"),
    ],
)
def test_what_would_fail_after_all_calls_is_refused_before(first: Any, stages: list[Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        made(first, *stages)
    # Everything but the message about a missing judge would have come out of the run itself.
    with pytest.raises(UsageError), pytest.MonkeyPatch.context() as patch:
        patch.setattr("sleuth.pipeline.check_mixes", lambda first, stages: None)
        made(first, *stages).run([QUERY])


def test_an_index_leaves_no_parts_and_a_hybrid_of_one_what_smoothing_made(tmp_path: Path) -> None:
    class Encoder:
        name = identity = "e"
        dim, max_tokens = 2, 100

        def encode_docs(self, docs: Sequence[str], *, context: Any = None) -> Embeddings:
            n = len(docs)
            return Embeddings(np.tile(np.eye(2, dtype=np.float32)[0], (n, 1)), np.ones(n, np.int32), np.zeros(n, bool))

        encode_queries = encode_docs

    index = build_index(DOCS.values(), tmp_path / "i", dense=Encoder())
    with pytest.raises(UnknownName, match="Known: rerank-1, retrieve"):
        Pipeline(retrieve=Lexical(index), rerank=[judged(), Interpolate(with_="dense")])
    both = Hybrid(Lexical(index), Dense(index))
    for part in ("bm25", "dense", "smoothed/bm25", "smoothed/dense"):
        assert len(Pipeline(retrieve=both, rerank=[judged(), Interpolate(with_=part)]).run([QUERY]).run["q"])


def test_behind_a_reranker_of_another_class_nothing_is_refused() -> None:
    class Own:
        def rerank(self, queries: Any, run: Run, docs: Any, *, depth: Any = None, context: Any = None) -> Any:
            parts = {"retrieve": [3.0, 2.0, 1.0], "own": [1.0, 2.0, 3.0]}
            return StageResult(Run({"q": Ranking([*"abc"], [3, 2, 1], parts=parts)}))

    assert made(listed(), Own(), Interpolate(alpha=0.0, judge="own")).run([QUERY]).run["q"].doc_ids == ("c", "b", "a")


def test_a_list_without_parts_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="run the step after a judge in a pipeline"):
        Interpolate().rerank([QUERY], Run({"q": Ranking([*"ab"], [2, 1])}))
