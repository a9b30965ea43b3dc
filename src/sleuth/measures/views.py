"""Other views of a run: as if ordered perfectly, and as if unjudged documents were not there."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sleuth.types import Qrels, Ranking, Run

__all__ = ["judged_only", "oracle_run"]


def oracle_run(run: Run, qrels: Qrels | Mapping[str, Mapping[str, int]]) -> Run:
    """The same candidates in the best possible order: the ceiling of any reranker of this run.

    Documents are sorted by grade; the earlier order decides among equal ones. Unjudged documents and
    negative grades count 0. (BRIGHT's "Oracle nDCG@k", for graded labels too.)

    Returns:
        Rankings of scale "grade" with the grades as scores; `parts` are kept.
    """
    return Run({query_id: _ideal(ranking, qrels.get(query_id, {})) for query_id, ranking in run.items()}, name=run.name)


def _ideal(ranking: Ranking, judged: Mapping[str, int]) -> Ranking:
    grades = np.asarray([max(judged.get(doc_id, 0), 0) for doc_id in ranking.doc_ids], dtype=np.float64)
    order = np.argsort(-grades, kind="stable")
    return Ranking(
        [ranking.doc_ids[at] for at in order.tolist()],
        grades[order],
        parts={name: column[order] for name, column in ranking.parts.items()},
        scale="grade",
    )


def judged_only(run: Run, qrels: Qrels | Mapping[str, Mapping[str, int]]) -> Run:
    """The run without unjudged documents: tells a bad system from one that finds what nobody has judged.

    Queries without labels keep an empty list.
    """
    return Run(
        {
            query_id: ranking.take(at for at, doc_id in enumerate(ranking.doc_ids) if doc_id in qrels.get(query_id, {}))
            for query_id, ranking in run.items()
        },
        name=run.name,
    )
