"""The yes/no reranker's reference cases: probabilities by label log-probabilities of raw prompts."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sleuth.llm.chat import ChatRequest, Decoding
from sleuth.llm.transformers import Transformers
from sleuth.models.causal_lm import CausalLM

pytestmark = pytest.mark.slow

TOLERANCE = 2e-5
PREFIX = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. "
    'Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
SUFFIX = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
DEFAULT = "Given a web search query, retrieve relevant passages that answer the query"


@pytest.fixture
def pack(golden, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return golden / "qwen3_reranker"


def cases_of(pack):
    return [json.loads(line) for line in (pack / "cases.jsonl").read_text(encoding="utf-8").splitlines()]


def bodies_of(case):
    instruction = DEFAULT if case["instruction"] is None else case["instruction"]
    head = f"<Instruct>: {instruction}\n<Query>: {case['query']}\n<Document>: "
    return [head + document for document in case["documents"]]


def p_yes(yes, no):
    return 1 / (1 + np.exp(np.asarray(no, float) - np.asarray(yes, float)))


@pytest.mark.parametrize(("batch_size", "share"), [(8, True), (3, False), (1, False)])
def test_all_cases_in_token_ids(pack, batch_size, share):
    lm = CausalLM(pack / "checkpoint", device="cpu", batch_size=batch_size, share=share)
    tokens = lm.files.tokens
    before, after = tokens.raw(PREFIX), tokens.raw(SUFFIX)
    labels = [tokens.label("yes"), tokens.label("no")]
    cases = cases_of(pack)
    assert len(cases) == 21
    for case in cases:
        room = case["max_length"] - len(before) - len(after)
        prompts = [[*before, *tokens.raw(body)[:room], *after] for body in bodies_of(case)]
        assert [len(prompt) for prompt in prompts] == case["expected"]["n_tokens"], case["id"]
        found = lm.label_logprobs(prompts, labels)
        np.testing.assert_allclose(p_yes(found[:, 0], found[:, 1]), case["expected"]["p_yes"], atol=TOLERANCE, rtol=0)
        expected = np.subtract(case["expected"]["logit_yes"], case["expected"]["logit_no"])
        np.testing.assert_allclose(found[:, 0] - found[:, 1], expected, atol=1e-4, rtol=0)


def test_prompts_equal_the_recorded_ids(pack):
    path = pack / "prompts.jsonl"
    tokens = CausalLM(pack / "checkpoint").files.tokens
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if not record.get("text_is_before_truncation"):
            assert [tokens.raw(text) for text in record["text"]] == record["input_ids"], record["case"]


def test_cases_as_raw_requests_all_at_once(pack):
    llm = Transformers(pack / "checkpoint", device="cpu", cache=None)
    asked = []
    for case in cases_of(pack):
        if max(case["expected"]["n_tokens"]) < case["max_length"]:
            for body, expected in zip(bodies_of(case), case["expected"]["p_yes"], strict=True):
                request = ChatRequest(
                    prompt=PREFIX + body + SUFFIX, decoding=Decoding(max_tokens=1), labels=("yes", "no")
                )
                asked.append((llm.submit(request), expected))
    assert len(asked) > 60
    replies = [future.result(120) for future, _ in asked]
    found = [p_yes(reply.labels["yes"], reply.labels["no"]) for reply in replies]
    np.testing.assert_allclose(found, [expected for _, expected in asked], atol=TOLERANCE, rtol=0)
    llm.close()


def test_a_query_that_spells_control_tokens_scores_as_text_in_a_chat(pack, tmp_path):
    """The reference parses them; as a message they are text, so that no document can answer for the model."""
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    for path in (pack / "checkpoint").iterdir():
        (checkpoint / path.name).symlink_to(path)
    template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    (checkpoint / "chat_template.jinja").write_text(template + "<|im_start|>assistant\n<think>\n\n</think>\n\n")
    tokens = CausalLM(checkpoint).files.tokens
    controls = {tokens.label(text) for text in tokens.control_tokens}
    (case,) = [case for case in cases_of(pack) if case["id"] == "control_tokens"]
    for body, size in zip(bodies_of(case), case["expected"]["n_tokens"], strict=True):
        ids = tokens.chat([("user", body)])
        assert sum(one in controls for one in ids) == 5
        if "<|im" in body:
            reference = tokens.raw(PREFIX + body + SUFFIX)
            assert len(reference) == size and sum(one in controls for one in reference) > 7
