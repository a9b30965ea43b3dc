"""Recipes: what they hold, what is refused and how, and that their tables agree with the classes they make."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from sleuth.errors import CapabilityMissing, FormatError, ModelError, SleuthError, UsageError
from sleuth.front import build_index
from sleuth.llm.chat import Capabilities
from sleuth.llm.replay import Replay
from sleuth.pipeline import Pipeline
from sleuth.recipe import Recipe, load_recipe
from sleuth.recipe.keys import BACKENDS, INTERPOLATE, JUDGES, NOT_BUILT, STAGE, STRATEGIES, refused
from sleuth.rerank.interpolate import Interpolate
from sleuth.rerank.strategy import Strategy
from sleuth.types import Doc, Query, Ranking, Run

HEAD = 'schema = "sleuth.recipe/1"\n[llm.judge]\nkind = "replay"\ncassette = "answers.jsonl"\n'
STAGED = HEAD + '[[rerank]]\njudge = "listwise"\nllm = "judge"\n'

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a recipe beside an empty cassette."""
    (tmp_path / "answers.jsonl").write_text('{"reply": {"text": "[2] > [1]"}}\n')

    def at(text: str, name: str = "r.toml") -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return at


def made(home: str) -> Any:
    module, _, name = home.partition(":")
    return getattr(import_module(module), name)


# ── the tables and the classes ────────────────────────────────────────────────────────────────────

OURS = {
    "api_key",
    "retries",
    "cache",
    "self",
    "judge",
    "backend",
    "path",
    "model",
    "cassette",
    "qrels",
    "options",
    "scorer",
}
"""Parameters that no recipe gives: secrets, what the command decides, and the first argument, which is a table's own key."""


def parameters(home: str) -> set[str]:
    return set(inspect.signature(made(home).__init__).parameters)


@pytest.mark.parametrize("kind", [kind for kind in BACKENDS if kind not in ("openai", "transformers")])
def test_keys_of_backends_are_their_parameters(kind: str) -> None:
    assert set(BACKENDS[kind].keys) - OURS == parameters(BACKENDS[kind].home) - OURS


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["openai", "transformers"])
def test_keys_of_backends_with_extras_are_their_parameters(kind: str) -> None:
    assert set(BACKENDS[kind].keys) - OURS == parameters(BACKENDS[kind].home) - OURS


@pytest.mark.parametrize("name", JUDGES)
def test_keys_of_judges_are_their_parameters(name: str) -> None:
    own = set(JUDGES[name].keys) - {"llm", "model"}
    assert own == parameters(JUDGES[name].home) - OURS


@pytest.mark.parametrize("name", STRATEGIES)
def test_keys_of_strategies_are_their_parameters(name: str) -> None:
    assert set(STRATEGIES[name].keys) == parameters(STRATEGIES[name].home) - OURS
    shared = set(inspect.signature(Strategy.__init__).parameters) - OURS
    assert set(STAGE) - {"judge", "strategy"} == shared


def test_keys_of_interpolation_are_its_parameters() -> None:
    own = {key.removesuffix("_") for key in inspect.signature(Interpolate.__init__).parameters} - {"self"}
    assert set(INTERPOLATE) - {"step"} == own


@pytest.mark.parametrize("judge", [name for name in JUDGES if JUDGES[name].chat])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_pair_is_refused_exactly_where_the_classes_refuse_it(judge: str, strategy: str) -> None:
    assert made(STRATEGIES[strategy].home).accepts == STRATEGIES[strategy].accepts
    asked = made(JUDGES[judge].home)(Replay([]))
    assert asked.kind == JUDGES[judge].knows
    options: dict[str, Any] = dict(STRATEGIES[strategy].pair_defaults) if JUDGES[judge].most == 2 else {}
    try:
        made(STRATEGIES[strategy].home)(asked, **options)
        fits = True
    except UsageError:
        fits = False
    assert fits == (not refused(judge, strategy))


def test_every_judges_own_strategy_fits_it() -> None:
    assert {name: refused(name, judge.strategy) for name, judge in JUDGES.items()} == dict.fromkeys(JUDGES, "")


