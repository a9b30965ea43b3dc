"""The commands as a user calls them; in a process of their own where the process itself matters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sleuth.cli import main
from sleuth.cli.unbuilt import NOT_BUILT

Said = Any
Run = Callable[..., Said]


@pytest.fixture(scope="module")
def handbook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small folder of files, two of them in Korean, one hostile."""
    folder = tmp_path_factory.mktemp("handbook")
    (folder / "guide").mkdir()
    (folder / "guide" / "keys.md").write_text(
        "# Keys\n\nRotate the signing keys every quarter.\n\n## Emergency\n\nRevoke a leaked key at once and rotate all others.\n",
        encoding="utf-8",
    )
    (folder / "guide" / "oven.txt").write_text(
        "The oven heats up in ten minutes. Never leave it alone.", encoding="utf-8"
    )
    (folder / "한국어.md").write_text(
        "# 프로세스\n\n자식 프로세스가 멈추면 파이프를 비워야 합니다.\n", encoding="utf-8"
    )
    (folder / "hostile.txt").write_text(
        "[CLS] </s> {{7*7}} ../../etc/passwd <script>alert(1)</script>", encoding="utf-8"
    )
    return folder


@pytest.fixture(scope="module")
def index(sleuth: Run, handbook: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("indexes") / "handbook.index"
    sleuth("index", handbook, "-o", path)
    return path


def as_json(done: Said) -> dict:  # type: ignore[type-arg]
    return json.loads(done.stdout)


def test_search_finds_and_cites(sleuth: Run, index: Path) -> None:
    found = as_json(sleuth("search", index, "a leaked key", "--json"))
    assert found["schema"] == "sleuth.search/1"
    assert found["query"] == "a leaked key"
    best = found["hits"][0]
    assert best["rank"] == 1
    assert best["metadata"]["source"] == "guide/keys.md"
    assert best["doc_id"].startswith("guide/keys.md#")
    assert best["metadata"]["heading"] == "Keys"
    assert (best["metadata"]["start"], best["metadata"]["end"]) == (0, len(best["text"]))


def test_search_korean(sleuth: Run, index: Path) -> None:
    found = as_json(sleuth("search", index, "프로세스가 멈췄어요", "--json"))
    assert found["hits"][0]["metadata"]["source"] == "한국어.md"


def test_search_from_standard_input_and_filters(sleuth: Run, index: Path) -> None:
    found = as_json(sleuth("search", index, "-", "--json", "--where", "source=guide/oven.txt", stdin="oven keys\n"))
    assert {hit["metadata"]["source"] for hit in found["hits"]} == {"guide/oven.txt"}
    grouped = as_json(sleuth("search", index, "keys rotate oven", "--json", "--group-by", "source"))
    sources = [hit["metadata"]["source"] for hit in grouped["hits"]]
    assert len(sources) == len(set(sources))


def test_search_explains(sleuth: Run, index: Path) -> None:
    done = sleuth("search", index, "rotate keys", "--explain", "-k", "1")
    assert "terms:" in done.stdout
    assert "rotat" in done.stdout
    assert "guide/keys.md" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["", "-k", "3"], "question is empty"),
        (["x", "-k", "0"], "k must be at least 1"),
        (["x", "--method", "bm52"], "Did you mean 'bm25'?"),
        (["x", "--method", "dense"], "no vectors"),
        (["x", "--where", "source"], "--where needs FIELD=VALUE"),
        (["x", "--mmr", "3"], "trade-off"),
    ],
)
def test_search_usage_errors(sleuth: Run, index: Path, arguments: list[str], message: str) -> None:
    assert message in " ".join(sleuth("search", index, *arguments, code=2).stderr.split())


def test_no_index_is_an_error_that_helps(sleuth: Run, tmp_path: Path) -> None:
    done = sleuth("search", tmp_path / "nothing", "x", code=1)
    assert "sleuth index" in done.stderr


def test_index_reports_changes(sleuth: Run, handbook: Path, tmp_path: Path) -> None:
    path = tmp_path / "i"
    first = as_json(sleuth("index", handbook, "-o", path, "--json"))
    assert first["schema"] == "sleuth.index/1"
    assert first["added"] == first["documents"] > 3
    again = as_json(sleuth("index", handbook, "-o", path, "--json"))
    assert (again["added"], again["changed"], again["removed"]) == (0, 0, 0)
    mismatch = sleuth("index", handbook, "-o", path, "--k1", "0.5", code=1)
    assert "1.2" in mismatch.stderr


