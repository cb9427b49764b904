from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from taskgrain.results import ResultRow, select
from taskgrain.statistics.intervals import ClipBootstrap
from taskgrain.statistics.tests import holm, minimum_detectable_difference, paired_interval
from taskgrain.transfer.answers import Answers, Evaluation, Subject
from taskgrain.transfer.difference_rows import difference_rows
from taskgrain.transfer.endpoints import (
    Endpoint,
    correct_endpoints,
    detectable_rows,
    joint_rows,
)
from taskgrain.transfer.rows import without_interval
from tests.making import find

LABELS: NDArray[np.int64] = np.repeat(np.arange(3), [10, 20, 30])
ACCURACY = {"fine": 0.8, "middle": 0.7, "coarse": 0.5}
PRIMARY = Endpoint(
    source="fine",
    versus=("coarse",),
    target="kitchenware",
    probe="nearest-mean",
    shots=5,
    metric="mean-per-class",
    readout="lstm-mean",
)
FAMILY = (
    PRIMARY,
    replace(PRIMARY, source="middle"),
    replace(PRIMARY, versus=("middle",), metric="top-1"),
)
PAIRS = [("fine", "coarse"), ("middle", "coarse"), ("fine", "middle")]


def evaluation_of(source: str, seed: int) -> Evaluation:
    generator = np.random.default_rng((seed, len(source)))

    def answers(probe: str) -> Answers:
        right = generator.random((4, len(LABELS))) < ACCURACY[source]
        predicted = np.where(right, LABELS, (LABELS + 1) % 3).astype(np.int16)
        return Answers(probe, 5, predicted, "C=0.1", "fixed in advance")

    return Evaluation(
        subject=Subject(source, seed, "lstm-mean", None),
        target="kitchenware",
        class_names=("fork", "knife", "spoon"),
        clip_ids=tuple(f"q{index}" for index in range(len(LABELS))),
        labels=LABELS,
        failed=1,
        truncated=2,
        answers=(answers("nearest-mean"), answers("ridge")),
    )


def rows_of(num_seeds: int) -> list[ResultRow]:
    evaluations = [evaluation_of(source, seed) for source in ACCURACY for seed in range(num_seeds)]
    bootstrap = ClipBootstrap(LABELS, seed=0)
    return difference_rows(evaluations, PAIRS, study="quick", bootstrap=bootstrap)


ROWS = rows_of(3)


def test_the_endpoints_alone_get_a_corrected_p_on_their_rows_over_seeds() -> None:
    corrected = correct_endpoints(ROWS, FAMILY)
    assert [replace(row, p_holm=None) for row in corrected] == ROWS
    found = [row for row in corrected if row.p_holm is not None]
    assert {(row.source, row.versus, row.metric) for row in found} == {
        ("fine", "coarse", "mean-per-class"),
        ("middle", "coarse", "mean-per-class"),
        ("fine", "middle", "top-1"),
    }
    assert {(row.interval, row.seed, row.probe) for row in found} == {
        ("seeds", None, "nearest-mean")
    }
    p = [row.p for row in found if row.p is not None]
    assert len(set(p)) == 3
    assert [row.p_holm for row in found] == list(holm(p))


def test_a_primary_endpoint_alone_is_corrected_by_nothing() -> None:
    (row,) = [row for row in correct_endpoints(ROWS, FAMILY[:1]) if row.p_holm is not None]
    assert row.p_holm == row.p


def test_a_larger_family_never_lowers_a_p() -> None:
    alone = find(correct_endpoints(ROWS, FAMILY[:1]), source="fine", versus="coarse", **AT)
    among = find(correct_endpoints(ROWS, FAMILY), source="fine", versus="coarse", **AT)
    assert (among.p_holm or 0.0) > (alone.p_holm or 0.0)


AT: dict[str, str | int | None] = {
    "probe": "nearest-mean",
    "metric": "mean-per-class",
    "seed": None,
    "interval": "seeds",
}


def test_one_seed_gives_no_p_and_no_detectable_difference() -> None:
    rows = rows_of(1)
    assert correct_endpoints(rows, FAMILY) == rows
    assert detectable_rows(rows, FAMILY) == []


def test_an_endpoint_without_a_test_counts_in_the_family_as_one_that_found_nothing() -> None:
    absent = replace(PRIMARY, readout="channels-mean")
    corrected = correct_endpoints(ROWS, (*FAMILY, absent))
    tested = [(row.p, row.p_holm) for row in corrected if row.p_holm is not None]
    assert len(tested) == len(FAMILY)
    least, least_holm = min((p or 0.0, p_holm or 0.0) for p, p_holm in tested)
    assert least_holm == pytest.approx(min(1.0, least * (len(FAMILY) + 1)))


def test_the_detectable_difference_comes_from_the_spread_of_the_paired_differences() -> None:
    first, second, third = detectable_rows(ROWS, FAMILY)
    each = select(
        ROWS, source="fine", versus="coarse", probe="nearest-mean", metric="mean-per-class"
    )
    differences = [row.value for row in each if row.seed is not None if row.value is not None]
    assert len(differences) == 3
    mean = sum(differences) / 3
    sd = (sum((value - mean) ** 2 for value in differences) / 2) ** 0.5
    assert first.value == pytest.approx(minimum_detectable_difference(sd, num_seeds=3))
    assert first.value == pytest.approx(3.263 * sd, rel=1e-3)
    assert (first.source, first.versus, first.metric) == ("fine", "coarse", "detectable-difference")
    assert (first.seed, first.interval, first.p, first.p_holm) == (None, None, None, None)
    assert (first.n, first.failed, first.truncated, first.draws) == (60, 1, 2, 4)
    assert second.source == "middle"
    assert third.metric == "detectable-difference-top-1"