def test_defaults_of_the_judges(write: Write) -> None:
    expected = {
        "listwise": "Funnel", "group": "Funnel", "yes-no": "ScoreAndSort", "graded": "ScoreAndSort", "setwise": "Heap",
        "pairwise": "Heap",
    }  # fmt: skip
    for judge, strategy in expected.items():
        stage = load_recipe(write(STAGED.replace("listwise", judge))).rerankers()[0]
        assert type(stage).__name__ == strategy
    assert load_recipe(write(STAGED)).rerankers()[0].rounds == ("100", "40", "20x2")  # type: ignore[attr-defined]
    bubble = STAGED.replace("listwise", "pairwise") + 'strategy = "sliding-window"\n'
    stage: Any = load_recipe(write(bubble)).rerankers()[0]
    assert (stage.window, stage.stride) == (2, 1)


# ── what a recipe makes ───────────────────────────────────────────────────────────────────────────


def test_settings_reach_judge_and_strategy(write: Write) -> None:
    text = STAGED + (
        'prompt = "rankgpt"\non_bad_reply = "raise"\nstrategy = "sliding-window"\nwindow = 12\nstride = 6\ndepth = 40\n'
        'query_view = "text+rewrite"\nname = "first"\n[[rerank]]\nstep = "interpolate"\nwith = "retrieve"\nalpha = 0.25\n'
        'normalize = "minmax"\n'
    )
    first, second = load_recipe(write(text)).rerankers()
    assert (first.window, first.stride, first.depth) == (12, 6, 40)  # type: ignore[attr-defined]
    assert (first.query_view, first.name) == ("text+rewrite", "first")  # type: ignore[attr-defined]
    assert first.judge.asking.on_bad_reply == "raise"  # type: ignore[attr-defined]
    assert isinstance(second, Interpolate)
    assert (second.with_, second.alpha, second.normalize) == ("retrieve", 0.25, "minmax")


def test_funnel_keys(write: Write) -> None:
    text = STAGED + 'rounds = ["60", "20x2"]\nwindow = 10\nprior_weight = 2\nscale = 1.5\n'
    stage: Any = load_recipe(write(text)).rerankers()[0]
    assert (stage.rounds, stage.window, stage.prior_weight, stage.scale) == (("60", "20x2"), 10, 2, 1.5)
    for value in ("0", "0.0"):
        flat: Any = load_recipe(write(STAGED + f"prior_weight = {value}\n")).rerankers()[0]
        assert (flat.prior, flat.prior_weight) == ("flat", 1.0)


def test_stages_share_a_backend(write: Write) -> None:
    recipe = load_recipe(write(STAGED + '[[rerank]]\njudge = "yes-no"\nllm = "judge"\n'))
    first, second = recipe.rerankers()
    assert first.judge.backend is second.judge.backend is recipe.backends()["judge"]  # type: ignore[attr-defined]


def test_prices_and_capabilities_become_values(write: Write) -> None:
    text = HEAD + "price = { input = 0.2, output = 0.6, cached = 0.05 }\ncapabilities = { raw = true }\n"
    backend = load_recipe(write(text)).backends()["judge"]
    assert backend.price is not None
    assert (backend.price.input, backend.price.output, backend.price.cached) == (0.2, 0.6, 0.05)
    assert backend.capabilities == Capabilities(raw=True)


