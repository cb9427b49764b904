from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from taskgrain.names import Control
from taskgrain.results import ResultRow, select
from taskgrain.statistics.intervals import ClipBootstrap
from taskgrain.transfer.answers import Answers, Evaluation, Subject
from taskgrain.transfer.difference_rows import control_rows
from taskgrain.transfer.endpoints import Endpoint
from taskgrain.transfer.fitting import NO_ANSWER
from taskgrain.transfer.rows import without_interval
from taskgrain.transfer.task import TargetTask
from tests.making import find, measured_as

LABELS: NDArray[np.int64] = np.repeat(np.arange(5), [10, 12, 14, 16, 18])
FAILED = "q3"
IDS = tuple(f"q{index}" for index in range(len(LABELS)))
SUPPORT: NDArray[np.int64] = np.repeat(np.arange(5), [4, 4, 9, 4, 4])  # class 2 is the commonest
TASK = TargetTask(
    name="kitchenware",
    class_names=("a", "b", "c", "d", "e"),
    support_ids=tuple(f"s{index}" for index in range(len(SUPPORT))),
    support_labels=SUPPORT,
    query_ids=IDS,
    query_labels=LABELS,
    failed=frozenset({FAILED}),
)
AT = Endpoint("fine", ("coarse",), "kitchenware", "ridge", 5, "top-1", "lstm-mean")
ASKED: tuple[Control, ...] = ("majority", "random-encoder", "motion-energy", "shuffled-time")


def evaluation(
    source: str | None,
    seed: int | None,
    accuracy: float,
    *,
    control: Control | None = None,
    readout: str = "lstm-mean",
) -> Evaluation:
    generator = np.random.default_rng([seed or 0, round(100 * accuracy), len(readout)])

    def answers(probe: str) -> Answers:
        right = generator.random((6, len(LABELS))) < accuracy
        predicted = np.where(right, LABELS, (LABELS + 1) % 5).astype(np.int16)
        predicted[:, IDS.index(FAILED)] = NO_ANSWER
        return Answers(probe, 5, predicted, "C=0.1", "fixed in advance")

    return Evaluation(
        subject=Subject(source, seed, readout, control),
        target="kitchenware",
        class_names=TASK.class_names,
        clip_ids=IDS,
        labels=LABELS,
        failed=1,
        truncated=0,
        answers=(answers("nearest-mean"), answers("ridge")),
    )


def evaluations(num_seeds: int) -> list[Evaluation]:
    found: list[Evaluation] = []
    for seed in range(num_seeds):
        found += [
            evaluation("fine", seed, 0.6),
            evaluation("coarse", seed, 0.4),
            evaluation(None, seed, 0.3, control="random-encoder"),
            evaluation(None, seed, 0.9, control="random-encoder", readout="channels-mean"),
            evaluation("fine", seed, 0.5, control="shuffled-time"),
        ]
    return [*found, evaluation(None, None, 0.35, control="motion-energy", readout="flat")]


def rows_of(num_seeds: int) -> list[ResultRow]:
    return control_rows(
        evaluations(num_seeds),
        TASK,
        at=AT,
        study="quick",
        bootstrap=ClipBootstrap(LABELS, seed=0),
        controls=ASKED,
    )


def seed_means(source: str | None, control: Control | None = None) -> NDArray[np.float64]:
    """Average the right answers of each seed, at the endpoint's probe and read-out."""
    own = [
        each
        for each in evaluations(3)
        if (each.subject.source, each.subject.control) == (source, control)
        and each.subject.readout != "channels-mean"
    ]
    return np.array([float((each.answers[1].predicted == LABELS).mean()) for each in own])


ROWS = rows_of(3)


def test_every_source_is_compared_with_every_control_that_it_has() -> None:
    pairs = dict.fromkeys((row.source, row.versus) for row in ROWS)
    both = ("chance", "majority", "random-encoder", "motion-energy")
    assert set(pairs) == {
        *(("fine", each) for each in (*both, "shuffled-time")),
        *(("coarse", each) for each in both),
    }
    assert {row.control for row in ROWS} == {None}
    assert {(row.probe, row.shots, row.metric, row.readout) for row in ROWS} == {
        ("ridge", 5, "top-1", "lstm-mean")
    }


@pytest.mark.parametrize("control", ["random-encoder", "motion-energy", "chance", "majority"])
def test_over_seeds_it_is_the_paired_t_test(control: Control) -> None:
    decoded = np.array([each != FAILED for each in IDS])
    constant = {
        "chance": decoded.mean() / 5,
        "majority": (decoded & (LABELS == 2)).mean(),
    }
    theirs = (
        np.full(3, constant[control])
        if control in constant
        else np.broadcast_to(seed_means(None, control), 3)
    )
    ours = seed_means("fine")
    expected = stats.ttest_rel(ours, theirs)
    row = find(ROWS, source="fine", versus=control, seed=None, interval="seeds")
    low, high = expected.confidence_interval(0.95)
    assert row.value == pytest.approx(float((ours - theirs).mean()))
    assert (row.low, row.high, row.p) == pytest.approx((low, high, float(expected.pvalue)))
    inner = expected.confidence_interval(0.90)
    assert (row.low_90, row.high_90) == pytest.approx((inner.low, inner.high))