def test_an_endpoint_of_a_source_that_did_not_learn_counts_as_one_that_found_nothing() -> None:
    corrected = correct_endpoints(ROWS, FAMILY, unlearned={"middle"})
    primary = [row for row in corrected if row.p_holm is not None]
    assert len(primary) == 1
    assert (primary[0].source, primary[0].versus) == ("fine", "coarse")
    assert primary[0].p is not None
    assert primary[0].p_holm == holm([primary[0].p, 1.0, 1.0])[0]


def test_an_endpoint_whose_probe_failed_counts_as_one_that_found_nothing() -> None:
    failed = [
        replace(without_interval(row), value=None, p=None, problem="broke")
        if (row.source, row.versus, row.probe) == ("middle", "coarse", "nearest-mean")
        else row
        for row in ROWS
    ]
    corrected = correct_endpoints(failed, FAMILY)
    tested = [row for row in corrected if row.p_holm is not None]
    assert [(row.source, row.versus) for row in tested] == [
        ("fine", "coarse"),
        ("fine", "middle"),
    ]
    found = [1.0 if row.p is None else row.p for row in tested]
    assert [row.p_holm for row in tested] == list(holm([*found, 1.0])[:2])
    detectable = detectable_rows(failed, FAMILY)
    assert [(row.source, row.versus) for row in detectable] == [
        ("fine", "coarse"),
        ("fine", "middle"),
    ]


BOTH = Endpoint("joint", ("heads", "captions"), "kitchen", "ridge", 5, "top-1", "lstm-mean")
ALONE = replace(BOTH, versus=("heads",))
GAINS = {"heads": (0.05, 0.06, 0.04, 0.05), "captions": (0.03, 0.01, 0.06, 0.02)}


def joint_rows_of(gains: Mapping[str, tuple[float, ...]]) -> list[ResultRow]:
    rows: list[ResultRow] = []
    for versus, values in gains.items():
        plain = ResultRow(
            study="made",
            source="joint",
            versus=versus,
            target="kitchen",
            probe="ridge",
            readout="lstm-mean",
            shots=5,
            metric="top-1",
            value=0.0,
            n=60,
            failed=0,
            truncated=0,
            draws=4,
        )
        rows += [replace(plain, seed=seed, value=value) for seed, value in enumerate(values)]
        found = paired_interval(values, [0.0] * len(values), kind="seeds")
        rows.append(
            replace(
                plain,
                value=found.value,
                interval="seeds",
                low=found.low,
                high=found.high,
                low_90=found.low_90,
                high_90=found.high_90,
                p=found.p,
            )
        )
    return rows


def test_above_both_is_as_sure_as_the_less_sure_of_the_two() -> None:
    rows = joint_rows_of(GAINS)
    (row,) = joint_rows(rows, [ALONE, BOTH])
    p = {name: float(stats.ttest_1samp(values, 0).pvalue) for name, values in GAINS.items()}
    assert p["captions"] > p["heads"]
    assert row.p == pytest.approx(p["captions"])
    assert row.versus == "heads and captions"
    smallest = find(rows, versus="captions", interval="seeds")
    assert (row.value, row.low, row.high) == (smallest.value, smallest.low, smallest.high)


def test_the_largest_p_need_not_be_that_of_the_smallest_difference() -> None:
    gains = {"heads": (0.01, 0.011, 0.009, 0.01), "captions": (0.1, 0.3, -0.1, 0.2)}
    (row,) = joint_rows(joint_rows_of(gains), [BOTH])
    assert row.value == pytest.approx(0.01)
    assert row.p == pytest.approx(float(stats.ttest_1samp(gains["captions"], 0).pvalue))


def test_a_source_below_one_of_them_is_not_above_both_however_sure_that_is() -> None:
    gains = {"heads": (0.05, 0.06, 0.04, 0.05), "captions": (-0.05, -0.06, -0.04, -0.05)}
    (row,) = joint_rows(joint_rows_of(gains), [BOTH])
    assert row.p == 1.0
    assert row.value == pytest.approx(-0.05)


def test_both_have_one_place_in_the_family() -> None:
    rows = joint_rows_of(GAINS)
    rows += joint_rows(rows, [ALONE, BOTH])
    corrected = [row for row in correct_endpoints(rows, [ALONE, BOTH]) if row.p_holm is not None]
    assert [row.versus for row in corrected] == ["heads", "heads and captions"]
    p = [1.0 if row.p is None else row.p for row in corrected]
    assert [row.p_holm for row in corrected] == list(holm(p))


def test_a_rival_that_did_not_learn_leaves_no_claim() -> None:
    rows = joint_rows_of(GAINS)
    rows += joint_rows(rows, [BOTH])
    corrected = correct_endpoints(rows, [ALONE, BOTH], unlearned={"captions"})
    assert [row.versus for row in corrected if row.p_holm is not None] == ["heads"]


def test_a_rival_without_a_test_leaves_no_row_and_counts_in_the_family() -> None:
    rows = [row for row in joint_rows_of(GAINS) if (row.versus, row.seed) != ("captions", None)]
    assert joint_rows(rows, [BOTH]) == []
    (row,) = [row for row in correct_endpoints(rows, [ALONE, BOTH]) if row.p_holm is not None]
    assert row.p is not None
    assert row.p_holm == pytest.approx(2 * row.p)


def test_what_could_be_found_above_both_is_the_larger_of_what_could_be_found() -> None:
    rows = joint_rows_of(GAINS)
    rows += joint_rows(rows, [BOTH])
    (row,) = detectable_rows(rows, [BOTH])
    wide = float(stats.tstd(GAINS["captions"]))
    assert row.value == pytest.approx(minimum_detectable_difference(wide, num_seeds=4))
    assert row.versus == "heads and captions"
