"""Opening by name: nothing is guessed, and an encoder's name opens it again."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sleuth.errors import FormatError, MissingExtra, ModelError, UnknownName, UsageError
from sleuth.models import encoder
from sleuth.models.blas import blas_threads, single_threaded_blas
from sleuth.models.cards import get_card, list_models
from sleuth.models.checkpoint import read_checkpoint
from sleuth.models.encoder import open_encoder
from sleuth.models.settings import resolve_settings, split_name


def test_the_name_opens_the_same_encoder_again(make_bert):
    folder = make_bert("with ? and space")
    for options in ({}, {"max_doc_tokens": 9}, {"query_prompt": "find:\n&=?", "max_tokens": 30, "pooling": "cls"}):
        first = open_encoder(make_bert(f"b{len(options)}"), **options)
        again = open_encoder(first.name)
        assert (again.name, again.identity) == (first.name, first.identity)
        np.testing.assert_array_equal(again.encode_queries(["a"]).vectors, first.encode_queries(["a"]).vectors)
    assert open_encoder(open_encoder(folder).name).encode_docs(["a"]).vectors.shape == (1, 24)
    assert open_encoder(open_encoder(folder, max_tokens=9).name).max_tokens == 9


def test_options_beat_those_in_the_name(make_bert):
    folder = make_bert()
    assert open_encoder(f"{folder}?max_tokens=12").max_tokens == 12
    assert open_encoder(f"{folder}?max_tokens=12", max_tokens=14).max_tokens == 14
    with pytest.raises(UnknownName, match="max_tokens"):
        open_encoder(f"{folder}?max_token=12")
    with pytest.raises(UsageError, match="whole number"):
        open_encoder(f"{folder}?max_tokens=many")


def test_a_bare_backbone_is_not_taken_for_a_sentence_encoder(make_bert):
    folder = make_bert()
    (folder / "modules.json").unlink()
    with pytest.raises(UsageError, match="kind="):
        open_encoder(folder)
    with pytest.raises(UsageError, match="how to pool"):
        open_encoder(folder, kind="bert")
    assert open_encoder(folder, kind="bert", pooling="cls").max_tokens == 32


def test_unknown_names_and_kinds(make_bert):
    with pytest.raises(UnknownName, match="Did you mean 'minilm'"):
        open_encoder("minillm")
    with pytest.raises(UnknownName, match="bert, bi-encoder"):
        open_encoder(make_bert(), kind="bart")  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="Known: cls, last, mean"):
        open_encoder(make_bert("other"), pooling="max")


@pytest.mark.parametrize(
    ("file", "value", "error", "message"),
    [
        ("modules.json", [{"path": "2_Dense", "type": "x.Dense"}], ModelError, "'Dense'"),
        ("modules.json", [{"path": "", "type": "x.Transformer"}], ModelError, "no Pooling"),
        ("modules.json", [{"path": "0_T", "type": "x.Transformer"}], ModelError, "flat layout"),
        ("modules.json", {}, FormatError, "holds a dict, expected a list"),
        ("1_Pooling/config.json", {"pooling_mode": "max"}, ModelError, "'max'"),
        ("1_Pooling/config.json", {"pooling_mode": ["mean", "cls"]}, ModelError, "mean"),
        (
            "1_Pooling/config.json",
            {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True},
            ModelError,
            "mean",
        ),
    ],
)
def test_steps_that_are_not_computed_are_refused(make_bert, file, value, error, message):
    folder = make_bert()
    (folder / file).write_text(json.dumps(value))
    with pytest.raises(error, match=message):
        read_checkpoint(folder)


def test_a_checkpoint_speaks_for_itself(make_bert):
    folder = make_bert()
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False})
    )
    (folder / "config_sentence_transformers.json").write_text(
        json.dumps({"prompts": {"query": "q: ", "document": "", "passage": "p: "}, "similarity_fn_name": "dot"})
    )
    (folder / "sentence_bert_config.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 48}))
    found = read_checkpoint(folder)
    assert (found.pooling, found.query_prompt, found.doc_prompt, found.max_tokens) == ("cls", "q: ", "p: ", 48)
    assert found.unit_norm  # the Normalize step
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 1e30}))
    assert resolve_settings(read_checkpoint(folder), None, {}).max_tokens == 64
    with pytest.raises(ModelError, match=r"no config\.json"):
        read_checkpoint(folder / "1_Pooling" / "nothing")
    (folder / "config.json").write_text("{")
    with pytest.raises(FormatError, match="not JSON"):
        read_checkpoint(folder)


def test_without_a_normalize_step_and_for_dot_products_lengths_are_kept(make_bert):
    folder = make_bert()
    modules = json.loads((folder / "modules.json").read_text())[:2]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"similarity_fn_name": "dot"}))
    norms = np.linalg.norm(open_encoder(folder).encode_docs(["wait", "the child"]).vectors, axis=1)
    assert (np.abs(norms - 1) > 1e-3).all()


def test_cards_are_consistent(make_bert):
    names = [card.name for card in list_models()]
    assert names[0] == "minilm" and len(set(names)) == len(names)
    for card in list_models():
        assert get_card(card.hub_name) is card is get_card(card.name)
        assert card.licence
    with pytest.raises(UnknownName, match="reasonir-8b"):
        get_card("reasonir")


def test_instructions_fill_the_query_prompt(make_bert):
    checkpoint = read_checkpoint(make_bert())
    card = get_card("reasonir-8b")

    def prompts(**options):
        settings = resolve_settings(checkpoint, card, {"max_tokens": 20, **options})
        return settings.query_prompt, settings.doc_prompt

    assert prompts(instruction="Given a Math problem, help") == (
        "<|user|>\nGiven a Math problem, help\n<|embed|>\n",
        "<|embed|>\n",
    )
    assert prompts(instruction="") == ("<|embed|>\n", "<|embed|>\n")
    assert prompts(query_prompt="q", doc_prompt="") == ("q", "")
    assert "post" in prompts()[0]


@pytest.mark.parametrize("missing", ["torch", "transformers"])
def test_torch_is_asked_for_before_anything_is_downloaded(monkeypatch, make_bert, missing):
    def no_download(*_):
        raise AssertionError("downloaded")

    monkeypatch.setattr(encoder, "find_spec", lambda name: None if name == missing else object())
    monkeypatch.setattr("sleuth.models.download.local_files", no_download)
    with pytest.raises(MissingExtra, match=r"'reasonir-8b'.*sleuth\[models\]"):
        open_encoder("reasonir-8b")
    with pytest.raises(MissingExtra):
        open_encoder("nobody/nothing", kind="bi-encoder", pooling="mean")
    with pytest.raises(MissingExtra):
        open_encoder(make_bert(), kind="bi-encoder")


def test_names_without_options_stay_as_they_are():
    assert split_name("minilm") == ("minilm", {})
    assert split_name("minilm?max_doc_tokens=128&query_prompt=") == (
        "minilm",
        {"max_doc_tokens": 128, "query_prompt": ""},
    )


def test_blas_is_told_and_told_back():
    before = blas_threads()
    with single_threaded_blas() as outer, single_threaded_blas() as inner:
        assert outer == inner
        assert blas_threads() == 1
    assert blas_threads() == before


@pytest.mark.parametrize("name", ["", " ", None, 5])
def test_a_name_that_is_none(name):
    with pytest.raises(UsageError, match="an encoder's name must be"):
        open_encoder(name)


@pytest.mark.slow
def test_torch_takes_several_texts_not_one(make_bert):
    made = open_encoder(make_bert(), kind="bi-encoder")
    for encode in (made.encode_queries, made.encode_docs):
        with pytest.raises(UsageError, match="list of str, got one str, 'abc'"):
            encode("abc")


@pytest.mark.slow
def test_missing_tensors_are_not_filled_with_random_numbers(make_bert):
    pytest.importorskip("torch")
    from safetensors.numpy import load_file, save_file

    folder = make_bert()
    open_encoder(str(folder), kind="bi-encoder")  # whole, though without a pooler
    tensors = load_file(folder / "model.safetensors")
    gone = next(name for name in tensors if name.endswith("output.dense.weight"))
    save_file({name: tensor for name, tensor in tensors.items() if name != gone}, folder / "model.safetensors")
    with pytest.raises(ModelError, match="lacks 1 tensors"):
        open_encoder(str(folder), kind="bi-encoder")
