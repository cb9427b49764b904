from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from scipy import stats

from taskgrain.results import ResultRow, find
from taskgrain.statistics.holm import holm
from taskgrain.statistics.power import minimum_detectable_difference
from taskgrain.statistics.student import paired_interval
from taskgrain.transfer.endpoints import (
    Endpoint,
    correct_endpoints,
    detectable_rows,
    joint_rows,
)

BOTH = Endpoint("joint", ("heads", "captions"), "kitchen", "ridge", 5, "top-1", "lstm-mean")
ALONE = replace(BOTH, versus=("heads",))
GAINS = {"heads": (0.05, 0.06, 0.04, 0.05), "captions": (0.03, 0.01, 0.06, 0.02)}


def rows_of(gains: Mapping[str, tuple[float, ...]]) -> list[ResultRow]:
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
    rows = rows_of(GAINS)
    (row,) = joint_rows(rows, [ALONE, BOTH])
    p = {name: float(stats.ttest_1samp(values, 0).pvalue) for name, values in GAINS.items()}
    assert p["captions"] > p["heads"]
    assert row.p == pytest.approx(p["captions"])
    assert row.versus == "heads and captions"
    smallest = find(rows, versus="captions", interval="seeds")
    assert (row.value, row.low, row.high) == (smallest.value, smallest.low, smallest.high)


def test_the_largest_p_need_not_be_that_of_the_smallest_difference() -> None:
    gains = {"heads": (0.01, 0.011, 0.009, 0.01), "captions": (0.1, 0.3, -0.1, 0.2)}
    (row,) = joint_rows(rows_of(gains), [BOTH])
    assert row.value == pytest.approx(0.01)
    assert row.p == pytest.approx(float(stats.ttest_1samp(gains["captions"], 0).pvalue))


def test_a_source_below_one_of_them_is_not_above_both_however_sure_that_is() -> None:
    gains = {"heads": (0.05, 0.06, 0.04, 0.05), "captions": (-0.05, -0.06, -0.04, -0.05)}
    (row,) = joint_rows(rows_of(gains), [BOTH])
    assert row.p == 1.0
    assert row.value == pytest.approx(-0.05)


def test_both_have_one_place_in_the_family() -> None:
    rows = rows_of(GAINS)
    rows += joint_rows(rows, [ALONE, BOTH])
    corrected = [row for row in correct_endpoints(rows, [ALONE, BOTH]) if row.p_holm is not None]
    assert [row.versus for row in corrected] == ["heads", "heads and captions"]
    p = [1.0 if row.p is None else row.p for row in corrected]
    assert [row.p_holm for row in corrected] == list(holm(p))


def test_a_rival_that_did_not_learn_leaves_no_claim() -> None:
    rows = rows_of(GAINS)
    rows += joint_rows(rows, [BOTH])
    corrected = correct_endpoints(rows, [ALONE, BOTH], unlearned={"captions"})
    assert [row.versus for row in corrected if row.p_holm is not None] == ["heads"]


def test_a_rival_without_a_test_leaves_no_row_and_counts_in_the_family() -> None:
    rows = [row for row in rows_of(GAINS) if (row.versus, row.seed) != ("captions", None)]
    assert joint_rows(rows, [BOTH]) == []
    (row,) = [row for row in correct_endpoints(rows, [ALONE, BOTH]) if row.p_holm is not None]
    assert row.p is not None
    assert row.p_holm == pytest.approx(2 * row.p)


def test_what_could_be_found_above_both_is_the_larger_of_what_could_be_found() -> None:
    rows = rows_of(GAINS)
    rows += joint_rows(rows, [BOTH])
    (row,) = detectable_rows(rows, [BOTH])
    wide = float(stats.tstd(GAINS["captions"]))
    assert row.value == pytest.approx(minimum_detectable_difference(wide, num_seeds=4))
    assert row.versus == "heads and captions"
