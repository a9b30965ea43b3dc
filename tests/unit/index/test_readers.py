"""Readers and a writer at the same time; the long form is `python -m benchmarks.readers_writer`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_every_reader_sees_one_state(root: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.readers_writer", "--readers", "3", "--seconds", "6"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "one consistent version" in done.stdout
