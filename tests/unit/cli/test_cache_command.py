"""`sleuth cache` as a user calls it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sleuth.cli.app import run
from sleuth.llm.cache import Cache, open_cache
from sleuth.llm.chat import ChatRequest, Message, Reply, Usage
from sleuth.llm.replay import Replay

Call = Callable[..., tuple[int, str, str]]


def ask(text: str) -> ChatRequest:
    return ChatRequest((Message("user", text),))


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLEUTH_CACHE", str(tmp_path / "llm.sqlite"))
    return tmp_path / "llm.sqlite"


@pytest.fixture
def cache(path: Path) -> Iterator[Cache]:
    made = open_cache()
    assert made is not None
    for at in range(5):
        key = ask(str(at)).digest("m")
        made.keep(key, "m", ask(str(at)), Reply(f"answer {at}", finish_reason="stop", usage=Usage(1, 1))).result(10)
    yield made
    made.close()


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """cli("stats", …) -> exit code, standard output, standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sleuth", "cache", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            run()
        said = capfd.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return call


def test_stats(cli: Call, cache: Cache) -> None:
    code, out, _ = cli("stats")
    assert code == 0
    rows = dict(line.split("\t") for line in out.splitlines())
    assert rows["file"] == str(cache.path)
    assert (rows["replies"], rows["of m"], rows["sent, reply never seen"]) == ("5", "5", "0")
    told = json.loads(cli("stats", "--json")[1])
    assert (told["schema"], told["replies"], told["identities"]) == ("sleuth.cache/1", 5, {"m": 5})


def test_stats_makes_no_cache(cli: Call, path: Path) -> None:
    code, out, err = cli("stats")
    assert (code, out) == (0, "")
    assert "there is no cache at" in err
    assert json.loads(cli("stats", "--json")[1])["replies"] == 0
    assert not path.exists()


def test_prune(cli: Call, cache: Cache) -> None:
    assert json.loads(cli("prune", "--json")[1])["removed"] == 0  # far below the limit
    assert json.loads(cli("prune", "--max-age", "1", "--json")[1])["removed"] == 0
    kept = cache.stats().bytes // 5 * 2
    assert json.loads(cli("prune", "--max-bytes", f"{kept / 1000}kB", "--json")[1])["removed"] == 3
    assert "removed 2 replies" in cli("prune", "--all")[2]


def test_prune_all_removes_a_damaged_file(cli: Call, cache: Cache) -> None:
    cache.close()
    content = cache.path.read_bytes()
    cache.path.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))
    code, _, err = cli("stats")
    assert code == 1
    assert "damaged" in err
    assert "sleuth cache prune --all" in err
    assert "removed the damaged cache" in cli("prune", "--all")[2]
    assert not cache.path.exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--max-bytes", "lots"], "a size such as 500MB"),
        (["--max-bytes", "-1"], "a size such as 500MB"),
        (["--max-age", "-1"], "must be 0 or more"),
        (["--all", "--max-age", "1"], "--all removes everything"),
    ],
)
def test_prune_refuses(cli: Call, cache: Cache, options: list[str], says: str) -> None:
    code, _, err = cli("prune", *options)
    assert code == 2
    assert says in err
    assert cache.stats().replies == 5


def test_export(cli: Call, cache: Cache, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert "5 rules" in cli("export", "-o", out)[2]
    replay = Replay(out)
    assert [replay.submit(ask(str(at))).result(10).text for at in range(5)] == [f"answer {at}" for at in range(5)]
    assert json.loads(cli("export", "-o", out, "--identity", "m", "--json")[1])["rules"] == 5
    code, _, err = cli("export", "-o", out, "--identity", "n")
    assert code == 2
    assert "no reply is of 'n'; the cache has 'm'" in err
    assert cli("export", "-o", tmp_path / "no" / "x.jsonl")[0] == 2
    assert cli("export")[0] == 2


def test_without_a_cache(cli: Call, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("export", "-o", tmp_path / "x.jsonl")[0] == 2
    assert json.loads(cli("prune", "--json")[1])["removed"] == 0
    assert json.loads(cli("prune", "--all", "--json")[1])["removed"] == 0
    assert not path.exists()
    monkeypatch.setenv("SLEUTH_CACHE", "off")
    code, _, err = cli("stats")
    assert code == 2
    assert "the cache is off" in err
