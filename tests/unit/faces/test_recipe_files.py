"""The recipes that come with Sleuth, and the page that describes them, against the tables."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from sleuth.recipe import load_recipe
from sleuth.recipe.keys import BACKENDS, JUDGES, STRATEGIES, refused
from sleuth.rerank.interpolate import PRESETS
from sleuth.stages import Plans
from sleuth.types import Doc, Query, Ranking, Run

RECIPES = sorted((Path(__file__).resolve().parents[3] / "recipes").glob("*.toml"))


def test_there_are_recipes() -> None:
    assert {path.stem for path in RECIPES} >= {
        "funnel", "qwen3-reranker", "reasonir-rerank-own-prompt", "reasonrank-20-10",
    }  # fmt: skip


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_makes_stages_that_can_be_planned(path: Path, tmp_path: Path) -> None:
    """With a cassette in place of each model, so that neither extras nor servers are needed."""
    (tmp_path / "answers.jsonl").write_text("")
    recipe = load_recipe(path)
    for name, table in recipe.document["llm"].items():
        kept = {key: table[key] for key in ("family", "price") if key in table}
        recipe.document["llm"][name] = {"kind": "replay", "cassette": str(tmp_path / "answers.jsonl"), **kept}
    docs = {f"d{at}": Doc(f"d{at}", f"text {at}") for at in range(100)}
    run = Run({"q": Ranking(list(docs), range(100, 0, -1))})
    for stage in recipe.rerankers():
        assert isinstance(stage, Plans)
        plan = stage.plan([Query("q", "why?")], run, docs)
        assert plan.exact


def test_the_reproduction_is_the_papers(tmp_path: Path) -> None:
    stage = next(path for path in RECIPES if path.stem == "reasonrank-20-10")
    table = load_recipe(stage).document["rerank"][0]
    assert (table["strategy"], table["window"], table["stride"], table["depth"]) == ("sliding-window", 20, 10, 100)
    assert table["prompt"] == "reasonrank"


# ── docs/recipes.md ───────────────────────────────────────────────────────────────────────────────


def spelled(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "–"


def test_the_page_has_the_tables(root: Path) -> None:
    page = (root / "docs" / "recipes.md").read_text(encoding="utf-8")
    rows = [f"| `{name}` | {spelled(entry.keys)} |" for name, entry in BACKENDS.items()]
    rows += [f"| `{name}` | {spelled(judge.keys)} | `{judge.strategy}` |" for name, judge in JUDGES.items()]
    for name, strategy in STRATEGIES.items():
        default = spelled(judge for judge in JUDGES if JUDGES[judge].strategy == name)
        without = spelled(judge for judge in JUDGES if refused(judge, name))
        rows.append(f"| `{name}` | {spelled(strategy.keys)} | {default} | {without} |")
    assert [row for row in rows if row not in page] == []


def test_the_page_has_the_presets_of_interpolation(root: Path) -> None:
    page = (root / "docs" / "rerank.md").read_text(encoding="utf-8")
    assert [name for name in PRESETS if f"| `{name}` |" not in page] == []
