"""The cache of replies: what is stored, limits, damage, several processes, and calls whose end is not known."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from sleuth.errors import FormatError, LLMError, UsageError
from sleuth.llm import cache as cache_module
from sleuth.llm.cache import Cache, cache_path, open_cache, remove_cache
from sleuth.llm.chat import ChatRequest, Decoding, Message, Reply, Tags, Usage
from sleuth.llm.in_flight import InFlight
from sleuth.llm.replay import Replay, Scripted

REPLY = Reply(
    "[2] > [1]\u2028끝",
    reasoning="first … 생각",
    finish_reason=None,
    usage=Usage(100, 20, 15, 64, True),
    labels={"yes": -0.1, " no": float("-inf"), "예": -3.5},
    label_floor=-9.25,
    model="m-2026",
    latency_s=1.25,
    attempts=3,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some" / "folder" / "llm.sqlite"


@pytest.fixture
def cache(path: Path) -> Iterator[Cache]:
    made = Cache(path)
    yield made
    made.close()


def ask(text: str, **fields: object) -> ChatRequest:
    return ChatRequest((Message("user", text),), tags=Tags("rerank-1", "q 1", ("d1", "문서")), **fields)  # type: ignore[arg-type]


def keep(cache: Cache, text: str, reply: Reply = REPLY, identity: str = "m") -> str:
    key = ask(text).digest(identity)
    cache.keep(key, identity, ask(text), reply).result(10)
    return key


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


class TestStoring:
    def test_a_reply_comes_back_whole(self, cache: Cache) -> None:
        from dataclasses import replace

        assert cache.get(keep(cache, "질문")) == replace(REPLY, cached=True)

    def test_what_is_not_there_is_none(self, cache: Cache) -> None:
        assert cache.get("0" * 64) is None

    def test_request_and_tags_are_stored_in_full(self, cache: Cache) -> None:
        keep(cache, "x" * 100_000)
        ((request, tags, identity),) = rows(cache.path, "SELECT request, tags, identity FROM replies")
        assert orjson.loads(request) == ask("x" * 100_000).content()  # type: ignore[arg-type]
        assert orjson.loads(tags) == {"stage": "rerank-1", "query_id": "q 1", "doc_ids": ["d1", "문서"]}  # type: ignore[arg-type]
        assert identity == "m"

    def test_the_first_reply_stays_and_is_what_the_second_caller_gets(self, cache: Cache) -> None:
        key = keep(cache, "a", Reply("first"))
        assert cache.keep(key, "m", ask("a"), Reply("second")).result(10).text == "first"
        assert cache.get(key).text == "first"  # type: ignore[union-attr]

    def test_another_process_reads_it(self, cache: Cache) -> None:
        key = keep(cache, "a")
        other = Cache(cache.path)
        assert other.get(key) is not None
        other.close()

    def test_closing_is_not_the_end(self, cache: Cache) -> None:
        key = keep(cache, "a")
        cache.close()
        assert sorted(item.name for item in cache.path.parent.iterdir()) == ["llm.sqlite"]
        assert cache.get(key) is not None
        assert cache.get(keep(cache, "b")) is not None

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
    def test_only_the_user_can_read_it(self, cache: Cache) -> None:
        keep(cache, "a")
        cache.begin("0" * 64)
        made = [item for item in cache.path.parent.rglob("*") if item.is_file()]
        assert len(made) == 4  # the file, -wal, -shm, and the calls in flight
        assert {stat.S_IMODE(item.stat().st_mode) for item in made} == {0o600}

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
    def test_a_file_that_others_can_read_is_closed_to_them(self, cache: Cache) -> None:
        keep(cache, "a")
        cache.close()
        cache.path.chmod(0o644)
        keep(cache, "b")
        assert stat.S_IMODE(cache.path.stat().st_mode) == 0o600


class TestSettings:
    def test_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SLEUTH_CACHE", "off")
        assert open_cache() is None
        assert open_cache("default") is None
        assert open_cache("OFF") is None

    def test_the_environment_names_a_file(self, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
        monkeypatch.setenv("SLEUTH_CACHE", str(path))
        found = open_cache()
        assert found is not None
        assert found.path == path
        assert found is open_cache(path) is open_cache("default")
        found.close()

    def test_by_default_in_the_users_cache_folder(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.delenv("SLEUTH_CACHE", raising=False)
        monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / name))
        assert cache_path() == tmp_path / "sleuth" / "llm.sqlite"
        assert not (tmp_path / "sleuth").exists()

    def test_a_folder_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="is a folder"):
            Cache(tmp_path)

    def test_a_place_that_can_not_be_made_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(UsageError, match=r"can't be made at .*SLEUTH_CACHE"):
            Cache(tmp_path / "file" / "llm.sqlite")

    def test_a_cache_over_the_limit_loses_what_was_longest_unused(
        self, cache: Cache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        for at in range(20):
            keep(cache, f"{at} " + "x" * 10_000)
        cache.close()
        monkeypatch.setattr(cache_module, "LARGEST_BYTES", 105_000)
        found = open_cache(cache.path)
        assert found is not None
        assert found.stats().replies == 10
        assert "removed the 10 replies longest unused" in caplog.text
        found.close()


class TestDamage:
    def test_another_kind_of_file(self, tmp_path: Path) -> None:
        path = tmp_path / "notes.txt"
        path.write_text("my notes " * 1000)
        with pytest.raises(FormatError, match=r"notes\.txt: is no cache of replies"):
            Cache(path)
        with pytest.raises(FormatError, match="so it stays"):
            remove_cache(path)
        assert path.read_text().startswith("my notes")

    def test_another_programs_database(self, tmp_path: Path) -> None:
        path = tmp_path / "other.sqlite"
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE t (a)")
        connection.close()
        with pytest.raises(FormatError, match="not a cache of replies"):
            Cache(path)
        with pytest.raises(FormatError, match="so it stays"):
            remove_cache(path)

    def test_another_version(self, cache: Cache) -> None:
        cache.close()
        connection = sqlite3.connect(cache.path)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        with pytest.raises(FormatError, match=r"version 99 .* reads 1; .*sleuth cache prune --all"):
            Cache(cache.path)
        assert remove_cache(cache.path) is None
        assert Cache(cache.path).stats().replies == 0

    def test_damaged_pages_are_told_and_can_be_removed(self, cache: Cache) -> None:
        keys = [keep(cache, f"{at} " + "x" * 5000) for at in range(50)]
        cache.close()
        content = bytearray(cache.path.read_bytes())
        content[4096:] = b"\xa5" * (len(content) - 4096)
        cache.path.write_bytes(content)
        with pytest.raises(
            FormatError, match=r"llm\.sqlite: the cache of replies is damaged .*sleuth cache prune --all"
        ):
            Cache(cache.path).get(keys[0])
        with pytest.raises(FormatError, match="damaged"):
            Scripted(lambda _: "x", cache=cache).submit(ask("new")).result(10)
        assert remove_cache(cache.path) is None
        again = Cache(cache.path)
        assert again.get(keep(again, "a")) is not None
        again.close()

    def test_a_stored_reply_that_is_no_reply(self, cache: Cache) -> None:
        key = keep(cache, "a")
        cache.close()
        connection = sqlite3.connect(cache.path)
        connection.execute("UPDATE replies SET reply = '{\"txet\": 1}'")
        connection.commit()
        connection.close()
        with pytest.raises(FormatError, match="a stored reply can't be read"):
            cache.get(key)

    def test_an_empty_file_becomes_a_cache(self, path: Path) -> None:
        path.parent.mkdir(parents=True)
        path.touch()
        made = Cache(path)
        assert made.get(keep(made, "a")) is not None
        made.close()

    def test_a_full_disk_fails_the_call_and_says_why(self, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
        from sleuth.llm import database

        def full(path: Path) -> sqlite3.Connection:
            connection = real(path)
            connection.execute("PRAGMA max_page_count = 8")
            return connection

        real = database.connect
        monkeypatch.setattr(database, "connect", full)
        backend = Scripted(lambda _: "x" * 100_000, cache=cache)
        with pytest.raises(LLMError, match=r"can't be used \(database or disk is full\)"):
            backend.submit(ask("a")).result(10)


class TestPruning:
    def test_by_size_the_longest_unused_go_first_and_the_file_shrinks(self, cache: Cache) -> None:
        keys = [keep(cache, f"{at:03} " + "x" * 10_000) for at in range(200)]
        before = cache.stats()
        removed = cache.prune(max_bytes=before.bytes // 4)
        after = cache.stats()
        assert removed == 200 - after.replies == 150
        assert after.bytes <= before.bytes // 4
        assert after.file_bytes < before.file_bytes / 2
        assert [cache.get(key) is not None for key in keys] == [False] * 150 + [True] * 50

    def test_a_use_counts_once_a_day(self, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
        keys = [keep(cache, str(at)) for at in range(3)]
        later = time.time() + 3 * 86_400
        monkeypatch.setattr(cache_module.time, "time", lambda: later)
        cache.get(keys[1])
        assert cache.prune(max_age_s=86_400) == 2
        assert [cache.get(key) is not None for key in keys] == [False, True, False]

    def test_all(self, cache: Cache) -> None:
        keep(cache, "a")
        assert remove_cache(cache.path) == 1
        assert cache.stats().replies == 0
        assert remove_cache(cache.path.with_name("nowhere")) == 0

    @pytest.mark.parametrize("limits", [{"max_bytes": -1}, {"max_age_s": -0.5}, {"max_age_s": float("nan")}])
    def test_limits_below_zero_are_refused(self, cache: Cache, limits: dict[str, float]) -> None:
        with pytest.raises(UsageError, match="must be 0 or more"):
            cache.prune(**limits)  # type: ignore[arg-type]

    def test_without_limits_nothing_goes(self, cache: Cache) -> None:
        keep(cache, "a")
        assert cache.prune() == 0


class TestExporting:
    def test_what_was_exported_answers_everything(self, cache: Cache, tmp_path: Path) -> None:
        from dataclasses import replace

        model = Scripted(
            lambda r: Reply(
                f"an answer to {r.messages[0].content}", "생각", "length", Usage(7, 8, 9, 1), {"a": -1.0}, -2.0
            ),
            cache=cache,
        )
        requests = [ask(f"질문 {at}", sample=at % 2, ask=at % 3, decoding=Decoding(seed=at)) for at in range(520)]
        replies = [model.submit(request) for request in requests]
        expected = [replace(future.result(20), latency_s=0.0) for future in replies]
        assert cache.export(tmp_path / "out.jsonl") == 520
        replay = Replay(tmp_path / "out.jsonl")
        answers = [replay.submit(request) for request in requests]
        assert [replace(future.result(20), latency_s=0.0) for future in answers] == expected

    def test_it_is_the_documented_form(self, cache: Cache, tmp_path: Path) -> None:
        keep(cache, "a", Reply("t", usage=Usage(10, 5), finish_reason="stop", labels={"yes": -0.1}))
        cache.export(tmp_path / "out.jsonl")
        assert orjson.loads((tmp_path / "out.jsonl").read_bytes()) == {
            "when": {"request": ask("a").digest()},
            "reply": {
                "text": "t",
                "finish_reason": "stop",
                "usage": {"prompt_tokens": 10, "completion_tokens": 5},
                "labels": {"yes": -0.1},
            },
        }

    def test_two_backends_that_differ_must_be_told_apart(self, cache: Cache, tmp_path: Path) -> None:
        keep(cache, "a", Reply("1"), identity="m")
        keep(cache, "a", Reply("2"), identity="n")
        out = tmp_path / "out.jsonl"
        out.write_text("old")
        with pytest.raises(UsageError, match="'m' and 'n' answered the same request differently"):
            cache.export(out)
        assert out.read_text() == "old"
        assert [item.name for item in tmp_path.iterdir() if "out" in item.name] == ["out.jsonl"]
        assert cache.export(out, identity="n") == 1
        assert orjson.loads(out.read_bytes())["reply"]["text"] == "2"

    def test_two_backends_that_agree_give_one_rule(self, cache: Cache, tmp_path: Path) -> None:
        for identity in ("m", "n"):
            keep(cache, "a", Reply("1"), identity=identity)
        assert cache.export(tmp_path / "out.jsonl") == 1

    def test_a_folder_that_is_not_there(self, cache: Cache, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="does not exist"):
            cache.export(tmp_path / "no" / "out.jsonl")


class TestCallsInFlight:
    KEY = "ab" * 32

    def test_a_living_process_is_believed(self, tmp_path: Path) -> None:
        first, second = InFlight(tmp_path / "calls"), InFlight(tmp_path / "calls")
        first.begin(self.KEY)
        assert second.begin(self.KEY) == 0
        assert second.left_behind() == []
        first.close()
        second.close()

    def test_a_dead_ones_calls_are_counted_once(self, tmp_path: Path) -> None:
        dead = InFlight(tmp_path / "calls")
        others = [f"{at:064x}" for at in range(1, 40)]
        for key in (*others, self.KEY):
            dead.begin(key)
        for key in others[::2]:
            dead.end(key)
        dead.close()  # as the kernel does
        heirs = [InFlight(tmp_path / "calls") for _ in range(2)]
        assert sorted(heirs[0].left_behind()) == sorted([self.KEY, *others[1::2]])
        assert [heir.begin(self.KEY) for heir in heirs] == [1, 0]
        assert sum(heirs[at % 2].begin(key) for at, key in enumerate(others)) == len(others[1::2])
        for heir in heirs:
            for key in (*others, self.KEY):
                heir.end(key)
            heir.close()
        assert list((tmp_path / "calls").iterdir()) == []

    def test_slots_are_used_again(self, tmp_path: Path) -> None:
        calls = InFlight(tmp_path / "calls")
        for at in range(1000):
            calls.begin(f"{at + 1:064x}")
            calls.end(f"{at + 1:064x}")
        (file,) = (tmp_path / "calls").iterdir()
        assert file.stat().st_size == 32
        calls.close()

    def test_given_up_calls_stay_written_down_until_asked_again(self, tmp_path: Path) -> None:
        calls = InFlight(tmp_path / "calls")
        calls.begin(self.KEY)
        calls.give_up(self.KEY)
        assert calls.left_behind() == [self.KEY]
        assert calls.begin(self.KEY) == 1
        assert calls.left_behind() == []
        calls.give_up(self.KEY)
        calls.close()
        heir = InFlight(tmp_path / "calls")
        assert heir.begin(self.KEY) == 1
        heir.close()

    def test_forgetting(self, tmp_path: Path) -> None:
        dead = InFlight(tmp_path / "calls")
        dead.begin(self.KEY)
        dead.close()
        heir = InFlight(tmp_path / "calls")
        heir.forget()
        assert heir.begin(self.KEY) == 0
        heir.close()

    def test_a_torn_file_is_read_as_far_as_it_goes(self, tmp_path: Path) -> None:
        (tmp_path / "calls").mkdir()
        (tmp_path / "calls" / "torn").write_bytes(bytes.fromhex(self.KEY) + b"\1" * 7)
        heir = InFlight(tmp_path / "calls")
        assert heir.begin(self.KEY) == 1
        heir.close()


def test_two_processes_on_one_cache(path: Path) -> None:
    program = """
        import asyncio, sys
        from sleuth.context import Context
        from sleuth.llm.cache import Cache
        from sleuth.llm.chat import ChatRequest, Message
        from sleuth.llm.replay import Scripted

        async def answer(request):
            await asyncio.sleep(0.001)
            return f"{sys.argv[2]} to {request.messages[0].content}"

        cache = Cache(sys.argv[1])
        backend = Scripted(answer, cache=cache, concurrency=8)
        futures = [backend.submit(ChatRequest((Message("user", str(at)),))) for at in range(300)]
        texts = [future.result(60).text for future in futures]
        cache.close()
        print("\\n".join(texts))
    """
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program), str(path), name], stdout=subprocess.PIPE, text=True
        )
        for name in ("one", "two")
    ]
    told = [process.communicate(timeout=60)[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert told[0] == told[1]  # whoever was first, both used what is stored
    assert [line.split(" to ")[1] for line in told[0]] == [str(at) for at in range(300)]
    with_both = Cache(path)
    assert (with_both.stats().replies, with_both.stats().unknown) == (300, 0)
    with_both.close()
