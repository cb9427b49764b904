"""Read what may lie beside annotations of any layout: factors, a hierarchy and a ledger."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from taskgrain.data.annotations import BadRowError, check_clip_id
from taskgrain.data.json_rows import MalformedFileError
from taskgrain.data.ledger import read_ledger, with_ledger
from taskgrain.data.manifest import Problem, Reading
from taskgrain.data.tables import read_lines, read_objects
from taskgrain.errors import TaxonomyError
from taskgrain.labels.hierarchy import parse_hierarchy

FACTORS = "factors.jsonl"
HIERARCHY = "hierarchy.csv"


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


def _read_factors(
    root: Path,
) -> tuple[dict[str, dict[str, str | None]], list[Problem]]:
    """Read clip id -> factor -> value, as text.

    Only factors whose value is a word are kept: those are what a target can be read out by. A
    clip with null is left out of that read-out.
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


def _read_hierarchy(
    reading: Reading,
) -> tuple[dict[str, dict[str, str]] | None, list[Problem]]:
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
        replace(reading, hierarchy=hierarchy).taxonomy()
    except TaxonomyError as error:
        return None, [_placed(line, path) for line in str(error).splitlines()]
    return hierarchy, []


def _placed(line: str, path: Path) -> Problem:
    """Take "path:LINE: text" apart; a line that names no place is about the file."""
    number, colon, text = line.removeprefix(f"{path}:").partition(": ")
    if line.startswith(f"{path}:") and colon and number.isdecimal():
        return Problem("hierarchy", f"{path}:{number}", text)
    return Problem("hierarchy", str(path), line.removeprefix(f"{path}: "))
