"""Fixtures for every test: where reference data lies, and which kind of skip is allowed.

`SLEUTH_TEST_DATA` names the folder that holds the reference collections (`data/`) and reference cases (`golden/`);
by default it is `../shared` beside the checkout. Without it, tests that need it skip and say why; with
`SLEUTH_REQUIRE_TEST_DATA=1` they fail instead, so that a continuous-integration run can't pass by skipping.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("SLEUTH_TEST_DATA", ROOT.parent / "shared"))


def _needed(path: Path) -> Path:
    if path.exists():
        return path
    reason = f"{path} is not there; set SLEUTH_TEST_DATA to the folder of reference data"
    if os.environ.get("SLEUTH_REQUIRE_TEST_DATA") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the reference collections (scifact, cranfield, ...)."""
    return _needed(SHARED / "data")


@pytest.fixture(scope="session")
def shared_golden() -> Path:
    """The reference cases beside the checkout: what may not be part of this repository is read there."""
    return _needed(SHARED / "golden")


@pytest.fixture(scope="session")
def golden() -> Path:
    """The reference cases that are part of this repository."""
    return ROOT / "tests" / "golden"


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT
