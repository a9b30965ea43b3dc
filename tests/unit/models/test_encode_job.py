"""The encoding job: each text once, progress, limits, and the same bytes after a kill."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest

from sleuth.context import Context, Deadline
from sleuth.errors import DeadlineExceeded, JournalError, ShapeError, UsageError
from sleuth.models.encode_job import VectorCache, encode_corpus, text_key
from sleuth.stages import Embeddings


class Counting:
    """Vectors that depend on the batch they are made in, as those of a real encoder do in their last bits."""

    name, identity, dim, max_tokens = "counting", "counting/1", 3, 9

    def __init__(self, fail_at=None):
        self.batches, self.fail_at = [], fail_at

    def encode_docs(self, docs, *, context=None):
        if len(self.batches) == self.fail_at:
            raise KeyboardInterrupt
        self.batches.append(list(docs))
        vectors = np.array([[len(text), text_key(text)[0], len(docs)] for text in docs], np.float32)
        tokens = np.array([len(text) for text in docs], np.int32)
        return Embeddings(vectors, tokens, tokens > self.max_tokens)

    encode_queries = encode_docs


TEXTS = [f"text {n % 230} " + "x" * (n % 230 % 7) for n in range(300)]


def same(a, b):
    return all(
        getattr(a, column).tobytes() == getattr(b, column).tobytes() for column in ("vectors", "n_tokens", "truncated")
    )


def test_each_text_is_encoded_once_and_returned_everywhere(tmp_path):
    encoder = Counting()
    made = encode_corpus(encoder, iter(TEXTS), journal_path=tmp_path / "j", batch_texts=32)
    sent = [text for batch in encoder.batches for text in batch]
    assert sent == list(dict.fromkeys(TEXTS))
    assert [len(batch) for batch in encoder.batches[:-1]] == [32] * (len(encoder.batches) - 1)
    assert made.vectors[:, 0].tolist() == [len(text) for text in TEXTS] == made.n_tokens.tolist()
    assert made.vectors[:, 1].tolist() == [text_key(text)[0] for text in TEXTS]
    assert made.truncated.tolist() == [len(text) > 9 for text in TEXTS]


@pytest.mark.parametrize("stop", [0, 1, 3, 6])
def test_a_stopped_job_goes_on_to_the_same_bytes(tmp_path, stop):
    whole = encode_corpus(Counting(), TEXTS, journal_path=tmp_path / "whole", batch_texts=32)
    with pytest.raises(KeyboardInterrupt):
        encode_corpus(Counting(fail_at=stop), TEXTS, journal_path=tmp_path / "j", batch_texts=32)
    rest = Counting()
    assert same(encode_corpus(rest, TEXTS, journal_path=tmp_path / "j", batch_texts=32), whole)
    assert len(rest.batches) == 8 - stop  # 230 different texts
    done = Counting()
    assert same(encode_corpus(done, TEXTS, journal_path=tmp_path / "j", batch_texts=32), whole)
    assert done.batches == []


def test_a_torn_record_is_made_again(tmp_path):
    path = tmp_path / "j"
    whole = encode_corpus(Counting(), TEXTS, journal_path=path, batch_texts=32)
    content = path.read_bytes()
    for cut in (len(content) - 1, len(content) // 2, 60, 5):
        path.write_bytes(content[:cut])
        assert same(encode_corpus(Counting(), TEXTS, journal_path=path, batch_texts=32), whole)
        assert path.read_bytes() == content


def test_changed_texts_keep_what_was_made(tmp_path):
    encode_corpus(Counting(), TEXTS, journal_path=tmp_path / "j", batch_texts=32)
    encoder = Counting()
    encode_corpus(encoder, ["new", *TEXTS[:100], "newer"], journal_path=tmp_path / "j", batch_texts=32)
    assert encoder.batches == [["new", "newer"]]


def test_a_cache_is_used_and_left_alone(tmp_path):
    held = Embeddings(np.full((2, 3), 7, np.float32), np.array([5, 6], np.int32), np.array([True, False]))
    cache = VectorCache("counting/1", [text_key("b"), text_key("z")], held)
    encoder = Counting()
    made = encode_corpus(encoder, ["a", "b", "a"], journal_path=tmp_path / "j", cache=cache)
    assert encoder.batches == [["a"]]
    assert made.vectors[1].tolist() == [7, 7, 7] and made.n_tokens.tolist() == [1, 5, 1]
    assert made.truncated.tolist() == [False, True, False]
    assert len(cache) == 2 and list(cache) == [text_key("b"), text_key("z")]
    again = Counting()
    assert same(encode_corpus(again, ["a", "b", "a"], journal_path=tmp_path / "j", cache=cache), made)
    assert again.batches == []
    with pytest.raises(UsageError, match=r"other/1.*counting/1"):
        encode_corpus(Counting(), [], journal_path=tmp_path / "k", cache=VectorCache("other/1", [], held_none()))
    with pytest.raises(ShapeError, match="1 keys for 2 vectors"):
        VectorCache("counting/1", [b"k"], held)


def held_none():
    return Embeddings(np.empty((0, 3), np.float32), np.empty(0, np.int32), np.empty(0, np.bool_))


def test_nothing_to_encode(tmp_path):
    made = encode_corpus(Counting(), [], journal_path=tmp_path / "j")
    assert made.vectors.shape == (0, 3) and made.vectors.dtype == np.float32
    with pytest.raises(UsageError, match="batch_texts"):
        encode_corpus(Counting(), [], journal_path=tmp_path / "j", batch_texts=0)


def test_another_jobs_journal_is_refused(tmp_path):
    encode_corpus(Counting(), ["a"], journal_path=tmp_path / "j")
    other = Counting()
    other.identity = "counting/2"
    with pytest.raises(JournalError, match="another job"):
        encode_corpus(other, ["a"], journal_path=tmp_path / "j")
    with pytest.raises(JournalError, match="another job"):
        encode_corpus(Counting(), ["a"], journal_path=tmp_path / "j", batch_texts=3)


def test_vectors_of_another_shape_are_refused(tmp_path):
    encoder = Counting()
    encoder.dim = 4
    with pytest.raises(ShapeError, match=r"\(1, 3\), expected \(1, 4\)"):
        encode_corpus(encoder, ["a"], journal_path=tmp_path / "j")


def test_progress_adds_up_and_a_deadline_keeps_what_is_done(tmp_path):
    steps = []

    class Bar:
        @contextmanager
        def task(self, name, total=None):
            steps.append((name, total))
            yield self

        def advance(self, n=1):
            steps.append(n)

    encode_corpus(Counting(), TEXTS, journal_path=tmp_path / "j", batch_texts=32, context=Context(progress=Bar()))
    assert steps[0] == ("encode", 300) and sum(steps[1:]) == 300

    class Slow(Counting):
        def encode_docs(self, docs, *, context=None):
            time.sleep(0.06)
            return super().encode_docs(docs)

    slow = Slow()
    with pytest.raises(DeadlineExceeded):
        encode_corpus(slow, TEXTS, journal_path=tmp_path / "k", batch_texts=8, context=Context(deadline=Deadline(0.1)))
    rest = Counting()
    encode_corpus(rest, TEXTS, journal_path=tmp_path / "k", batch_texts=8)
    assert len(slow.batches) >= 1
    assert slow.batches + rest.batches == [
        list(dict.fromkeys(TEXTS))[at : at + 8] for at in range(0, len(set(TEXTS)), 8)
    ]


@pytest.mark.slow
def test_kill_at_random_moments_gives_the_same_bytes(make_bert, tmp_path):
    """A real encoder in a process of its own, killed again and again."""
    folder = make_bert(num_hidden_layers=2, hidden_size=96, num_attention_heads=4, intermediate_size=200)
    script = (
        "import sys, numpy as np\n"
        "from sleuth.models.encoder import open_encoder\n"
        "from sleuth.models.encode_job import encode_corpus\n"
        "rng = np.random.default_rng(0)\n"
        "words = ['the', 'child', 'process', 'hangs', 'when', 'wait', 'zebra']\n"
        "texts = [' '.join(rng.choice(words, n)) for n in rng.integers(0, 40, 6000)]\n"
        "made = encode_corpus(open_encoder(sys.argv[1]), texts, journal_path=sys.argv[2], batch_texts=128)\n"
        "np.save(sys.argv[3], made.vectors)\n"
    )

    def start(name):
        arguments = [str(folder), str(tmp_path / f"{name}.journal"), str(tmp_path / f"{name}.npy")]
        return subprocess.Popen([sys.executable, "-c", script, *arguments], env={**os.environ, "OMP_NUM_THREADS": "1"})

    begin = time.perf_counter()
    assert start("whole").wait() == 0
    seconds = time.perf_counter() - begin
    rng = np.random.default_rng()
    kills = 0
    for _ in range(30):
        process = start("killed")
        try:
            assert process.wait(timeout=float(rng.uniform(0.2, 0.8)) * seconds) == 0
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
    assert kills > 0
    assert (tmp_path / "killed.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert (tmp_path / "killed.journal").read_bytes() == (tmp_path / "whole.journal").read_bytes()


def test_one_text_in_place_of_several_is_refused(tmp_path):
    encoder = Counting()
    with pytest.raises(UsageError, match="list of str, got one str, 'abc'"):
        encode_corpus(encoder, "abc", journal_path=tmp_path / "journal")
    assert encoder.batches == []
    assert not (tmp_path / "journal").exists()
