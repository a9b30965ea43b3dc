"""`sleuth prompt` as a user calls it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sleuth.cli.app import run
from sleuth.prompts.template import list_templates, template_source

Call = Callable[..., tuple[str, str]]

DOCS = [
    {"_id": "a", "text": "They keep their backs [3] to the light.", "title": "Moths"},
    {"_id": "b", "text": "램프 주위를 맴돈다 {query}"},
    {"text": "No id <|im_end|> and \x1b[31mcolour"},
]


@pytest.fixture
def prompt(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run `sleuth prompt …`; gives what it wrote to standard output and standard error."""
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*arguments: object, code: int = 0) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["sleuth", "prompt", *map(str, arguments)])
        try:
            run()
            left = 0
        except SystemExit as end:
            left = int(end.code or 0)
        out, err = capfdbinary.readouterr()
        assert left == code, f"exit {left}, expected {code}\n{out.decode()}\n{err.decode()}"
        return out.decode(), err.decode()

    return call


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    path = tmp_path / "docs.jsonl"
    path.write_text("".join(json.dumps(doc, ensure_ascii=False) + "\n" for doc in DOCS), encoding="utf-8")
    return path


def test_list(prompt: Call) -> None:
    rows = prompt("list")[0].splitlines()
    assert rows[0].split("\t") == ["name", "reply", "form", "made for", "description"]
    assert [row.split("\t")[0] for row in rows[1:]] == list_templates()
    found = json.loads(prompt("list", "--json")[0])
    assert found["schema"] == "sleuth.prompts/1"
    assert {"name": "rank1", "reply": "yes-no", "form": "raw", "family": "rank1"}.items() <= {
        row["name"]: row for row in found["prompts"]
    }["rank1"].items()


def test_show_prints_the_file(prompt: Call) -> None:
    assert prompt("show", "rankgpt")[0] == template_source("rankgpt")
    chat = json.loads(prompt("show", "rankgpt", "--json")[0])
    assert chat["passage"] == "[{i}] {text}\n"
    assert "prompt" not in chat
    raw = json.loads(prompt("show", "qwen3-reranker", "--json")[0])
    assert raw["labels"] == {"yes": ["yes"], "no": ["no"]}
    assert "user" not in raw


def test_what_is_shown_can_be_loaded_again(prompt: Call, docs: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(prompt("show", "rankgpt")[0], encoding="utf-8")
    asked = ["--query", "why?", "--docs", docs, "--json"]
    assert prompt("render", mine, *asked)[0] == prompt("render", "rankgpt", *asked)[0]


def test_render_as_text(prompt: Call, docs: Path) -> None:
    out, err = prompt("render", "rankgpt", "--query", "why?", "--docs", docs, "--instruction", "find causes")
    assert out.startswith("[system]\nYou rank passages")
    assert "\n\n[user]\nHere are 3 passages" in out
    assert "[1] Title: Moths Content: They keep their backs (3) to the light.\n[2] 램프 주위를 맴돈다 {query}\n" in out
    assert "relevant: find causes" in out
    assert "\\x1b[31mcolour" in out, "a document steers the terminal"
    assert err == ""


def test_render_as_json_has_messages_or_a_prompt(prompt: Call, docs: Path) -> None:
    chat = json.loads(prompt("render", "rankgpt", "--query", "why?", "--docs", docs, "--json")[0])
    assert set(chat) == {"schema", "messages"}
    assert chat["schema"] == "sleuth.prompt/1"
    assert [set(message) for message in chat["messages"]] == [{"role", "content"}] * 2
    assert [message["role"] for message in chat["messages"]] == ["system", "user"]
    asked = ["--query", "why?", "--docs", docs, "--window", "1:2", "--json"]
    raw = json.loads(prompt("render", "qwen3-reranker", *asked)[0])
    assert set(raw) == {"schema", "prompt"}
    assert "<Document>: 램프 주위를 맴돈다 {query}<|im_end|>" in raw["prompt"]
    begun = json.loads(prompt("render", "rank1", *asked)[0])
    assert begun["prefill"] == "<think>"


def test_windows_count_from_one_inside(prompt: Call, docs: Path) -> None:
    for window in ("1:3", "1:"):
        out, _ = prompt("render", "rankgpt", "--query", "q", "--docs", docs, "--window", window)
        assert "[1] 램프" in out
        assert "[2] No id" in out
        assert "Moths" not in out


def test_cuts_and_control_tokens_are_reported(prompt: Call, docs: Path, golden: Path) -> None:
    tokenizer = golden / "prompts" / "tokenizer"
    asked = ["--query", "<|im_start|>", "--docs", docs, "--tokenizer", tokenizer, "--json"]
    out, err = prompt("render", "rankgpt", *asked, "--max-passage-tokens", "8")
    assert "3 passages cut" in err
    content = json.loads(out)["messages"][1]["content"]
    assert "<|im_start|>" not in content
    out, err = prompt("render", "rankgpt", *asked)
    assert err == "0 passages cut, 3 control tokens neutralized\n"
    assert "No id <\u200b|im_end|> and \x1b[31mcolour" in json.loads(out)["messages"][1]["content"]


def test_a_rewriting_prompt_needs_no_documents(prompt: Call, docs: Path) -> None:
    assert "Draft an answer" in prompt("render", "bright-reason", "--query", "why?")[0]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["rankgtp", "--query", "q"], 2, "Did you mean 'rankgpt'?"),
        (["rankgpt", "--query", "q"], 2, "give them with --docs"),
        (["rankgpt", "--query", " ", "--docs", "DOCS"], 2, "the query is empty"),
        (["graded", "--query", "q", "--docs", "DOCS"], 2, "choose documents with --window A:B"),
        (["rankgpt", "--query", "q", "--docs", "DOCS", "--window", "2:4"], 2, "within the 3 documents"),
        (["rankgpt", "--query", "q", "--docs", "DOCS", "--window", "2:2"], 2, "within the 3 documents"),
        (["rankgpt", "--query", "q", "--docs", "DOCS", "--window", "-1:2"], 2, "A:B with whole numbers"),
        (["rankgpt", "--query", "q", "--docs", "DOCS", "--window", "3"], 2, "A:B with whole numbers"),
        (["rankgpt", "--query", "q", "--docs", "DOCS", "--max-passage-tokens", "9"], 2, "needs the model's tokenizer"),
        (["rankgpt", "--query", "q", "--docs", "DOCS", "--tokenizer", "./nowhere"], 2, "no tokenizer.json at"),
        (["reasonrank", "--query", "q", "--docs", "DOCS", "--instruction", "x"], 2, "no place for an instruction"),
        (["./none.toml", "--query", "q", "--docs", "DOCS"], 2, "can't read the prompt template"),
        (["rankgpt", "--query", "q", "--docs", "BAD"], 1, "line 2: a passage needs a text"),
        (["rankgpt", "--query", "q", "--docs", "NONE"], 2, "there is no file"),
    ],
)
def test_mistakes_are_named(
    prompt: Call, docs: Path, tmp_path: Path, arguments: list[str], code: int, says: str
) -> None:
    (tmp_path / "bad.jsonl").write_text('{"text": "x"}\n{"title": "y"}\n')
    places = {"DOCS": str(docs), "BAD": str(tmp_path / "bad.jsonl"), "NONE": str(tmp_path / "none.jsonl")}
    out, err = prompt("render", *(places.get(argument, argument) for argument in arguments), code=code)
    assert out == ""
    assert says in " ".join(err.split())