def test_a_pair_has_a_row_for_each_seed_and_three_over_them() -> None:
    own = select(ROWS, source="coarse", versus="motion-energy")
    assert [(row.seed, row.interval) for row in own] == [
        *((seed, "clips") for seed in range(3)),
        *((None, kind) for kind in ("clips", "seeds", "crossed")),
    ]
    assert [row.failed for row in own] == [1] * 6


def test_one_seed_is_compared_conditional_on_its_encoder() -> None:
    own = [row for row in rows_of(1) if row.source == "fine"]
    assert {(row.seed, row.interval, row.p) for row in own} == {(0, "clips", None)}
    assert [row.versus for row in own] == [
        *("chance", "majority", "random-encoder", "shuffled-time", "motion-energy")
    ]


def test_controls_that_the_study_does_not_ask_for_are_left_out() -> None:
    rows = control_rows(
        evaluations(1),
        TASK,
        at=replace(AT, readout="lstm-mean"),
        study="quick",
        bootstrap=ClipBootstrap(LABELS, seed=0),
        controls=(),
    )
    assert {row.versus for row in rows} == {"chance"}


def test_a_probe_that_failed_leaves_a_row_with_the_reason() -> None:
    broken = [
        replace(
            each, answers=tuple(replace(answers, problem="it broke") for answers in each.answers)
        )
        if each.subject.control == "motion-energy"
        else each
        for each in evaluations(3)
    ]
    rows = control_rows(
        broken,
        TASK,
        at=AT,
        study="quick",
        bootstrap=ClipBootstrap(LABELS, seed=0),
        controls=ASKED,
    )
    own = select(rows, source="fine", versus="motion-energy")
    nothing = [(seed, None, None) for seed in (0, 1, 2, None)]
    assert [(row.seed, row.value, row.interval) for row in own] == nothing
    assert {row.problem for row in own} == {"motion-energy: it broke"}
    assert len(select(rows, source="fine", versus="chance")) == 6


@pytest.mark.parametrize(
    ("source", "control", "versus"),
    [("fine", None, "chance"), (None, "random-encoder", "random-encoder")],
)
def test_seeds_that_both_answered_keep_their_rows_and_are_not_averaged(
    source: str | None, control: Control | None, versus: str
) -> None:
    broken = [
        replace(each, answers=tuple(replace(one, problem="it broke") for one in each.answers))
        if (each.subject.source, each.subject.control, each.subject.seed) == (source, control, 1)
        else each
        for each in evaluations(3)
    ]
    rows = control_rows(
        broken,
        TASK,
        at=AT,
        study="quick",
        bootstrap=ClipBootstrap(LABELS, seed=0),
        controls=ASKED,
    )
    own = select(rows, source="fine", versus=versus)
    assert [row.seed for row in own] == [0, 1, 2, None]
    for row in (own[1], own[3]):
        assert (row.value, row.interval, row.p) == (None, None, None)
        assert row.problem == f"{source or control}, seed 1: it broke"
    for seed in (0, 2):
        found, before = own[seed], find(ROWS, source="fine", versus=versus, seed=seed)
        assert found.value == before.value
        assert (found.low, found.high) == pytest.approx((before.low, before.high), abs=1e-12)
        assert without_interval(found) == without_interval(before)


def test_a_control_with_a_head_of_its_own_is_compared_at_the_draws_that_both_have() -> None:
    """It has the first two of the six support draws, and no probe."""
    scratch = [
        replace(
            measured_as(each, readout="own-head", control="from-scratch"),
            answers=tuple(
                replace(answers, probe=None, held=answers.predicted[:2])
                for answers in each.answers[:1]
            ),
        )
        for each in (evaluation(None, seed, 0.2) for seed in range(3))
    ]
    rows = control_rows(
        [*evaluations(3), *scratch],
        TASK,
        at=AT,
        study="quick",
        bootstrap=ClipBootstrap(LABELS, seed=0),
        controls=(*ASKED, "from-scratch"),
    )
    own = select(rows, source="fine", versus="from-scratch")
    assert [row.interval for row in own] == [*["clips"] * 4, "seeds"]  # two draws: not crossed
    assert {(row.probe, row.readout, row.draws) for row in own} == {("ridge", "lstm-mean", 2)}
    ours = [
        each
        for each in evaluations(3)
        if (each.subject.source, each.subject.control) == ("fine", None)
    ]
    for row, mine, theirs in zip(own, ours, scratch, strict=False):
        both = [
            (answers.predicted[:2] == LABELS).mean()
            for answers in (mine.answers[1], theirs.answers[0])
        ]
        assert row.value == pytest.approx(both[0] - both[1])
    others = [row for row in rows if row.versus != "from-scratch"]
    assert others == rows_of(3)
