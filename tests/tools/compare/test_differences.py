from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from taskgrain.names import ClipMetric
from taskgrain.results import ResultRow, select
from taskgrain.statistics.crossed import crossed_interval
from taskgrain.statistics.groups import GroupSums
from taskgrain.statistics.intervals import ClipBootstrap
from taskgrain.tools.compare.differences import (
    Finding,
    correct,
    crossed_classes,
    differences,
    single_encoder_interval,
)
from taskgrain.transfer.answers import Answers, Evaluation, Subject
from tests.making import measured_as

CATEGORY = np.repeat(np.arange(5), 8)


def evaluation(source: str, seed: int, right: NDArray[np.bool_]) -> Evaluation:
    """Answers that are right where wanted: right bool (draws, N)."""
    predicted = np.where(right, CATEGORY, (CATEGORY + 1) % 5).astype(np.int16)
    return Evaluation(
        subject=Subject(source, seed, "given", None),
        target="y",
        class_names=tuple("abcde"),
        clip_ids=tuple(map(str, range(len(CATEGORY)))),
        labels=CATEGORY,
        failed=0,
        truncated=0,
        answers=(Answers("ridge", 5, predicted, None, None),),
    )


def random_evaluations(
    source: str, count: int, *, share: float, draws: int = 6
) -> list[Evaluation]:
    generator = np.random.default_rng(ord(source))
    return [
        evaluation(source, seed, generator.random((draws, len(CATEGORY))) < share)
        for seed in range(count)
    ]


def single_encoder_p(
    values: NDArray[np.int8],
    category: NDArray[np.int64],
    *,
    metric: ClipMetric,
    groups: GroupSums | None = None,
) -> float:
    found = single_encoder_interval(values, category, metric=metric, groups=groups)
    assert found.p is not None
    assert found.low <= found.value <= found.high
    assert (found.p < 0.05) == (not found.low <= 0 <= found.high)
    return found.p


@pytest.fixture(scope="module")
def bootstrap() -> ClipBootstrap:
    return ClipBootstrap(CATEGORY, seed=0)


def test_with_seeds_the_test_is_the_paired_t_over_them(bootstrap: ClipBootstrap) -> None:
    ours, theirs = random_evaluations("b", 4, share=0.7), random_evaluations("a", 4, share=0.6)
    rows, found = differences(ours, theirs, bootstrap=bootstrap)
    assert [each.row.metric for each in found] == ["top-1", "mean-per-class"]
    values = [[each.correct(each.answers[0]).mean() for each in group] for group in (ours, theirs)]
    expected = stats.ttest_rel(*values)
    assert found[0].row.p == pytest.approx(expected.pvalue)
    assert found[0].row.value == pytest.approx(np.mean(values[0]) - np.mean(values[1]))
    assert (found[0].row.source, found[0].row.versus) == ("b", "a")
    kinds = [row.interval for row in found[0].beside]
    assert kinds == ["crossed", "clips"]
    right = [
        np.stack([each.correct(each.answers[0]) for each in group]).astype(np.int8)
        for group in (ours, theirs)
    ]
    crossed = crossed_interval(right[0] - right[1], CATEGORY, metric="top-1")
    assert (found[0].beside[0].low, found[0].beside[0].high) == (crossed.low, crossed.high)
    assert len(select(rows, interval="crossed")) == 2
    assert len(select(rows, interval="seeds")) == 2


def test_with_one_encoder_each_the_row_over_clips_is_tested(bootstrap: ClipBootstrap) -> None:
    ours, theirs = random_evaluations("b", 1, share=0.9), random_evaluations("a", 1, share=0.4)
    rows, found = differences(ours, theirs, bootstrap=bootstrap)
    assert found[0].row.interval == "clips"
    assert found[0].beside == ()
    right = [each.correct(each.answers[0]).astype(np.int8) for each in (ours[0], theirs[0])]
    expected = single_encoder_interval(right[0] - right[1], CATEGORY, metric="top-1")
    row = found[0].row
    assert (row.low, row.high, row.p) == (expected.low, expected.high, expected.p)
    assert row.p is not None
    assert row.p < 1e-4
    assert found[0].row in rows
    assert len(rows) == 2


def test_one_encoder_is_held_against_every_seed_of_another(bootstrap: ClipBootstrap) -> None:
    ours, theirs = random_evaluations("b", 1, share=0.7), random_evaluations("a", 5, share=0.6)
    _, found = differences(ours, theirs, bootstrap=bootstrap)
    own = ours[0].correct(ours[0].answers[0]).mean()
    values = [own - each.correct(each.answers[0]).mean() for each in theirs]
    assert found[0].row.interval == "seeds"
    assert found[0].row.p == pytest.approx(stats.ttest_1samp(values, 0).pvalue)