def test_paths_are_relative_to_the_recipe(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(STAGED)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert load_recipe(path).document["llm"]["judge"]["cassette"] == str(tmp_path / "answers.jsonl")
    load_recipe(path).backends()


def test_a_tokenizer_is_a_path_if_it_is_there(write: Write, tmp_path: Path) -> None:
    path = write(HEAD + 'tokenizer = "tok"\n')
    assert load_recipe(path).document["llm"]["judge"]["tokenizer"] == "tok"
    (tmp_path / "tok").mkdir()
    assert load_recipe(path).document["llm"]["judge"]["tokenizer"] == str(tmp_path / "tok")


def test_depth_of_the_command(write: Write) -> None:
    second = '[[rerank]]\njudge = "yes-no"\nllm = "judge"\ndepth = 20\n'
    third = '[[rerank]]\njudge = "yes-no"\nllm = "judge"\n'
    recipe = load_recipe(write(STAGED + "depth = 50\n" + second + third))
    assert recipe.reads is None
    assert [stage.depth for stage in recipe.rerankers(depth=200)] == [200, 20, 200]  # type: ignore[attr-defined]
    assert [stage.depth for stage in recipe.rerankers(depth=10)] == [10, 10, 10]  # type: ignore[attr-defined]
    assert [stage.depth for stage in recipe.rerankers()] == [50, 20, None]  # type: ignore[attr-defined]


def test_a_pipeline_runs(write: Write, tmp_path: Path) -> None:
    docs = [Doc(f"d{at}", f"a passage about {word}") for at, word in enumerate(["pipes", "pipes and ovens", "keys"])]
    index = build_index(docs, tmp_path / "i")
    recipe = load_recipe(write(STAGED + '[retrieve]\nmethod = "bm25"\nquery_weighting = "tf"\ndepth = 7\n'))
    assert recipe.depth == 7
    pipeline = recipe.pipeline(index=index)
    assert isinstance(pipeline, Pipeline)
    plain = pipeline.first.retrieve([Query("q", "pipes")], depth=7).run["q"].doc_ids
    assert pipeline.run([Query("q", "pipes")]).run["q"].doc_ids[0] in plain
    assert pipeline.first.query_weighting == "tf"  # type: ignore[attr-defined]


def test_pipelines_of_pipelines(write: Write, tmp_path: Path) -> None:
    index = build_index([Doc("a", "pipes"), Doc("b", "keys and pipes")], tmp_path / "i")
    write('schema = "sleuth.recipe/1"\n[retrieve]\nmethod = "bm25"\n', "one.toml")
    write('schema = "sleuth.recipe/1"\n[retrieve]\nmethod = "bm25"\nquery_weighting = "tf"\n', "two.toml")
    both = load_recipe(
        write('schema = "sleuth.recipe/1"\n[retrieve]\nmethod = "pipelines"\npipelines = ["one.toml", "two.toml"]\n')
    )
    found = both.pipeline(index=index).run([Query("q", "pipes")]).run["q"]
    assert set(found.doc_ids) == {"a", "b"}
    itself = write('schema = "sleuth.recipe/1"\n[retrieve]\nmethod = "pipelines"\npipelines = ["r.toml", "one.toml"]\n')
    with pytest.raises(UsageError, match="contains itself"):
        load_recipe(itself).pipeline(index=index)


def test_a_run_as_first_stage(write: Write, tmp_path: Path) -> None:
    (tmp_path / "in.trec").write_text("q Q0 a 1 2 x\nq Q0 b 2 1 x\n")
    recipe = load_recipe(write(STAGED + 'strategy = "sliding-window"\n[retrieve]\nmethod = "run"\nrun = "in.trec"\n'))
    result = recipe.pipeline(docs={"a": Doc("a", ""), "b": Doc("b", "")}).run([Query("q", "?")])
    assert result.run["q"].doc_ids == ("b", "a")


@pytest.mark.slow
def test_environment_is_beaten_by_the_recipe(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("SLEUTH_CACHE", "off")
    text = 'schema = "sleuth.recipe/1"\n[llm.judge]\nkind = "openai"\nserver = "vllm"\nmodel = "m"\n'
    assert load_recipe(write(text)).backends()["judge"].base_url == "http://127.0.0.1:1/v1"  # type: ignore[attr-defined]
    text += 'base_url = "http://127.0.0.1:2/v1"\n'
    assert load_recipe(write(text)).backends()["judge"].base_url == "http://127.0.0.1:2/v1"  # type: ignore[attr-defined]


# ── what is refused ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (STAGED + "widnow = 10\n", r"r\.toml, \[\[rerank\]\] 1: unknown key 'widnow'\. Did you mean 'window'\?"),
        (STAGED + "stride = 10\n", r"unknown key 'stride'\. It belongs to strategy = 'sliding-window'"),
        (STAGED.replace("schema", "shcema", 1), r"r\.toml: unknown key 'shcema'\. Did you mean 'schema'\?"),
        (STAGED.partition("\n")[2], "a recipe begins with schema = 'sleuth.recipe/1', got None"),
        (STAGED + "[retreive]\n", "unknown key 'retreive'. Did you mean 'retrieve'"),
        (STAGED.replace("listwise", "listwize"), "unknown judge 'listwize'. Did you mean 'listwise'"),
        (STAGED + 'strategy = "funel"\n', "unknown strategy 'funel'. Did you mean 'funnel'"),
        (STAGED.replace('llm = "judge"', 'llm = "juge"'), "unknown llm 'juge'. Did you mean 'judge'"),
        (STAGED.replace("replay", "reply"), r"\[llm.judge\]: unknown kind 'reply'. Did you mean 'replay'"),
        (STAGED + 'window = "ten"\n', "window must be a whole number, got 'ten'"),
        (STAGED + "depth = true\n", "depth must be a whole number, got True"),
        (STAGED + "prior_weight = nan\n", "finite"),
        (STAGED + '[[rerank]]\nstep = "interpolat"\n', "unknown step"),
        (STAGED + '[[rerank]]\nstep = "interpolate"\nwiht = "x"\n', "Did you mean 'with'"),
        (STAGED + "[[rerank]]\ndepth = 3\n", r"\[\[rerank\]\] 2: expected either a judge or step"),
        (STAGED.replace('llm = "judge"\n', ""), "the key 'llm' is missing"),
        ('[llm.x]\nkind = "replay"\n', "begins with schema"),
        ('schema = "sleuth.recipe/2"\n', "got 'sleuth.recipe/2'"),
        (HEAD + "price = { inptu = 1 }\n", r"price: unknown key 'inptu'. Did you mean 'input'"),
        ('schema = "sleuth.recipe/1"\n[[rerank]]\njudge = "listwise"\nllm = "x"\n', r"no table \[llm.x\]"),
        (HEAD.replace('cassette = "answers.jsonl"\n', ""), "the key 'cassette' is missing"),
    ],
)
def test_what_is_wrong_is_named_with_the_nearest_that_is_right(write: Write, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        load_recipe(write(text))


@pytest.mark.parametrize(
    ("judge", "strategy", "says"),
    [
        (
            "listwise",
            "score-and-sort",
            "score-and-sort needs scores, listwise gives an order; with listwise use funnel",
        ),
        ("yes-no", "sliding-window", "sliding-window compares several documents, yes-no judges one at a time"),
        ("setwise", "funnel", "setwise gives only the best document; with setwise use sliding-window or heap"),
        ("pairwise", "tournament", "pairwise gives only the best document"),
    ],
)
def test_senseless_pairs_are_refused(write: Write, judge: str, strategy: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        load_recipe(write(STAGED.replace("listwise", judge) + f'strategy = "{strategy}"\n'))


@pytest.mark.parametrize("key", ["api_key", "API-KEY", "apikey", "password", "authorization", "access_token"])
def test_secrets_are_refused(write: Write, key: str) -> None:
    for text in (HEAD + f'{key} = "sk-123"\n', HEAD + f'[llm.judge.extra_body]\n"{key}" = "sk-123"\n'):
        with pytest.raises(UsageError, match="OPENAI_API_KEY") as caught:
            load_recipe(write(text))
        assert "sk-123" not in str(caught.value)


def test_the_classes_own_refusals_name_the_table(write: Write) -> None:
    with pytest.raises(UsageError, match=r"r\.toml, \[\[rerank\]\] 1: .*window"):
        load_recipe(write(STAGED + "window = 1\n")).rerankers()
    with pytest.raises(UsageError, match=r"r\.toml, \[\[rerank\]\] 2: alpha"):
        load_recipe(write(STAGED + '[[rerank]]\nstep = "interpolate"\nalpha = 2\n')).rerankers()
    text = STAGED.replace("listwise", "yes-no") + 'by = "logprob"\n'
    with pytest.raises(CapabilityMissing, match=r"\[\[rerank\]\] 1"):
        load_recipe(write(text.replace("[[rerank]]", "capabilities = { raw = true }\n[[rerank]]"))).rerankers()


def test_capabilities_are_wanted_as_a_recipe_declares_them(write: Write) -> None:
    text = HEAD + "capabilities = { raw = true }\n" + '[[rerank]]\njudge = "graded"\nllm = "judge"\nby = "expected"\n'
    with pytest.raises(CapabilityMissing) as caught:
        load_recipe(write(text)).rerankers()
    wanted = re.search(r"capabilities = \{ .* \}", str(caught.value))
    assert wanted is not None
    assert "r.toml, [[rerank]] 1" in str(caught.value)
    found = (
        load_recipe(write(text.replace("capabilities = { raw = true }", wanted[0]))).backends()["judge"].capabilities
    )
    assert found != Capabilities(raw=True)
    assert found != Capabilities()


def test_what_a_backend_can_not_open_names_the_table(write: Write, tmp_path: Path) -> None:
    (tmp_path / "labels.tsv").write_text("q1 0 d1 many\n")
    oracle = 'schema = "sleuth.recipe/1"\n[llm.o]\nkind = "oracle"\nqrels = "labels.tsv"\n'
    with pytest.raises(FormatError, match=r"r\.toml, \[llm\.o\]: .*labels\.tsv, line 1"):
        load_recipe(write(oracle)).backends()


@pytest.mark.slow
def test_a_model_that_is_not_there_names_the_table(write: Write) -> None:
    text = 'schema = "sleuth.recipe/1"\n[llm.t]\nkind = "transformers"\nmodel = "toy"\n'
    with pytest.raises(ModelError, match=r"r\.toml, \[llm\.t\]: toy is neither a folder nor a name"):
        load_recipe(write(text)).backends()


def test_token_caps_need_a_tokenizer(write: Write) -> None:
    with pytest.raises(UsageError, match="tokenizer"):
        load_recipe(write(STAGED + "max_passage_tokens = 512\n")).rerankers()


def test_no_file_a_folder_and_no_toml(write: Write, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no recipe at"):
        load_recipe(tmp_path / "nowhere.toml")
    with pytest.raises(UsageError, match="is a folder"):
        load_recipe(tmp_path)
    with pytest.raises(FormatError, match="line 2"):
        load_recipe(write('schema = "sleuth.recipe/1"\n[[rerank\n'))
    (tmp_path / "r.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match="not TOML"):
        load_recipe(tmp_path / "r.toml")


NOT_YET = {
    "rewrite": '[rewrite]\nmethod = "reason"\nllm = "judge"\n',
    "judge:last-but-not-late": '[[rerank]]\njudge = "last-but-not-late"\nmodel = "m"\ncompat = "jina-v3"\n',
    "judge:cross-encoder": '[[rerank]]\njudge = "cross-encoder"\nmodel = "m"\n',
}


def test_what_is_not_built_is_refused_by_name(write: Write, tmp_path: Path) -> None:
    assert set(NOT_YET) == set(NOT_BUILT)
    index = build_index([Doc("a", "x")], tmp_path / "i")
    for text in NOT_YET.values():
        with pytest.raises(UsageError, match="not built yet"):
            load_recipe(write(HEAD + text)).pipeline(index=index)


def test_a_rewrite_does_not_keep_a_recipe_from_reranking(write: Write) -> None:
    assert len(load_recipe(write(STAGED + NOT_YET["rewrite"])).rerankers()) == 1


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('method = "bm25"\nfusion = "rrf"\n', "fusion does nothing with method 'bm25'"),
        ('method = "run"\n', "needs run = PATH"),
        ('method = "pipelines"\npipelines = ["one.toml"]\n', "two or more"),
        ('method = "bm52"\n', "Did you mean 'bm25'"),
        ('method = "dense"\nfeedback = "rm3"\n', "feedback does nothing"),
        ('[[retrieve.members]]\nmethod = "dense"\nfeedback = "rm3"\n', "belong to a member with method 'bm25'"),
        ('[[retrieve.members]]\nmethod = "sparse"\n', "a member's method is"),
        ('normalize = "minmax"\n', "normalize needs"),
    ],
)
def test_retrieval_that_makes_no_sense(write: Write, tmp_path: Path, table: str, says: str) -> None:
    index = build_index([Doc("a", "x")], tmp_path / "i")
    with pytest.raises(SleuthError, match=says):
        load_recipe(write(f'schema = "sleuth.recipe/1"\n[retrieve]\n{table}')).pipeline(index=index)


def test_a_recipe_that_searches_needs_an_index(write: Write) -> None:
    with pytest.raises(UsageError, match="give index="):
        load_recipe(write(STAGED)).pipeline()


def test_the_document_holds_what_a_manifest_may_hold(write: Write) -> None:
    recipe = load_recipe(write(STAGED))
    assert isinstance(recipe, Recipe)
    assert recipe.document["rerank"][0] == {"judge": "listwise", "llm": "judge"}
    assert "listwise" in repr(recipe)


def test_nothing_is_opened_on_loading(write: Write, tmp_path: Path) -> None:
    path = write(STAGED)
    (tmp_path / "answers.jsonl").unlink()
    recipe = load_recipe(path)
    with pytest.raises(UsageError, match="answers"):
        recipe.rerankers()


def test_korean_recipes_read(write: Write) -> None:
    recipe = load_recipe(
        write(
            STAGED + 'strategy = "sliding-window"\nname = "재정렬"\ninstruction = "질문에 답하는 데 도움이 되는가?"\n'
        )
    )
    stage = recipe.rerankers()[0]
    docs = {name: Doc(name, "본문") for name in "ab"}
    run = Run({"q": Ranking(["a", "b"], [2, 1])})
    assert stage.rerank([Query("q", "질문")], run, docs).run["q"].doc_ids == ("b", "a")
