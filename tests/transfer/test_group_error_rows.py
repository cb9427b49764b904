from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from taskgrain.statistics.intervals import ClipBootstrap
from taskgrain.transfer.answers import Answers, Evaluation, Subject
from taskgrain.transfer.endpoints import Endpoint
from taskgrain.transfer.group_error_rows import group_error_rows, parted_errors
from taskgrain.transfer.rows import clip_rows
from tests.making import find

CLASSES = ("drop a", "drop b", "hold a", "hold b", "stand")
GROUP_OF = {"drop a": "drop", "drop b": "drop", "hold a": "hold", "hold b": "hold", "stand": None}
LABELS = np.repeat(np.arange(5), 6)
BOOTSTRAP = ClipBootstrap(LABELS, seed=0)
AT = Endpoint("fine", ("coarse",), "novel", "ridge", 5, "top-1", "lstm-mean")


def evaluation(source: str | None = "fine", *, readout: str = "lstm-mean") -> Evaluation:
    rng = np.random.default_rng(len(readout))
    answers = tuple(
        Answers(probe, shots, rng.integers(-1, 5, (8, len(LABELS))).astype(np.int16), None, None)
        for probe in ("ridge", "k-nn")
        for shots in (1, 5)
    )
    return Evaluation(
        subject=Subject(source, 0, readout, None if source else "pixels"),
        target="novel",
        class_names=CLASSES,
        clip_ids=tuple(map(str, range(len(LABELS)))),
        labels=LABELS,
        failed=0,
        truncated=0,
        answers=answers,
    )


def slow_shares(predicted: list[list[int]]) -> tuple[float, float]:
    """Count the errors one by one."""
    within = between = 0
    for draw in predicted:
        for answer, label in zip(draw, LABELS.tolist(), strict=True):
            if answer == label:
                continue
            said = None if answer == -1 else GROUP_OF[CLASSES[answer]]
            if said is not None and said == GROUP_OF[CLASSES[label]]:
                within += 1
            else:
                between += 1
    number = len(predicted) * len(LABELS)
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
