"""`sleuth rerank` and `sleuth search --recipe`, end to end over a cassette."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sleuth.cli.rerank_command import parse_budget
from sleuth.data.readers import read_run
from sleuth.errors import UsageError
from sleuth.manifest import file_sha256
from sleuth.prompts.template import template_source
from sleuth.rerank.faults import judge_faults

Call = Callable[..., Any]

RECIPE = """
schema = "sleuth.recipe/1"

[llm.judge]
kind = "replay"
cassette = "answers.jsonl"
price = { input = 1.0, output = 2.0 }

[[rerank]]
judge = "listwise"
llm = "judge"
strategy = "sliding-window"
window = 4
stride = 2
depth = 6
"""
INTERPOLATE = '\n[[rerank]]\nstep = "interpolate"\npreset = "blend"\n'


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A corpus of ten documents, a run of nine of them for two queries, a judge that puts the third one first."""
    monkeypatch.setenv("SLEUTH_CACHE", str(tmp_path / "cache.sqlite"))
    docs = [{"_id": f"d{at}", "title": f"문서 {at}", "text": f"passage {at}"} for at in range(10)]
    (tmp_path / "corpus.jsonl").write_text("\n".join(json.dumps(doc) for doc in docs), encoding="utf-8")
    (tmp_path / "q.tsv").write_text("q1\twhy does it hang\nq2\t왜 멈추나\n", encoding="utf-8")
    lines = [f"{q} Q0 d{at} {at + 1} {9 - at} bm25" for q in ("q1", "q2") for at in range(9)]
    (tmp_path / "in.trec").write_text("\n".join(lines) + "\n")
    (tmp_path / "answers.jsonl").write_text(
        '{"when": {"stage": "rerank-1"}, "reply": {"text": "[3] > [1] > [2] > [4]"}}\n'
    )
    (tmp_path / "r.toml").write_text(RECIPE)
    return tmp_path


def arguments(work: Path, *more: object, recipe: str = "r.toml") -> list[object]:
    paths = ["--run", work / "in.trec", "--queries", work / "q.tsv", "--corpus", work / "corpus.jsonl"]
    return ["rerank", *paths, "--recipe", work / recipe, *more]


def test_rerank_writes_run_manifest_and_trace(sleuth: Call, work: Path) -> None:
    out = work / "out.trec"
    said = json.loads(sleuth(*arguments(work, "-o", out, "--json")).stdout)
    # Windows d2..d5 -> d4 d2 d3 d5, then d0 d1 d4 d2 -> d4 d0 d1 d2.
    assert read_run(out)["q1"].doc_ids == ("d4", "d0", "d1", "d2", "d3", "d5", "d6", "d7", "d8")
    assert said["schema"] == "sleuth.rerank/1"
    assert (said["queries"], said["lines"], said["complete"], said["reason"]) == (2, 18, True, "")
    assert said["counts"]["rerank-1"]["comparisons"] == 4
    assert said["cost"]["rerank-1"]["calls"] == 4
    stage = said["stages"][0]
    assert (stage["calls"], stage["serial_depth"], stage["passages"]) == (4, 2, 16)
    manifest = json.loads((work / "out.trec.manifest.json").read_text())
    assert manifest["command"] == "rerank"
    assert manifest["complete"] is True
    assert manifest["settings"]["recipe"]["rerank"][0]["window"] == 4
    assert manifest["inputs"]["run"]["sha256"]
    packed = (work / "out.trec.trace.jsonl.gz").read_bytes()
    events = [json.loads(line) for line in gzip.decompress(packed).splitlines()]
    assert len(events) == 4
    assert {event["query_id"] for event in events} == {"q1", "q2"}


def test_the_plan_has_the_columns_of_the_bill(sleuth: Call, work: Path) -> None:
    plan = sleuth(*arguments(work, "--dry-run")).stdout.splitlines()
    bill = sleuth(*arguments(work, "-o", work / "out.trec")).stdout.splitlines()
    assert plan[0] == bill[0] == "stage\tqueries\tcalls\tserial\tpassages\ttokens in\ttokens out\tmoney"
    assert plan[1].split("\t")[:5] == bill[1].split("\t")[:5] == ["rerank-1", "2", "4", "2", "16"]


def test_a_dry_run_asks_and_writes_nothing(sleuth: Call, work: Path) -> None:
    (work / "answers.jsonl").write_text("")  # any call would fail
    before = sorted(path.name for path in work.iterdir())
    said = json.loads(sleuth(*arguments(work, "--dry-run", "--json", "-o", work / "out.trec")).stdout)
    assert said["schema"] == "sleuth.plan/1"
    stage = said["stages"][0]
    assert (stage["stage"], stage["calls_expected"], stage["exact"], stage["money"] > 0) == ("rerank-1", 4, True, True)
    assert sorted(path.name for path in work.iterdir() if "cache" not in path.name) == before


