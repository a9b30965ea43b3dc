"""The token stream."""

from __future__ import annotations

from sleuth.text.stream import stream_of


def test_terms_are_numbered_as_they_come() -> None:
    stream = stream_of([["b", "a", "b"], [], ["c", "a"]])
    assert stream.terms == ["b", "a", "c"]
    assert stream.ids.tolist() == [0, 1, 0, 2, 1]
    assert stream.offsets.tolist() == [0, 3, 3, 5]
    assert [stream.tokens(at) for at in range(len(stream))] == [["b", "a", "b"], [], ["c", "a"]]
