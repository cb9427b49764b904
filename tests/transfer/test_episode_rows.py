from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from taskgrain.errors import ResultError
from taskgrain.results import select
from taskgrain.statistics.tests import mean_interval, paired_interval
from taskgrain.transfer.answers import Answers, Evaluation, Subject
from taskgrain.transfer.rows import episode_rows
from tests.making import find, measured_as

NUM_EPISODES = 40


def answers_of(source: str, seed: int, accuracy: float) -> Evaluation:
    generator = np.random.default_rng((seed, len(source)))
    truth = np.repeat(np.arange(5), 3).astype(np.int16)
    right = generator.random((NUM_EPISODES, len(truth))) < accuracy
    predicted = np.where(right, truth, (truth + 1) % 5).astype(np.int16)
    predicted[0, 0] = -1  # failed
    return Evaluation(
        subject=Subject(source, seed, "lstm-mean", None),
        target="kitchenware",
        class_names=tuple("abcdef"),
        clip_ids=tuple(map(str, range(65))),
        labels=np.arange(65) % 6,
        failed=1,
        truncated=2,
        answers=(Answers("nearest-mean", 1, predicted, None, None, num_ways=5),),
    )


def predicted_of(evaluation: Evaluation) -> NDArray[np.int16]:
    return evaluation.answers[0].predicted


def accuracies_of(evaluation: Evaluation) -> NDArray[np.float64]:
    return evaluation.accuracies(evaluation.answers[0])


def with_answers(
    evaluation: Evaluation, predicted: NDArray[np.int16], problem: str | None = None
) -> Evaluation:
    answers = replace(evaluation.answers[0], held=predicted, problem=problem)
    return replace(evaluation, answers=(answers,))


FINE = [answers_of("categories", seed, 0.7) for seed in range(3)]
COARSE = [answers_of("groups", seed, 0.5) for seed in range(3)]
PAIRS = [("categories", "groups")]


def test_each_subject_has_its_mean_over_episodes_and_over_seeds() -> None:
    rows = episode_rows([*FINE, *COARSE], [], study="quick")
    each = [float((predicted_of(one) == np.repeat(np.arange(5), 3)).mean()) for one in FINE]
    row = find(rows, source="categories", seed=1)
    assert row.value == pytest.approx(each[1])
    assert (row.metric, row.interval, row.shots) == ("5-way-accuracy", "episodes", 1)
    assert (row.n, row.failed, row.truncated, row.draws) == (65, 1, 2, NUM_EPISODES)
    over = find(rows, source="categories", seed=None)
    expected = mean_interval(each, kind="seeds")
    assert (over.value, over.low, over.high) == pytest.approx(
        (expected.value, expected.low, expected.high)
    )
    assert find(rows, control="chance").value == 0.2


def test_differences_are_paired_by_episode_and_by_seed() -> None:
    shuffled = [*FINE, COARSE[2], COARSE[0], COARSE[1]]
    rows = select(
        episode_rows(shuffled, PAIRS, study="quick"),
        source="categories",
        versus="groups",
    )
    assert [(row.seed, row.interval) for row in rows] == [
        *((seed, "episodes") for seed in range(3)),
        *((None, kind) for kind in ("episodes", "seeds")),
    ]
    gaps = accuracies_of(FINE[2]) - accuracies_of(COARSE[2])
    row = find(rows, seed=2)
    assert row.value == pytest.approx(gaps.mean())
    half = (row.high or 0.0) - (row.value or 0.0)
    assert half == pytest.approx(2.0227 * gaps.std(ddof=1) / NUM_EPISODES**0.5, rel=1e-3)
    means = [[float(accuracies_of(one).mean()) for one in group] for group in (FINE, COARSE)]
    expected = paired_interval(*means, kind="seeds")
    tested = find(rows, seed=None, interval="seeds")
    assert (tested.value, tested.p) == pytest.approx((expected.value, expected.p))


def test_one_seed_has_no_rows_over_seeds_and_one_episode_no_interval() -> None:
    one = with_answers(FINE[0], predicted_of(FINE[0])[:1])
    rows = episode_rows([one], [], study="quick")
    assert [(row.control, row.interval) for row in rows] == [(None, None), ("chance", None)]


def test_controls_have_values_and_no_differences() -> None:
    control = [measured_as(each, source=None, control="random-encoder") for each in FINE]
    rows = episode_rows([*FINE, *COARSE, *control], PAIRS, study="quick")
    found = select(rows, control="random-encoder")
    assert len(found) == 4
    assert {row.versus for row in found} == {None}
    shuffled = [measured_as(each, source="groups", control="shuffled-time") for each in FINE]
    with_shuffled = episode_rows([*COARSE, *FINE, *shuffled], PAIRS, study="quick")
    differences = [row for row in with_shuffled if row.versus is not None]
    assert len(differences) == 5
    assert differences == [row for row in rows if row.versus is not None]


def test_what_cannot_be_paired_is_refused() -> None:
    def rows(*answers: Evaluation) -> None:
        episode_rows(answers, PAIRS, study="quick")

    with pytest.raises(ResultError, match=r"categories has seeds \[0, 1, 2\], groups has \[0\]"):
        rows(*FINE, COARSE[0])
    with pytest.raises(ResultError, match="source 'groups' has not been evaluated"):
        rows(*FINE)
    fewer = with_answers(COARSE[0], predicted_of(COARSE[0])[:9])
    with pytest.raises(ValueError, match="did not answer as many episodes"):
        rows(FINE[0], fewer)


def test_episodes_of_a_failed_probe_have_rows_with_the_problem() -> None:
    nothing = np.full_like(predicted_of(FINE[1]), -1)
    failed = with_answers(FINE[1], nothing, problem="did not converge")
    rows = episode_rows([FINE[0], failed, FINE[2], *COARSE], PAIRS, study="quick")
    expected = episode_rows([*FINE, *COARSE], PAIRS, study="quick")
    broken = {("categories", seed, versus) for seed in (1, None) for versus in (None, "groups")}
    kept = [row for row in rows if row.problem is None]
    assert kept == [row for row in expected if (row.source, row.seed, row.versus) not in broken]
    found = [row for row in rows if row.problem is not None]
    assert {(row.source, row.seed, row.versus) for row in found} == broken
    assert len(found) == 4
    assert all((row.value, row.interval, row.p) == (None, None, None) for row in found)
    assert find(rows, source="categories", seed=1, versus=None).problem == "did not converge"
    over = find(rows, source="categories", seed=None, versus=None)
    assert over.problem == "categories, seed 1: did not converge"