def test_a_budget_ends_it_with_exit_code_3(sleuth: Call, work: Path) -> None:
    out = work / "out.trec"
    said = sleuth(*arguments(work, "-o", out, "--budget", "calls=3", "--json"), code=3)
    found = json.loads(said.stdout)
    assert found["complete"] is False
    assert "calls" in found["reason"]
    assert found["cost"]["rerank-1"]["calls"] == 3
    assert "incomplete" in said.stderr
    assert len(read_run(out)["q2"]) == 9  # the best so far, nothing lost
    assert json.loads((work / "out.trec.manifest.json").read_text())["complete"] is False


def test_a_stage_after_an_unfinished_one_is_left_out(sleuth: Call, work: Path) -> None:
    (work / "r.toml").write_text(RECIPE + INTERPOLATE)
    said = sleuth(*arguments(work, "-o", work / "out.trec", "--budget", "calls=1", "--json"), code=3)
    assert list(json.loads(said.stdout)["counts"]) == ["rerank-1"]


def test_interpolation_reads_the_input_runs_scores(sleuth: Call, work: Path) -> None:
    (work / "r.toml").write_text(RECIPE + '\n[[rerank]]\nstep = "interpolate"\nalpha = 1.0\n')
    sleuth(*arguments(work, "-o", work / "out.trec"))
    assert read_run(work / "out.trec")["q1"].doc_ids == tuple(f"d{at}" for at in range(9))


@pytest.mark.parametrize("more", [["--dry-run"], ["-o", "never.trec"]])
def test_an_unknown_part_is_found_before_anything_is_asked_or_read(sleuth: Call, work: Path, more: list[str]) -> None:
    (work / "r.toml").write_text(RECIPE + '[[rerank]]\nstep = "interpolate"\nwith = "bm25"\n')
    (work / "answers.jsonl").write_text("")  # whoever asks fails
    said = sleuth(*arguments(work, *more), code=2).stderr
    assert "r.toml, [[rerank]] 2: unknown part to interpolate with (stage 'rerank-2') 'bm25'" in said
    assert "Known: rerank-1, retrieve" in said
    assert not (work / "never.trec").exists()


def test_depth_beats_the_recipe(sleuth: Call, work: Path) -> None:
    sleuth(*arguments(work, "-o", work / "out.trec", "--depth", "4"))
    assert read_run(work / "out.trec")["q1"].doc_ids == ("d2", "d0", "d1", "d3", *(f"d{at}" for at in range(4, 9)))


def test_documents_beyond_the_depth_are_not_needed(sleuth: Call, work: Path) -> None:
    with open(work / "in.trec", "a") as handle:
        handle.write("q1 Q0 nowhere 10 0 bm25\n")
    sleuth(*arguments(work, "-o", work / "out.trec"))
    assert read_run(work / "out.trec")["q1"].doc_ids[-1] == "nowhere"


def test_missing_documents_are_named(sleuth: Call, work: Path) -> None:
    with open(work / "in.trec", "a") as handle:
        handle.write("q1 Q0 gone-1 1 99 bm25\nq2 Q0 gone-2 1 98 bm25\n")
    said = sleuth(*arguments(work, "-o", work / "out.trec"), code=1).stderr
    assert "2 of the 7 documents that the run names are not in this corpus: 'gone-1', 'gone-2'" in said
    assert not (work / "out.trec").exists()


def test_queries_are_joined_and_differences_said(sleuth: Call, work: Path) -> None:
    (work / "q.tsv").write_text("q1\tone\nq3\tthree\n", encoding="utf-8")
    said = sleuth(*arguments(work, "-o", work / "out.trec")).stderr
    assert "1 of 2 queries have no candidates" in said
    assert "1 queries of" in said
    assert "'q2' first" in said
    assert list(read_run(work / "out.trec")) == ["q1"]
    (work / "q.tsv").write_text("other\tone\n", encoding="utf-8")
    assert "no query of" in sleuth(*arguments(work, "-o", work / "out.trec"), code=2).stderr


