"""The rows that hold every number of a study, and how they are stored.

`results.jsonl` has one row a line, in plan order, with the columns of `ResultRow` in theirs.
Equal rows give equal bytes: no times, shortest round-trip decimals, one spelling of zero.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from taskgrain.config.checked import faults_of
from taskgrain.data.files import write_text
from taskgrain.errors import ResultError, list_problems
from taskgrain.names import CONTROLS, INTERVAL_KINDS, Control, IntervalKind, is_fraction

Shots = int | Literal["all"]
Value = str | int | float | None
LESS = " minus "  # between two targets; no name has a space
BOTH = " and "  # between sources that a claim is made against together


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRow:
    """One number: what it measures, its interval, and the counts behind it.

    `n` counts the scored clips, the `failed` ones among them (they count as wrong); `truncated`
    counts those that end early. A row with `versus` is the difference `source` minus `versus`.
    A row with a source and no seed summarises all its seeds. The interval, of 95 %, is absent
    where nothing was resampled; differences also have the one of 90 %, `low_90` to `high_90`: where
    it lies within a margin, the difference is no larger than that. `chosen` is the hyper-parameter
    and `chosen_on` where it was chosen. `p` is uncorrected; `p_holm` is the same p after Holm's
    correction over all endpoints of the study, on the "seeds" row of each endpoint and nowhere
    else. A target "NEAR minus FAR" is the difference on NEAR minus the difference on FAR. A versus
    "A and B" is the claim that the source is above each of them: the row has their smallest
    difference and the largest p. `passes` is given for a training of fewer clip passes that is
    scored on its own labels and tested on no target. `problem` says why a probe gave no value; the
    row then has none, and no interval or p.

    Raises:
        ValueError: for a value that is not finite, a fraction outside its range, an interval that
            does not hold the value, or a name that is not known.
    """

    study: str
    source: str | None = None
    seed: int | None = None
    target: str
    probe: str | None = None
    readout: str | None = None
    shots: Shots | None = None
    metric: str
    value: float | None
    interval: IntervalKind | None = None
    low: float | None = None
    high: float | None = None
    n: int
    failed: int
    truncated: int
    draws: int | None = None
    versus: str | None = None
    p: float | None = None
    chosen: str | None = None
    chosen_on: str | None = None
    control: Control | None = None
    p_holm: float | None = None
    low_90: float | None = None
    high_90: float | None = None
    problem: str | None = None
    passes: int | None = None

    def __repr__(self) -> str:
        held = {name: getattr(self, name) for name in COLUMNS}
        shown = (f"{name}={value!r}" for name, value in held.items() if value is not None)
        return f"ResultRow({', '.join(shown)})"

    def __post_init__(self) -> None:
        for check in (
            *(_name_fault, _count_fault, _value_fault),
            *(_interval_fault, _inner_fault, _problem_fault),
        ):
            fault = check(self)
            if fault:
                raise ValueError(fault)


COLUMNS = tuple(field.name for field in fields(ResultRow))
REQUIRED_TEXT = ("study", "target", "metric")
NUMBERS = ("value", "low", "high", "p", "p_holm", "low_90", "high_90")


def less_target(target: str, minus_target: str | None) -> str:
    """Name the target of a difference: "NEAR minus FAR" for a difference of two differences."""
    return target if minus_target is None else f"{target}{LESS}{minus_target}"


def versus_each(names: Sequence[str]) -> str:
    """Name the sources that one claim is made against, "A and B"; one source keeps its name."""
    return BOTH.join(names)


def write_rows(path: Path, rows: Iterable[ResultRow]) -> None:
    """Write the rows in their order, all of them or none (a new file takes the old one's place)."""
    write_text(path, "".join(f"{_line_of(row)}\n" for row in rows))


def read_rows(path: Path | str) -> tuple[ResultRow, ...]:
    """Read the rows in file order; an empty file has none.

    Raises:
        ResultError: if there is no such file, or naming file and line of up to ten faults.
    """
    path = Path(path)
    try:
        # Not splitlines: a caption may hold one of the other characters that end a line there.
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except FileNotFoundError:
        raise ResultError(f"{path}: no such file; run the study that writes it") from None
    except UnicodeDecodeError as error:
        raise ResultError(f"{path}: not UTF-8 text ({error.reason})") from None
    rows, problems = [], []
    for number, line in enumerate(lines if lines != [""] else [], start=1):
        try:
            rows.append(_row_of(line))
        except ValueError as error:
            problems.append(f"{path}:{number}: {error}")
    if problems:
        raise ResultError(list_problems(problems))
    return tuple(rows)


def select(rows: Iterable[ResultRow], **criteria: Value) -> tuple[ResultRow, ...]:
    """Keep the rows whose columns equal all the criteria (None: the column is absent).

    Raises:
        ValueError: if a criterion is not a column.
    """
    unknown = [name for name in criteria if name not in COLUMNS]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no column of the results; columns: {COLUMNS}")
    return tuple(
        row
        for row in rows
        if all(getattr(row, name) == wanted for name, wanted in criteria.items())
    )


def _name_fault(row: ResultRow) -> str | None:
    empty = [name for name in REQUIRED_TEXT if not getattr(row, name)]
    if empty:
        return f"{empty[0]} is empty"
    if row.interval is not None and row.interval not in INTERVAL_KINDS:
        return f"interval {row.interval!r}; expected one of {', '.join(INTERVAL_KINDS)}"
    if row.control is not None and row.control not in CONTROLS:
        return f"control {row.control!r}; expected one of {', '.join(CONTROLS)}"
    return None


def _count_fault(row: ResultRow) -> str | None:
    if isinstance(row.shots, str) and row.shots != "all":
        return f'shots {row.shots!r}; expected a number or "all"'
    if isinstance(row.shots, int) and row.shots < 1:
        return f"shots {row.shots}; expected at least 1"
    if row.draws is not None and row.draws < 1:
        return f"draws {row.draws}; expected at least 1"
    if row.n < 0 or not 0 <= row.failed <= row.n or not 0 <= row.truncated <= row.n:
        return f"n {row.n}, failed {row.failed}, truncated {row.truncated}; expected 0..n"
    return None


def _value_fault(row: ResultRow) -> str | None:
    for name in NUMBERS:
        number = getattr(row, name)
        if number is not None and not math.isfinite(number):
            return f"{name} is {number}; expected a finite number or nothing"
    for name in ("p", "p_holm"):
        number = getattr(row, name)
        if number is not None and not 0.0 <= number <= 1.0:
            return f"{name} is {number}; expected 0 to 1"
    if row.p_holm is not None and (row.p is None or row.p_holm < row.p):
        return f"p_holm {row.p_holm} is below p {row.p}; a correction never lowers it"
    if row.value is not None and is_fraction(row.metric):
        highest = 2.0 if LESS in row.target else 1.0  # a difference of two differences
        lowest = 0.0 if row.versus is None else -highest
        if not lowest <= row.value <= highest:
            return f"{row.metric} is {row.value}; expected {lowest:g} to {highest:g}"
    return None


def _interval_fault(row: ResultRow) -> str | None:
    bounds = (row.interval, row.low, row.high)
    if all(bound is None for bound in bounds):
        return None
    if row.value is None or row.low is None or row.high is None or row.interval is None:
        return f"interval {row.interval!r} of {row.value} is {row.low} to {row.high}: one is absent"
    if not row.low <= row.value <= row.high:
        return f"value {row.value} lies outside its interval, {row.low} to {row.high}"
    return None


def _inner_fault(row: ResultRow) -> str | None:
    if row.low_90 is None and row.high_90 is None:
        return None
    # Both intervals are of one distribution: the narrower one lies within the other.
    bounds = (row.low, row.low_90, row.value, row.high_90, row.high)
    known = [bound for bound in bounds if bound is not None]
    if len(known) < len(bounds) or known != sorted(known):
        return (
            f"90 % interval {row.low_90} to {row.high_90} of {row.value}; expected it around the "
            f"value and within the interval, {row.low} to {row.high}"
        )
    return None


def _problem_fault(row: ResultRow) -> str | None:
    if row.problem is None:
        return None
    if not row.problem:
        return "problem is empty; expected why there is no value, or nothing"
    if (row.value, row.interval, row.p) != (None, None, None):
        return f"value {row.value} beside the problem {row.problem!r}; expected no value"
    return None


def _line_of(row: ResultRow) -> str:
    record: dict[str, Value] = {}
    for name in COLUMNS:
        value: Value = getattr(row, name)
        if value is not None and name in NUMBERS:
            value = float(value) + 0.0  # 1 becomes 1.0, and -0.0 becomes 0.0
        elif value is not None and not isinstance(value, str):
            value = int(value)  # numpy's integers are no JSON
        record[name] = value
    return json.dumps(record, ensure_ascii=False, allow_nan=False)


# Built when a file is first read. Pydantic reads a row in 19 microseconds; checks column by column
# took 48.
@cache
def _line_model() -> type[BaseModel]:
    """Build the model of a line: every column, of its type in `ResultRow`, and no other."""
    columns: dict[str, Any] = {
        name: (kind, ...) for name, kind in get_type_hints(ResultRow).items()
    }
    strict = ConfigDict(strict=True, extra="forbid")
    return create_model("Line", __config__=strict, **columns)


def _row_of(line: str) -> ResultRow:
    """Parse one line; ValueError says what is wrong with it."""
    try:
        held = _line_model().model_validate_json(line)
    except ValidationError as error:
        faults = faults_of(error, lambda _: COLUMNS, entry="column")
        raise ValueError("; ".join(faults)) from None
    return ResultRow(**held.__dict__)
