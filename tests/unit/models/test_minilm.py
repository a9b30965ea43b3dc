"""The torch-free encoder: what BERT computes, whatever the batch; cuts, special tokens, errors."""

from __future__ import annotations

import json
import math
import time

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sleuth.context import Context, Deadline
from sleuth.errors import DeadlineExceeded, FormatError, ModelError, UsageError
from sleuth.models import bert, minilm
from sleuth.models.minilm import BertEncoder
from sleuth.stages import Encoder

TEXTS = [
    "the child process hangs when waiting",
    "",
    "wait",
    "한국어 나",
    "a\x00b",
    "wait",
    "the process, the child, the process! " * 9,
    "zz [SEP] zz",
]


def reference(folder, ids: list[int]) -> np.ndarray:
    """BERT in float64, one text at a time, written from the paper's formulas."""
    config = json.loads((folder / "config.json").read_text())
    w = {k.removeprefix("bert."): v.astype(np.float64) for k, v in load_file(folder / "model.safetensors").items()}
    heads, d = config["num_attention_heads"], config["hidden_size"]
    gelu = np.vectorize(lambda v: 0.5 * v * (1 + math.erf(v / math.sqrt(2))))

    def norm(x, name):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + config["layer_norm_eps"])
        return x * w[name + ".weight"] + w[name + ".bias"]

    def linear(x, name):
        return x @ w[name + ".weight"].T + w[name + ".bias"]

    e = "embeddings."
    x = w[e + "word_embeddings.weight"][ids] + w[e + "position_embeddings.weight"][: len(ids)]
    x = norm(x + w[e + "token_type_embeddings.weight"][0], e + "LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}."
        q, k, v = (
            linear(x, f"{at}attention.self.{n}").reshape(-1, heads, d // heads).swapaxes(0, 1)
            for n in ("query", "key", "value")
        )
        scores = q @ k.swapaxes(1, 2) / math.sqrt(d // heads)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = ((weights / weights.sum(-1, keepdims=True)) @ v).swapaxes(0, 1).reshape(-1, d)
        x = norm(x + linear(mixed, at + "attention.output.dense"), at + "attention.output.LayerNorm")
        inner = gelu(linear(x, at + "intermediate.dense"))
        x = norm(x + linear(inner, at + "output.dense"), at + "output.LayerNorm")
    return x


def unit(vector):
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize(
    "shape",
    [
        {"num_hidden_layers": 1, "num_attention_heads": 1, "hidden_size": 8, "intermediate_size": 12},
        {"num_hidden_layers": 3, "num_attention_heads": 4, "hidden_size": 32, "intermediate_size": 70},
        {"num_hidden_layers": 2, "num_attention_heads": 12, "hidden_size": 12, "layer_norm_eps": 1e-5},
    ],
)
def test_computes_bert(make_bert, shape, pooling):
    folder = make_bert(pooling=pooling, **shape)
    encoder = BertEncoder(folder)
    made = encoder.encode_docs(TEXTS)
    encoded = encoder._pieces.encode(TEXTS, limit=32)
    for vector, ids in zip(made.vectors, encoded.ids, strict=True):
        states = reference(folder, ids)
        want = unit(states[0] if pooling == "cls" else states.mean(0))
        np.testing.assert_allclose(vector, want, atol=1e-6)
    assert made.vectors.dtype == np.float32
    assert isinstance(encoder, Encoder)


def test_long_attention_in_pieces_is_the_same(make_bert, monkeypatch):
    folder = make_bert()
    whole = BertEncoder(folder).encode_docs(TEXTS).vectors
    for chunk in (8, 100, 700):
        monkeypatch.setattr(bert, "SCORES_CHUNK", chunk)
        np.testing.assert_allclose(BertEncoder(folder).encode_docs(TEXTS).vectors, whole, atol=1e-6)


def test_large_scores_do_not_overflow(make_bert):
    folder = make_bert()
    weights = load_file(folder / "model.safetensors")
    weights["encoder.layer.0.attention.self.query.weight"] *= 200
    save_file(weights, folder / "model.safetensors")
    encoder = BertEncoder(folder)
    ids = encoder._pieces.encode(TEXTS[:1], limit=32).ids[0]
    np.testing.assert_allclose(
        encoder.encode_docs(TEXTS[:1]).vectors[0], unit(reference(folder, ids).mean(0)), atol=2e-5
    )


def test_gelu_is_within_its_error():
    x = np.linspace(-12, 12, 200_001, dtype=np.float32)
    want = np.array([0.5 * v * math.erfc(-v / math.sqrt(2)) for v in x.tolist()])
    rows = np.tile(x / 2, (1, 1))
    with np.errstate(over="ignore"):
        bert.half_gelu(
            rows, np.zeros(len(x), np.float32), np.empty(max(len(x), bert.GELU_CHUNK), np.float32), np.empty_like(rows)
        )
    error = np.abs(rows[0] - want)
    assert error.max() < 1e-6
    assert error[np.abs(x) > 6].max() <= np.spacing(np.float32(12))


def test_a_vector_does_not_depend_on_its_batch(make_bert, monkeypatch):
    encoder = BertEncoder(make_bert())
    together = encoder.encode_docs(TEXTS).vectors
    alone = np.concatenate([encoder.encode_docs([text]).vectors for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    monkeypatch.setattr(minilm, "BATCH_TOKENS", 40)
    np.testing.assert_allclose(encoder.encode_docs(TEXTS[::-1]).vectors[::-1], together, atol=1e-6)


def test_the_same_call_gives_the_same_bytes_on_any_number_of_threads(make_bert, monkeypatch):
    monkeypatch.setattr(minilm, "BATCH_TOKENS", 64)
    folder = make_bert()
    texts = TEXTS * 20
    made = [BertEncoder(folder, workers=workers).encode_docs(texts).vectors.tobytes() for workers in (3, 3, 2)]
    assert made[0] == made[1] == made[2]


def test_equal_texts_in_one_call_agree(make_bert):
    vectors = BertEncoder(make_bert()).encode_docs(TEXTS).vectors
    np.testing.assert_allclose(vectors[2], vectors[5], atol=1e-6)


def test_long_texts_are_cut_and_counted(make_bert):
    encoder = BertEncoder(make_bert(), max_tokens=10, max_doc_tokens=6)
    made = encoder.encode_docs(["wait wait wait wait", "wait wait wait wait child", "x" * 200])
    assert made.n_tokens.tolist() == [6, 7, 3]  # a word of more than 100 characters is one [UNK]
    assert made.truncated.tolist() == [False, True, False]
    np.testing.assert_allclose(made.vectors[0], made.vectors[1], atol=1e-6)
    assert encoder.encode_queries(["wait wait wait wait child"]).truncated.tolist() == [False]
    assert encoder.max_tokens == 10


def test_a_text_is_text_even_where_it_spells_a_special_token(make_bert):
    encoder = BertEncoder(make_bert())
    assert (
        encoder._pieces.encode(["[SEP]"], limit=32).ids[0][1:-1]
        == encoder._pieces.encode(["[sep]"], limit=32).ids[0][1:-1]
    )
    assert encoder.encode_docs(["[SEP]"]).n_tokens[0] > 3


def test_prompts_stand_before_the_text(make_bert):
    folder = make_bert()
    plain = BertEncoder(folder)
    prompted = BertEncoder(folder, query_prompt="the child ")
    want = plain.encode_queries(["the child hangs"]).vectors
    np.testing.assert_allclose(prompted.encode_queries(["hangs"]).vectors, want, atol=1e-6)
    np.testing.assert_array_equal(prompted.encode_docs(["hangs"]).vectors, plain.encode_docs(["hangs"]).vectors)
    assert prompted.identity != plain.identity


def test_prompt_tokens_can_be_left_out_of_pooling(make_bert):
    folder = make_bert()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": "mean", "include_prompt": False}))
    encoder = BertEncoder(folder, doc_prompt="the child ")
    ids = encoder._pieces.encode(["the child hangs wait"], limit=32).ids[0]
    want = unit(reference(folder, ids)[3:].mean(0))  # [CLS] the child | hangs wait [SEP]
    np.testing.assert_allclose(encoder.encode_docs(["hangs wait"]).vectors[0], want, atol=1e-6)
    assert np.isfinite(encoder.encode_docs([""]).vectors).all()


def test_no_texts_give_no_vectors(make_bert):
    made = BertEncoder(make_bert()).encode_docs([])
    assert made.vectors.shape == (0, 24) and made.n_tokens.shape == (0,) and made.truncated.shape == (0,)


def test_huge_text_costs_no_more_than_its_slices(make_bert):
    encoder = BertEncoder(make_bert())
    text = "the child process hangs. " * 20_000
    made = encoder.encode_docs([text, text[:2000]])
    assert made.n_tokens[0] == 2 + 5 * 20_000
    np.testing.assert_allclose(made.vectors[0], made.vectors[1], atol=1e-6)


def test_surrogates_and_wrong_types(make_bert):
    encoder = BertEncoder(make_bert())
    np.testing.assert_allclose(
        encoder.encode_docs(["wait \ud800"]).vectors, encoder.encode_docs(["wait \ufffd"]).vectors, atol=1e-6
    )
    with pytest.raises(UsageError, match=r"text 1 .* int"):
        encoder.encode_docs(["a", 3])  # type: ignore[list-item]


def test_deadline_ends_the_work(make_bert):
    deadline = Deadline(1e-9)
    time.sleep(0.001)
    with pytest.raises(DeadlineExceeded):
        BertEncoder(make_bert()).encode_docs(["a"], context=Context(deadline=deadline))


def test_identity_follows_what_a_vector_depends_on(make_bert):
    folder = make_bert("a")
    own = BertEncoder(folder)
    assert own.identity == BertEncoder(make_bert("same")).identity
    others = [
        BertEncoder(make_bert("seed", seed=1)),
        BertEncoder(make_bert("cls", pooling="cls")),
        BertEncoder(folder, max_tokens=20),
        BertEncoder(folder, max_doc_tokens=20),
        BertEncoder(folder, doc_prompt="x"),
    ]
    assert len({own.identity, *(other.identity for other in others)}) == 6
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert BertEncoder(folder).identity != own.identity


def test_old_prefix_and_half_precision_are_read(make_bert):
    plain, prefixed = make_bert("plain"), make_bert("prefixed", prefix="bert.")
    want = BertEncoder(plain).encode_docs(TEXTS).vectors
    np.testing.assert_array_equal(BertEncoder(prefixed).encode_docs(TEXTS).vectors, want)
    half = {k: v.astype(np.float16) for k, v in load_file(plain / "model.safetensors").items()}
    save_file(half, plain / "model.safetensors")
    np.testing.assert_allclose(BertEncoder(plain).encode_docs(TEXTS).vectors, want, atol=2e-2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "roberta"}, "model_type is 'roberta'"),
        ({"hidden_act": "relu"}, "hidden_act is 'relu'"),
        ({"position_embedding_type": "relative_key"}, "relative_key"),
        ({"num_attention_heads": 5}, "not a multiple of 5 heads"),
        ({"num_hidden_layers": 3}, r"no tensor 'encoder.layer.2.attention.self.query.weight'"),
        ({"intermediate_size": 41}, r"shape \(40, 24\), config.json makes it \(41, 24\)"),
        ({"vocab_size": 20}, r"word_embeddings.weight' has shape"),
        ({"hidden_size": "24"}, "hidden_size='24'"),
    ],
)
def test_what_does_not_fit_is_named(make_bert, change, message):
    folder = make_bert()
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match=message):
        BertEncoder(folder)


def test_missing_and_foreign_files_are_named(make_bert):
    folder = make_bert()
    with pytest.raises(UsageError, match="workers"):
        BertEncoder(folder, workers=0)
    with pytest.raises(UsageError, match="max_tokens must be a whole number from 1 to the model's 64, got 65"):
        BertEncoder(folder, max_tokens=65)
    with pytest.raises(UsageError, match="max_tokens must be above 2"):
        BertEncoder(folder, max_tokens=2).encode_queries(["a"])
    with pytest.raises(UsageError, match="kind='bi-encoder'"):
        BertEncoder(folder, pooling="last")
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:-100])
    with pytest.raises(FormatError, match="outside the file"):
        BertEncoder(folder)
    (folder / "model.safetensors").write_bytes(b"version https://git-lfs")
    with pytest.raises(FormatError, match="not a safetensors file"):
        BertEncoder(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no model\.safetensors"):
        BertEncoder(folder)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="not a tokenizer"):
        BertEncoder(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"tokenizer\.json is not there"):
        BertEncoder(folder)


def test_damaged_weights_are_noticed(make_bert):
    folder = make_bert()
    weights = load_file(folder / "model.safetensors")
    weights["embeddings.LayerNorm.bias"][0] = np.nan
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ModelError, match="not finite, for text 0"):
        BertEncoder(folder).encode_docs(["wait"])


@pytest.mark.parametrize("text", ["abc", b"abc", ""])
def test_one_text_in_place_of_several_is_refused(make_bert, text):
    encoder = BertEncoder(make_bert())
    for encode in (encoder.encode_queries, encoder.encode_docs):
        with pytest.raises(UsageError, match=r"list of str, got one (str|bytes)"):
            encode(text)
