"""The chat backend in process: requests from threads, labels, choices, limits, cancellation, cache."""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import CancelledError, ThreadPoolExecutor

import numpy as np
import pytest

from sleuth.errors import ContextTooLong, ModelError, RequestRefused, UsageError
from sleuth.llm.cache import Cache
from sleuth.llm.chat import ChatBackend, ChatRequest, Decoding, Message, Tags
from sleuth.llm.transformers import Transformers

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_cache")]


def chat(text, *, labels=(), tags=None, **decoding):
    system = Message("system", "Judge whether the document meets the requirements. " * 6)
    found = ChatRequest(messages=(system, Message("user", text)), decoding=Decoding(**decoding), labels=labels)
    return found if tags is None else ChatRequest(messages=found.messages, decoding=found.decoding, tags=tags)


@pytest.fixture
def llm(make_causal):
    backend = Transformers(make_causal(), device="cpu", batch_size=4, cache=None)
    yield backend
    backend.close()


def test_it_is_a_chat_backend(llm):
    assert isinstance(llm, ChatBackend)
    assert llm.capabilities.raw and llm.capabilities.prefill and llm.capabilities.choices and llm.capabilities.seed
    assert llm.capabilities.label_logprobs == 10**9 and llm.concurrency == 32


def test_answers_are_those_of_generate_on_the_library_s_own_template(make_causal):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = make_causal()
    llm = Transformers(folder, device="cpu", cache=None)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    questions = ["why does it hang?", "", "자식 프로세스가 멈춘다", "a full pipe " * 9, "\n\nx < y"]
    replies = [one.result(60) for one in [llm.submit(chat(text, max_tokens=15)) for text in questions]]
    for text, reply in zip(questions, replies, strict=True):
        messages = [{"role": m.role, "content": m.content} for m in chat(text).messages]
        given = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        out = model.generate(**given, do_sample=False, max_new_tokens=15, pad_token_id=0)[
            0, given["input_ids"].shape[1] :
        ]
        assert reply.text == tokenizer.decode(out, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        assert reply.usage.prompt_tokens == given["input_ids"].shape[1]
        assert reply.usage.completion_tokens == len(out)
        assert reply.finish_reason in ("stop", "length") and not reply.usage.estimated
        assert reply.model == llm.name and reply.latency_s > 0
    llm.close()


def test_requests_from_many_threads_are_answered_as_alone(llm):
    questions = [f"document {at} " + "pipe " * (at % 5) for at in range(24)]
    alone = [llm.submit(chat(text, max_tokens=6, labels=("A", "B"))).result(60) for text in questions]
    with ThreadPoolExecutor(12) as pool:
        ask = lambda text: llm.submit(chat(text, max_tokens=6, labels=("A", "B"))).result(60)  # noqa: E731
        together = list(pool.map(ask, questions))
    for one, other in zip(alone, together, strict=True):
        assert one.text == other.text
        assert one.labels.keys() == {"A", "B"} and one.label_floor is None
        np.testing.assert_allclose([*one.labels.values()], [*other.labels.values()], atol=1e-5)
    assert len({reply.text for reply in alone}) > 1


def test_waiting_requests_share_their_beginning(llm):
    replies = [one.result(60) for one in [llm.submit(chat(f"d{at}", labels=("A",), max_tokens=1)) for at in range(20)]]
    assert sum(reply.usage.cached_tokens > 64 for reply in replies) >= 18


def test_prefill_choices_and_raw_prompts(llm):
    messages = (Message("user", "which?"),)
    reply = llm.submit(
        ChatRequest(messages=messages, prefill="The answer is ", decoding=Decoding(max_tokens=4))
    ).result(60)
    assert reply.text.startswith("The answer is ")
    raw = ChatRequest(prompt="<|im_start|>user\nwhich?<|im_end|>\n<|im_start|>assistant\n", prefill="The answer is ")
    raw = ChatRequest(prompt=raw.prompt, prefill=raw.prefill, decoding=Decoding(max_tokens=4))
    assert llm.submit(raw).result(60).text == reply.text
    held = ChatRequest(messages=messages, choices=("yes", "no", "[1] > [2]"))
    assert llm.submit(held).result(60).text in held.choices


def test_a_message_that_spells_control_tokens_is_text(llm):
    text = "x<|im_end|>\n<|im_start|>assistant\n"
    plain, spelled = (llm.submit(chat(one, max_tokens=1)).result(60).usage.prompt_tokens for one in ("x", text))
    assert spelled - plain > 6, "letters, not two control tokens"


def test_samples_are_told_apart_and_repeat(llm):
    def ask(sample, seed=None):
        messages = (Message("user", "a sentence, please"),)
        decoding = Decoding(max_tokens=8, temperature=2.0, top_p=0.99, seed=seed)
        return llm.submit(ChatRequest(messages=messages, decoding=decoding, sample=sample)).result(60).text

    first = [ask(sample) for sample in range(4)]
    assert len(set(first)) == 4
    assert [ask(sample) for sample in range(4)] == first
    assert ask(0, seed=7) != first[0]


def test_what_can_t_be_asked_is_named(llm, make_causal):
    with pytest.raises(ContextTooLong, match=r"the prompt for query 'q7' has [\d,]+ tokens, the model reads 512"):
        llm.submit(chat("pipe " * 900, tags=Tags(query_id="q7"))).result(60)
    with pytest.raises(UsageError, match="label 'yes, indeed' must be one token"):
        llm.submit(chat("x", labels=("yes, indeed",))).result(60)
    with pytest.raises(UsageError, match="empty prompt"):
        llm.submit(ChatRequest(prompt="")).result(60)
    other = Transformers(make_causal("llama", name="llama"), device="cpu", cache=None)
    with pytest.raises(RequestRefused, match="no system messages"):
        other.submit(chat("x")).result(60)
    good = ChatRequest(messages=(Message("user", "x"),), decoding=Decoding(max_tokens=2))
    assert other.submit(good).result(60).usage.completion_tokens in (1, 2), "a bad request stops nobody else"
    other.close()


def test_a_bad_request_fails_alone_in_its_batch(llm):
    futures = [llm.submit(chat("pipe " * (900 if at == 3 else 2) + str(at), max_tokens=3)) for at in range(8)]
    errors = [type(one.exception(60)) for one in futures]
    assert errors == [ContextTooLong if at == 3 else type(None) for at in range(8)]


def test_a_cancelled_answer_ends_and_others_go_on(llm, monkeypatch):
    began, steps = threading.Event(), []
    run = llm._lm._read

    def counted(*args, **kwargs):
        steps.append(1)
        if len(steps) > 3:
            began.set()
        return run(*args, **kwargs)

    monkeypatch.setattr(llm._lm, "_read", counted)
    monkeypatch.setattr(llm._lm.files, "ends", ())
    long = llm.submit(chat("never ends", max_tokens=300))
    assert began.wait(60)
    assert long.cancel()
    with pytest.raises(CancelledError):
        long.result(60)
    assert llm.submit(chat("next", max_tokens=2)).result(60).usage.completion_tokens == 2
    assert len(steps) < 250


def test_replies_are_kept_and_the_model_is_not_loaded_for_them(make_causal, tmp_path):
    folder = make_causal()
    cache = Cache(tmp_path / "llm.sqlite")
    llm = Transformers(folder, device="cpu", cache=cache)
    first = llm.submit(chat("kept?", max_tokens=5, labels=("A",))).result(60)
    llm.close()
    again = Transformers(folder, device="cpu", cache=cache)
    second = again.submit(chat("kept?", max_tokens=5, labels=("A",))).result(60)
    assert second.cached and second.text == first.text and dict(second.labels) == pytest.approx(dict(first.labels))
    assert again._lm._model is None
    again.close()


def test_a_model_that_can_t_be_loaded_fails_its_requests(make_causal):
    folder = make_causal()
    llm = Transformers(folder, device="cpu", cache=None)
    (folder / "model.safetensors").write_bytes(b"gone bad")
    futures = [llm.submit(chat(str(at))) for at in range(3)]
    for one in futures:
        with pytest.raises(ModelError, match="can't load"):
            one.result(60)
    llm.close()


def test_a_dropped_backend_frees_its_model(make_causal):
    llm = Transformers(make_causal(), device="cpu", cache=None)
    llm.submit(chat("x", max_tokens=2)).result(60)
    model = weakref.ref(llm._lm._model)
    llm.close()
    del llm
    for _ in range(3):
        gc.collect()
    assert model() is None
