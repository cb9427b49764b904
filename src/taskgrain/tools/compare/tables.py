"""Read the columns that a comparison wants of a table, with a header or without."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from taskgrain.data.json_rows import is_text
from taskgrain.data.manifest import Problem
from taskgrain.data.tables import (
    Line,
    column_name,
    is_jsonl,
    read_lines,
    read_objects,
    without_empty_end,
)
from taskgrain.errors import ManifestError, list_problems


@dataclass(frozen=True, slots=True)
class Column:
    """A wanted column under any of its names; one that may be left out comes last."""

    names: tuple[str, ...]
    may_be_absent: bool = False

    @property
    def words(self) -> str:
        """The names as an error writes them."""
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


def read_rows(path: Path, columns: tuple[Column, ...]) -> list[TableRow]:
    """Read the wanted columns of a table in file order.

    The first line is a header where one of its cells is called as the first column is; further
    columns are then ignored. Without a header the columns stand in the order given. Blank lines
    are left out, and the space around cells.

    Args:
        path: of a text file. JSON lines where its name ends in .jsonl; otherwise separated by
            tabs, commas, semicolons, bars or, where no line holds any of these, spaces.
        columns: wanted; the first says which clip.

    Raises:
        ManifestError: naming each line that cannot be read, up to ten; also for no rows.
    """
    problems: list[Problem] = []
    read = _wanted_json if is_jsonl(path) else _wanted_csv
    rows = list(read(path, columns, problems))
    for row in rows:
        for column, cell in zip(columns, row.cells, strict=True):
            if cell == "":
                problems.append(Problem("malformed", row.where, f"{column.names[0]} is empty"))
    if problems:
        raise ManifestError(list_problems([str(problem) for problem in problems]))
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


def _wanted_csv(
    path: Path, columns: tuple[Column, ...], problems: list[Problem]
) -> Iterator[TableRow]:
    lines = read_lines(path, problems)
    first = next(lines, None)
    if first is None:
        return
    first = replace(first, cells=without_empty_end(list(first.cells), 1))
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
        cells = without_empty_end(list(line.cells), width)
        if len(cells) != width:
            text = (
                f"{len(cells)} cells, {width} in the first line; put quotes around a cell that "
                "holds the separator"
            )
            problems.append(Problem("malformed", line.where, text))
            continue
        yield TableRow(line.where, tuple(None if p is None else cells[p] for p in place))


def _after(first: Line, lines: Iterator[Line]) -> Iterator[Line]:
    yield first
    yield from lines


def _header(first: Line, columns: tuple[Column, ...]) -> list[int | None] | None:
    """Find in which place each wanted column stands; None where the line is no header."""
    names = [column_name(cell) for cell in first.cells]
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


def _place(first: Line, names: list[str], column: Column) -> int | None:
    found = [index for index, name in enumerate(names) if name in column.names]
    if len(found) > 1:
        both = ", ".join(first.cells[index] for index in found)
        raise ManifestError(f"{first.where}: columns {both} mean the same; keep one of them")
    if not found and not column.may_be_absent:
        raise ManifestError(
            f"{first.where}: columns are {', '.join(first.cells)}; none is called {column.words}"
        )
    return found[0] if found else None


def _fits(first: Line, columns: tuple[Column, ...]) -> bool:
    fewest = sum(not column.may_be_absent for column in columns)
    return fewest <= len(first.cells) <= len(columns)


def _wanted_json(
    path: Path, columns: tuple[Column, ...], problems: list[Problem]
) -> Iterator[TableRow]:
    for where, row in read_objects(path, problems, f"an object with {_wanted(columns)}"):
        try:
            yield TableRow(where, tuple(_json_cell(row, column) for column in columns))
        except ValueError as error:
            problems.append(Problem("malformed", where, str(error)))


def _json_cell(row: Mapping[str, object], column: Column) -> str | None:
    found = [(name, value) for name, value in row.items() if column_name(name) in column.names]
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
