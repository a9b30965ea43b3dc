"""Which prompts share a beginning: every position once, what is shared is equal, nothing better is left."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleuth.models.shared_prefix import LEAST_TOKENS, common_length, is_worth_sharing, share_prefixes


def test_common_length():
    assert common_length([1, 2, 3], (1, 2, 4)) == 2
    assert common_length((1, 2), [1, 2, 3]) == 2
    assert common_length([], [1]) == 0
    assert common_length([5], [6]) == 0


def test_one_query_one_group():
    head = list(range(100, 300))
    prompts = [[*head, at, at, at] for at in range(5)] + [[7, 8, 9]]
    groups = {group.members: group.length for group in share_prefixes(prompts)}
    assert groups == {(5,): 0, (0, 1, 2, 3, 4): 200}


def test_two_queries_share_their_own_beginnings_not_the_system_prompt_alone():
    system = list(range(70))
    prompts = [[*system, query, *range(400, 500), doc] for query in (1, 2) for doc in range(10)]
    assert sorted((group.length, len(group.members)) for group in share_prefixes(prompts)) == [(171, 10), (171, 10)]


def test_equal_prompts_leave_a_token_to_compute():
    groups = share_prefixes([tuple(range(200))] * 3)
    assert [(group.length, sorted(group.members)) for group in groups] == [(199, [0, 1, 2])]


def test_short_beginnings_and_long_rests_are_not_shared():
    short = LEAST_TOKENS - 1
    assert {group.length for group in share_prefixes([[*range(short), 900 + at] for at in range(4)])} == {0}
    long = [[*range(100), *([500 + at] * 4000)] for at in range(3)]
    assert {group.length for group in share_prefixes(long)} == {0}
    assert is_worth_sharing(500, 200) and not is_worth_sharing(600, 2600)


def test_nothing_and_one():
    assert share_prefixes([]) == []
    assert [group.members for group in share_prefixes([[1]])] == [(0,)]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(1, 4)), max_size=9))
@settings(max_examples=80, deadline=None)
def test_groups_are_a_partition_and_as_good_as_any_split_of_the_sorted_prompts(shapes):
    prompts = [[*[10 + a] * 80, *[20 + b] * 70, *[30] * c] for a, b, c in shapes]
    groups = share_prefixes(prompts)
    assert sorted(at for group in groups for at in group.members) == list(range(len(prompts)))
    saved = 0
    for group in groups:
        heads = {tuple(prompts[at][: group.length]) for at in group.members}
        assert len(heads) <= 1 or group.length == 0
        assert all(len(prompts[at]) > group.length for at in group.members)
        saved += (len(group.members) - 1) * group.length
    assert saved == _best(sorted(prompts))


def _best(prompts):
    """By trying all splits of the sorted prompts into runs."""
    best = 0
    for cuts in range(2 ** max(0, len(prompts) - 1)):
        ends = [0, *(at for at in range(1, len(prompts)) if cuts >> (at - 1) & 1), len(prompts)]
        total = 0
        for begin, end in pairwise(ends):
            run = prompts[begin:end]
            length = min((common_length(run[0], one) for one in run[1:]), default=0)
            length = min(length, *(len(one) - 1 for one in run)) if run else 0
            rest = sum(map(len, run)) / max(1, len(run)) - length
            total += (len(run) - 1) * length if is_worth_sharing(length, rest) else 0
        best = max(best, total)
    return best


@pytest.mark.parametrize("count", [300])
def test_many_prompts_are_grouped_quickly_enough_to_finish(count):
    prompts = [[*range(300), at % 7, *([at] * 50)] for at in range(count)]
    assert sum(len(group.members) for group in share_prefixes(prompts)) == count
