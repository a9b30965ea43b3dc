"""What of the demo's lists nobody has judged yet.

    python -m benchmarks.pydocs_pool --folder demo > to-judge.md

Pooling: the test questions' labels were completed by judging the ten best documents of every system of the demo. This
lists, question by question, the documents in those heads that `labels.tsv` doesn't have; the judge sees the question,
the labels so far and the documents in alphabetical order, never ranks or scores. Nothing is printed when all are judged.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sleuth.cli.demo_job import demo_systems
from sleuth.data.pydocs import pydocs_qrels, pydocs_queries, read_pydocs
from sleuth.front import open_index

HEAD = 10
SHOWN_CHARACTERS = 330


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("demo"), help="where `sleuth demo` keeps its index")
    options = parser.parse_args()
    docs = read_pydocs()
    by_id = {doc.doc_id: doc for doc in docs}
    labels, queries = pydocs_qrels(docs, "test"), pydocs_queries("test")
    systems = demo_systems(open_index(options.folder / "pydocs.index"))
    runs = [system.retrieve(queries, depth=HEAD).run for system in systems.values()]
    unjudged = 0
    for query in queries:
        judged = labels.qrels[query.query_id]
        pool = sorted({doc_id for run in runs for doc_id in run[query.query_id].doc_ids} - judged.keys())
        if not pool:
            continue
        unjudged += len(pool)
        lines = [f"## {query.query_id}", query.text, "Labelled:"]
        lines += [f"  {grade} {doc_id}" for doc_id, grade in judged.items() if grade > 0]
        lines += ["To judge:"]
        lines += [
            f"- {by_id[doc_id].title} :: {' '.join(by_id[doc_id].text.split())[:SHOWN_CHARACTERS]}" for doc_id in pool
        ]
        sys.stdout.write("\n".join(lines) + "\n\n")
    sys.stderr.write(f"{unjudged} documents to judge in the ten best of {len(runs)} systems\n")
    return 1 if unjudged else 0


if __name__ == "__main__":
    raise SystemExit(main())
