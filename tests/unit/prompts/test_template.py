"""Template files: what is accepted, and what the message says where something is wrong."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from sleuth.errors import FormatError, UnknownName, UsageError
from sleuth.llm.chat import Decoding
from sleuth.prompts.fields import OutputTokens
from sleuth.prompts.slots import SlotError, parse_form
from sleuth.prompts.template import Template, list_templates, load_template, template_source

LISTWISE = 'reply = "permutation"\nuser = "{query} {passages}"\npassage = "[{i}] {text}\\n"\n'


def load(folder: Path, text: str) -> Template:
    path = folder / "own.toml"
    path.write_text(text, encoding="utf-8")
    return load_template(path)


# ── forms ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", ["", "plain", "{query}", "a{i}b{text}", "{{{query}}}", "{{}}", "한국어 {query} }}{{"])
def test_a_form_is_written_as_it_was_read(text: str) -> None:
    assert str(parse_form(text)) == text


def test_a_form_is_filled_once() -> None:
    form = parse_form('{query}|{{query}}|{query} {{"a": {n}}}')
    assert form.fill({"query": "{n} {{", "n": "2"}) == '{n} {{|{query}|{n} {{ {"a": 2}'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{qeury}", "no slot {qeury}. Did you mean {query}?"),
        ("{passage}", "Did you mean {passages}?"),
        ("{}", "no slot {}"),
        ("{ query }", "Did you mean {query}?"),
        ('{"ranking": []}', "write {{ and }} for braces"),
        ("{0}", "no slot {0}"),
        ("{query", "a lone '{'"),
        ("query}", "a lone '}'"),
        ("{query!r}", "no slot {query!r}"),
    ],
)
def test_anything_else_in_braces_is_refused(text: str, says: str) -> None:
    with pytest.raises(SlotError) as refused:
        parse_form(text)
    assert says in str(refused.value)


# ── presets ───────────────────────────────────────────────────────────────────────────────────────

REPLIES = {
    "bge-reranker-llm": "yes-no",
    "bright": "permutation",
    "bright-reason": "text",
    "graded": "grade",
    "graded-100": "grade",
    "graded-100-ko": "grade",
    "graded-ko": "grade",
    "group": "grades",
    "json": "permutation",
    "letters": "permutation",
    "pairwise": "choice",
    "qwen3-reranker": "yes-no",
    "rank1": "yes-no",
    "rankgpt": "permutation",
    "reasonrank": "permutation",
    "reasonrank-qwen3": "permutation",
    "setwise": "choice",
    "tutorial": "permutation",
    "tutorial-ko": "permutation",
    "tutorial-yes-no-ko": "yes-no",
    "yes-no": "yes-no",
    "yes-no-ko": "yes-no",
}


def test_the_presets_that_exist() -> None:
    assert {name: load_template(name).reply for name in list_templates()} == REPLIES


@pytest.mark.parametrize("name", REPLIES)
def test_every_preset_is_whole(name: str) -> None:
    template = load_template(name)
    assert template.name == name
    assert template.description
    assert template.source
    Decoding(**template.decoding)
    assert template.output_tokens.of(20) <= template.decoding["max_tokens"]
    assert pickle.loads(pickle.dumps(template)) == template
    assert template_source(name).encode().startswith(b"description")


def test_letters_have_names_for_26() -> None:
    assert load_template("letters").identifiers(3) == ("A", "B", "C")
    assert load_template("rankgpt").identifiers(3) == ("1", "2", "3")
    assert load_template("setwise").max_passages == 26
    with pytest.raises(UsageError, match="26"):
        load_template("letters").identifiers(27)


def test_a_prompt_fits_its_family_and_unknown_ones() -> None:
    assert load_template("reasonrank").fits("reasonrank")
    assert load_template("reasonrank").fits(None)
    assert not load_template("reasonrank").fits("qwen3-reranker")
    assert load_template("rankgpt").fits("anything")


# ── files of users ────────────────────────────────────────────────────────────────────────────────


def test_a_file_is_loaded_by_its_path(tmp_path: Path) -> None:
    template = load(tmp_path, LISTWISE)
    assert template.name == str(tmp_path / "own.toml")
    assert template.numbering == "brackets"
    assert template.brackets
    assert template.query_brackets
    assert not template.strip
    assert load_template(str(tmp_path / "own.toml")) == template
    assert load_template(template) is template
    assert template_source(tmp_path / "own.toml") == LISTWISE


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_a_prompt(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_bytes(b"\xef\xbb\xbf" + b'reply = "text"\r\nuser = """\r\na\r\n{query}"""\r\n')
    assert str(load_template(path).user) == "a\n{query}"


def test_numbering_follows_the_passage(tmp_path: Path) -> None:
    plain = load(tmp_path, LISTWISE.replace("[{i}]", "{i}."))
    assert (plain.numbering, plain.brackets, plain.query_brackets) == ("plain", False, False)
    lettered = load(tmp_path, 'numbering = "letters"\n' + LISTWISE)
    assert (lettered.numbering, lettered.brackets, lettered.max_passages) == ("letters", True, 26)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no 'reply'"),
        ("reply = ", "is not TOML"),
        ('reply = "ranking"\n', "reply: expected one of permutation"),
        ('reply = "permutations"\n', "Did you mean 'permutation'?"),
        ('reply = "text"\n', "needs either 'user'"),
        ('reply = "text"\nuser = "{query}"\nprompt = "{query}"\n', "not both"),
        ('reply = "text"\nsystem = "x"\nprompt = "{query}"\n', "a raw prompt has no 'system'"),
        ('reply = "text"\nuser = 3\n', "user: expected a text, got 3"),
        (LISTWISE + 'usr = "x"\n', "unknown key 'usr'. Did you mean 'user'?"),
        (LISTWISE.replace("{query}", ""), "the query is nowhere shown"),
        (LISTWISE.replace("{passages}", ""), "no passage is shown"),
        (LISTWISE.replace("{text}", ""), "the passage's text is nowhere shown"),
        (LISTWISE.replace("[{i}] ", ""), "a 'permutation' names passages, and they have no names; put {i} into it"),
        (LISTWISE.replace("[{i}] ", "").replace("permutation", "choice"), "a 'choice' names passages"),
        (
            LISTWISE.replace("[{i}] ", "").replace("permutation", "grades") + "[scale]\nmin = 0\nmax = 9\n",
            "'grades' names passages",
        ),
        (LISTWISE.replace("{text}", "{passages}"), "{passages} stands in 'user'"),
        (LISTWISE.replace("{passages}", "{text}"), "only a prompt about one passage"),
        (LISTWISE.split("passage = ", maxsplit=1)[0], "{passages} needs 'passage'"),
        (LISTWISE.replace("{i}", "{id}"), "no slot {id}. Did you mean {i}?"),
        (LISTWISE + "strip = 1\n", "strip: expected true or false"),
        (LISTWISE + "max_passages = true\n", "max_passages: expected a whole number"),
        (LISTWISE + "min_passages = 3\nmax_passages = 2\n", "min_passages 3 is more than max_passages 2"),
        (LISTWISE + "[scale]\nmin = 0\nmax = 5\n", "reply 'permutation' has no [scale]"),
        (LISTWISE + "[decoding]\ntop_p = 0\n", "decoding: top_p: expected a number above 0"),
        (LISTWISE + "[decoding]\ntemperature = nan\n", "decoding: temperature: expected a number"),
        (LISTWISE + "[decoding]\nmax_token = 3\n", "decoding: unknown key 'max_token'"),
        (LISTWISE + "[labels]\nyes = ['y']\n", "labels: a prompt with reply 'permutation' has none"),
        (LISTWISE + "with_title = '{title}'\n", "with_title: takes {text} and {title}"),
        (LISTWISE + "with_instruction = 'x'\n", "{instruction} is needed"),
        (LISTWISE + "final_fix = true\nguard = ['x']\n", "exclude each other"),
        (LISTWISE + "guard = 'x'\n", "guard: expected a list of texts"),
        (LISTWISE + "[output_tokens]\nthought = -1\n", "output_tokens: thought: expected a whole number"),
    ],
)
def test_a_wrong_template_is_refused_by_name(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(FormatError) as refused:
        load(tmp_path, text)
    assert says in str(refused.value)
    assert "own.toml" in str(refused.value)


POINTWISE = 'user = "{query} {text}"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('reply = "grade"\n' + POINTWISE, "needs a [scale]"),
        ('reply = "grade"\n' + POINTWISE + "[scale]\nmin = 5\nmax = 5\n", "min < max"),
        ('reply = "grade"\n' + POINTWISE + "[scale]\nmin = 0\n", "needs min and max"),
        ('reply = "grade"\n' + POINTWISE + "[scale]\nmin = 0\nmax = 5\n[labels]\n6 = ['6']\n", "every key is a grade"),
        ('reply = "yes-no"\n' + POINTWISE + "[labels]\nyes = ['y']\n", "exactly the keys yes and no"),
        ('reply = "yes-no"\n' + POINTWISE + "[labels]\nyes = ['y']\nno = ['y']\n", "'y' stands for both"),
        ('reply = "yes-no"\n' + POINTWISE + "[labels]\nyes = ['y']\nno = []\n", "no: the list is empty"),
        ('reply = "yes-no"\n' + POINTWISE + "[words]\nyes = 'y'\nno = ['n']\n", "expected a list of texts"),
    ],
)
def test_a_wrong_table_of_answers_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(FormatError) as refused:
        load(tmp_path, text)
    assert says in str(refused.value)


def test_a_wrong_slot_is_reported_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(FormatError) as refused:
        load(tmp_path, 'reply = "text"\nuser = """\nfirst\nsecond {qurey}\n"""\n')
    assert refused.value.line == 4


def test_absent_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'rankgpt'"):
        load_template("rankgtp")
    with pytest.raises(UsageError, match=r"none\.toml"):
        load_template(tmp_path / "none.toml")
    with pytest.raises(UsageError, match="can't read"):
        load_template(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'reply = "\xe9"')
    with pytest.raises(FormatError, match="not UTF-8"):
        load_template(tmp_path / "latin.toml")


def test_a_template_of_one_passage_may_name_its_text_itself(tmp_path: Path) -> None:
    template = load(tmp_path, 'reply = "yes-no"\nuser = "{query} {title} {text}"\n')
    assert template.max_passages == 1
    assert template.places_title


def test_answer_lengths() -> None:
    assert OutputTokens(base=8, per_passage=5, thought=100).of(20) == 208
