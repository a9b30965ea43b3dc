"""A causal model against transformers' own forward and generate, and against itself in other company."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest

from sleuth.errors import ModelError, UnknownName, UsageError
from sleuth.models.answer import TokenRequest
from sleuth.models.causal_lm import CausalLM
from sleuth.models.next_token import Drawing

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_cache")]

KINDS = ["qwen3", "llama", "mistral"]


@pytest.fixture(autouse=True)
def one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def peer(folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder).eval()


def prompts_of(lengths, *, head=0, seed=0, vocabulary=300):
    rng = np.random.default_rng(seed)
    common = rng.integers(0, vocabulary, head).tolist()
    return [tuple(common + rng.integers(0, vocabulary, n).tolist()) for n in lengths]


def answers(lm, requests, **options):
    found = dict(lm.answers(requests, **options))
    return [found[at] for at in sorted(found)]


RAGGED = prompts_of([1, 5, 40, 41, 3, 17, 90, 2, 5])
SHARED = prompts_of([3, 9, 30, 1, 1, 12, 50, 8, 2, 20, 7], head=130)


@pytest.mark.parametrize("kind", KINDS)
def test_label_logprobs_equal_a_plain_forward_pass(make_causal, kind):
    import torch

    folder = make_causal(kind)
    labels = [3, 70, 200]
    prompts = [*RAGGED, *SHARED]
    found = CausalLM(folder, device="cpu").label_logprobs(prompts, labels)
    model = peer(folder)
    with torch.no_grad():
        for prompt, got in zip(prompts, found, strict=True):
            want = torch.log_softmax(model(torch.tensor([prompt])).logits[0, -1].double(), -1)[labels].numpy()
            np.testing.assert_allclose(got, want, atol=1e-5)
    assert found.std() > 0.3, "a model that answers alike everywhere shows nothing"


@pytest.mark.parametrize(("batch_size", "share"), list(product([1, 3, 32], [True, False])))
def test_scores_do_not_depend_on_company(make_causal, batch_size, share):
    lm = CausalLM(make_causal(), device="cpu", batch_size=batch_size, share=share)
    prompts = [*SHARED, *RAGGED]
    together = lm.label_logprobs(prompts, [1, 2, 3])
    alone = np.vstack([lm.label_logprobs([prompt], [1, 2, 3]) for prompt in prompts])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(lm.label_logprobs(prompts[::-1], [1, 2, 3])[::-1], together, atol=1e-5)
    if batch_size == 1 and not share:
        assert together.tobytes() == alone.tobytes()


def test_a_shared_beginning_is_computed_once_and_kept(make_causal, monkeypatch):
    lm = CausalLM(make_causal(), device="cpu", batch_size=4)
    read = _count_tokens(lm, monkeypatch)
    requests = [TokenRequest(prompt, labels=(1,)) for prompt in SHARED]
    first = answers(lm, requests)
    rest = [len(prompt) - 130 for prompt in SHARED]
    assert read.pop(0) == (1, 130)
    assert sum(rows for rows, _ in read) == len(SHARED) and max(size for _, size in read) == max(rest)
    assert sorted(answer.cached_tokens for answer in first) == [0] + [130] * (len(SHARED) - 1)
    read.clear()
    (again,) = answers(lm, requests[:1])
    assert read == [(1, rest[0])], "a prompt alone reads the beginning that was kept"
    assert again.cached_tokens == 130 and again.prompt_tokens == len(SHARED[0])
    np.testing.assert_allclose(again.labels, first[0].labels, atol=1e-5)
    read.clear()
    answers(lm, [TokenRequest((*SHARED[0][:80], 7, 8), labels=(1,))])
    answers(lm, requests[1:2])
    assert read == [(1, 2), (1, rest[1])], "half of it can be read too, and the whole stays"
    read.clear()
    answers(lm, [TokenRequest((5, *SHARED[0]), labels=(1,))])
    assert read == [(1, len(SHARED[0]) + 1)], "another beginning is not mistaken for it"


def test_a_longer_beginning_grows_from_the_kept_one(make_causal, monkeypatch):
    lm = CausalLM(make_causal(), device="cpu")
    lm.label_logprobs(SHARED, [1])
    longer = [(*SHARED[0][:130], *range(80), at) for at in range(3)]
    read = _count_tokens(lm, monkeypatch)
    found = lm.label_logprobs(longer, [1])
    assert read == [(1, 80), (3, 1)]
    np.testing.assert_allclose(found, CausalLM(lm.files.folder, share=False).label_logprobs(longer, [1]), atol=1e-5)


def _count_tokens(lm, monkeypatch):
    """(rows, padded length) of every forward pass from now on."""
    read, run = [], lm._read

    def counted(ids, *args, **kwargs):
        read.append((len(ids), max(map(len, ids))))
        return run(ids, *args, **kwargs)

    monkeypatch.setattr(lm, "_read", counted)
    return read


def test_scoring_leaves_nothing_behind_but_the_shared_beginning(make_causal):
    lm = CausalLM(make_causal(), device="cpu")
    lm.label_logprobs([*SHARED, *RAGGED], [1])
    ids, pairs = lm._held
    assert len(ids) == 130
    for keys, values in pairs:
        for tensor in (keys, values):
            assert tensor.shape == (1, 2, 130, 12)
            assert tensor.untyped_storage().nbytes() == 2 * 130 * 12 * 4, "and not a view of something larger"


def test_no_logits_of_the_whole_prompt_and_no_mask(make_causal):
    lm = CausalLM(make_causal(), device="cpu", share=False)
    lm._load()
    seen = []
    lm._model.get_output_embeddings().register_forward_hook(lambda head, given, out: seen.append(tuple(out.shape)))
    lm._model.model.layers[0].self_attn.register_forward_pre_hook(
        lambda layer, given, named: seen.append(named["attention_mask"]), with_kwargs=True
    )
    lm.label_logprobs(RAGGED, [1])
    shapes = [one for one in seen if one is not None]
    assert all(len(shape) == 3 and shape[1] == 1 for shape in shapes)
    assert sum(shape[0] for shape in shapes) == len(RAGGED)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [True, False])
def test_greedy_answers_are_those_of_generate(make_causal, kind, share):
    import torch

    folder = make_causal(kind, sliding_window=None) if kind != "llama" else make_causal(kind)
    lm = CausalLM(folder, device="cpu", batch_size=4, share=share)
    prompts = [*RAGGED, *SHARED]
    found = answers(lm, [TokenRequest(prompt, max_tokens=24) for prompt in prompts])
    model = peer(folder)
    endings = set()
    for prompt, answer in zip(prompts, found, strict=True):
        ids = torch.tensor([prompt])
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=24,
            eos_token_id=list(lm.files.ends),
            pad_token_id=0,
        )[0, len(prompt) :].tolist()
        text = lm.files.tokens.decode(out)
        assert answer.text == text
        assert answer.completion_tokens == len(out)
        assert answer.finish == ("stop" if out[-1] in lm.files.ends else "length")
        endings.add(answer.finish)
    assert "length" in endings


def test_an_end_token_ends_an_answer_and_is_counted(make_causal):
    folder = make_causal()
    greedy = answers(CausalLM(folder, device="cpu"), [TokenRequest(RAGGED[2], max_tokens=9)])[0]
    lm = CausalLM(folder, device="cpu")
    token = _first_token(lm, RAGGED[2])
    lm.files.ends = (token,)
    (found,) = answers(lm, [TokenRequest(RAGGED[2], max_tokens=9)])
    assert (found.text, found.finish, found.completion_tokens) == ("", "stop", 1)
    assert greedy.completion_tokens == 9


def _first_token(lm, prompt):
    vocabulary = lm.files.tokens._tokenizer.get_vocab_size()
    return int(lm.label_logprobs([prompt], range(vocabulary))[0].argmax())


def test_samples_depend_on_their_seed_alone(make_causal):
    lm = CausalLM(make_causal(peaked=1.0), device="cpu", batch_size=4)

    def ask(prompt, seed):
        return TokenRequest(prompt, max_tokens=12, drawing=Drawing(1.0, seed=seed))

    requests = [ask(prompt, at) for at, prompt in enumerate([*RAGGED, *SHARED])]
    together = answers(lm, requests)
    for at in (0, 3, 12, 19):
        assert answers(lm, [requests[at]])[0].text == together[at].text
    assert len({answers(lm, [ask(RAGGED[0], seed)])[0].text for seed in range(5)}) == 5


def test_stop_texts_cut_the_answer(make_causal):
    lm = CausalLM(make_causal(), device="cpu")
    (whole,) = answers(lm, [TokenRequest(RAGGED[2], max_tokens=30)])
    middle = len(whole.text) // 2
    stop = whole.text[middle : middle + 2]
    (cut,) = answers(lm, [TokenRequest(RAGGED[2], max_tokens=30, stop=("never there", stop))])
    assert cut.finish == "stop"
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.completion_tokens < whole.completion_tokens


def test_choices_hold_the_answer(make_causal):
    lm = CausalLM(make_causal(), device="cpu", batch_size=4)
    texts = ["A", "B", "[1] > [2]", "[1] > [3]", "1", "10"]
    choices = tuple(lm.files.tokens.choice(text) for text in texts)
    requests = [TokenRequest(prompt, max_tokens=9, choices=choices) for prompt in [*RAGGED, *SHARED]]
    found = answers(lm, requests)
    assert {answer.text for answer in found} <= set(texts)
    assert {answer.finish for answer in found} == {"stop"}
    assert [answers(lm, [one])[0].text for one in requests] == [answer.text for answer in found]
    letters = tuple(lm.files.tokens.choice(text) for text in ("A", "B"))
    for prompt in RAGGED:
        scores = lm.label_logprobs([prompt], [choice[0] for choice in letters])[0]
        (answer,) = answers(lm, [TokenRequest(prompt, max_tokens=5, choices=letters)])
        assert answer.text == "AB"[int(scores.argmax())]
    (cut,) = answers(lm, [TokenRequest(RAGGED[0], choices=choices[2:3])])
    assert (cut.finish, cut.completion_tokens) == ("length", 1)


def test_sliding_windows_are_read_without_padding_or_sharing(make_causal):
    folder = make_causal("mistral", sliding_window=16)
    lm = CausalLM(folder, device="cpu", batch_size=4)
    prompts = [*RAGGED, *SHARED]
    labels = [5, 6]
    together = lm.label_logprobs(prompts, labels)
    alone = np.vstack([lm.label_logprobs([prompt], labels) for prompt in prompts])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    plain = CausalLM(make_causal("mistral", name="full", sliding_window=None), device="cpu")
    assert abs(plain.label_logprobs(prompts, labels) - together).max() > 0.01, "the window matters here"
    texts = [answer.text for answer in answers(lm, [TokenRequest(prompt, max_tokens=20) for prompt in prompts])]
    again = [answers(lm, [TokenRequest(prompt, max_tokens=20)])[0].text for prompt in prompts]
    assert texts == again


def test_the_window_ends_an_answer(make_causal):
    lm = CausalLM(make_causal(max_position_embeddings=40), device="cpu")
    prompt = prompts_of([36])[0]
    (found,) = answers(lm, [TokenRequest(prompt, max_tokens=30)])
    assert (found.finish, found.completion_tokens) == ("length", 4)


def test_half_precision_keeps_scores_apart(make_causal):
    """Probabilities that were rounded to bfloat16 collapse: 8 bits between 1/2 and 1 are 128 values."""
    folder = make_causal(peaked=1.0)
    lm = CausalLM(folder, device="cpu", dtype="bfloat16")
    prompts = prompts_of([20] * 60, seed=4)
    found = lm.label_logprobs(prompts, [3, 4])
    exact = CausalLM(folder, device="cpu").label_logprobs(prompts, [3, 4])
    np.testing.assert_allclose(found, exact, atol=0.05)
    assert len(np.unique(found[:, 0])) == 60
    assert lm._model.get_input_embeddings().weight.element_size() == 2
    assert CausalLM(folder, dtype="auto").files.dtype == "float32"


def test_cancelled_requests_are_left_out_also_midway(make_causal):
    lm = CausalLM(make_causal(), device="cpu", batch_size=4)
    requests = [TokenRequest(prompt, max_tokens=20) for prompt in RAGGED[:4]]
    asked = []

    def cancelled(at):
        asked.append(at)
        return at == 1 or (at == 2 and asked.count(2) > 5)

    found = dict(lm.answers(requests, cancelled=cancelled))
    assert set(found) == {0, 3}
    whole = answers(lm, requests)
    assert [found[at].text for at in (0, 3)] == [whole[at].text for at in (0, 3)]


def test_bounded_memory_makes_smaller_batches(make_causal, monkeypatch):
    from sleuth.models import causal_lm

    lm = CausalLM(make_causal(), device="cpu", batch_size=8)
    lm._load()
    monkeypatch.setattr(causal_lm, "CACHE_BYTES", 200 * causal_lm.token_bytes(lm._config, 4))
    requests = [TokenRequest(prompt, max_tokens=20) for prompt in RAGGED]
    sizes = [[len(requests[at].ids) + 20 for at in batch] for batch in lm._batches(requests, range(9), 0, False)]
    assert sum(map(len, sizes)) == 9
    assert all(sum(batch) <= 200 or len(batch) == 1 for batch in sizes) and len(sizes) > 1


def test_long_prompts_are_read_in_passes_and_joined(make_causal, monkeypatch):
    lm = CausalLM(make_causal(), device="cpu", batch_size=8, share=False)
    requests = [TokenRequest(prompt, max_tokens=12) for prompt in RAGGED[:8]]
    whole = answers(lm, requests)
    lm._batch_tokens = 100
    read = _count_tokens(lm, monkeypatch)
    assert [answer.text for answer in answers(lm, requests)] == [answer.text for answer in whole]
    assert all(rows * size <= 100 or rows == 1 for rows, size in read)
    assert sum(size == 1 and rows > 4 for rows, size in read) > 5, "and written side by side"


def test_identity_is_of_weights_tokenizer_template_and_precision(make_causal):
    one, other = make_causal(name="a"), make_causal(name="b", seed=1)
    assert CausalLM(one).files.identity == CausalLM(one).files.identity
    different = {CausalLM(one).files.identity, CausalLM(other).files.identity}
    different.add(CausalLM(one, dtype="bfloat16").files.identity)
    (one / "chat_template.jinja").write_text("{{ messages }}")
    different.add(CausalLM(one).files.identity)
    assert len(different) == 4


def test_what_is_wrong_is_named(make_causal, tmp_path):
    folder = make_causal()
    with pytest.raises(UnknownName, match="dtype"):
        CausalLM(folder, dtype="int8")
    for size in (0, 1.5, "8"):
        with pytest.raises(UsageError, match="batch_size"):
            CausalLM(folder, batch_size=size)
    with pytest.raises(UsageError, match="prompt 1 is empty"):
        CausalLM(folder).label_logprobs([(1,), ()], [1])
    with pytest.raises(UsageError, match="device 'nowhere' can't be used"):
        CausalLM(folder, device="nowhere").label_logprobs([(1,)], [1])
    with pytest.raises(ModelError, match=r"no config\.json"):
        CausalLM(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="no safetensors weights"):
        CausalLM(folder)


def test_damaged_weights_are_refused(make_causal):
    from safetensors.numpy import load_file, save_file

    folder = make_causal()
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = np.full_like(weights["model.norm.weight"], np.nan)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="no numbers"):
        CausalLM(folder, device="cpu").label_logprobs([(1, 2)], [1])
    (folder / "model.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(ModelError, match="can't load"):
        CausalLM(folder, device="cpu").label_logprobs([(1, 2)], [1])


def test_a_checkpoint_without_some_weights_is_refused(make_causal):
    """transformers fills them with random numbers and warns; scores would then mean nothing."""
    from safetensors.numpy import load_file, save_file

    folder = make_causal()
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1 tensors \(model.layers.1.mlp.up_proj.weight"):
        CausalLM(folder, device="cpu").label_logprobs([(1, 2)], [1])


def test_layers_that_are_not_attention_are_refused(make_causal):
    folder = make_causal()
    config = json.loads((folder / "config.json").read_text())
    config["layer_types"] = ["full_attention", "linear_attention"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"LinearAttentionLayer|can't load"):
        CausalLM(folder, device="cpu").label_logprobs([(1, 2)], [1])
