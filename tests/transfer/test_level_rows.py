from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from taskgrain.errors import ResultError
from taskgrain.statistics.intervals import ClipBootstrap
from taskgrain.transfer.answers import Answers, Evaluation, Subject
from taskgrain.transfer.endpoints import Endpoint
from taskgrain.transfer.level_rows import group_error_rows, nested_order, parted_errors, trend_rows
from taskgrain.transfer.rows import clip_rows
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


CLASSES = ("drop a", "drop b", "hold a", "hold b", "stand")
GROUP_OF = {"drop a": "drop", "drop b": "drop", "hold a": "hold", "hold b": "hold", "stand": None}
CLASS_LABELS = np.repeat(np.arange(5), 6)
BOOTSTRAP = ClipBootstrap(CLASS_LABELS, seed=0)
AT = Endpoint("fine", ("coarse",), "novel", "ridge", 5, "top-1", "lstm-mean")


def evaluation(source: str | None = "fine", *, readout: str = "lstm-mean") -> Evaluation:
    rng = np.random.default_rng(len(readout))
    answers = tuple(
        Answers(
            probe, shots, rng.integers(-1, 5, (8, len(CLASS_LABELS))).astype(np.int16), None, None
        )
        for probe in ("ridge", "k-nn")
        for shots in (1, 5)
    )
    return Evaluation(
        subject=Subject(source, 0, readout, None if source else "pixels"),
        target="novel",
        class_names=CLASSES,
        clip_ids=tuple(map(str, range(len(CLASS_LABELS)))),
        labels=CLASS_LABELS,
        failed=0,
        truncated=0,
        answers=answers,
    )


def slow_shares(predicted: list[list[int]]) -> tuple[float, float]:
    """Count the errors one by one."""
    within = between = 0
    for draw in predicted:
        for answer, label in zip(draw, CLASS_LABELS.tolist(), strict=True):
            if answer == label:
                continue
            said = None if answer == -1 else GROUP_OF[CLASSES[answer]]
            if said is not None and said == GROUP_OF[CLASSES[label]]:
                within += 1
            else:
                between += 1
    number = len(predicted) * len(CLASS_LABELS)
    return within / number, between / number


def test_errors_are_parted_as_a_count_one_by_one_parts_them() -> None:
    found = group_error_rows([evaluation()], GROUP_OF, at=[AT], study="s", bootstrap=BOOTSTRAP)
    expected = slow_shares(evaluation().answers[1].predicted.tolist())
    assert [row.metric for row in found] == ["errors-within-groups", "errors-between-groups"]
    assert [row.value for row in found] == pytest.approx(expected)
    assert all(row.interval == "clips" and row.n == 30 for row in found)
    assert 0.05 < expected[0] < expected[1]


def test_with_top_1_accuracy_the_two_shares_add_up_to_one() -> None:
    found = group_error_rows([evaluation()], GROUP_OF, at=[AT], study="s", bootstrap=BOOTSTRAP)
    scores = clip_rows([evaluation()], study="s", bootstrap=BOOTSTRAP)
    top_1 = find(scores, probe="ridge", shots=5, metric="top-1")
    assert sum(row.value or 0.0 for row in [*found, top_1]) == pytest.approx(1.0)


def test_an_answer_without_a_group_and_no_answer_are_errors_between_groups() -> None:
    group = np.array([0, 0, 1, 1, -1])
    predicted = np.array([[1, 4, -1, 0, 4]], np.int16)
    within, between = parted_errors(predicted, np.array([0, 0, 0, 0, 3]), group)
    assert within.tolist() == [[True, False, False, False, False]]
    assert between.tolist() == [[False, True, True, False, True]]
    ungrouped = np.array([-1, -1, 0])
    unplaced = parted_errors(np.array([[0, 1, 2]], np.int16), np.array([0, 0, 0]), ungrouped)
    assert [each.tolist() for each in unplaced] == [[[False] * 3], [[False, True, True]]]


def test_only_the_places_of_the_endpoints_are_looked_at_and_each_once() -> None:
    other = replace(AT, probe="k-nn", shots=1)
    subjects = [
        evaluation(),
        evaluation(readout="channels-mean"),
        evaluation(None, readout="flat"),
    ]
    found = group_error_rows(
        subjects, GROUP_OF, at=[AT, replace(AT, source="joint"), other], study="s",
        bootstrap=BOOTSTRAP,
    )  # fmt: skip
    places = [(row.source, row.control, row.probe, row.shots) for row in found[::2]]
    assert places == [
        *[("fine", None, "ridge", 5), ("fine", None, "k-nn", 1)],
        *[(None, "pixels", "ridge", 5), (None, "pixels", "k-nn", 1)],
    ]


def test_a_probe_that_failed_has_its_rows_with_the_problem() -> None:
    broken = replace(evaluation().answers[1], problem="did not converge")
    found = group_error_rows(
        [replace(evaluation(), answers=(broken,))],
        GROUP_OF,
        at=[AT],
        study="s",
        bootstrap=BOOTSTRAP,
    )
    assert [(row.value, row.problem) for row in found] == [(None, "did not converge")] * 2
