"""Vectors of both encoders against sentence-transformers': the real MiniLM, and random checkpoints it saved."""

from __future__ import annotations

import numpy as np
import pytest

from sleuth.errors import ModelError, UsageError
from sleuth.models.encoder import open_encoder
from sleuth.models.minilm_files import find_minilm

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

TEXTS = [
    "Why does my child process hang when I wait for it?",
    "",
    " \n\t",
    "자식 프로세스가 끝나지 않고 멈춰 있습니다. 왜 그런가요?",
    "日本語のテキストと中文文本",
    "null \x00 and \ufffd and \u200b bytes",
    "naïve café Ünïcödé 🙂 e\u0301",
    "def f(x): return x ** 2  # parseHTTPResponse",
    "word " * 700,
    "supercalifragilistic" * 30,
    "a",
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def peer(folder, texts, **options):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu", **options)
    return model.encode(texts, batch_size=4, convert_to_numpy=True), model


@pytest.fixture
def minilm():
    try:
        return find_minilm()
    except ModelError as error:
        pytest.skip(str(error))


def test_minilm_equals_sentence_transformers(minilm):
    rng = np.random.default_rng(0)
    words = [
        "the",
        "retrieval",
        "of",
        "documents",
        "needs",
        "reasoning",
        "about",
        "causes",
        "and",
        "1,024",
        "effects",
        ";",
        "hence",
        "HTTP-2",
        "fails",
    ]
    texts = TEXTS + [" ".join(rng.choice(words, n)) for n in rng.integers(1, 300, 40)]
    want, _ = peer(minilm, texts)
    for encoder in (open_encoder("minilm"), open_encoder(minilm, kind="bi-encoder")):
        made = encoder.encode_docs(texts)
        np.testing.assert_allclose(made.vectors, want, atol=1e-6)
        assert made.truncated[8] and made.n_tokens[8] == 702
    assert open_encoder("minilm").identity != open_encoder(minilm, kind="bi-encoder", max_tokens=128).identity


def test_a_cut_at_128_tokens_is_theirs(minilm):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(minilm), device="cpu")
    model.max_seq_length = 128
    made = open_encoder("minilm", max_doc_tokens=128).encode_docs(TEXTS)
    np.testing.assert_allclose(made.vectors, model.encode(TEXTS), atol=1e-6)


def test_ten_megabytes_are_one_text(minilm):
    text = "a long book about nothing in particular. " * 250_000
    encoder = open_encoder("minilm")
    made = encoder.encode_docs([text])
    assert made.n_tokens[0] == 250_000 * 8 + 2 and made.truncated[0]
    np.testing.assert_allclose(made.vectors, encoder.encode_docs([text[:5000]]).vectors, atol=1e-6)


