"""How segments are grouped."""

from __future__ import annotations

from sleuth.index.parts import Part, merge_plan


def clean(*sizes: int) -> list[tuple[int, int]]:
    return [(size, size) for size in sizes]


def test_nothing_to_merge() -> None:
    assert merge_plan([]) == []
    assert merge_plan(clean(10)) == []
    assert merge_plan(clean(10_000, 3)) == []


def test_small_neighbours_are_merged_together() -> None:
    assert merge_plan(clean(10_000, 3, 3)) == [(1, 3)]
    assert merge_plan(clean(8, 4, 2, 1, 1)) == [(0, 5)]
    assert merge_plan(clean(100, 4, 2, 1, 1)) == [(1, 5)]


def test_what_is_mostly_deleted_is_written_anew() -> None:
    assert merge_plan([(4, 10), (100, 100), (2, 2)]) == [(0, 1)]
    assert merge_plan([(5, 10), (2, 2)]) == []
    assert merge_plan([(100, 100), (1, 3)]) == [(1, 2)]


def test_growth_by_single_documents_stays_logarithmic() -> None:
    sizes: list[tuple[int, int]] = []
    copied = 0
    for _ in range(1000):
        sizes.append((1, 1))
        for start, end in reversed(merge_plan(sizes)):
            merged = sum(live for live, _ in sizes[start:end])
            sizes[start:end] = [(merged, merged)]
            copied += merged
    assert sum(live for live, _ in sizes) == 1000
    assert len(sizes) <= 10
    assert copied <= 1000 * 10


def test_content_depends_on_everything_that_goes_in() -> None:
    def content(*rows: tuple[bytes, bytes], seed: bytes = b"") -> str:
        part = Part(seed)
        for name, hashes in rows:
            part.append(name, b"{}", "", hashes)
        return part.content

    a, b = (b"a", bytes(32)), (b"b", bytes(32))
    variants = [content(a), content(b), content(a, b), content(b, a), content(a, seed=b"x"), content((b"a", b"1" * 32))]
    assert len(set(variants)) == len(variants)
    assert content(a, b) == content(a, b)
