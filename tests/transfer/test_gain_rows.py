from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from taskgrain.names import ClipMetric
from taskgrain.results import ResultRow, less_target, select
from taskgrain.statistics.intervals import ClipBootstrap
from taskgrain.transfer.answers import Answers, Evaluation, Subject
from taskgrain.transfer.endpoints import Endpoint, correct_endpoints, detectable_rows, gain_rows
from tests.making import find

LABELS: NDArray[np.int64] = np.repeat(np.arange(4), [20, 30, 40, 50])
ENDPOINT = Endpoint(
    "fine", ("coarse",), "near", "ridge", 5, "mean-per-class", "lstm-mean", minus_target="far"
)
GAIN = {"near": 0.2, "far": 0.15}
NOISE = 0.3
FAVOUR = 0.5  # how much clips differ in what they gain


def evaluation_of(
    source: str, seed: int, target: str, *, labels: NDArray[np.int64] = LABELS, world: int = 0
) -> Evaluation:
    """Answer so that clip i is as hard, and gains as much, on both targets, as pairs do."""
    easy = np.random.default_rng(world).random(len(labels))
    own = np.random.default_rng((seed, len(source), len(target), world))
    accuracy = 0.6 + (GAIN[target] if source == "fine" else 0.0)
    gained = np.random.default_rng((world, 1)).normal(0, FAVOUR, len(labels))
    noise = own.normal(0, NOISE, (6, len(labels))) - (gained if source == "fine" else 0.0)
    right = easy + noise < accuracy
    predicted = np.where(right, labels, (labels + 1) % 4).astype(np.int16)
    return Evaluation(
        subject=Subject(source, seed, "lstm-mean", None),
        target=target,
        class_names=("a", "b", "c", "d"),
        clip_ids=tuple(f"{index}" for index in range(len(labels))),
        labels=labels,
        failed=1,
        truncated=2,
        answers=(Answers("ridge", 5, predicted, "C=1", "support"),),
    )


def made(num_seeds: int, target: str, *, world: int = 0) -> list[Evaluation]:
    return [
        evaluation_of(source, seed, target, world=world)
        for source in ("coarse", "fine")
        for seed in range(num_seeds)
    ]


def rows_of(
    num_seeds: int, *, are_pairs: bool = True, metric: ClipMetric = "mean-per-class"
) -> list[ResultRow]:
    return gain_rows(
        made(num_seeds, "near"),
        made(num_seeds, "far"),
        replace(ENDPOINT, metric=metric),
        study="made",
        are_pairs=are_pairs,
        bootstrap_of=partial(ClipBootstrap, seed=0),
    )


def gain(target: str, seed: int, metric: ClipMetric) -> float:
    """Compute a difference of accuracies from the answers, class by class."""
    scores = [
        (each.answers[0].predicted == LABELS).mean(axis=0)
        for each in (evaluation_of(source, seed, target) for source in ("fine", "coarse"))
    ]
    if metric == "top-1":
        return float((scores[0] - scores[1]).mean())
    return float(np.mean([(scores[0] - scores[1])[k == LABELS].mean() for k in range(4)]))


@pytest.mark.parametrize("metric", ["mean-per-class", "top-1"])
@pytest.mark.parametrize("are_pairs", [True, False])
def test_the_value_is_the_gain_on_one_target_minus_the_gain_on_the_other(
    are_pairs: bool, metric: ClipMetric
) -> None:
    rows = rows_of(4, are_pairs=are_pairs, metric=metric)
    values = [gain("near", seed, metric) - gain("far", seed, metric) for seed in range(4)]
    each = [row for row in rows if row.seed is not None]
    assert [row.value for row in each] == pytest.approx(values)
    assert {row.target for row in rows} == {"near minus far"} == {less_target("near", "far")}
    assert {(row.n, row.failed, row.truncated, row.draws) for row in rows} == {(280, 2, 4, 6)}
    over = find(rows, seed=None, interval="seeds")
    t = stats.ttest_1samp(values, 0)
    assert over.p == pytest.approx(float(t.pvalue))
    assert (over.low, over.high) == pytest.approx(tuple(t.confidence_interval(0.95)))
    assert (over.low_90, over.high_90) == pytest.approx(tuple(t.confidence_interval(0.9)))


def test_a_gain_may_be_as_large_as_two() -> None:
    def answered(source: str, target: str, *, is_right: bool) -> Evaluation:
        one = evaluation_of(source, 0, target)
        predicted = (LABELS[None] if is_right else (LABELS[None] + 1) % 4).astype(np.int16)
        return replace(one, answers=(replace(one.answers[0], held=predicted),))

    near = [answered("coarse", "near", is_right=False), answered("fine", "near", is_right=True)]
    far = [answered("coarse", "far", is_right=True), answered("fine", "far", is_right=False)]
    bootstrap_of = partial(ClipBootstrap, seed=0)
    (row,) = gain_rows(
        near, far, ENDPOINT, study="made", are_pairs=False, bootstrap_of=bootstrap_of
    )
    assert row.value == pytest.approx(2.0)


def test_the_test_pairs_the_seeds_of_the_targets() -> None:
    near, far = made(4, "near"), made(4, "far")
    turned = [*reversed(far[:4]), *reversed(far[4:])]  # the seeds in another order
    with pytest.raises(AssertionError, match="both are of the study's seeds"):
        gain_rows(
            near,
            turned,
            ENDPOINT,
            study="made",
            are_pairs=True,
            bootstrap_of=partial(ClipBootstrap, seed=0),
        )


