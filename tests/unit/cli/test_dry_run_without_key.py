"""`sleuth rerank --dry-run` asks nothing, so it needs no key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]

RECIPE = """
schema = "sleuth.recipe/1"

[llm.judge]
kind = "openai"
server = "openai"
model = "some-model"

[[rerank]]
judge = "listwise"
llm = "judge"
"""


def test_a_plan_for_openai_needs_no_key(sleuth: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLEUTH_CACHE", "off")
    (tmp_path / "corpus.jsonl").write_text(
        '{"_id": "a", "text": "달"}\n{"_id": "b", "text": "sky"}\n', encoding="utf-8"
    )
    (tmp_path / "q.tsv").write_text("q\twhy\n")
    (tmp_path / "in.trec").write_text("q Q0 a 1 2 t\nq Q0 b 2 1 t\n")
    (tmp_path / "r.toml").write_text(RECIPE)
    files = ["--run", tmp_path / "in.trec", "--queries", tmp_path / "q.tsv", "--corpus", tmp_path / "corpus.jsonl"]
    said = sleuth("rerank", *files, "--recipe", tmp_path / "r.toml", "--dry-run", "--json")
    assert json.loads(said.stdout)["stages"][0]["calls_expected"] > 0
