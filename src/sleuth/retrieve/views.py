"""Which text of a query a retriever reads, and how several rewrites become one list.

Every retriever takes the same four settings. `combine` matters only where a query has several
rewrites: "sum" adds up the scores, "rrf" fuses the lists by reciprocal rank, "concat" joins the
rewrites into one text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from sleuth.errors import UsageError
from sleuth.retrieve.checks import check_whole
from sleuth.types import Query, QueryView

__all__ = ["Combine", "ReadQuery", "check_depth"]

Combine = Literal["sum", "rrf", "concat"]


@dataclass(frozen=True, slots=True)
class ReadQuery:
    """How a stage reads a query.

    Attributes:
        view: Default "rewrite": retrieval reads the rewrite where there is one.
        combine: Default "sum", as BGE-Reasoner sums scores over rewrites (its README).
        separator: Between the joined parts of "text+rewrite" and of "concat". A line break, ours.
        text_repeat: How often the question stands before a rewrite in "text+rewrite".
    """

    view: QueryView = "rewrite"
    combine: Combine = "sum"
    separator: str = "\n"
    text_repeat: int = 1

    def __post_init__(self) -> None:
        if self.combine not in get_args(Combine):
            raise UsageError(f"combine must be 'sum', 'rrf' or 'concat', got {self.combine!r}")
        Query("", "").views(self.view, text_repeat=self.text_repeat)  # refuses a bad view or repeat now

    def texts(self, query: Query) -> tuple[str, ...]:
        """One text for each list that has to be made."""
        if self.combine == "concat" and len(query.rewrites) > 1:
            joined = Query(query.query_id, query.text, rewrites=(self.separator.join(query.rewrites),))
            return joined.views(self.view, separator=self.separator, text_repeat=self.text_repeat)
        return query.views(self.view, separator=self.separator, text_repeat=self.text_repeat)


def check_depth(depth: int) -> None:
    """Raises UsageError for a depth that is no whole number, or below 1."""
    check_whole(depth, "depth")
    if depth < 1:
        raise UsageError(f"depth must be at least 1, got {depth}")
