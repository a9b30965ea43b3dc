"""Comparing two runs: moves, measures, reasons, and a page that no document can break out of."""

from __future__ import annotations

import gzip
import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sleuth.bench.diff import RunDiff, compare_runs
from sleuth.bench.diff_page import render_page
from sleuth.bench.sidecars import Changed, changed_settings, read_manifest, read_windows
from sleuth.errors import FormatError, UsageError
from sleuth.types import Doc, Qrels, Query, Ranking, Run


def ranking(*ids: str) -> Ranking:
    return Ranking(ids, range(len(ids), 0, -1))


A = Run({"q1": ranking("a", "b", "c", "d"), "q2": ranking("x", "y"), "only-a": ranking("a")})
B = Run({"q1": ranking("c", "a", "e", "b"), "q2": ranking("x", "y"), "only-b": ranking("a")})
QRELS = Qrels({"q1": {"c": 2, "e": 1, "b": 0}, "q2": {"y": 1}}, name="labels")


def test_moves_in_out_and_inside() -> None:
    first = compare_runs(A, B, cut=3, qrels=QRELS).queries[0]
    assert first.query_id == "q1"
    assert [(m.doc_id, m.rank_a, m.rank_b, m.grade) for m in first.entered] == [("e", None, 3, 1)]
    assert [(m.doc_id, m.rank_a, m.rank_b, m.grade) for m in first.left] == [("b", 2, 4, 0)]
    assert [(m.doc_id, m.climbed) for m in first.moved] == [("c", 2), ("a", -1)]
    assert [m.doc_id for m in first.top_b] == ["c", "a", "e"]


def test_measures_and_sums() -> None:
    diff = compare_runs(A, B, cut=3, qrels=QRELS)
    by_id = {query.query_id: query for query in diff.queries}
    # Gains as they are, discounts log2(rank + 1); the ideal is c, e.
    ideal = 2 + 1 / 1.584962500721156
    assert by_id["q1"].value_a == pytest.approx((2 / 2) / ideal)
    assert by_id["q1"].value_b == pytest.approx((2 + 1 / 2) / ideal)
    assert by_id["q2"].change == 0
    assert diff.mean_b - diff.mean_a == pytest.approx(by_id["q1"].change / 2)  # type: ignore[operator]
    assert diff.measure == "nDCG@3"
    assert diff.counts() == {"queries": 2, "changed": 1, "better": 1, "worse": 0, "entered": 1, "left": 1}
    assert (diff.only_a, diff.only_b) == (("only-a",), ("only-b",))


def test_equal_runs_changed_nothing() -> None:
    diff = compare_runs(A, A)
    assert all(query.same and query.overlap == pytest.approx(1) for query in diff.queries)
    assert diff.counts()["changed"] == 0
    assert (diff.measure, diff.mean_a) == ("", None)


def test_the_largest_change_comes_first() -> None:
    a = Run({"small": ranking("r", "x", "y"), "large": ranking("x", "y", "r"), "none": ranking("r", "x")})
    b = Run({"small": ranking("x", "r", "y"), "large": ranking("r", "x", "y"), "none": ranking("r", "x")})
    qrels = Qrels({name: {"r": 1} for name in ("small", "large", "none")})
    order = [query.query_id for query in compare_runs(a, b, qrels=qrels).queries]
    assert order == ["large", "small", "none"]


def test_what_can_not_be_compared_is_refused() -> None:
    with pytest.raises(UsageError, match="no query in common"):
        compare_runs(A, Run({"z": ranking("a")}))
    with pytest.raises(UsageError, match="at least 1"):
        compare_runs(A, B, cut=0)
    with pytest.raises(UsageError, match="belong together"):
        compare_runs(A, B, qrels=Qrels({"z": {"a": 1}}))


def test_empty_lists_and_json() -> None:
    empty = Run({"q1": Ranking((), ())})
    told = compare_runs(A, empty, cut=2).to_json()
    json.dumps(told)
    assert told["schema"] == "sleuth.diff/1"
    assert [one["doc_id"] for one in told["queries"][0]["left"]] == ["a", "b"]


# ── beside the runs ───────────────────────────────────────────────────────────────────────────────


def test_settings_that_differ(tmp_path: Path) -> None:
    for name, window, version in (("a", 20, "1"), ("b", 10, "2")):
        manifest = {
            "settings": {
                "depth": 100,
                "recipe": {"rerank": [{"window": window}]},
                "budget": None if name == "a" else "calls=5",
                **dict.fromkeys(("output", "no_cache", "queries", "tag"), name),
            },
            "versions": {"sleuth": version},
        }
        (tmp_path / f"{name}.manifest.json").write_text(json.dumps(manifest))
    changed = changed_settings(read_manifest(tmp_path / "a"), read_manifest(tmp_path / "b"))
    assert changed == (
        Changed("budget", None, "calls=5"),
        Changed("recipe.rerank.1.window", 20, 10),
        Changed("versions.sleuth", "1", "2"),
    )
    assert changed_settings(read_manifest(tmp_path / "a"), read_manifest(tmp_path / "absent")) == ()


def test_settings_that_only_one_run_has_are_told_apart() -> None:
    plain = {"settings": {"depth": 100, "method": "bm25", "feedback": None}}
    stage = {"judge": {"prompt": "rankgpt", "window": 20}, "strategy": "Funnel"}
    reranked = {"settings": {"depth": 50, "budget": None, "stages": {"rerank-1": stage, "rerank-2": stage}}}
    found = compare_runs(A, B, settings=changed_settings(plain, reranked))
    assert found.settings_of_both() == (Changed("depth", 100, 50),)
    assert found.settings_of_one() == {"A": ("method",), "B": ("prompt", "window", "strategy")}
    assert compare_runs(A, B, settings=changed_settings(plain, plain)).settings_of_one() == {}


