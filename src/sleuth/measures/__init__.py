"""Measures of ranked lists, comparisons of systems, and reports: knows runs and qrels, nothing else."""

from __future__ import annotations

from sleuth.measures.bright import bright_qrels, bright_run, evaluate_bright
from sleuth.measures.comparisons import Comparison
from sleuth.measures.evaluation import DEFAULT_MEASURES, evaluate
from sleuth.measures.overlap import rbo
from sleuth.measures.ranked import AP, RR, Judged, Measure, P, R, Rprec, Success, nDCG
from sleuth.measures.report import Counts, Report
from sleuth.measures.significance import bootstrap_interval, holm, paired_t_p, randomization_p
from sleuth.measures.spelling import parse_measure, parse_measures
from sleuth.measures.tasks import MacroReport, macro
from sleuth.measures.views import judged_only, oracle_run

__all__ = [
    "AP",
    "DEFAULT_MEASURES",
    "RR",
    "Comparison",
    "Counts",
    "Judged",
    "MacroReport",
    "Measure",
    "P",
    "R",
    "Report",
    "Rprec",
    "Success",
    "bootstrap_interval",
    "bright_qrels",
    "bright_run",
    "evaluate",
    "evaluate_bright",
    "holm",
    "judged_only",
    "macro",
    "nDCG",
    "oracle_run",
    "paired_t_p",
    "parse_measure",
    "parse_measures",
    "randomization_p",
    "rbo",
]
