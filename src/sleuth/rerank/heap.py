"""Setwise heap sort (Zhuang et al. 2024): a heap whose nodes are compared with their children, the best ones taken off."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ClassVar

from sleuth.rerank.parts import Ask, ChatJudge, LocalJudge, Order, Steps, Task, Verdict, VerdictKind
from sleuth.rerank.strategy import Strategy
from sleuth.rerank.windows import Questions, fit_window, ranked, whole_number

__all__ = ["Heap"]

Sifting = Generator[Ask, tuple[Verdict, ...], None]


class Heap(Strategy):
    """The best `k` by heap sort; the others follow in prior order. Made for judges that only name the best one.

    A comparison is a node and its children; the best goes up, and the search goes on where it came from. While the heap
    is built, nodes of one level are sifted side by side; taking the best off is one call after the other. The
    number of calls depends on the answers.

    Args:
        judge: Compares; any kind, only its first place is read. Where it names none (it found two documents equal, or its
            answer can't be read), the better one of the prior order goes up.
        k: How many places are settled, >= 1. Default: 10, as nDCG@10 reads.
        size: Documents of one comparison, a node and size - 1 children, >= 2. Default: None: what the judge takes, at most
            20, as Rank-R1 shows; 2 is pairwise heap sort.
        name, depth, query_view: As for every `Strategy`.

    Raises:
        UsageError: Numbers out of range, or a size larger than the judge takes.
    """

    accepts: ClassVar[frozenset[VerdictKind]] = frozenset({"order", "scores", "choice"})

    def __init__(self, judge: ChatJudge | LocalJudge, *, k: int = 10, size: int | None = None, **options: Any) -> None:
        super().__init__(judge, **options)
        self.k = whole_number("k", k)
        most = 20 if judge.max_docs is None else min(20, judge.max_docs)
        self.size = fit_window(judge, most if size is None else size, name="size")

    def calls(self, n: int) -> tuple[int, int]:
        """Fewest and most comparisons for n candidates: every node stays, or sinks to the bottom."""
        arity = self.size - 1
        inner = range((n - 2) // arity + 1 if n > 1 else 0)  # nodes with children
        least, most = len(inner), sum(_height(node, n, arity) for node in inner)
        for left in range(n - 1, max(n - self.k, 0), -1):  # the last one taken off leaves nothing to settle
            least += left > 1
            most += _height(0, left, arity)
        return least, most

    def steps(self, task: Task) -> Steps:
        """One query's comparisons."""
        sorter = _Sorter(task.doc_ids, self.size - 1)
        yield from sorter.build()
        while sorter.heap and len(sorter.taken) < self.k:
            sorter.take()
            if len(sorter.taken) < self.k:
                yield from sorter.sift([0])
        return Order(sorter.order())


class _Sorter:
    """The heap of one query."""

    def __init__(self, ids: tuple[str, ...], arity: int) -> None:
        self.ids, self.arity = ids, arity
        self.heap, self.taken = list(ids), list[str]()
        self.questions = Questions()

    def order(self) -> tuple[str, ...]:
        """Taken ones, then the others in prior order."""
        taken = set(self.taken)
        return (*self.taken, *(doc_id for doc_id in self.ids if doc_id not in taken))

    def build(self) -> Sifting:
        """Level by level from the bottom; the subtrees of one level have no document in common."""
        levels = [[0]] if self.heap else []
        while levels and levels[-1]:
            levels.append([child for node in levels[-1] for child in self._children(node)])
        for level in reversed(levels):
            yield from self.sift(level)

    def sift(self, nodes: list[int]) -> Sifting:
        """Let documents sink to where no child is better, all of these nodes side by side."""
        while True:
            nodes = [node for node in nodes if self._children(node)]
            if not nodes:
                return
            families = [[node, *self._children(node)] for node in nodes]
            comparisons = tuple(self.questions.about(self.heap[at] for at in family) for family in families)
            current = self.order()
            verdicts = yield Ask(comparisons, current)
            sunk = []
            for family, comparison, verdict in zip(families, comparisons, verdicts, strict=True):
                best = family[comparison.doc_ids.index(ranked(verdict, comparison, current)[0])]
                if best != family[0]:
                    self.heap[family[0]], self.heap[best] = self.heap[best], self.heap[family[0]]
                    sunk.append(best)
            nodes = sunk

    def take(self) -> None:
        """Take the best off; the last one moves to the top and has yet to be sifted."""
        self.taken.append(self.heap[0])
        last = self.heap.pop()
        if self.heap:
            self.heap[0] = last

    def _children(self, node: int) -> range:
        first = node * self.arity + 1
        return range(first, min(first + self.arity, len(self.heap)))


def _height(node: int, n: int, arity: int) -> int:
    """Comparisons on the longest way down from a node."""
    height, first = 0, node * arity + 1
    while first < n:
        height, first = height + 1, first * arity + 1
    return height
