from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskgrain.errors import ResultError
from taskgrain.results import COLUMNS, ResultRow, read_rows, select, write_rows

ROW = ResultRow(
    study="quick",
    source="categories",
    seed=0,
    target="kitchenware",
    probe="nearest-mean",
    readout="lstm-mean",
    shots=5,
    metric="top-1",
    value=0.5,
    interval="clips",
    low=0.45,
    high=0.55,
    n=1105,
    failed=2,
    truncated=1,
    draws=50,
)


def test_the_columns_are_the_published_ones_in_their_order() -> None:
    assert ", ".join(COLUMNS) == (
        "study, source, seed, target, probe, readout, shots, metric, value, interval, low, high, "
        "n, failed, truncated, draws, versus, p, chosen, chosen_on, control, "
        "p_holm, low_90, high_90, problem, passes"
    )


@given(
    value=st.floats(0, 1),
    shots=st.one_of(st.integers(1, 99), st.just("all"), st.none()),
    source=st.text(min_size=1),
)
def test_rows_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, value: float, shots: int | None, source: str
) -> None:
    path = tmp_path_factory.mktemp("results") / "results.jsonl"
    rows = (replace(ROW, value=value, low=0.0, high=1.0, shots=shots, source=source), ROW)
    write_rows(path, rows)
    assert read_rows(path) == rows


def test_equal_results_are_equal_bytes_whatever_numbers_hold_them(tmp_path: Path) -> None:
    plain = replace(ROW, value=0.0, low=0.0, high=1.0)
    other = replace(
        ROW,
        value=-0.0,
        low=0,
        high=np.float64(1.0),
        n=int(np.int64(1105)),
        draws=np.int64(50),  # type: ignore[arg-type]
    )
    write_rows(tmp_path / "a", [plain])
    write_rows(tmp_path / "b", [other])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_absent_value_is_null_and_every_column_is_there(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows", [ROW])
    record = json.loads((tmp_path / "rows").read_text())
    assert tuple(record) == COLUMNS
    assert record["versus"] is None


def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    write_rows(path, [ROW])
    before = path.read_bytes()
    broken = replace(ROW, study="\ud800")  # a lone surrogate cannot be written as UTF-8
    with pytest.raises(UnicodeEncodeError):
        write_rows(path, [ROW, broken])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": float("nan")}, "value is nan; expected a finite number"),
        ({"value": 1.5, "high": 1.6}, "top-1 is 1.5; expected 0 to 1"),
        ({"value": -0.1, "low": -0.2}, "top-1 is -0.1; expected 0 to 1"),
        ({"low": 0.6}, "value 0.5 lies outside its interval, 0.6 to 0.55"),
        ({"high": None}, "one is absent"),
        ({"interval": "people"}, "interval 'people'; expected one of clips, draws, seeds"),
        ({"control": "magic"}, "control 'magic'; expected one of majority"),
        ({"shots": "every"}, "shots 'every'"),
        ({"shots": 0}, "shots 0"),
        ({"failed": 2000}, "failed 2000"),
        ({"p": 1.1}, "p is 1.1"),
        ({"low_90": 0.48}, "90 % interval 0.48 to None of 0.5"),
        ({"low_90": 0.3, "high_90": 0.52}, "90 % interval 0.3 to 0.52 of 0.5"),
        ({"low_90": 0.51, "high_90": 0.52}, "90 % interval 0.51 to 0.52 of 0.5"),
        ({"target": ""}, "target is empty"),
    ],
)
def test_a_row_that_cannot_be_true_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(ROW, **change)  # type: ignore[arg-type]


def test_a_difference_may_be_negative_and_bits_may_exceed_one() -> None:
    assert replace(ROW, versus="captions-full", value=-0.5, low=-0.6).value == -0.5
    bits = replace(ROW, metric="entropy-bits", value=3.7, interval=None, low=None, high=None)
    assert bits.value == 3.7


