"""Damaged files never end a reader in anything but its own errors."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

_SPEC = importlib.util.spec_from_file_location("fuzz_cases", Path(__file__).with_name("fuzz_cases.py"))
fuzz_cases = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(fuzz_cases)

NAMES = fuzz_cases.file_names()
pytestmark = pytest.mark.filterwarnings("ignore")  # pypdf warns about what it mends


def try_readers(name: str, data: bytes) -> None:
    with TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(data)
        outcomes = fuzz_cases.attempt(Path(folder) / name)
    assert sum(outcomes.values()) == 12


@pytest.fixture(autouse=True, scope="module")
def quiet():
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", NAMES)
def test_valid_files(name: str) -> None:
    try_readers(name, fuzz_cases.valid(name))


@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from(NAMES), random=st.randoms(use_true_random=False))
def test_damaged_files(name: str, random: Random) -> None:
    try_readers(name, fuzz_cases.damaged(random, name))


@pytest.mark.slow
@pytest.mark.timeout(1200)
@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=st.sampled_from(NAMES), random=st.randoms(use_true_random=False))
def test_many_damaged_files(name: str, random: Random) -> None:
    try_readers(name, fuzz_cases.damaged(random, name))


@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from(NAMES), data=st.binary(max_size=300))
def test_noise(name: str, data: bytes) -> None:
    try_readers(name, data)
