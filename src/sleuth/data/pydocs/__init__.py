"""pydocs: the corpus that every machine has, with hard questions and graded labels.

The documents are the docstrings of the running Python's standard library (`harvest.py` says which).
Equal docstrings are one document, under the shortest of their names (the first by alphabet among
those of equal length); the other names are its aliases, and labels may use any of them. The
questions are ours, written by hand in the manner of BRIGHT: a symptom, a goal or a scenario in everyday
words, without the name of the answer. `labels.tsv` holds, per line, a question, a name, a grade (2 solves it, 1 helps,
0 judged and of no help) and, for grades above 0, a one-line reason.

Docstrings differ a little between Python versions, so scores do too: print the version beside them. A
labelled name that this Python doesn't have is skipped and reported.
"""

from sleuth.data.pydocs.harvest_job import Pydocs, read_pydocs
from sleuth.data.pydocs.questions import LabelReport, pydocs_qrels, pydocs_queries

__all__ = ["LabelReport", "Pydocs", "pydocs_qrels", "pydocs_queries", "read_pydocs"]
