"""Read what may lie beside annotations of any layout: a ledger, factors and a hierarchy.

`ledger.jsonl` lists the clips that cannot be used, or only in part, one a line: `{clip, state,
problem, bytes, changed}`. `taskgrain check` writes it; a line written by hand has no `bytes` and
holds until it is removed. `factors.jsonl` and `hierarchy.csv` are written by the user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from taskgrain.data.annotations import BadRowError, check_clip_id
from taskgrain.data.json_rows import MalformedFileError, is_text
from taskgrain.data.manifest import ClipRecord, Problem, Reading
from taskgrain.data.tables import read_lines, read_objects
from taskgrain.data.videos import Stamp, printable, stamp_of
from taskgrain.errors import TaxonomyError
from taskgrain.labels.hierarchy import parse_hierarchy

FACTORS = "factors.jsonl"
HIERARCHY = "hierarchy.csv"
LEDGER = "ledger.jsonl"

LedgerState = Literal["failed", "truncated", "excluded"]
STATES: tuple[LedgerState, ...] = get_args(LedgerState)
EXPECTED = 'an object {"clip", "state", "problem"}'


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """The ledger's line of one clip."""

    clip: str
    state: LedgerState
    problem: str
    num_bytes: int | None  # of the video when it was checked; None where there was no file
    by_hand: bool  # without "bytes": holds whatever the file is now
    changed: int | None = None  # the video's time, in nanoseconds since 1970; None: not known

    def to_json(self) -> dict[str, object]:
        """Return the keys and values of the line, in their order."""
        keys: dict[str, object] = {
            "clip": self.clip,
            "state": self.state,
            "problem": printable(self.problem),
        }
        if self.by_hand:
            return keys
        keys["bytes"] = self.num_bytes
        return keys if self.changed is None else {**keys, "changed": self.changed}


def with_companions(reading: Reading) -> Reading:
    """Add the factors, the hierarchy and the ledger of a dataset to what was read of it."""
    root = reading.root
    factors, factor_problems = _read_factors(root)
    lines, ledger_problems = read_ledger(root)
    hierarchy, hierarchy_problems = _read_hierarchy(reading)
    return replace(
        reading,
        records=with_ledger(reading.records, lines),
        factors=factors,
        hierarchy=hierarchy,
        problems=(*reading.problems, *hierarchy_problems, *factor_problems, *ledger_problems),
    )


def _read_factors(root: Path) -> tuple[dict[str, dict[str, str | None]], list[Problem]]:
    """Read clip id -> factor -> value, as text.

    Only factors whose value is a word are kept: their values can be a target's classes. A clip
    with null has no class in that factor's task.
    """
    path = root / FACTORS
    factors: dict[str, dict[str, str | None]] = {}
    problems: list[Problem] = []
    if not path.is_file():
        return factors, problems
    expected = 'an object with "id"'
    try:
        for where, row in read_objects(path, problems, expected, kind="factors"):
            try:
                clip_id = check_clip_id(row.get("id"))
            except BadRowError:
                problems.append(Problem("factors", where, f"expected {expected}"))
                continue
            words = {key: value for key, value in row.items() if isinstance(value, str | None)}
            factors[clip_id] = {key: value for key, value in words.items() if key != "id"}
    except MalformedFileError as error:
        return factors, [error.problem]
    return factors, problems


def _read_hierarchy(reading: Reading) -> tuple[dict[str, dict[str, str]] | None, list[Problem]]:
    """Read the levels of a hierarchy that fits the categories; None, and why, where it does not."""
    path = reading.root / HIERARCHY
    if not path.is_file():
        return None, []
    problems: list[Problem] = []
    try:
        lines = list(read_lines(path, problems))
    except MalformedFileError as error:
        return None, [error.problem]
    if problems:
        return None, [replace(problem, kind="hierarchy") for problem in problems]
    try:
        hierarchy = parse_hierarchy([(each.number, each.cells) for each in lines], where=str(path))
        # Built for its errors alone: the reading builds it again where it is asked.
        replace(reading, hierarchy=hierarchy).taxonomy()
    except TaxonomyError as error:
        return None, [_placed(line, path) for line in str(error).splitlines()]
    return hierarchy, []