def test_nothing_is_tested_over_too_few_clips_of_a_class() -> None:
    few = [replace(each, labels=CATEGORY[:8]) for each in random_evaluations("b", 1, share=0.5)]
    few = [
        replace(
            each,
            clip_ids=each.clip_ids[:8],
            labels=np.repeat([0, 1], 4),
            answers=(replace(each.answers[0], held=each.answers[0].predicted[:, :8]),),
        )
        for each in few
    ]
    other = [measured_as(few[0], source="a")]
    _, found = differences(few, other, bootstrap=ClipBootstrap(np.repeat([0, 1], 4), seed=0))
    assert [(each.row.p, each.row.interval) for each in found] == [(None, None)] * 2


def test_holm_is_over_one_metric_and_leaves_the_other_alone(bootstrap: ClipBootstrap) -> None:
    primary = random_evaluations("a", 4, share=0.6)
    found: list[Finding] = []
    for name, share in (("b", 0.75), ("c", 0.62), ("d", 0.7)):
        found += differences(
            random_evaluations(name, 4, share=share), primary, bootstrap=bootstrap
        )[1]
    corrected = correct(found, metric="top-1")
    assert [each.row for each in corrected] == [each.row for each in found]
    assert [each.p_holm is None for each in corrected] == [False, True] * 3
    raw = sorted(each.row.p or 0.0 for each in found if each.row.metric == "top-1")
    adjusted = sorted(each.p_holm or 0.0 for each in corrected if each.p_holm is not None)
    assert adjusted[0] == pytest.approx(3 * raw[0])
    assert adjusted[2] == pytest.approx(max(raw[2], adjusted[1]))


def test_of_one_draw_and_two_classes_it_is_the_stratified_t() -> None:
    category = np.repeat([0, 1], [6, 14])
    values = np.random.default_rng(1).integers(-1, 2, size=(1, 20)).astype(np.int8)
    first, second = values[0, :6], values[0, 6:]
    error = np.sqrt(
        (6 / 20) ** 2 * first.var(ddof=1) / 6 + (14 / 20) ** 2 * second.var(ddof=1) / 14
    )
    p = single_encoder_p(values, category, metric="top-1")
    t = values.mean() / error
    assert 2 * stats.t.sf(abs(t), 18) == pytest.approx(p, rel=0.2)  # Satterthwaite is near 18
    assert p > 2 * stats.norm.sf(abs(t))
    # Mean per class weighs the two alike: then it is Welch's t for the sum of two means.
    welch = stats.ttest_ind(first, -second, equal_var=False).pvalue
    assert single_encoder_p(values, category, metric="mean-per-class") == pytest.approx(welch)


def test_no_difference_at_all_is_no_evidence_and_a_constant_one_is() -> None:
    nothing = np.zeros((3, len(CATEGORY)), dtype=np.int8)
    assert single_encoder_p(nothing, CATEGORY, metric="top-1") == 1.0
    assert single_encoder_p(nothing + np.int8(1), CATEGORY, metric="mean-per-class") == 0.0


@pytest.mark.parametrize("draws", [1, 10])
def test_equal_encoders_are_told_apart_in_one_test_of_twenty(draws: int) -> None:
    generator = np.random.default_rng(draws)
    num_tests, size = 400, (draws, len(CATEGORY))
    rejected = 0
    for _ in range(num_tests):
        hard = generator.normal(size=len(CATEGORY))  # of a clip, for each of two equal encoders
        # One draw's luck is held with it.
        luck = generator.normal(scale=0.7 * (draws > 1), size=(2, draws, 1))
        own = hard + generator.normal(scale=1.0, size=(2, 1, len(CATEGORY))) + luck
        right = own + generator.normal(size=(2, *size)) > 0
        values = right[0].astype(np.int8) - right[1].astype(np.int8)
        rejected += single_encoder_p(values, CATEGORY, metric="mean-per-class") < 0.05
    # Three standard errors of a share of .05; what both variances hold makes it too careful.
    assert 0.015 < rejected / num_tests < 0.05 + 3 * np.sqrt(0.05 * 0.95 / num_tests)


@pytest.mark.parametrize("spans_classes", [False, True])
def test_clips_of_one_recording_are_not_taken_each_for_itself(spans_classes: bool) -> None:
    generator = np.random.default_rng(3)
    category = np.repeat(np.arange(3), 40)
    # Ten recordings of each class, or of all together: clips 0, 10, 20, ... are of one.
    groups = np.arange(120) % 10 + (0 if spans_classes else 10 * category)
    of_groups = GroupSums(category, groups)
    num_tests = 400
    naive, by_group = 0, 0
    for _ in range(num_tests):
        luck = generator.normal(size=(2, 30))[:, groups]  # an encoder likes a recording or not
        right = luck + 0.5 * generator.normal(size=(2, 120)) > 0
        values = (right[0].astype(np.int8) - right[1].astype(np.int8))[None]
        naive += single_encoder_p(values, category, metric="top-1") < 0.05
        by_group += single_encoder_p(values, category, metric="top-1", groups=of_groups) < 0.05
    assert naive / num_tests > 0.2
    assert 0.02 < by_group / num_tests < 0.05 + 3 * np.sqrt(0.05 * 0.95 / num_tests)


