"""Messages say what, where and what to do."""

from __future__ import annotations

import inspect

from sleuth import errors


def test_every_error_is_a_sleuth_error_and_documented() -> None:
    for name in errors.__all__:
        value = getattr(errors, name)
        if inspect.isclass(value):
            assert issubclass(value, errors.SleuthError)
            assert value.__doc__
            assert name in (errors.__doc__ or ""), f"{name} is not in the tree"


def test_format_error_names_file_and_line() -> None:
    error = errors.FormatError("runs/bm25.trec", "5 columns, expected 6.", line=4211)
    assert str(error) == "runs/bm25.trec, line 4,211: 5 columns, expected 6."


def test_unknown_name_suggests_the_nearest() -> None:
    error = errors.UnknownName("measure", "ndgc@10", ["nDCG@10", "R@100"])
    assert "Did you mean 'nDCG@10'?" in str(error)
    assert "R@100" in str(error)


def test_missing_extra_names_the_command() -> None:
    assert "pip install 'sleuth[models]'" in str(errors.MissingExtra("a bi-encoder", "models"))
