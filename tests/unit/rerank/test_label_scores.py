"""Shares of labels, and which spellings can be a first token."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from judge_fakes import Silent, case_of, labelled

from sleuth.errors import UsageError
from sleuth.rerank.graded import Graded
from sleuth.rerank.label_scores import one_token_spellings, shares_of
from sleuth.rerank.yes_no import YesNoJudge


@pytest.fixture
def tokenizer(tmp_path: Path) -> str:
    """A tokenizer of words that drops white space, so that "Yes" and " Yes" are one token, and has no "YES"."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["[UNK]", "Yes", "yes", "No", "no", "0", "1", "2", "3", "4", "5"]
    made = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.save(str(tmp_path / "tokenizer.json"))
    return str(tmp_path / "tokenizer.json")


def test_shares_add_up_to_one_and_mass_says_how_much_they_share() -> None:
    found = shares_of(labelled({"a": math.log(0.1), "b": math.log(0.2), "c": math.log(0.1)}), [["a", "c"], ["b"]])
    assert found.values == pytest.approx((0.5, 0.5))
    assert found.mass == pytest.approx(0.4)
    assert (found.missing, found.bound, found.known) == ((), 0.0, True)


def test_a_spelling_named_twice_counts_once() -> None:
    assert shares_of(labelled({"a": -1.0, "b": -1.0}), [["a", "a"], ["b"]]).values == (0.5, 0.5)


def test_what_is_missing_has_a_bound() -> None:
    found = shares_of(labelled({"a": -1.0}, floor=-5.0), [["a"], ["b"], ["c"]])
    assert (found.values, found.missing) == ((1.0, 0.0, 0.0), (1, 2))
    assert found.bound == pytest.approx(math.exp(-5))


def test_without_labels_nothing_is_known() -> None:
    found = shares_of(labelled({}), [["a"], ["b"]])
    assert not found.known and all(map(math.isnan, found.values))


def test_without_a_tokenizer_all_spellings_stay() -> None:
    assert one_token_spellings({"yes": ["Yes", " Yes"], "no": ["No"]}, None) == (("Yes", " Yes"), ("No",))


def test_a_token_counts_once_however_it_is_spelled(tokenizer: str) -> None:
    found = one_token_spellings({"yes": ["Yes", " Yes", "YES", "yes"], "no": ["No"]}, tokenizer)
    assert found == (("Yes", "yes"), ("No",))


def test_an_answer_without_a_token_is_refused(tokenizer: str) -> None:
    with pytest.raises(UsageError, match=r"no spelling of 'no' is one token.*'nein'"):
        one_token_spellings({"yes": ["Yes"], "no": ["nein"]}, tokenizer)


def test_judges_ask_only_for_what_can_be_a_first_token(tokenizer: str) -> None:
    backend = Silent(tokenizer=tokenizer)
    (request,) = YesNoJudge(backend).requests(case_of("a"))
    assert request.labels == ("Yes", "yes", "No", "no")
    (request,) = Graded(backend, by="expected").requests(case_of("a"))
    assert request.labels == tuple("012345")
    with pytest.raises(UsageError, match="by='text'"):
        YesNoJudge(backend, labels={"yes": ["예"], "no": ["아니요"]})