def _placed(line: str, path: Path) -> Problem:
    """Split "path:LINE: text" into place and text; without a line number the place is the file."""
    # A fault of the file has its line; one of levels that do not fit the dataset has none.
    number, colon, text = line.removeprefix(f"{path}:").partition(": ")
    if line.startswith(f"{path}:") and colon and number.isdecimal():
        return Problem("hierarchy", f"{path}:{number}", text)
    return Problem("hierarchy", str(path), line.removeprefix(f"{path}: "))


def read_ledger(root: Path) -> tuple[tuple[LedgerLine, ...], tuple[Problem, ...]]:
    """Read the ledger below `root`, and every line of it that cannot be read.

    Without a ledger both are empty. Of several lines of one clip the last counts.
    """
    path = root / LEDGER
    if not path.is_file():
        return (), ()
    lines: dict[str, LedgerLine] = {}
    problems: list[Problem] = []
    try:
        for where, row in read_objects(path, problems, EXPECTED, kind="ledger"):
            try:
                line = _line(row)
                lines[line.clip] = line
            except BadRowError as error:
                problems.append(Problem("ledger", where, str(error)))
    except MalformedFileError as error:
        return (), (error.problem,)
    return tuple(lines.values()), tuple(problems)


def bytes_of(path: Path) -> int | None:
    """Return the bytes of a video file, or of a folder of frames in all; None if it is absent."""
    stamp = stamp_of(path)
    return None if stamp is None else stamp.bytes


def is_stale(line: LedgerLine, path: Path) -> bool:
    """Return whether the video at `path` has changed since it was checked, by size and time.

    A copy of the dataset has other times: its broken clips are tried again, and fail again. Of a
    clip that a person has excluded only the size counts.
    """
    if line.by_hand:
        return False
    stamp = stamp_of(path)
    if stamp is None or line.num_bytes is None:
        return stamp is not None or line.num_bytes is not None
    if line.changed is None or line.state == "excluded":
        return line.num_bytes != stamp.bytes
    return Stamp(line.num_bytes, line.changed) != stamp


def with_ledger(
    records: Sequence[ClipRecord], lines: Sequence[LedgerLine]
) -> tuple[ClipRecord, ...]:
    """Mark the records that the ledger excludes; stale lines, and truncated clips, change nothing.

    A line of a clip that is not among the records is passed over: a part of a dataset may keep
    the whole one's ledger.
    """
    if not lines:
        return tuple(records)
    # A truncated clip is used as far as it goes, and counted.
    excluding: Mapping[str, LedgerLine] = {
        line.clip: line for line in lines if line.state != "truncated"
    }
    return tuple(_marked(record, excluding.get(record.clip_id)) for record in records)


def _marked(record: ClipRecord, line: LedgerLine | None) -> ClipRecord:
    if line is None or is_stale(line, record.path):
        return record
    return record._replace(excluded=line.problem)


def _line(row: Mapping[str, object]) -> LedgerLine:
    clip = check_clip_id(row.get("clip"), key="clip")
    written_state, problem = row.get("state"), row.get("problem")
    state = next((known for known in STATES if known == written_state), None)
    if state is None:
        raise BadRowError(f'"state" of "{clip}" is none of {", ".join(STATES)}')
    if not isinstance(problem, str) or not problem.strip() or not is_text(problem):
        raise BadRowError(f'no "problem" in the line of "{clip}"; expected why, as a string')
    num_bytes, changed = (_whole_number(row, key) for key in ("bytes", "changed"))
    return LedgerLine(clip, state, problem, num_bytes, "bytes" not in row, changed)


def _whole_number(row: Mapping[str, object], key: str) -> int | None:
    value = row.get(key)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise BadRowError(f'"{key}" of "{row["clip"]}" is no whole number')
    return value
