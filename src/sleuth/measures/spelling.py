"""Names of measures as people write them, read into the canonical ones.

Canonical are ir_measures' names (`nDCG@10`, `P(rel=2)@5`). Understood as well: any capitals, the everyday
names (`MAP`, `MRR@10`, `Recall@100`, `Precision@5`, `Hit@1`) and trec_eval's (`ndcg_cut_10`, `map`,
`recip_rank`, `P_5`, `recall_100`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sleuth.errors import UnknownName, UsageError
from sleuth.measures.ranked import FORMULAS, Measure

__all__ = ["parse_measure", "parse_measures"]

SPELLINGS = {
    **{name.lower(): name for name in FORMULAS},
    "map": "AP",
    "map_cut": "AP",
    "mrr": "RR",
    "recip_rank": "RR",
    "ndcg_cut": "nDCG",
    "precision": "P",
    "recall": "R",
    "hit": "Success",
    "r-prec": "Rprec",
}
"""Lower-case spelling -> canonical name."""

SHAPE = re.compile(r"(?P<name>[a-z][a-z_-]*?)\s*(?:\((?P<parameters>[^()]*)\))?\s*(?:[@_]\s*(?P<cutoff>\d+))?", re.I)
KNOWN = [f"{name}@k" if name != "Rprec" else name for name in FORMULAS]


def parse_measure(text: str | Measure) -> Measure:
    """Read a measure's name; a Measure is given back as it is.

    Raises:
        UnknownName: There is no such measure; the message names the nearest one.
        UsageError: Parameters or a cut-off that the measure doesn't take.
    """
    if isinstance(text, Measure):
        return text
    if not isinstance(text, str):
        raise UsageError(f"a measure is a name such as 'nDCG@10' or a Measure, got {type(text).__name__}")
    match = SHAPE.fullmatch(text.strip())
    name = SPELLINGS.get(match["name"].lower()) if match else None
    if match is None or name is None:
        raise UnknownName("measure", text, _candidates(match["cutoff"] if match else None))
    cutoff = int(match["cutoff"]) if match["cutoff"] else None
    return Measure(name, cutoff)(**_parameters(match["parameters"], text))


def parse_measures(given: str | Measure | Iterable[str | Measure]) -> tuple[Measure, ...]:
    """Read one measure, several, or a list in one text ("nDCG@10,R@100"); repeated ones count once.

    Raises:
        UnknownName, UsageError: As `parse_measure`, and for an empty list.
    """
    if isinstance(given, Measure):
        parts: Iterable[str | Measure] = [given]
    elif isinstance(given, str):
        parts = [part for part in re.split(r",(?![^(]*\))", given) if part.strip()]
    else:
        parts = given
    measures = tuple(dict.fromkeys(parse_measure(part).checked() for part in parts))
    if not measures:
        raise UsageError("no measure was named; name at least one, for example nDCG@10")
    return measures


def _candidates(cutoff: str | None) -> list[str]:
    """The known names, with the cut-off that was asked for, so that the nearest one can be used as it is."""
    return [name.replace("@k", f"@{cutoff}") if cutoff else name for name in KNOWN]


def _parameters(text: str | None, whole: str) -> dict[str, Any]:
    """`rel=2,dcg='exp-log2'` as keyword arguments."""
    found: dict[str, Any] = {}
    for part in (text or "").split(","):
        if not part.strip():
            continue
        key, _, value = (side.strip() for side in part.partition("="))
        if key not in ("rel", "dcg"):
            raise UnknownName(f"parameter of measure {whole!r}", key, ["rel", "dcg"])
        if key == "rel" and not re.fullmatch(r"[+-]?\d+", value):
            raise UsageError(f"measure {whole!r}: rel must be a whole number of 1 or more, got {value!r}")
        found[key] = int(value) if key == "rel" else value.strip("'\"")
    return found
