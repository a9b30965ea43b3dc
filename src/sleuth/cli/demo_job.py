"""What the demo does: index pydocs, answer 100 hard questions in several ways, compare, explain."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sleuth.cli.console import out_console, show_table, visible
from sleuth.context import Context
from sleuth.data.pydocs import Pydocs, pydocs_qrels, pydocs_queries, read_pydocs
from sleuth.errors import ModelError
from sleuth.types import Qrels, Query, Run

if TYPE_CHECKING:
    from sleuth.index.handle import Index
    from sleuth.measures.report import Report
    from sleuth.stages import Encoder, Retriever

__all__ = ["DOC_TOKENS", "DemoScreen", "demo_systems", "demonstrate"]

DOC_TOKENS = 128
"""Documents are cut here for the demo only: encoding time on two cores stays well below 100 s (the encoder reads 256)."""

DEPTH = 100
MEASURES = ["nDCG@10", "R@100", "Judged@10"]
EXAMPLE = "how long is it until my certificate is no longer valid"


class DemoScreen:
    """Says what the demo is doing; silent for `--json`."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet

    def say(self, text: str = "") -> None:
        if not self.quiet:
            out_console().print(visible(text, lines=True), markup=False)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "") -> None:
        if not self.quiet:
            show_table(columns, rows, title=title)


def demo_systems(index: Index) -> dict[str, Retriever]:
    """The systems of the demo's table, the plain one first; they share their parts."""
    from sleuth.front import make_retriever
    from sleuth.retrieve.hybrid import Hybrid

    lexical = make_retriever(index, "bm25")
    systems: dict[str, Retriever] = {"BM25": lexical, "BM25 + RM3": make_retriever(index, "bm25", feedback="rm3")}
    if index.has_vectors:
        dense = make_retriever(index, "dense")
        systems |= {
            "MiniLM": dense,
            "RRF": Hybrid(lexical, dense, fusion="rrf"),
            "default hybrid": Hybrid(lexical, dense),
        }
    return systems


def demonstrate(folder: Path, *, context: Context, screen: DemoScreen) -> dict[str, Any]:
    """Run the demo; everything it makes lies in `folder`, so a second run only updates the index."""
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    docs = read_pydocs()
    screen.say(f"pydocs of Python {docs.python}: {len(docs):,} docstrings, {len(docs.doc_id_of):,} names")
    index = _index(docs, folder / "pydocs.index", context, screen)
    _show_example(index, screen)
    report, korean, missing = _measure(index, docs, folder, context)
    _show_report(report, screen)
    _show_korean(korean, screen)
    if missing:
        screen.say(f"{len(missing)} labels name something this Python does not have; they were skipped")
    explanation = _explain(index, docs, screen)
    screen.say(f"\nDone in {time.perf_counter() - start:.0f} s. Runs, values and the index are in {folder}/")
    screen.say('Next, your own files:\n  sleuth index FOLDER -o my.index\n  sleuth search my.index "your question"')
    return {
        "schema": "sleuth.demo/1",
        "documents": len(docs),
        "python": docs.python,
        "evaluation": report.to_dict(),
        "korean": {name: part.means for name, part in korean.items()},
        "missing_labels": [list(pair) for pair in missing],
        "explanation": explanation,
    }


# ── index ─────────────────────────────────────────────────────────────────────────────────────────


def _index(docs: Pydocs, path: Path, context: Context, screen: DemoScreen) -> Index:
    from sleuth.front import build_index

    start = time.perf_counter()
    encoder = _encoder(screen)
    index = build_index(docs, path, dense=encoder, context=context)
    vectors = f" and vectors of their first {DOC_TOKENS} tokens" if index.has_vectors else ""
    screen.say(f"index: words{vectors}, up to date in {time.perf_counter() - start:.1f} s")
    return index


def _encoder(screen: DemoScreen) -> Encoder | None:
    from sleuth.models.encoder import open_encoder

    try:
        return open_encoder("minilm", max_doc_tokens=DOC_TOKENS)
    except ModelError as error:
        screen.say(f"no vectors in this demo: {error}")
        return None


def _show_example(index: Index, screen: DemoScreen) -> None:
    from sleuth.front import search

    screen.say(f"\n? {EXAMPLE}")
    for hit in search(index, EXAMPLE, k=3):
        line = " ".join(hit.doc.text.split())
        screen.say(f"  {hit.rank}. {hit.doc_id}\n     {line[:150]}{' …' if len(line) > 150 else ''}")


