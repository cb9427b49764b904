from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from taskgrain.errors import ResultError
from taskgrain.transfer.answers import Answers, Evaluation, Subject
from taskgrain.transfer.trend_rows import nested_order, trend_rows
from tests.making import find, measured_as

LABELS: NDArray[np.int64] = np.repeat(np.arange(2), 10)
LADDER = ("coarse", "middle", "fine")
# Clips of each class that are right, by source and seed.
RIGHT = {
    "coarse": {0: (4, 4), 1: (5, 5)},
    "middle": {0: (5, 5), 1: (7, 7)},
    "fine": {0: (6, 6), 1: (9, 9)},
}


def evaluation_of(source: str, seed: int, right: tuple[int, int]) -> Evaluation:
    predicted = np.array([[0] * right[0] + [1] * (20 - right[0])], dtype=np.int16)
    predicted[0, 10 : 20 - right[1]] = 0
    return Evaluation(
        subject=Subject(source, seed, "lstm-mean", None),
        target="kitchenware",
        class_names=("fork", "knife"),
        clip_ids=tuple(f"q{index}" for index in range(20)),
        labels=LABELS,
        failed=0,
        truncated=2,
        answers=(Answers("nearest-mean", 1, predicted, f"C={seed}", "the support"),),
    )


EVALUATIONS = [
    evaluation_of(source, seed, right)
    for source, seeds in RIGHT.items()
    for seed, right in seeds.items()
]


def test_the_slope_is_the_gain_for_each_step_of_the_ladder() -> None:
    shuffled = [EVALUATIONS[index] for index in (5, 0, 3, 1, 4, 2)]
    rows = trend_rows(shuffled, LADDER, study="quick", metric="mean-per-class")
    assert [row.seed for row in rows] == [0, 1, None]
    assert find(rows, seed=0).value == pytest.approx(0.1)
    assert find(rows, seed=1).value == pytest.approx(0.2)
    over = find(rows, seed=None)
    assert over.value == pytest.approx(0.15)
    assert (over.metric, over.interval, over.source, over.versus) == ("trend", "seeds", None, None)
    # Slopes .1 and .2: t = .15 / .05 with one degree of freedom.
    assert over.p == pytest.approx(2 * (0.5 - np.arctan(3) / np.pi))
    assert (over.n, over.truncated, over.chosen) == (20, 2, None)
    assert find(rows, seed=0).interval is None


def test_one_seed_gives_its_slope_and_no_test() -> None:
    own = [each for each in EVALUATIONS if each.subject.seed == 0]
    (row,) = trend_rows(own, LADDER, study="quick", metric="top-1")
    assert (row.seed, row.interval, row.p) == (0, None, None)


def test_two_levels_and_controls_have_no_trend() -> None:
    assert trend_rows(EVALUATIONS, LADDER[:2], study="quick", metric="top-1") == []
    controls = [measured_as(each, control="shuffled-time") for each in EVALUATIONS]
    assert trend_rows(controls, LADDER, study="quick", metric="top-1") == []
    both = trend_rows([*EVALUATIONS, *controls], LADDER, study="quick", metric="top-1")
    assert both == trend_rows(EVALUATIONS, LADDER, study="quick", metric="top-1")


def test_a_read_out_that_a_level_lacks_has_no_trend() -> None:
    other = [
        measured_as(each, readout="spatial-mean")
        for each in EVALUATIONS
        if each.subject.source != "fine"
    ]
    rows = trend_rows([*EVALUATIONS, *other], LADDER, study="quick", metric="top-1")
    assert {row.readout for row in rows} == {"lstm-mean"}


def test_levels_of_different_seeds_are_refused() -> None:
    with pytest.raises(ResultError, match=r"coarse has seeds \[0, 1\], fine has \[0\]"):
        trend_rows(EVALUATIONS[:-1], LADDER, study="quick", metric="top-1")


LEVELS: Mapping[str, list[int]] = {
    "category": [0, 1, 2, 3, 4, 5],
    "pairs": [0, 0, 1, 1, 2, 2],
    "halves": [0, 0, 0, 0, 1, 1],
    "across": [0, 1, 0, 1, 0, 1],
    "renamed": [2, 2, 0, 0, 1, 1],
}


def order_of(*levels: str) -> list[str] | None:
    order = nested_order([np.array(LEVELS[level]) for level in levels])
    return None if order is None else [levels[position] for position in order]


def test_nested_levels_are_ordered_from_coarse_to_fine() -> None:
    assert order_of("category", "halves", "pairs") == ["halves", "pairs", "category"]


@pytest.mark.parametrize("other", ["across", "renamed"])
def test_levels_that_do_not_nest_or_do_not_rise_have_no_order(other: str) -> None:
    assert order_of("category", "pairs", other) is None


def test_a_slope_over_a_failed_probe_says_which_seed_of_which_level() -> None:
    answers = replace(
        EVALUATIONS[3].answers[0],
        held=np.full((1, 20), -1, np.int16),
        problem="did not converge",
    )
    broken = [*EVALUATIONS]
    broken[3] = replace(EVALUATIONS[3], answers=(answers,))
    rows = trend_rows(broken, LADDER, study="quick", metric="mean-per-class")
    assert [row.seed for row in rows] == [0, 1, None]
    assert rows[0] == trend_rows(EVALUATIONS, LADDER, study="quick", metric="mean-per-class")[0]
    for row in rows[1:]:
        assert row.problem == "middle, seed 1: did not converge"
        assert (row.value, row.interval, row.p, row.source) == (None, None, None, None)