def test_malformed_lines_are_named_with_file_and_line_all_at_once(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    write_rows(path, [ROW] * 5)
    lines = path.read_text().splitlines()
    lines[0] = lines[0].replace('"n": 1105', '"n": "many"')
    lines[1] = lines[1].replace('"value": 0.5', '"value": NaN')
    lines[2] = "not json"
    lines[3] = lines[3].replace('"study"', '"studi"')
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(ResultError) as caught:
        read_rows(path)
    first, second, third, fourth = str(caught.value).splitlines()
    assert first == f'{path}:1: n: found "many"; expected a whole number'
    assert second.startswith(f"{path}:2: value is nan")
    assert third.startswith(f"{path}:3: not JSON")
    assert fourth == (f"{path}:4: study: is missing; studi: no such column; did you mean 'study'?")


def test_a_missing_file_is_a_result_error_and_an_empty_one_has_no_rows(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="no such file; run the study"):
        read_rows(tmp_path / "results.jsonl")
    write_rows(tmp_path / "results.jsonl", [])
    assert read_rows(tmp_path / "results.jsonl") == ()


def test_rows_are_selected_by_their_columns() -> None:
    wanted = replace(ROW, shots="all", draws=1)
    assert select([ROW, wanted], shots="all", versus=None) == (wanted,)
    assert select([ROW, wanted], target="kitchenware") == (ROW, wanted)
    with pytest.raises(ValueError, match="'shot' is no column"):
        select([ROW], shot=5)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("shots", "every", "shots: found \"every\"; expected a whole number or 'all'"),
        ("shots", 1.5, "shots: found 1.5; expected a whole number or 'all'"),
        ("value", "high", 'value: found "high"; expected a number'),
        ("value", True, "value: found true; expected a number"),
        ("seed", True, "seed: found true; expected a whole number"),
        ("source", 3, "source: found 3; expected text"),
        ("interval", "people", "interval: found \"people\"; expected 'clips', 'draws'"),
        ("target", "", "target is empty"),
    ],
)
def test_a_stored_value_of_another_type_is_refused(
    tmp_path: Path, column: str, value: object, message: str
) -> None:
    path = tmp_path / "results.jsonl"
    write_rows(path, [ROW])
    path.write_text(json.dumps({**json.loads(path.read_text()), column: value}) + "\n")
    with pytest.raises(ResultError, match=message):
        read_rows(path)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_line_without_one_of_the_columns_is_refused(tmp_path: Path, column: str) -> None:
    path = tmp_path / "results.jsonl"
    write_rows(path, [ROW])
    record = json.loads(path.read_text())
    del record[column]
    path.write_text(json.dumps(record) + "\n")
    with pytest.raises(ResultError, match=f"{column}: is missing"):
        read_rows(path)


def test_a_corrected_p_comes_back_and_is_never_below_its_own(tmp_path: Path) -> None:
    tested = replace(ROW, versus="groups", interval="seeds", p=0.02, p_holm=0.04)
    write_rows(tmp_path / "rows", [tested])
    assert read_rows(tmp_path / "rows") == (tested,)
    with pytest.raises(ValueError, match="a correction never lowers it"):
        replace(tested, p_holm=0.01)
    with pytest.raises(ValueError, match="a correction never lowers it"):
        replace(ROW, p_holm=0.5)


@pytest.mark.parametrize("metric", ["5-way-accuracy", "20-way-accuracy", "accuracy-at-ten-class"])
def test_names_that_are_made_of_numbers_and_levels_are_fractions_too(metric: str) -> None:
    assert replace(ROW, metric=metric, interval="episodes").metric == metric
    with pytest.raises(ValueError, match=f"{metric} is 1.5; expected 0 to 1"):
        replace(ROW, metric=metric, value=1.5, high=1.6)


def test_a_size_that_could_be_found_may_exceed_one() -> None:
    plain = replace(ROW, interval=None, low=None, high=None)
    assert replace(plain, metric="detectable-difference", value=1.7).value == 1.7


FAILED = replace(ROW, value=None, interval=None, low=None, high=None, problem="did not converge")


def test_a_row_of_a_failed_probe_comes_back_with_its_reason(tmp_path: Path) -> None:
    write_rows(tmp_path / "results.jsonl", [FAILED, ROW])
    assert read_rows(tmp_path / "results.jsonl") == (FAILED, ROW)
    assert json.loads((tmp_path / "results.jsonl").read_text().split("\n")[0])["value"] is None


@pytest.mark.parametrize(
    "columns",
    [{"value": 0.5}, {"p": 0.5}, {"problem": ""}],
    ids=["value", "p", "empty"],
)
def test_a_problem_stands_beside_no_number(columns: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="problem"):
        replace(FAILED, **columns)  # type: ignore[arg-type]