@pytest.fixture
def save_random(tmp_path, minilm):
    """save_random(model class, config, pooling, normalize, prompts) -> folder that sentence-transformers wrote."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules
    from transformers import AutoTokenizer

    def save(model, *, pooling="mean", normalize=True, seed=0, **options):
        torch.manual_seed(seed)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.25 if parameter.ndim > 1 else 0.5)
        backbone = tmp_path / f"backbone{seed}"
        model.save_pretrained(backbone)
        AutoTokenizer.from_pretrained(minilm).save_pretrained(backbone)
        steps = [modules.Transformer(str(backbone))]
        steps.append(modules.Pooling(model.config.hidden_size, pooling))
        steps += [modules.Normalize()] if normalize else []
        folder = tmp_path / f"encoder{seed}"
        SentenceTransformer(modules=steps, device="cpu", **options).save(str(folder))
        return folder

    return save


@pytest.mark.parametrize(
    ("seed", "pooling", "shape"),
    [
        (1, "mean", {"num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 32, "intermediate_size": 64}),
        (2, "cls", {"num_hidden_layers": 4, "num_attention_heads": 5, "hidden_size": 60, "intermediate_size": 100}),
        (3, "mean", {"num_hidden_layers": 3, "num_attention_heads": 16, "hidden_size": 256, "intermediate_size": 512}),
    ],
)
def test_random_berts_agree_without_torch_and_with_it(save_random, seed, pooling, shape):
    from transformers import BertConfig, BertModel

    config = BertConfig(vocab_size=30_522, max_position_embeddings=300, **shape)
    folder = save_random(BertModel(config), pooling=pooling, seed=seed, prompts={"query": "find: ", "document": ""})
    want, model = peer(folder, TEXTS)
    without, with_torch = open_encoder(folder), open_encoder(folder, kind="bi-encoder")
    assert type(without).__name__ == "BertEncoder"
    assert without.identity == with_torch.identity
    for encoder in (without, with_torch):
        np.testing.assert_allclose(encoder.encode_docs(TEXTS).vectors, want, atol=2e-6)
        np.testing.assert_allclose(encoder.encode_queries(TEXTS).vectors, model.encode_query(TEXTS), atol=2e-6)


def test_a_decoder_that_pools_its_last_token(save_random):
    from transformers import Qwen3Config, Qwen3Model

    config = Qwen3Config(
        vocab_size=30_522,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=200,
    )
    folder = save_random(Qwen3Model(config), pooling="lasttoken", seed=4)
    want, _ = peer(folder, TEXTS)
    encoder = open_encoder(folder)
    assert type(encoder).__name__ == "BiEncoder"
    np.testing.assert_allclose(encoder.encode_docs(TEXTS).vectors, want, atol=1e-5)
    both = open_encoder(folder, pooling="mean").encode_docs(TEXTS).vectors
    assert np.abs(both - want).max() > 1e-2


def test_a_decoder_without_its_causal_mask_sees_what_follows(save_random):
    from transformers import Qwen3Config, Qwen3Model

    from sleuth.models.bi_encoder import BiEncoder
    from sleuth.models.cards import ModelCard

    config = Qwen3Config(
        vocab_size=30_522, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=4, head_dim=8, max_position_embeddings=200,
    )  # fmt: skip
    folder = save_random(Qwen3Model(config), pooling="cls", seed=5)
    card = ModelCard("x", "x/x", "bi-encoder", "none", bidirectional=True)
    pair = ["same start, this end", "same start, another one"]

    def gap(encoder):
        first, second = encoder.encode_docs(pair).vectors  # the first token's state
        return float(np.abs(first - second).max())

    assert gap(BiEncoder(folder)) < 1e-6
    assert gap(BiEncoder(folder, card=card)) > 1e-3
    # padding is never seen: a batch with a longer text changes nothing
    alone = BiEncoder(folder, card=card).encode_docs(pair[:1]).vectors[0]
    padded = BiEncoder(folder, card=card).encode_docs([*pair, "word " * 100]).vectors[0]
    np.testing.assert_allclose(alone, padded, atol=1e-6)


def test_unpooled_prompts_and_half_precision(save_random, tmp_path):
    import json

    from transformers import BertConfig, BertModel

    shape = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 32, "intermediate_size": 64}
    folder = save_random(BertModel(BertConfig(vocab_size=30_522, **shape)), seed=6, prompts={"query": "find this: "})
    path = folder / "1_Pooling" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"include_prompt": False}))
    _, model = peer(folder, TEXTS)
    want = model.encode_query(TEXTS)
    for kind in ("bert", "bi-encoder"):
        np.testing.assert_allclose(open_encoder(folder, kind=kind).encode_queries(TEXTS).vectors, want, atol=2e-6)
    half = open_encoder(folder, kind="bi-encoder", dtype="bfloat16")
    assert half.identity != open_encoder(folder).identity
    cosines = (half.encode_queries(TEXTS).vectors * want).sum(axis=1)
    assert cosines.min() > 0.99
    with pytest.raises(UsageError, match="float32"):
        open_encoder(folder, kind="bert", dtype="bfloat16")
    with pytest.raises(UsageError, match="device"):
        open_encoder(folder, kind="bi-encoder", device="cuda:7")