# ── measure ───────────────────────────────────────────────────────────────────────────────────────


def _measure(index: Index, docs: Pydocs, folder: Path, context: Context) -> tuple[Report, dict[str, Report], Any]:
    from sleuth.data.writers import write_run
    from sleuth.measures.evaluation import evaluate

    labels = pydocs_qrels(docs, "test")
    queries = pydocs_queries("test")
    runs: dict[str, Run] = {}
    systems = demo_systems(index)
    for name, system in systems.items():
        runs[name] = system.retrieve(queries, depth=DEPTH, context=context).run
        write_run(runs[name], folder / f"{name.lower().replace(' + ', '-').replace(' ', '-')}.trec")
    report = evaluate(labels.qrels, runs, MEASURES, baseline="BM25", seed=context.seed)
    report.to_csv(folder / "per-query.csv")
    return report, _korean(systems, labels.qrels, context), labels.missing


def _korean(systems: Mapping[str, Retriever], qrels: Qrels, context: Context) -> dict[str, Report]:
    """The questions that exist in Korean, asked in both languages, over the same labels."""
    from sleuth.measures.evaluation import evaluate

    korean = pydocs_queries("test", language="ko")
    asked = {query.query_id for query in korean}
    english = [query for query in pydocs_queries("test") if query.query_id in asked]
    subset = Qrels({query_id: qrels[query_id] for query_id in asked})
    found = {}
    for language, queries in (("English", english), ("Korean", korean)):
        runs = {name: _run(system, queries, context) for name, system in systems.items()}
        found[language] = evaluate(subset, runs, ["nDCG@10"], baseline="BM25", seed=context.seed)
    return found


def _run(system: Retriever, queries: Sequence[Query], context: Context) -> Run:
    return system.retrieve(queries, depth=DEPTH, context=context).run


def _show_report(report: Report, screen: DemoScreen) -> None:
    against = {(one.a, one.measure): one for one in report.comparisons}
    rows = []
    for name, means in report.means.items():
        one = against.get((name, "nDCG@10"))
        difference = "" if one is None else f"{one.difference:+.3f} [{one.interval[0]:+.3f}, {one.interval[1]:+.3f}]"
        p = "" if one is None else f"{one.p_holm:.4f}{' *' if one.significant else ''}"
        rows.append([name, *(f"{means[measure]:.3f}" for measure in MEASURES), difference, p])
    columns = ["system", *MEASURES, "against BM25", "p (Holm)"]
    screen.say()
    screen.table(columns, rows, title="100 hard questions, graded labels (* = significant at .05)")


def _show_korean(korean: Mapping[str, Report], screen: DemoScreen) -> None:
    names = korean["English"].runs
    rows = [
        [name, *(f"{korean[language].mean('nDCG@10', name):.3f}" for language in ("English", "Korean"))]
        for name in names
    ]
    queries = len(korean["Korean"].query_ids)
    screen.say()
    screen.table(
        ["system", "asked in English", "asked in Korean"],
        rows,
        title=f"nDCG@10 of the {queries} questions that exist in both languages",
    )
    screen.say(
        "Korean questions share next to no words with English documents, and MiniLM knows only English. The way out:\n"
        "a rewriter that restates the question in English, or a multilingual encoder (--dense NAME, extra 'models')."
    )


# ── explain ───────────────────────────────────────────────────────────────────────────────────────


def _explain(index: Index, docs: Pydocs, screen: DemoScreen) -> dict[str, Any]:
    """Why the best labelled document of one question stands where it stands."""
    from sleuth.cli.search_commands import explained
    from sleuth.front import make_retriever

    retriever = make_retriever(index)
    labels = pydocs_qrels(docs, "test")
    for query in pydocs_queries("test"):
        ranking = retriever.retrieve([query], depth=10).run[query.query_id]
        good = [doc_id for doc_id in ranking.doc_ids if labels.qrels[query.query_id].get(doc_id, 0) == 2]
        if good:
            break
    else:
        return {}
    explanation = dict(retriever.explain(query, good[0]))
    screen.say(f'\nWhy {good[0]} for {query.query_id}?\n  "{query.text}"')
    screen.say(f"  label: solves it, {labels.reasons.get((query.query_id, good[0]), '')}")
    for line in explained(explanation):
        screen.say(f"  {line}")
    return {"query_id": query.query_id, "doc_id": good[0], **explanation}