def test_excluded_documents_are_dropped(sleuth: Call, work: Path) -> None:
    query = {"_id": "q1", "text": "why", "excluded_ids": ["d0", "d8"]}
    (work / "q.jsonl").write_text(json.dumps(query))
    said = arguments(work, "-o", work / "out.trec")
    said[said.index(work / "q.tsv")] = work / "q.jsonl"
    sleuth(*said)
    assert set(read_run(work / "out.trec")["q1"].doc_ids) == {f"d{at}" for at in range(1, 8)}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([], "-o OUT.trec"),
        (["-o", "nowhere/out.trec"], "does not exist"),
        (["--budget", "call=3", "-o", "x"], "Did you mean 'calls'?"),
        (["--budget", "calls=few", "-o", "x"], "no number of calls"),
        (["--deadline", "0", "-o", "x"], "deadline must lie ahead"),
        (["--depth", "0", "-o", "x"], "depth must be at least 1"),
    ],
)
def test_options_that_make_no_sense(sleuth: Call, work: Path, more: list[str], says: str) -> None:
    assert says in sleuth(*arguments(work, *more), code=2).stderr


def test_a_recipe_without_stages_has_nothing_to_do(sleuth: Call, work: Path) -> None:
    (work / "r.toml").write_text('schema = "sleuth.recipe/1"\n')
    assert "nothing to do" in sleuth(*arguments(work, "-o", work / "out.trec"), code=2).stderr


@pytest.mark.parametrize("name", ["in.trec", "q.tsv", "corpus.jsonl", "r.toml", "answers.jsonl"])
def test_an_input_is_not_overwritten(sleuth: Call, work: Path, name: str) -> None:
    before = (work / name).read_bytes()
    (work / "link").symlink_to(work / name)
    for output in (work / name, work / "link"):
        assert "would be overwritten" in sleuth(*arguments(work, "-o", output), code=2).stderr
    assert (work / name).read_bytes() == before


def test_an_empty_question_is_named(sleuth: Call, work: Path) -> None:
    (work / "q.tsv").write_text("q1\twhy does it hang\nq2\t  \nq3\t\n")
    said = sleuth(*arguments(work, "-o", work / "out.trec"), code=2).stderr
    assert "q.tsv: the question of query 'q2' is empty" in said
    assert not (work / "out.trec").exists()


def test_everything_that_is_read_is_an_input_of_the_manifest(sleuth: Call, work: Path) -> None:
    (work / "own.toml").write_text(template_source("rankgpt"))
    (work / "labels.tsv").write_text("q1 0 d1 1\n")
    oracle = '[llm.other]\nkind = "oracle"\nqrels = "labels.tsv"\nrun = "in.trec"\n'
    (work / "r.toml").write_text(RECIPE + 'prompt = "own.toml"\n' + oracle)
    sleuth(*arguments(work, "-o", work / "out.trec"))
    inputs = json.loads((work / "out.trec.manifest.json").read_text())["inputs"]
    read = {"run": "in.trec", "queries": "q.tsv", "corpus": "corpus.jsonl", "recipe": "r.toml"}
    read |= {"llm.judge.cassette": "answers.jsonl", "llm.other.qrels": "labels.tsv", "llm.other.run": "in.trec"}
    assert {name: entry["sha256"] for name, entry in inputs.items()} == {
        name: file_sha256(work / path) for name, path in {**read, "rerank.1.prompt": "own.toml"}.items()
    }


def test_a_plan_shows_the_span_of_the_money(sleuth: Call, work: Path) -> None:
    heap = RECIPE.replace("listwise", "setwise").replace("sliding-window", "heap")
    heap = heap.replace("window = 4\nstride = 2", "k = 2\nsize = 2")
    (work / "r.toml").write_text(heap)
    plan = json.loads(sleuth(*arguments(work, "--dry-run", "--json")).stdout)["stages"][0]
    assert plan["calls_expected"] < plan["calls_max"]
    said = sleuth(*arguments(work, "--dry-run"))
    most = plan["money"] * plan["calls_max"] / plan["calls_expected"]
    assert said.stdout.splitlines()[1].split("\t")[-1] == f"{plan['money']:,.4f} (up to {most:,.4f})"
    assert "money: for the expected calls" in said.stderr
    (work / "r.toml").write_text(RECIPE)
    assert "up to" not in (exact := sleuth(*arguments(work, "--dry-run"))).stdout + exact.stderr


UNREAD, SAME = (
    "WARNING: rerank-1: no answer could be read: ",
    "WARNING: rerank-1: the model returns the order it is given",
)


