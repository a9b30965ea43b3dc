"""Tiny random causal language models: a tokenizer built in code, weights made by torch where they are asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CHATML = (
    "{%- for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}"
    "{%- endif %}"
)
LLAMA = (
    "{{ bos_token }}{% for message in messages %}{% if message.role == 'system' %}"
    "{{ raise_exception('no system messages') }}{% endif %}"
    "[{{ message.role }}] {{ message.content | trim }} {% endfor %}[answer]"
)
CORPUS = [
    "The answer is yes or no; a passage helps when it explains the cause of what was asked.",
    "system user assistant document query instruct judge whether it meets the requirements",
    "A child process hangs when a full pipe blocks it and the parent waits for its end.",
    "[1] > [2] > [3] > [4] > [5] > [6] > [7] > [8] > [9] > [10] 0 1 2 3 4 5 6 7 8 9 A B C D",
    "자식 프로세스가 멈춘다. 파이프가 가득 차면 기다린다. 日本語 中文 naïve café",
] * 3


def byte_level_tokenizer(special: list[str], *, bos: str | None = None) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens(special)
    tokenizer.add_tokens([AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False)])
    if bos is not None:
        number = tokenizer.token_to_id(bos)
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, number)])
    return tokenizer


def write_qwen(folder: Path) -> Tokenizer:
    tokenizer = byte_level_tokenizer(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "chat_template.jinja").write_text(CHATML)
    return tokenizer


def write_llama(folder: Path) -> Tokenizer:
    tokenizer = byte_level_tokenizer(["<s>", "</s>"], bos="<s>")
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": {"content": "</s>"},
        "chat_template": [{"name": "default", "template": LLAMA}, {"name": "tool_use", "template": "tools"}],
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return tokenizer


WRITERS = {"qwen3": write_qwen, "llama": write_llama, "mistral": write_llama}


@pytest.fixture
def make_tokenizer(tmp_path: Path):
    """make_tokenizer("qwen3" | "llama") -> a folder with tokenizer and template, no weights, no torch."""

    def make(kind: str = "qwen3", name: str = "tokenizer") -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        WRITERS[kind](folder)
        return folder

    return make


@pytest.fixture
def make_causal(make_tokenizer):
    """make_causal("qwen3" | "llama" | "mistral", changes to the configuration…) -> a checkpoint; needs torch."""

    def make(kind: str = "qwen3", *, name: str = "model", seed: int = 0, peaked: float = 4.0, **changes) -> Path:
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM

        folder = make_tokenizer(kind, name)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        end = tokenizer.token_to_id("</s>" if kind != "qwen3" else "<|im_end|>")
        sizes = {
            "vocab_size": tokenizer.get_vocab_size() + 5,
            "hidden_size": 48,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 12,
            "max_position_embeddings": 512,
            "eos_token_id": end,
            "bos_token_id": None,
            "pad_token_id": None,
            "tie_word_embeddings": True,
        }
        config = AutoConfig.for_model(kind, **{**sizes, **changes})
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config)
        for tensor in model.parameters():  # larger weights, so that attention and answers differ between prompts
            if tensor.dim() > 1:
                tensor.data *= peaked
        model.save_pretrained(folder)
        return folder

    return make


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checksums and replies go to the test's folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("SLEUTH_CACHE", "off")
