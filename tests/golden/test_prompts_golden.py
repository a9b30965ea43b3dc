"""Prompts that checkpoints and benchmarks need, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sleuth.prompts.instructions import document_prefix, instruction_for, instruction_tasks
from sleuth.prompts.passages import PassageMaker, doc_from_fields
from sleuth.prompts.render import render_prompt
from sleuth.prompts.template import load_template
from sleuth.types import Doc

HERE = Path(__file__).parent
PRESETS = {"rank_GPT_reasoning": "reasonrank", "rank_GPT_qwen3": "reasonrank-qwen3"}


def read_lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (HERE / name).read_bytes().split(b"\n") if line]


def read_json(name: str) -> dict[str, Any]:
    return json.loads((HERE / name).read_text(encoding="utf-8"))


REASONRANK = read_lines("prompts/reasonrank.jsonl")


def test_all_reasonrank_cases_are_here() -> None:
    assert len(REASONRANK) == 54


@pytest.mark.parametrize("case", REASONRANK, ids=lambda case: case["id"])
def test_reasonrank(case: dict[str, Any]) -> None:
    template = load_template(PRESETS[case["mode"]])
    maker = PassageMaker(
        template, max_passage_tokens=case["max_passage_tokens"], tokenizer=HERE / "prompts" / "tokenizer"
    )
    start, end = case["window"]
    docs = [doc_from_fields(fields, str(at)) for at, fields in enumerate(case["passages"])][start:end]
    rendered = render_prompt(
        template,
        query=case["query"],
        passages=[maker.of(doc) for doc in docs],
        control_tokens=maker.control_tokens,
    )
    assert rendered.prompt is None
    assert rendered.neutralized == 0
    messages = dict(rendered.messages)
    assert messages == {"system": case["expected"]["system"], "user": case["expected"]["user"]}
    chat = "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in rendered.messages)
    assert chat + "<|im_start|>assistant\n" == case["expected"]["prompt"]


def test_reasonrank_settings() -> None:
    constants = read_json("prompts/reasonrank_constants.json")
    for mode, preset in PRESETS.items():
        template = load_template(preset)
        assert str(template.system) == constants["system"][mode]
        settings = {key: value for key, value in constants["generation"][mode].items() if key != "min_p"}
        assert dict(template.decoding) == settings  # min_p is 0, which changes nothing


def test_qwen3_reranker() -> None:
    cases = {case["id"]: case for case in read_lines("qwen3_reranker/cases.jsonl")}
    template = load_template("qwen3-reranker")
    maker = PassageMaker(template)
    compared = 0
    for wanted in read_lines("qwen3_reranker/prompts.jsonl"):
        case = cases[wanted["case"]]
        for text, expected in zip(case["documents"], wanted["text"], strict=True):
            rendered = render_prompt(
                template, query=case["query"], passages=[maker.of(Doc("d", text))], instruction=case["instruction"]
            )
            assert rendered.prompt == expected
            assert rendered.messages == ()
            compared += 1
    assert compared == 12


def test_qwen3_reranker_template() -> None:
    wanted, template = read_json("qwen3_reranker/template.json"), load_template("qwen3-reranker")
    body = wanted["body"].replace("{doc}", "{passages}")
    assert str(template.prompt) == wanted["prefix"] + body + wanted["suffix"]
    assert template.instruction == wanted["default_instruction"]
    assert template.labels == {"yes": (wanted["true_token"],), "no": (wanted["false_token"],)}


@pytest.mark.parametrize("budget", [None, 512])
def test_bright_reason(budget: int | None) -> None:
    reference = read_json("prompts/bright_reason.json")
    template = load_template("bright-reason")
    cases = [case for case in reference["cases"] if case["token_budget"] == budget]
    assert len(cases) == 7
    suffix = "" if budget is None else reference["budget_suffix"].format(budget=budget)
    for case in cases:
        messages = dict(render_prompt(template, query=case["query"]).messages)
        assert messages == {"system": reference["system"], "user": case["expected"].removesuffix(suffix)}
    assert dict(template.decoding) == reference["sampling"]


def test_bright_instructions() -> None:
    families = read_json("prompts/bright_instructions.json")
    compared = 0
    for family, tasks in families.items():
        assert sorted(tasks) == instruction_tasks()
        for task, forms in tasks.items():
            for form, texts in forms.items():
                assert instruction_for(task, family, long=form == "instructions_long") == texts["query"]
                assert document_prefix(family) == texts.get("document", "")
                compared += 1
    assert compared == 80


def user_template(folder: Path, text: str) -> Path:
    """A template as a user of ReasonIR-Rerank would write it: one raw prompt, places for its two gaps."""
    before, between, after = text.replace("{}", "\0").replace("{", "{{").replace("}", "}}").split("\0")
    path = folder / "own.toml"
    written = json.dumps(before + "{query}" + between + "{passages}" + after, ensure_ascii=False)
    path.write_text(
        f'reply = "grade"\nprompt = {written}\npassage = "{{text}}"\n'
        '[scale]\nmin = 0\nmax = 5\nlabel = "Relevance score"\n',
        encoding="utf-8",
    )
    return path


def test_prompts_of_others_render_through_a_users_template(shared_golden: Path, tmp_path: Path) -> None:
    """Text under a non-commercial licence, which is not part of this repository."""
    source = shared_golden / "prompts" / "noncommercial" / "reasonir_rerank.json"
    reference = json.loads(source.read_text(encoding="utf-8"))
    assert len(reference["cases"]) == 12
    for case in reference["cases"]:
        template = load_template(user_template(tmp_path, reference["prompts"][case["task"]]))
        passage = PassageMaker(template).of(Doc("d", case["document"]))
        assert render_prompt(template, query=case["query"], passages=[passage]).prompt == case["expected"]
