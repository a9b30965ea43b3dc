"""A hybrid's weight goes to the side that knows the labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sleuth
from sleuth.context import Context
from sleuth.stages import Embeddings
from sleuth.types import Doc, Qrels, Query

TOPICS = ("moth", "oven", "rain", "star")


class TopicEncoder:
    """A text's vector is its topic, the number in its first word: `2-…` is topic 2."""

    name, identity, dim, max_tokens = "topics", "topics/1", len(TOPICS) + 1, 100

    def encode_docs(self, docs: Sequence[str], *, context: Context | None = None) -> Embeddings:
        vectors = np.full((len(docs), self.dim), 0.05, dtype=np.float32)
        for row, text in enumerate(docs):
            vectors[row, int(text[0]) if text[:1].isdigit() else -1] = 1.0
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return Embeddings(vectors, np.ones(len(docs), np.int32), np.zeros(len(docs), bool))

    encode_queries = encode_docs


DOCS = [Doc(f"{topic}-{at}", f"{topic} {TOPICS[(topic + at) % 4]} text") for topic in range(4) for at in range(4)]
QUERIES = [Query(f"q{topic}", f"{topic} {TOPICS[topic]}") for topic in range(4)]
BY_TOPIC = Qrels({f"q{topic}": {f"{topic}-{at}": 1 for at in range(4)} for topic in range(4)})
BY_WORD = Qrels({f"q{t}": {d.doc_id: 1 for d in DOCS if TOPICS[t] in d.text.split()} for t in range(4)})


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path: Path = tmp_path_factory.mktemp("hybrid") / "x.index"
    return sleuth.build_index(DOCS, path, dense=TopicEncoder(), analyzer="word")


@pytest.mark.parametrize("fusion", ["smoothed", "weighted"])
def test_the_weight_goes_to_the_side_that_knows(index: Any, fusion: str) -> None:
    words = sleuth.fit_hybrid_weight(index, QUERIES, BY_WORD, split="dev", fusion=fusion)
    topics = sleuth.fit_hybrid_weight(index, QUERIES, BY_TOPIC, split="dev", fusion=fusion)
    assert words.value > topics.value
    for fit in (words, topics):
        means = dict(fit.curve)
        assert means[fit.value] == max(means.values()) and fit.gain >= 0 and fit.n_queries == 4
    assert dict(topics.curve)[topics.value] > dict(topics.curve)[max(dict(topics.curve))]


def test_the_fitted_value_is_what_the_hybrid_then_reaches(index: Any) -> None:
    fit = sleuth.fit_hybrid_weight(index, QUERIES, BY_WORD, split="dev")
    fused = sleuth.Hybrid(sleuth.Lexical(index), sleuth.Dense(index), fusion=sleuth.Smoothed(weight=fit.value))
    run = fused.retrieve(QUERIES, depth=100).run
    mean = sleuth.evaluate(BY_WORD, {"it": run}, ["nDCG@10"]).mean("nDCG@10", "it")
    assert mean == pytest.approx(dict(fit.curve)[fit.value])