def test_empty_corpus_is_an_error(sleuth: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no documents" in sleuth("index", tmp_path / "empty", "-o", tmp_path / "i", code=1).stderr
    assert not (tmp_path / "i" / "manifest.json").exists()


def test_inspect_delete_compact(sleuth: Run, handbook: Path, tmp_path: Path) -> None:
    path = tmp_path / "i"
    sleuth("index", handbook, "-o", path)
    before = as_json(sleuth("inspect", path, "--json"))
    assert before["schema"] == "sleuth.inspect/1"
    assert before["analyzer"]["name"] == "auto"
    document = as_json(sleuth("inspect", path, "guide/oven.txt#0", "--json"))["document"]
    assert document["text"].startswith("The oven")
    assert "no document" in sleuth("inspect", path, "nobody", code=2).stderr
    removed = as_json(sleuth("delete", path, "--where", "source=guide/keys.md", "--json"))
    assert removed["documents"] == before["documents"] - removed["removed"]
    assert {"segments", "analyzer", "encoder", "added", "changed", "bytes"} <= set(removed)
    assert "no document" in sleuth("delete", path, "nobody", code=2).stderr
    assert as_json(sleuth("search", path, "rotate", "--json"))["hits"] == []
    compacted = as_json(sleuth("compact", path, "--json"))
    assert {"segments", "analyzer", "encoder", "added", "changed", "removed", "bytes"} <= set(compacted)
    assert as_json(sleuth("inspect", path, "--json", "--check"))["damaged"] == []
    assert "one of the two" in sleuth("delete", path, code=2).stderr


def test_a_damaged_index_is_named_by_check(sleuth: Run, handbook: Path, tmp_path: Path) -> None:
    path = tmp_path / "i"
    sleuth("index", handbook, "-o", path)
    victim = max((p for p in path.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = bytearray(victim.read_bytes())
    content[-1] ^= 0xFF
    victim.write_bytes(content)
    assert victim.name in sleuth("inspect", path, "--check", code=1).stderr


def test_retrieve_fuse_evaluate(sleuth: Run, index: Path, tmp_path: Path) -> None:
    queries, qrels = tmp_path / "q.jsonl", tmp_path / "qrels.tsv"
    queries.write_text(
        '{"_id": "q1", "text": "rotate keys"}\n{"_id": "q2", "text": "프로세스"}\n{"_id": "q3", "text": "..."}\n',
        encoding="utf-8",
    )
    qrels.write_text("query-id\tcorpus-id\tscore\nq1\tguide/keys.md#0\t1\nq2\t한국어.md#0\t1\n", encoding="utf-8")
    for weighting in ("saturated", "tf"):
        sleuth(
            "retrieve", index, "--queries", queries, "--method", "bm25", "--query-weighting", weighting, "--depth", "5",
            "-o", tmp_path / f"{weighting}.trec",
        )  # fmt: skip
    manifest = json.loads((tmp_path / "tf.trec.manifest.json").read_text())
    assert manifest["settings"]["query_weighting"] == "tf"
    assert manifest["counts"] == {"queries_without_terms": 1}
    lines = (tmp_path / "tf.trec").read_text(encoding="utf-8").splitlines()
    assert {line.split()[0] for line in lines} == {"q1", "q2"}
    sleuth("fuse", tmp_path / "tf.trec", tmp_path / "saturated.trec", "--method", "rrf", "-o", tmp_path / "fused.trec")
    report = as_json(
        sleuth("evaluate", qrels, tmp_path / "fused.trec", tmp_path / "tf.trec", "--measures", "nDCG@10,P(rel=1)@1", "--json",
               "--per-query", tmp_path / "values.csv")
    )  # fmt: skip
    assert report["schema"] == "sleuth.evaluate/1"
    assert report["runs"][str(tmp_path / "fused.trec")]["nDCG@10"] > 0.9
    assert {"a", "b", "measure", "difference", "interval", "p", "p_holm"} <= set(report["comparisons"][0])
    assert (tmp_path / "values.csv").read_text().count("\n") == 5
    shown = sleuth("evaluate", qrels, tmp_path / "tf.trec").stdout
    assert shown.splitlines()[0] == "run\tnDCG@10\tR@100"


def test_retrieve_within_candidates(sleuth: Run, index: Path, tmp_path: Path) -> None:
    queries, pool = tmp_path / "q.tsv", tmp_path / "pool.trec"
    queries.write_text("q1\trotate keys\n", encoding="utf-8")
    pool.write_text("q1 Q0 guide/oven.txt#0 1 2 x\nq1 Q0 guide/keys.md#0 2 1 x\n", encoding="utf-8")
    out = tmp_path / "out.trec"
    sleuth("retrieve", index, "--queries", queries, "--method", "bm25", "--depth", "2", "--candidates", pool, "-o", out)
    assert [line.split()[2] for line in out.read_text().splitlines()] == ["guide/keys.md#0", "guide/oven.txt#0"]


def test_bad_run_names_file_and_line(sleuth: Run, tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text("q1 0 a 1\n")
    (tmp_path / "run").write_text("q1 Q0 a 1 1.0 t\nq1 Q0 b 2 0.5\n")
    message = " ".join(sleuth("evaluate", tmp_path / "qrels", tmp_path / "run", code=1).stderr.split())
    assert "line 2" in message and "expected 6" in message


def test_unknown_measure_and_depth(sleuth: Run, index: Path, tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text("q1 0 a 1\n")
    (tmp_path / "run").write_text("q1 Q0 a 1 1.0 t\n")
    assert "nDCG" in sleuth("evaluate", tmp_path / "qrels", tmp_path / "run", "--measures", "ndgc@10", code=2).stderr
    (tmp_path / "q.tsv").write_text("q1\tx\n")
    arguments = ["retrieve", index, "--queries", tmp_path / "q.tsv", "--method", "bm25"]
    arguments += ["--depth", "0", "-o", tmp_path / "o"]
    assert "depth" in sleuth(*arguments, code=2).stderr
    assert not (tmp_path / "o").exists()
    arguments[-3:] = ["5", "-o", tmp_path / "nowhere" / "o"]
    assert "make it first" in " ".join(sleuth(*arguments, code=2).stderr.split())


def test_doctor_models_version(sleuth: Run) -> None:
    checks = {check["check"]: check["state"] for check in as_json(sleuth("doctor", "--json"))["checks"]}
    assert checks["numpy"] == "ok"
    assert any(model["name"] == "minilm" for model in as_json(sleuth("models", "--json"))["models"])
    assert sleuth("--version").stdout.startswith("sleuth 0.")
    assert "nobody" in sleuth("models", "get", "nobody", code=2).stderr


def test_a_process_of_its_own(index: Path, tmp_path: Path) -> None:
    """`python -m sleuth`: exit codes, a closed pipe, no traceback."""
    command = [sys.executable, "-m", "sleuth"]
    environment = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(
        [*command, "search", tmp_path / "none", "x"], capture_output=True, text=True, timeout=60, env=environment
    )
    assert (done.returncode, "Traceback" in done.stderr, "\x1b" in done.stderr) == (1, False, False)
    pipe = f'"{sys.executable}" -m sleuth search "{index}" "keys oven rotate" | head -n 1'
    done = subprocess.run(pipe, shell=True, capture_output=True, text=True, timeout=60, env=environment)
    assert "Traceback" not in done.stderr
    assert done.stdout.strip()


HOSTILE = "rotate \x1b[2J\x1b]0;owned\x07 \x9b31m \u202eyek\u202c \u2066keys\u2069"


@pytest.fixture
def hostile(sleuth: Run, tmp_path: Path) -> Path:
    """An index of one record whose every field tries to steer the terminal."""
    record = {"_id": f"id{HOSTILE}", "title": f"title\n{HOSTILE}", "text": HOSTILE, "metadata": {"source": HOSTILE}}
    (tmp_path / "c.jsonl").write_text(json.dumps(record), encoding="utf-8")
    sleuth("index", tmp_path / "c.jsonl", "-o", tmp_path / "i")
    return tmp_path / "i"


def test_documents_cannot_steer_the_terminal(sleuth: Run, hostile: Path) -> None:
    for arguments, code in ((["search", hostile, "rotate keys", "--explain"], 0),
                            (["inspect", hostile, f"id{HOSTILE}"], 0), (["inspect", hostile, "\x1b[2J"], 2)):  # fmt: skip
        said = sleuth(*arguments, code=code)
        shown = said.stdout + said.stderr
        assert not set(shown) & set("\x1b\x07\x9b\u202e\u202c\u2066\u2069"), shown
        assert "\\x1b[2J" in shown
    assert as_json(sleuth("search", hostile, "rotate keys", "--json"))["hits"][0]["text"] == HOSTILE


def test_search_shows_ids_to_copy(sleuth: Run, index: Path, tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text('{"_id": "n-17", "title": "Moths", "text": "A moth at :smile: [red]lamp[/red]."}')
    sleuth("index", tmp_path / "c.jsonl", "-o", tmp_path / "i")
    shown = sleuth("search", tmp_path / "i", "moth").stdout
    assert "n-17" in shown
    assert "A moth at :smile: [red]lamp[/red]." in shown


def test_interrupted(sleuth: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sleuth.front.index_corpus", interrupted)
    said = sleuth("index", tmp_path, "-o", tmp_path / "i", code=130)
    assert said.stderr == "stopped; run the same command again to carry on where it left off\n"
    monkeypatch.setattr("sleuth.cli.app.run", interrupted)  # as early as the import of the command line
    with pytest.raises(SystemExit, match="130"):
        main()
    assert "carry on where it left off" in capsys.readouterr().err


@pytest.mark.parametrize("more", ["", "--json", "--help"])
@pytest.mark.skipif(os.name == "nt", reason="needs bash")
def test_a_closed_pipe_is_no_failure_of_ours(index: Path, more: str) -> None:
    pipe = f'set -o pipefail; "{sys.executable}" -m sleuth search "{index}" keys {more} | true'
    done = subprocess.run(["bash", "-c", pipe], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("name", NOT_BUILT)
def test_later_commands_are_refused_by_name(sleuth: Run, name: str) -> None:
    for arguments in ([], ["--anything", "x", "-o", "y"], ["--help"]):
        assert f"sleuth {name} is not built yet" in sleuth(name, *arguments, code=2).stderr
    assert f"\n  {name} " not in sleuth("--help").stdout


def test_candidates_that_the_index_lacks_are_left_out_and_counted(sleuth: Run, index: Path, tmp_path: Path) -> None:
    queries, pool, out = tmp_path / "q.tsv", tmp_path / "pool.trec", tmp_path / "out.trec"
    queries.write_text("q1\trotate keys\nq2\toven\n", encoding="utf-8")
    pool.write_text("q1 Q0 nobody 1 2 x\nq1 Q0 guide/keys.md#0 2 1 x\n", encoding="utf-8")
    arguments = ["--queries", queries, "--method", "bm25", "--depth", "5", "--candidates", pool, "-o", out]
    said = sleuth("retrieve", index, *arguments)
    assert [line.split()[2] for line in out.read_text().splitlines()] == ["guide/keys.md#0"]
    assert "1 documents of" in said.stderr and "1 of 2 queries have no candidates" in said.stderr
    manifest = json.loads((tmp_path / "out.trec.manifest.json").read_text())
    assert manifest["counts"] == {"queries_not_in_candidates": 1, "candidates_not_in_index": 1}
    assert "as_json" not in manifest["settings"]


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [("bm25", ["--fusion", "rrf"], "--fusion"), ("dense", ["--query-weighting", "tf"], "--query-weighting"),
     ("dense", ["--feedback", "rm3"], "--feedback")],
)  # fmt: skip
def test_options_that_do_nothing_are_refused(
    sleuth: Run, index: Path, tmp_path: Path, method: str, options: list[str], message: str
) -> None:
    (tmp_path / "q.tsv").write_text("q1\tx\n")
    arguments = ["--queries", tmp_path / "q.tsv", "--method", method, "--depth", 5, "-o", tmp_path / "o.trec"]
    assert message in sleuth("retrieve", index, *arguments, *options, code=2).stderr


def test_no_queries_and_ignored_files(sleuth: Run, index: Path, tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text("")
    arguments = ["--queries", tmp_path / "q.jsonl", "--method", "bm25", "--depth", 5, "-o", tmp_path / "o.trec"]
    assert "no queries" in sleuth("retrieve", index, *arguments, code=2).stderr
    (folder := tmp_path / "files").mkdir()
    for name in ("a.md", "b.zzz"):
        (folder / name).write_text("# Keys")
    assert "1 .zzz" in sleuth("index", folder, "-o", tmp_path / "i").stderr


def test_runs_are_compared_with_a_baseline(sleuth: Run, tmp_path: Path) -> None:
    names = ("qrels", "base.trec", "a.trec", "b.trec")
    qrels, base, a, b = (tmp_path / name for name in names)
    qrels.write_text("q1 0 a 1\nq2 0 b 1\n")
    for run in (base, a, b):
        run.write_text("q1 Q0 a 1 1 t\nq2 Q0 b 1 1 t\n")

    def pairs(*more: object) -> list[tuple[str, str]]:
        found = as_json(sleuth("evaluate", qrels, *more, "--measures", "nDCG@10", "--json"))
        return [(Path(one["a"]).name, Path(one["b"]).name) for one in found["comparisons"]]

    assert len(pairs(base, a, b)) == 3
    compared = pairs(base, a, b, "--baseline", base)
    assert [set(pair) for pair in compared] == [{"base.trec", "a.trec"}, {"base.trec", "b.trec"}]
    assert pairs(a, b, "--baseline", base) == compared  # it need not be named twice
    assert "base.trec" in sleuth("evaluate", qrels, a, "--baseline", base).stdout
    sleuth("evaluate", qrels, a, "--baseline", tmp_path / "absent", code=2)


def test_no_command_overwrites_what_it_reads(sleuth: Run, index: Path, tmp_path: Path) -> None:
    qrels, queries, first, second = (tmp_path / name for name in ("qrels", "q.tsv", "first.trec", "second.trec"))
    qrels.write_text("q1 0 a 1\n")
    queries.write_text("q1\tkeys\n")
    for run in (first, second):
        run.write_text("q1 Q0 a 1 1 t\n")
    retrieve = ["retrieve", index, "--queries", queries, "--method", "bm25", "--depth", 5, "--candidates", first, "-o"]
    commands: list[list[object]] = [
        ["fuse", first, second, "--method", "rrf", "-o", second],
        [*retrieve, first],
        [*retrieve, queries],
        ["evaluate", qrels, first, "--per-query", qrels],
        ["diff", first, second, "-o", first],
    ]
    before = {path: path.read_bytes() for path in (qrels, queries, first, second)}
    for command in commands:
        assert "would be overwritten" in sleuth(*command, code=2).stderr, command
    assert {path: path.read_bytes() for path in before} == before


def test_comparisons_in_pipes_and_narrow_terminals(
    sleuth: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_terminal: Callable[[], None]
) -> None:
    qrels, first, second = (tmp_path / name for name in ("qrels", "first.trec", "second.trec"))
    qrels.write_text("q1 0 a 1\nq2 0 b 1\n")
    first.write_text("q1 Q0 a 1 1 t\nq2 Q0 b 1 1 t\n")
    second.write_text("q1 Q0 c 1 1 t\nq2 Q0 c 1 1 t\n")
    lines = sleuth("evaluate", qrels, first, second, "--measures", "nDCG@10").stdout.splitlines()
    header = "a\tb\tmeasure\tdifference\tlow\thigh\tp\tp_holm\tsignificant"
    row = dict(zip(header.split("\t"), lines[lines.index(header) + 1].split("\t"), strict=True))
    assert [float(row[name]) for name in ("difference", "low", "high")] == [1.0, 1.0, 1.0]
    assert row["significant"] == "no"
    as_terminal()
    monkeypatch.chdir(tmp_path)
    shown = sleuth("evaluate", "qrels", "first.trec", "second.trec", "--measures", "nDCG@10").stdout
    assert "first.trec − second.trec: nDCG@10" in [line.rstrip() for line in shown.splitlines()]
    assert "+1.0000 [+1.0000 … +1.0000] p" in shown
