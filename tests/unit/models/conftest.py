"""A tiny random BERT sentence encoder, made without torch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def write_tokenizer(folder: Path) -> int:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789[].,!?가나다한국어中文"
    words = ["the", "child", "process", "hangs", "when", "wait", "##s", "##ing"]
    vocabulary = [*SPECIAL, *words, *letters, *(f"##{letter}" for letter in letters)]
    tokenizer = Tokenizer(models.WordPiece({p: i for i, p in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=9)
    tokenizer.save(str(folder / "tokenizer.json"))
    return len(vocabulary)


def random_weights(config: dict, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    d, inner = config["hidden_size"], config["intermediate_size"]

    def draw(*shape: int, scale: float = 0.3, around: float = 0.0) -> np.ndarray:
        return (around + scale * rng.standard_normal(shape)).astype(np.float32)

    tensors = {
        "embeddings.word_embeddings.weight": draw(config["vocab_size"], d, scale=1),
        "embeddings.position_embeddings.weight": draw(config["max_position_embeddings"], d),
        "embeddings.token_type_embeddings.weight": draw(config["type_vocab_size"], d),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}."
        shapes = {
            "attention.self.query": (d, d),
            "attention.self.key": (d, d),
            "attention.self.value": (d, d),
            "attention.output.dense": (d, d),
            "intermediate.dense": (inner, d),
            "output.dense": (d, inner),
        }
        for name, shape in shapes.items():
            tensors[f"{at}{name}.weight"], tensors[f"{at}{name}.bias"] = draw(*shape), draw(shape[0])
        norms += [f"{at}attention.output.LayerNorm", f"{at}output.LayerNorm"]
    for name in norms:
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = draw(d, around=1), draw(d)
    return tensors


@pytest.fixture
def make_bert(tmp_path: Path):
    """make_bert(name, seed=0, pooling="mean", changes to config.json...) -> folder."""

    def make(name: str = "bert", *, seed: int = 0, pooling: str = "mean", prefix: str = "", **changes) -> Path:
        folder = tmp_path / name
        (folder / "1_Pooling").mkdir(parents=True)
        config = {
            "model_type": "bert",
            "hidden_act": "gelu",
            "hidden_size": 24,
            "num_attention_heads": 3,
            "num_hidden_layers": 2,
            "intermediate_size": 40,
            "vocab_size": write_tokenizer(folder),
            "type_vocab_size": 2,
            "max_position_embeddings": 64,
            "layer_norm_eps": 1e-12,
        } | changes
        steps = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
        files = {
            "config.json": config,
            "modules.json": [{"path": path, "type": f"sentence_transformers.models.{step}"} for path, step in steps],
            "1_Pooling/config.json": {"pooling_mode": pooling},
            "sentence_bert_config.json": {"max_seq_length": 32},
        }
        for path, value in files.items():
            (folder / path).write_text(json.dumps(value))
        weights = {prefix + key: value for key, value in random_weights(config, seed).items()}
        save_file(weights, folder / "model.safetensors")
        return folder

    return make


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's folders."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
