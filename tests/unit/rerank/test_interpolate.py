"""Interpolation: the published formulas, the judged head only, ties, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sleuth.context import Context
from sleuth.errors import UnknownName, UsageError
from sleuth.rerank.interpolate import PRESETS, Interpolate, normal_scores, tie_counts
from sleuth.types import Query, Ranking, Run

NAN = float("nan")


def judged(retrieve: dict[str, float], judge: dict[str, float], scale: str = "mixed") -> Ranking:
    """A list as a scoring judge leaves it: judged documents by their score, then the others."""
    prior = list(retrieve)
    head = sorted(judge, key=lambda doc_id: -judge[doc_id])
    tail = [doc_id for doc_id in prior if doc_id not in judge]
    ids = head + tail
    floor = judge[head[-1]] if head else 0.0
    scores = [judge[doc_id] for doc_id in head] + [floor - 1 - at for at in range(len(tail))]
    parts = {
        "retrieve": [retrieve[doc_id] for doc_id in ids],
        "rerank-1": [judge.get(doc_id, NAN) for doc_id in ids],
    }
    return Ranking(ids, scores, parts=parts, scale=scale)  # type: ignore[arg-type]


def mixed(step: Interpolate, ranking: Ranking, **query: object) -> Ranking:
    return step.rerank([Query("q", "?", **query)], Run({"q": ranking})).run["q"]  # type: ignore[arg-type]


COSINES = {"a": 0.61, "b": 0.55, "c": 0.41, "d": 0.39}


def test_reasonir_is_half_the_cosine_and_half_the_grade() -> None:
    found = mixed(Interpolate(preset="reasonir"), judged(COSINES, {"a": 3.0, "b": 3.0, "c": 4.0, "d": 0.0}))
    assert found.score_of() == pytest.approx({"a": 0.605, "c": 0.605, "b": 0.575, "d": 0.195})
    assert found.scale == "fused"
    # A step of one grade is no strict tie-break: .2 of cosine make up for it.
    assert set(found.doc_ids[:2]) == {"a", "c"}


def test_near_strict_adds_bm25_to_a_hundred_times_the_share() -> None:
    bm25 = {"a": 17.5, "b": 12.25, "c": 9.0}
    found = mixed(Interpolate(preset="near-strict"), judged(bm25, {"a": 2.0, "b": 3.0, "c": 3.0}))
    assert found.score_of() == {"b": 72.25, "c": 69.0, "a": 57.5}


def test_strict_breaks_ties_only() -> None:
    retrieve = {"a": 100.0, "b": 2.0, "c": 1.0, "d": 1.0}
    found = mixed(Interpolate(preset="strict"), judged(retrieve, {"c": 5.0, "d": 5.0, "b": 5.0, "a": 4.0}))
    assert found.doc_ids == ("b", "c", "d", "a")
    assert found.scores.tolist() == [4, 3, 3, 1]  # c and d are equal in both
    assert found.scale == "rank"


def test_alpha_takes_one_side_alone_at_its_ends() -> None:
    ranking = judged(COSINES, {"d": 4.0, "c": 3.0, "b": 2.0, "a": 1.0})
    assert mixed(Interpolate(alpha=1, normalize="minmax"), ranking).doc_ids == ("a", "b", "c", "d")
    assert mixed(Interpolate(alpha=0, normalize="zscore"), ranking).doc_ids == ("d", "c", "b", "a")


@pytest.mark.parametrize(
    ("normalize", "expected"),
    [
        ("minmax", {"a": 0.25 * 1 + 0.75 * 0, "b": 0.25 * 0.5 + 0.75 * 0.5, "c": 0.25 * 0 + 0.75 * 1}),
        ("zscore", {"a": -0.5 * math.sqrt(1.5), "b": 0.0, "c": 0.5 * math.sqrt(1.5)}),
        ("rank", {"a": 0.25 * 1 + 0.75 / 3, "b": 2 / 3, "c": 0.25 / 3 + 0.75 * 1}),
    ],
)
def test_normalizations_are_over_the_judged_documents(normalize: str, expected: dict[str, float]) -> None:
    ranking = judged({"a": 30.0, "b": 20.0, "c": 10.0, "unjudged": -1000.0}, {"a": 1.0, "b": 2.0, "c": 3.0})
    found = mixed(Interpolate(alpha=0.25, normalize=normalize), ranking).score_of()
    found.pop("unjudged")
    assert found == pytest.approx(expected)


def test_blend_mixes_z_scores_with_normal_scores_of_ranks() -> None:
    ranking = judged({"a": 3.0, "b": 2.0, "c": 1.0}, {"c": 3.0, "b": 2.0, "a": 1.0})
    found = mixed(Interpolate(preset="blend"), ranking).score_of()
    best = math.log((3 - 0.375) / 3.25 / (1 - (3 - 0.375) / 3.25)) / 1.702
    assert found["c"] == pytest.approx(0.8 * best - 0.2 * math.sqrt(1.5))
    assert found["b"] == pytest.approx(0, abs=1e-12)


def test_what_was_not_judged_follows_in_its_old_order() -> None:
    retrieve = {doc_id: 10.0 - at for at, doc_id in enumerate("abcdef")}
    found = mixed(Interpolate(alpha=0.5, name="mix"), judged(retrieve, {"b": 1.0, "a": 0.5}))
    assert found.doc_ids[2:] == ("c", "d", "e", "f")
    assert found.scores[2:].tolist() == [found.scores[1] - n for n in (1, 2, 3, 4)]
    assert found.scale == "mixed"
    assert np.isnan(found.parts["mix"][2:]).all()
    assert found.parts["mix"][:2].tolist() == found.scores[:2].tolist()
    assert dict(zip(found.doc_ids, found.parts["retrieve"].tolist(), strict=True)) == retrieve


def test_equal_mixtures_keep_the_judges_order() -> None:
    ranking = judged({"z": 1.0, "a": 0.0}, {"a": 1.0, "z": 0.0})
    assert mixed(Interpolate(alpha=0.5), ranking).doc_ids == ("a", "z")


def test_a_missing_earlier_score_counts_as_the_lowest() -> None:
    ranking = Ranking(["a", "b", "c"], [3, 2, 1], parts={"bm25": [NAN, 4.0, 2.0], "rerank-1": [3, 2, 1]})
    result = Interpolate(with_="bm25").rerank([Query("q", "?")], Run({"q": ranking}))
    assert result.run["q"].score_of() == {"b": 3.0, "a": 2.5, "c": 1.5}
    assert result.counts["without_earlier_score"] == 1


def test_ties_are_counted_before_and_after() -> None:
    retrieve = {f"d{at:02}": 1 - at / 100 for at in range(30)}
    result = Interpolate(preset="reasonir").rerank(
        [Query("q", "?"), Query("r", "?")],
        Run({"q": judged(retrieve, dict.fromkeys(retrieve, 4.0)), "r": judged(retrieve, {"d00": 5.0, "d01": 4.0})}),
    )
    counts = result.counts
    assert (counts["judged"], counts["judge_tied"], counts["judge_ties_at_10"]) == (32, 30, 1)
    assert (counts["tied"], counts["ties_at_10"], counts["queries"]) == (0, 0, 2)


def test_a_tie_within_the_first_ten_is_not_across_rank_10() -> None:
    assert tie_counts(np.array([5.0] * 10 + [4.0])) == {"tied": 10, "ties_at_10": 0}
    assert tie_counts(np.array([5.0] * 11)) == {"tied": 11, "ties_at_10": 1}
    assert tie_counts(np.array([5.0, 4.0, 4.0]), cut=2) == {"tied": 2, "ties_at_2": 1}
    assert tie_counts(np.zeros(0)) == {"tied": 0, "ties_at_10": 0}


def test_normal_scores_share_the_mean_of_a_tie() -> None:
    free, tied = normal_scores(np.array([4.0, 3.0, 2.0, 1.0])), normal_scores(np.array([4.0, 2.0, 2.0, 1.0]))
    assert free == pytest.approx(-free[::-1])
    assert tied[1] == tied[2] == pytest.approx((free[1] + free[2]) / 2)
    assert normal_scores(np.array([7.0])).tolist() == [0.0]


def test_the_input_stays_as_it_was_and_excluded_documents_go() -> None:
    ranking = judged(COSINES, {"a": 1.0, "b": 5.0})
    before = ranking.doc_ids
    assert "b" not in mixed(Interpolate(), ranking, excluded_ids=frozenset({"b"})).doc_ids
    assert ranking.doc_ids == before


def test_queries_without_candidates_get_empty_lists() -> None:
    result = Interpolate().rerank([Query("x", "?"), Query("y", "?")], Run({"y": Ranking((), ())}))
    assert [len(result.run[query]) for query in ("x", "y")] == [0, 0]
    assert Interpolate().rerank([], Run()).run == {}


def test_the_stage_goes_by_its_name_or_the_pipelines() -> None:
    run = Run({"q": judged(COSINES, {"a": 1.0})})
    named = Interpolate().rerank([Query("q", "?")], run, context=Context(stage="rerank-2"))
    assert list(named.run["q"].parts) == ["retrieve", "rerank-1", "rerank-2"]
    plan = Interpolate().plan([Query("q", "?"), Query("r", "?")], run, context=Context(stage="rerank-2"))
    assert (plan.stage, plan.queries, plan.calls_expected) == ("rerank-2", 1, 0)


def test_the_last_stage_is_the_judge_unless_told() -> None:
    ranking = judged(COSINES, {"a": 1.0, "b": 2.0}).with_part("rerank-2", np.array([2.0, 1.0, NAN, NAN]))
    assert mixed(Interpolate(alpha=0), ranking).parts["interpolate"][0] == 2.0
    by_name = mixed(Interpolate(alpha=0, judge="rerank-1"), ranking)
    assert by_name.doc_ids[:2] == ("b", "a")
    assert by_name.scores[:2].tolist() == [2.0, 1.0]


def test_an_unknown_part_names_the_nearest() -> None:
    ranking = judged(COSINES, {"a": 1.0})
    with pytest.raises(UnknownName, match=r"'retreive'.*Did you mean 'retrieve'"):
        mixed(Interpolate(with_="retreive"), ranking)
    with pytest.raises(UnknownName, match="judge's part 'rerank-7'"):
        mixed(Interpolate(judge="rerank-7"), ranking)


def test_a_list_that_nobody_judged_is_refused() -> None:
    with pytest.raises(UsageError, match="no stage has judged after 'retrieve'"):
        mixed(Interpolate(), Ranking(["a"], [1.0], parts={"retrieve": [1.0]}))


def test_grades_on_another_scale_than_the_presets_are_refused() -> None:
    ranking = judged(COSINES, {"a": 70.0, "b": 20.0})
    with pytest.raises(UsageError, match=r"\[0, 5\], the judge gave 20 to 70; set scale_judge"):
        mixed(Interpolate(preset="reasonir"), ranking)
    found = mixed(Interpolate(preset="reasonir", scale_judge=0.01), ranking)
    assert found[0].score == pytest.approx(0.5 * 0.61 + 0.5 * 0.7)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"alpha": 1.5}, r"alpha must lie in \[0, 1\]"),
        ({"alpha": NAN}, "alpha"),
        ({"normalize": "min-max"}, "Did you mean 'minmax'"),
        ({"preset": "reason-ir"}, "Did you mean 'reasonir'"),
        ({"scale_judge": 0}, "above 0"),
        ({"scale_judge": 2.0, "normalize": "minmax"}, "does nothing"),
        ({"preset": "strict", "alpha": 0.5}, "has no alpha"),
        ({"preset": "near-strict", "normalize": "zscore"}, "leave normalize"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Interpolate(**settings)  # type: ignore[arg-type]


def test_settings_of_every_preset_can_be_recorded() -> None:
    for preset in PRESETS:
        assert Interpolate(preset=preset).settings()["preset"] == preset