def test_groups_of_one_clip_are_clips() -> None:
    values = np.random.default_rng(1).integers(-1, 2, size=(4, len(CATEGORY))).astype(np.int8)
    alone = GroupSums(CATEGORY, np.random.default_rng(2).permutation(len(CATEGORY)))
    by_group = single_encoder_interval(values, CATEGORY, metric="top-1", groups=alone)
    by_clip = single_encoder_interval(values, CATEGORY, metric="top-1")
    assert (by_group.low, by_group.high, by_group.p) == pytest.approx(
        (by_clip.low, by_clip.high, by_clip.p),
        rel=0.01,  # the degrees of freedom are those of classes that spread alike
    )


def test_nothing_is_tested_over_too_few_groups_of_a_class() -> None:
    ours, theirs = random_evaluations("b", 1, share=0.9), random_evaluations("a", 1, share=0.4)
    for groups, is_tested in ((CATEGORY, False), (np.arange(len(CATEGORY)) // 2, True)):
        bootstrap = ClipBootstrap(CATEGORY, seed=0, groups=groups)
        _, found = differences(ours, theirs, bootstrap=bootstrap)
        assert [each.row.p is not None for each in found] == [is_tested] * 2
        assert [each.row.interval for each in found] == ["clips" if is_tested else None] * 2


def test_of_few_classes_the_crossed_interval_holds_them() -> None:
    few = CATEGORY % 4
    groups = [
        [replace(each, labels=few) for each in random_evaluations(name, 3, share=0.6)]
        for name in "ba"
    ]
    rows, found = differences(*groups, bootstrap=ClipBootstrap(few, seed=0))
    values = [
        np.stack([each.correct(each.answers[0]) for each in group]).astype(np.int8)
        for group in groups
    ]
    expected = crossed_interval(values[0] - values[1], few, metric="top-1", classes="fixed")
    assert (found[0].beside[0].low, found[0].beside[0].high) == (expected.low, expected.high)
    assert found[0].beside[0].p == expected.p
    assert select(rows, interval="crossed", metric="top-1") == (found[0].beside[0],)


def crossed_over(
    category: NDArray[np.int64],
    *,
    seeds: int,
    draws: int,
    groups: NDArray[np.int64] | None = None,
) -> str | None:
    bootstrap = ClipBootstrap(category, seed=0, groups=groups)
    return crossed_classes(bootstrap, num_seeds=seeds, num_draws=draws)


def test_other_classes_are_spoken_of_where_there_are_enough() -> None:
    assert crossed_over(CATEGORY, seeds=3, draws=50) == "random"
    assert crossed_over(CATEGORY % 3, seeds=3, draws=1) == "fixed"
    assert crossed_over(CATEGORY, seeds=2, draws=50) is None
    assert crossed_over(CATEGORY, seeds=8, draws=3) is None


def test_with_groups_only_other_classes_can_be_spoken_of_and_only_if_none_is_of_several() -> None:
    apart = np.arange(len(CATEGORY)) // 2
    assert crossed_over(CATEGORY, seeds=3, draws=50, groups=apart) == "random"
    few = CATEGORY // 3
    assert crossed_over(few, seeds=3, draws=50) == "fixed"
    assert crossed_over(few, seeds=3, draws=50, groups=apart) is None
    spanning = np.arange(len(CATEGORY)) % 7
    assert crossed_over(CATEGORY, seeds=3, draws=50, groups=spanning) is None
    ours, theirs = random_evaluations("b", 3, share=0.7), random_evaluations("a", 3, share=0.6)
    for groups, count in ((apart, 2), (spanning, 0)):
        bootstrap = ClipBootstrap(CATEGORY, seed=0, groups=groups)
        rows, _ = differences(ours, theirs, bootstrap=bootstrap)
        assert len(select(rows, interval="crossed")) == count


def test_a_difference_that_a_probe_failed_at_stays_in_the_family() -> None:
    row = ResultRow(
        study="compare", target="y", metric="top-1", value=0.2, n=9, failed=0, truncated=0
    )
    tested = replace(row, probe="ridge", p=0.02)
    failed = replace(row, probe="k-nn", value=None, problem="it broke")
    untested = replace(row, probe="nearest-mean")  # without an interval, for want of clips
    findings = [Finding(each, (), None) for each in (tested, failed, untested)]
    assert [each.p_holm for each in correct(findings, metric="top-1")] == [0.04, None, None]


def test_seeds_that_answer_alike_are_one_encoder_and_not_tested() -> None:
    first, primary = (
        [measured_as(each, seed=seed) for seed in range(3)]
        for each in (
            random_evaluations("a", 1, share=0.7)[0],
            random_evaluations("b", 1, share=0.5)[0],
        )
    )
    rows, found = differences(first, primary, bootstrap=ClipBootstrap(CATEGORY, seed=0))
    assert {(each.row.interval, each.row.p) for each in found} == {("clips", None)}
    assert not [row for row in rows if row.interval in ("seeds", "crossed")]