def test_one_seed_has_an_interval_over_clips_and_says_whether_they_are_pairs() -> None:
    (pairs,), (apart,) = rows_of(1), rows_of(1, are_pairs=False)
    assert (pairs.interval, apart.interval) == ("clip-pairs", "clips")
    assert pairs.value == pytest.approx(apart.value)
    assert pairs.low_90 is not None
    assert pairs.p is None


def test_targets_with_other_clips_are_no_pairs() -> None:
    far = [
        replace(each, clip_ids=tuple(f"x{clip}" for clip in each.clip_ids))
        for each in made(1, "far")
    ]
    (row,) = gain_rows(
        made(1, "near"),
        far,
        ENDPOINT,
        study="made",
        are_pairs=True,
        bootstrap_of=partial(ClipBootstrap, seed=0),
    )
    assert row.interval == "clips"


def test_classes_of_fewer_than_five_clips_have_no_interval_over_clips() -> None:
    few = np.repeat(np.arange(4), [20, 30, 40, 4])
    near, far = (
        made(2, "near"),
        [
            evaluation_of(source, seed, "far", labels=few)
            for source in ("coarse", "fine")
            for seed in range(2)
        ],
    )
    rows = gain_rows(
        near,
        far,
        ENDPOINT,
        study="made",
        are_pairs=False,
        bootstrap_of=partial(ClipBootstrap, seed=0),
    )
    assert [row.interval for row in rows] == [None, None, None, "seeds"]
    assert all(row.low_90 is None for row in rows[:3])


def test_the_intervals_over_clips_have_the_width_of_their_closed_form() -> None:
    scores = {
        (source, target): (evaluation_of(source, 0, target).answers[0].predicted == LABELS).mean(0)
        for source in ("fine", "coarse")
        for target in ("near", "far")
    }
    near, far = (scores["fine", each] - scores["coarse", each] for each in ("near", "far"))

    def half(*differences: NDArray[np.float64]) -> float:
        classes = [np.flatnonzero(np.equal(LABELS, k)) for k in range(4)]
        parts = [each[own].var(ddof=1) / len(own) for each in differences for own in classes]
        return float(1.96 * (np.sum(parts) / 16) ** 0.5)

    (pairs,), (apart,) = rows_of(1), rows_of(1, are_pairs=False)
    assert ((pairs.high or 0) - (pairs.low or 0)) / 2 == pytest.approx(half(near - far), rel=0.06)
    assert ((apart.high or 0) - (apart.low or 0)) / 2 == pytest.approx(half(near, far), rel=0.06)
    assert half(near - far) != pytest.approx(half(near, far), rel=0.06)


@pytest.mark.slow
@pytest.mark.parametrize("are_pairs", [True, False])
def test_intervals_over_clips_cover_the_truth(are_pairs: bool) -> None:
    held = []
    for world in range(400):
        rows = gain_rows(
            made(1, "near", world=2 * world + 1),
            made(1, "far", world=2 * world + 1 if are_pairs else 2 * world + 2),
            ENDPOINT,
            study="made",
            are_pairs=are_pairs,
            bootstrap_of=partial(ClipBootstrap, seed=0),
        )
        (row,) = rows
        assert row.low is not None
        assert row.high is not None
        held.append(row.low <= TRUTH <= row.high)
    assert 0.92 <= np.mean(held) <= 0.98


# "fine" is right at accuracy a with chance E[Phi((a - U) / S)], U uniform on [0, 1].
_S = (NOISE**2 + FAVOUR**2) ** 0.5
_U = (np.arange(20_000) + 0.5) / 20_000
TRUTH = float((stats.norm.cdf((0.8 - _U) / _S) - stats.norm.cdf((0.75 - _U) / _S)).mean())


def test_an_endpoint_of_two_targets_is_corrected_and_has_a_detectable_difference() -> None:
    rows = rows_of(4)
    (row,) = [row for row in correct_endpoints(rows, [ENDPOINT]) if row.p_holm is not None]
    assert (row.target, row.p_holm) == ("near minus far", row.p)
    (found,) = detectable_rows(rows, [ENDPOINT])
    assert found.target == "near minus far"


def test_a_gain_without_answers_on_either_target_has_no_result() -> None:
    near, far = made(2, "near"), made(2, "far")
    far[3] = replace(far[3], answers=(replace(far[3].answers[0], problem="it broke"),))
    (row,) = gain_rows(
        near,
        far,
        ENDPOINT,
        study="made",
        are_pairs=True,
        bootstrap_of=partial(ClipBootstrap, seed=0),
    )
    assert (row.target, row.seed, row.value) == ("near minus far", None, None)
    assert row.problem == "fine, seed 1: it broke"


def test_a_difference_of_differences_may_exceed_one() -> None:
    row = select(rows_of(1), seed=0)[0]
    assert replace(row, value=1.4, low=1.3, high=1.5, low_90=None, high_90=None).value == 1.4
    with pytest.raises(ValueError, match="expected -2 to 2"):
        replace(row, value=2.1, low=2.0, high=2.2, low_90=None, high_90=None)
