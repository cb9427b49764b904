"""Read tables that say something of each clip: CSV, TSV or JSON lines, with a header or without."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from taskgrain.data.json_rows import is_text, read_text
from taskgrain.errors import ManifestError, list_problems

JSON_ENDINGS = (".jsonl", ".ndjson")
SEPARATORS = ("\t", ",", ";")  # the first that the first line holds


@dataclass(frozen=True, slots=True)
class Column:
    """A column under any of its names; one that may be left out comes last."""

    names: tuple[str, ...]
    may_be_absent: bool = False

    @property
    def words(self) -> str:
        """The names as an error says them."""
        return " or ".join(repr(name) for name in self.names)


CLIP = Column(("clip", "id"))
LABEL = Column(("label", "category", "class"))
SPLIT = Column(("split",), may_be_absent=True)
GROUP = Column(("group", "recording"))


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: where it stands, and its cells in the order of the wanted columns."""

    where: str  # "file:line"
    cells: tuple[str | None, ...]  # None: the file has no such column


@dataclass(frozen=True, slots=True)
class _Line:
    where: str
    cells: Sequence[str]


def read_rows(path: Path, columns: tuple[Column, ...]) -> list[TableRow]:
    """Read the wanted columns of a table in file order.

    The first line is a header where one of its cells is called as the first column is; further
    columns are then ignored. Without a header the columns stand in the order given. Blank lines
    are left out, and the space around cells.

    Args:
        path: UTF-8. JSON lines where its name ends in .jsonl; otherwise separated by tabs, commas
            or semicolons.
        columns: wanted; the first says which clip.

    Raises:
        ManifestError: naming each line that cannot be read, up to ten; also for no rows.
    """
    text = read_text(path)
    problems: list[str] = []
    if path.suffix.lower() in JSON_ENDINGS:
        rows = list(_json_rows(path, text, columns, problems))
    else:
        rows = list(_csv_rows(path, text, columns, problems))
    for row in rows:
        for column, cell in zip(columns, row.cells, strict=True):
            if cell == "":
                problems.append(f"{row.where}: {column.names[0]} is empty")
    if problems:
        raise ManifestError(list_problems(problems))
    if not rows:
        raise ManifestError(f"{path}: holds no row; expected {_wanted(columns)}")
    return rows


def check_once(rows: Sequence[TableRow]) -> None:
    """Check that no clip has two rows.

    Raises:
        ManifestError: naming the second row of each clip and its first.
    """
    first: dict[str | None, str] = {}
    problems = []
    for row in rows:
        before = first.setdefault(row.cells[0], row.where)
        if before != row.where:
            problems.append(f"{row.where}: clip {row.cells[0]} is there twice, first at {before}")
    if problems:
        raise ManifestError(list_problems(problems))


def _csv_rows(
    path: Path, text: str, columns: tuple[Column, ...], problems: list[str]
) -> Iterator[TableRow]:
    lines = _csv_lines(path, text, problems)
    first = next(lines, None)
    if first is None:
        return
    place = _header(first, columns)
    has_header = place is not None
    if place is None:
        if not _fits(first, columns):
            raise ManifestError(
                f"{first.where}: {len(first.cells)} columns; expected {_wanted(columns)}, or a "
                "header that names them"
            )
        place = [index if index < len(first.cells) else None for index in range(len(columns))]
    width = len(first.cells)
    for line in lines if has_header else _after(first, lines):
        if len(line.cells) != width:
            problems.append(
                f"{line.where}: {len(line.cells)} cells, {width} in the first line; put quotes "
                "around a cell that holds the separator"
            )
            continue
        yield TableRow(line.where, tuple(None if p is None else line.cells[p] for p in place))


def _after(first: _Line, lines: Iterator[_Line]) -> Iterator[_Line]:
    yield first
    yield from lines


def _csv_lines(path: Path, text: str, problems: list[str]) -> Iterator[_Line]:
    lines = text.split("\n")
    start = next((line for line in lines if line.strip()), "")
    separator = next((each for each in SEPARATORS if each in start), ",")
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=separator, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            problems.append(f"{path}:{number}: not CSV: {error}")
            return
        if cells is None:
            return
        stripped = [cell.strip() for cell in cells]
        if any(stripped):
            yield _Line(f"{path}:{number}", stripped)


def _header(first: _Line, columns: tuple[Column, ...]) -> list[int | None] | None:
    """Say in which place each wanted column stands; None where the line is no header."""
    names = [cell.lower() for cell in first.cells]
    known = {name for column in columns for name in column.names}
    if not known.intersection(names):
        return None
    if not set(columns[0].names).intersection(names):
        # A clip may well be called "label"; its label is then hardly "category" or "split".
        if len(first.cells) == 1 or not known.intersection(names[1:]):
            return None
        raise ManifestError(
            f"{first.where}: columns are {', '.join(first.cells)}; none is called "
            f"{columns[0].words}"
        )
    return [_place(first, names, column) for column in columns]


def _place(first: _Line, names: list[str], column: Column) -> int | None:
    found = [index for index, name in enumerate(names) if name in column.names]
    if len(found) > 1:
        both = ", ".join(first.cells[index] for index in found)
        raise ManifestError(f"{first.where}: columns {both} mean the same; keep one of them")
    if not found and not column.may_be_absent:
        raise ManifestError(
            f"{first.where}: columns are {', '.join(first.cells)}; none is called {column.words}"
        )
    return found[0] if found else None


def _fits(first: _Line, columns: tuple[Column, ...]) -> bool:
    fewest = sum(not column.may_be_absent for column in columns)
    return fewest <= len(first.cells) <= len(columns)


def _json_rows(
    path: Path, text: str, columns: tuple[Column, ...], problems: list[str]
) -> Iterator[TableRow]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.append(f"{where}: not JSON: {error}")
            continue
        if not isinstance(row, dict):
            problems.append(f"{where}: expected an object with {_wanted(columns)}")
            continue
        try:
            yield TableRow(where, tuple(_json_cell(row, column) for column in columns))
        except ValueError as error:
            problems.append(f"{where}: {error}")


def _json_cell(row: Mapping[str, object], column: Column) -> str | None:
    found = [(name, value) for name, value in row.items() if name.lower() in column.names]
    if len(found) > 1:
        raise ValueError(f"{' and '.join(name for name, _ in found)} mean the same; keep one")
    if not found:
        if column.may_be_absent:
            return None
        raise ValueError(f"has no {column.words}")
    name, value = found[0]
    if isinstance(value, str) and is_text(value):
        return value.strip()
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
        return str(value)
    raise ValueError(f"{name} is {str(value)[:40]!a}; expected text or a whole number")


def _wanted(columns: tuple[Column, ...]) -> str:
    names = [f"[,{c.names[0]}]" if c.may_be_absent else f",{c.names[0]}" for c in columns]
    return "".join(names).removeprefix(",")
