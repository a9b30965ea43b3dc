"""Which spellings are one, and which are not."""

from __future__ import annotations

import pytest

from sleuth.text.fold import folded, lowered


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("ＡＢＣ１２３", "ABC123"),
        ("ｶﾞｷﾞ", "ガギ"),
        ("ﬁnite oﬃce", "finite office"),
        ("𝑥𝐲𝟏ℝ", "xy1R"),
        ("re\u0301sume\u0301", "résumé"),
        ("\u1112\u1161\u11ab", "한"),
        ("co\u00adop \ufeffx a\u200cb", "coop x ab"),
        ("葛\U000e0100", "葛"),
        ("ﻣﺮﺣﺒﺎ", "مرحبا"),
    ],
)
def test_forms_of_one_character(text: str, same: str) -> None:
    assert folded(text) == same


@pytest.mark.parametrize("text", ["x² ½ ① ™ ㈜", "ㄱㄴㄷ", "plain ASCII", ""])
def test_what_means_something_stays(text: str) -> None:
    assert folded(text) == text


@pytest.mark.parametrize(
    ("text", "lower"),
    [("İI", "ii"), ("ΑΣ", "ασ"), ("Straße", "straße"), ("ẞ", "ß"), ("ÉCOLE", "école"), ("ABC", "abc"), ("", "")],
)
def test_lower_case_does_not_depend_on_neighbours(text: str, lower: str) -> None:
    assert lowered(text) == lower
