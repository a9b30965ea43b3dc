"""Porter's stemmer where it differs from PyStemmer's."""

from __future__ import annotations

import pytest

from sleuth.text.porter import lucene_stems, porter_stem, snowball_porter

# The examples of the paper, step by step, after the whole algorithm.
PAPER = {
    "caresses": "caress",
    "ponies": "poni",
    "agreed": "agre",
    "plastered": "plaster",
    "motoring": "motor",
    "sing": "sing",
    "hopping": "hop",
    "falling": "fall",
    "filing": "file",
    "happy": "happi",
    "sky": "sky",
    "relational": "relat",
    "vietnamization": "vietnam",
    "electricity": "electr",
    "adoption": "adopt",
    "probate": "probat",
    "cease": "ceas",
    "controll": "control",
    "roll": "roll",
    "generalizations": "gener",
    "oscillators": "oscil",
}


@pytest.mark.parametrize(("word", "stem"), PAPER.items())
def test_the_papers_examples(word: str, stem: str) -> None:
    assert porter_stem(word) == stem
    assert lucene_stems([word]) == [stem]


@pytest.mark.parametrize(
    ("word", "lucene", "snowball"),
    [
        ("possibly", "possibl", "possibli"),
        ("assemblies", "assembl", "assembli"),
        ("apology", "apolog", "apologi"),
        ("revved", "rev", "revv"),
        ("trekking", "trek", "trekk"),
        ("as", "as", "a"),
        ("s", "s", ""),
    ],
)
def test_the_differences(word: str, lucene: str, snowball: str) -> None:
    assert lucene_stems([word]) == [lucene]
    assert snowball_porter().stemWord(word) == snowball


def test_nothing_in_nothing_out() -> None:
    assert lucene_stems([]) == []
    assert lucene_stems([""]) == [""]