def test_windows_of_the_documents_that_matter(tmp_path: Path) -> None:
    events = [
        {
            "stage": "rerank-1",
            "query_id": "q1",
            "shown": ["a", "b", "c"],
            "order": [2, 0, 1],
            "usable": True,
            "outcome": "ok",
        },
        {"stage": "rerank-1", "query_id": "q1", "shown": ["c", "d"], "order": [0, 1], "usable": False},
        {"stage": "rerank-1", "query_id": "other", "shown": ["c"], "order": [0]},
        {"stage": "retrieve", "query_id": "q1", "note": "no comparison"},
    ]
    with gzip.open(tmp_path / "b.trace.jsonl.gz", "wt") as handle:
        handle.writelines(json.dumps(event) + "\n" for event in events)
    found = read_windows(tmp_path / "b", {"q1": ["c", "z"]})
    assert set(found) == {("q1", "c")}
    first, second = found["q1", "c"]
    assert (first.shown_at, first.of, first.found_at, first.note) == (3, 3, 1, {"outcome": "ok"})
    assert second.found_at is None
    assert str(first) == "rerank-1: shown 3 of 3, judged 1"
    assert read_windows(tmp_path / "absent", {"q1": ["c"]}) == {}


def test_damaged_sidecars_are_named(tmp_path: Path) -> None:
    whole = gzip.compress(b'{"query_id": "q", "shown": ["a"], "order": [0]}\n' * 50)
    for content in (whole[: len(whole) // 2], b"not gzip", gzip.compress(b'{"query_id":\n')):
        (tmp_path / "b.trace.jsonl.gz").write_bytes(content)
        with pytest.raises(FormatError, match="damaged"):
            read_windows(tmp_path / "b", {"q": ["a"]})
    for text in ("{", "[]"):
        (tmp_path / "b.manifest.json").write_text(text)
        with pytest.raises(FormatError, match=r"b\.manifest\.json"):
            read_manifest(tmp_path / "b")


# ── the page ──────────────────────────────────────────────────────────────────────────────────────

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}{% raw %}\u202e&amp;'


class Tags(HTMLParser):
    """All tags and attributes of a page, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(diff: RunDiff) -> tuple[str, Tags]:
    page = render_page(diff)
    seen = Tags()
    seen.feed(page)
    return page, seen


def test_nothing_hostile_becomes_markup(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "b.trace.jsonl.gz", "wt", encoding="utf-8") as handle:
        event = {"stage": HOSTILE, "query_id": HOSTILE, "shown": [HOSTILE], "order": [0], HOSTILE: HOSTILE}
        handle.write(json.dumps(event))
    diff = compare_runs(
        Run({HOSTILE: ranking("b", HOSTILE)}),
        Run({HOSTILE: ranking(HOSTILE, "b")}),
        names=(HOSTILE, HOSTILE),
        queries=[Query(HOSTILE, HOSTILE)],
        docs={HOSTILE: Doc(HOSTILE, HOSTILE, HOSTILE)},
        qrels=Qrels({HOSTILE: {HOSTILE: 1}}),
        windows=read_windows(tmp_path / "b", {HOSTILE: [HOSTILE]}),
        settings=[Changed(HOSTILE, HOSTILE, HOSTILE)],
    )
    page, seen = page_of(diff)
    assert "script" not in seen.tags
    assert "img" not in seen.tags
    assert not {name for name in seen.attributes if name.startswith("on") or name == "src"}
    assert seen.text.count("<script>alert(1)</script>") >= 10  # shown as text, everywhere
    assert "{{7*7}}" in seen.text
    assert page.count("<script") == 0


def test_the_page_needs_nothing_else() -> None:
    page, seen = page_of(compare_runs(A, B, qrels=QRELS))
    assert not {"link", "script", "img", "iframe"} & set(seen.tags)
    assert "http://" not in page
    assert "https://" not in page
    assert seen.tags.count("html") == seen.tags.count("body") == 1


def test_the_page_shows_labels_moves_and_reasons(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "b.trace.jsonl.gz", "wt") as handle:
        event = {
            "stage": "rerank-1",
            "query_id": "q1",
            "shown": ["a", "c"],
            "order": [1, 0],
            "thought": "c names the pipe",
        }
        handle.write(json.dumps(event))
    windows = read_windows(tmp_path / "b", {"q1": ["c"]})
    docs = {"c": Doc("c", "왜 자식 프로세스가 멈추나", "파이프")}
    page, seen = page_of(compare_runs(A, B, qrels=QRELS, docs=docs, windows=windows))
    for text in (
        "파이프",
        "왜 자식 프로세스가",
        "label 2",
        "rerank-1: shown 2 of 2, judged 1",
        "c names the pipe",
        "from 3",
    ):
        assert text in seen.text
    assert 'class="grade2"' in page
    assert 'class="grade0"' in page
    assert "nDCG@10" in seen.text


def test_long_texts_are_cut_and_negative_grades_are_none() -> None:
    docs = {"a": Doc("a", "word " * 10_000)}
    page, _ = page_of(compare_runs(A, B, docs=docs, qrels=Qrels({"q1": {"a": -2}})))
    assert len(page) < 30_000
    assert 'class="grade0"' in page
