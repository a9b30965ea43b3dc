"""kill -9 at any moment: the old index still answers, the same command carries on and ends the same."""

from __future__ import annotations

import importlib.util
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from sleuth.errors import IndexCorrupt, IndexNotFound
from sleuth.index.handle import open_index
from sleuth.index.store import read_manifest
from sleuth.types import Doc

MOMENTS = 20
JOB = Path(__file__).with_name("index_job.py")


def load_job() -> ModuleType:
    spec = importlib.util.spec_from_file_location("index_job", JOB)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


job = load_job()


def run_for(kind: str, folder: Path, seconds: float | None) -> float:
    """Run the job in its own process and kill it after some seconds of work; how long it worked."""
    with subprocess.Popen([sys.executable, str(JOB), kind, str(folder)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begin\n"
        start = time.perf_counter()
        try:
            code = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        else:
            assert code == 0
        return time.perf_counter() - start


def contents(folder: Path) -> tuple[list[dict[str, str]], dict[str, Doc]]:
    """Checksums of every segment's files, and the documents."""
    index = open_index(folder)
    assert index.check() == []
    files = [{name: file.sha256 for name, file in s.every_file()} for s in index.manifest.segments]
    return files, dict(index.docs)


def moments(longest: float) -> list[float]:
    """Random moments, one in each of MOMENTS equal spans of the time the work takes."""
    rng = random.Random(5)
    return [(at + rng.random()) * longest / MOMENTS for at in range(MOMENTS)]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_build_carries_on_and_ends_the_same(tmp_path: Path) -> None:
    run_for("build", tmp_path / "warm-up", None)
    longest = run_for("build", tmp_path / "whole", None)
    whole = contents(tmp_path / "whole")
    assert list(whole[1].values()) == job.first_corpus()
    killed_before_the_end = resumed = 0
    for number, moment in enumerate(moments(longest)):
        folder = tmp_path / f"killed {number}"
        run_for("build", folder, moment)
        try:
            assert len(open_index(folder).docs) == job.DOCUMENTS
        except (IndexNotFound, IndexCorrupt) as error:
            assert "sleuth index" in str(error)
            killed_before_the_end += 1
            finished = list(folder.glob("segments/*/segment.json"))
            resumed += bool(finished)
        job.run("build", folder)
        assert contents(folder) == whole
        assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "segments"]
        shutil.rmtree(folder)
    assert killed_before_the_end >= MOMENTS // 4
    assert resumed >= 2


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_update_leaves_the_old_index_and_carries_on(tmp_path: Path) -> None:
    job.run("build", tmp_path / "before")
    shutil.copytree(tmp_path / "before", tmp_path / "whole")
    longest = run_for("sync", tmp_path / "whole", None)
    before, whole = contents(tmp_path / "before"), contents(tmp_path / "whole")
    assert whole[1] == {doc.doc_id: doc for doc in job.second_corpus()}
    still_old = 0
    for number, moment in enumerate(moments(longest)):
        folder = tmp_path / f"killed {number}"
        shutil.copytree(tmp_path / "before", folder)
        run_for("sync", folder, moment)
        now = contents(folder)
        assert now in (before, whole)
        still_old += now == before
        found = open_index(folder).bm25_search([["word3"]], depth=5000)[0][0]
        assert set(found) == {doc_id for doc_id, doc in now[1].items() if "word3" in doc.text.split()}
        job.run("sync", folder)
        assert contents(folder) == whole
        assert read_manifest(folder).documents == len(whole[1])
        shutil.rmtree(folder)
    assert still_old >= MOMENTS // 4


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_build_killed_again_and_again_still_ends_the_same(tmp_path: Path) -> None:
    longest = run_for("build", tmp_path / "whole", None)
    folder = tmp_path / "killed"
    for _ in range(15):
        if run_for("build", folder, 0.35 * longest) < 0.3 * longest or (folder / "manifest.json").exists():
            break
    job.run("build", folder)
    assert contents(folder) == contents(tmp_path / "whole")