@pytest.mark.parametrize(
    ("reply", "says", "not_said"),
    [
        ("I would rather not.", UNREAD, SAME),
        ("[1] > [2] > [3] > [4]", SAME, UNREAD),
        ("[2] > [1] > [3]", "", "WARNING"),
    ],
)
def test_a_judge_that_does_not_judge_is_said_aloud(
    sleuth: Call, work: Path, index: Path, reply: str, says: str, not_said: str
) -> None:
    (work / "answers.jsonl").write_text(json.dumps({"reply": {"text": reply}}) + "\n")
    said = sleuth(*arguments(work, "-o", work / "out.trec", "--json")).stderr
    assert says in said
    assert not_said not in said
    (work / "r.toml").write_text(RECIPE.replace("window = 4\nstride = 2", "window = 3\nstride = 1"))
    said = sleuth("search", index, "passage 3", "--json", "--recipe", work / "r.toml").stderr
    assert says.removesuffix(" given") in said
    assert not_said not in said


def test_when_a_judge_is_said_not_to_judge() -> None:
    assert judge_faults({"comparisons": 0, "serial_depth": 0}) == []
    assert judge_faults({"comparisons": 10, "fallback": 8, "identity": 2}) == []
    assert "9 of 10 comparisons" in judge_faults({"comparisons": 10, "fallback": 9})[0]
    assert "it does not rank" in judge_faults({"comparisons": 10, "identity": 9})[0]
    assert judge_faults({"comparisons": 2, "identity": 2}) == []  # a short list may simply have been right


def test_budgets() -> None:
    assert parse_budget("calls=10, money=2.5").limits == {"calls": 10, "money": 2.5}
    assert parse_budget(None).limits == {}
    with pytest.raises(UsageError, match="twice"):
        parse_budget("calls=1,calls=2")
    with pytest.raises(UsageError, match="negative"):
        parse_budget("calls=-1")


# ── search ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def index(sleuth: Call, work: Path) -> Path:
    sleuth("index", work / "corpus.jsonl", "-o", work / "c.index")
    return work / "c.index"


def test_search_by_a_recipe(sleuth: Call, work: Path, index: Path) -> None:
    plain = json.loads(sleuth("search", index, "passage 3", "--json").stdout)
    judged = json.loads(sleuth("search", index, "passage 3", "--json", "--recipe", work / "r.toml").stdout)
    ids = [hit["doc_id"] for hit in plain["hits"]]
    # The judge sees the best six: windows 2..5 and 0..3, and puts the third of each first.
    assert [hit["doc_id"] for hit in judged["hits"]] == [ids[4], ids[0], ids[1], ids[2], ids[3], *ids[5:]]


def test_search_by_a_recipe_judges_once_however_many_are_shown(sleuth: Call, work: Path, index: Path) -> None:
    few = json.loads(sleuth("search", index, "passage 3", "-k", "2", "--json", "--recipe", work / "r.toml").stdout)
    many = json.loads(
        sleuth("search", index, "passage 3", "-k", "10", "--distinct", "--json", "--recipe", work / "r.toml").stdout
    )
    assert [hit["doc_id"] for hit in few["hits"]] == [hit["doc_id"] for hit in many["hits"]][:2]


def test_search_explains_the_judges_windows(sleuth: Call, work: Path, index: Path) -> None:
    shown = sleuth("search", index, "passage 3", "-k", "1", "--explain", "--recipe", work / "r.toml").stdout
    assert "rerank-1:" in shown
    assert "shown 3 of 4, judged 1" in shown
    assert "terms:" in shown


def test_a_filter_acts_before_the_judge(sleuth: Call, work: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text(f"passage of {name}", encoding="utf-8")
    sleuth("index", folder, "-o", work / "f.index")
    found = sleuth(
        "search", work / "f.index", "passage", "--json", "--recipe", work / "r.toml", "--where", "source=a.txt"
    )
    assert [hit["metadata"]["source"] for hit in json.loads(found.stdout)["hits"]] == ["a.txt"]


def test_search_flags_beat_the_recipe(sleuth: Call, work: Path, index: Path) -> None:
    (work / "r.toml").write_text(RECIPE + '\n[retrieve]\nmethod = "dense"\n')
    assert "no vectors" in sleuth("search", index, "x", "--recipe", work / "r.toml", code=2).stderr
    sleuth("search", index, "passage", "--recipe", work / "r.toml", "--method", "bm25")


def test_every_command_that_reads_runs_can_skip_bad_lines() -> None:
    """An error names the flag, so the command must have it."""
    import typer.main

    from sleuth.cli.app import app

    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name in ("rerank", "fuse", "diff", "retrieve", "evaluate", "index"):
        assert any("--skip-bad-lines" in parameter.opts for parameter in commands[name].params), name


def test_a_budget_of_nan_is_refused() -> None:
    from sleuth.errors import UsageError

    with pytest.raises(UsageError, match="money=nan"):
        parse_budget("money=nan")
