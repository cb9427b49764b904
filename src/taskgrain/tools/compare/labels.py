"""Tables of the true classes of clips, their splits, and what was recorded together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Literal

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

Side = Literal["support", "scored", "left out"]

# "validation" is scored where there is no "test"; beside one, it is left out.
SPLITS: dict[str, Side] = {
    "support": "support",
    "train": "support",
    "training": "support",
    "scored": "scored",
    "query": "scored",
    "test": "scored",
    "testing": "scored",
}
VALIDATION = ("validation", "val", "valid", "dev")


@dataclass(frozen=True, slots=True)
class LabelTable:
    """Clips and their labels, as a table, a dataset or files of features hold them, in order."""

    path: Path
    clip_ids: tuple[str, ...]
    labels: tuple[str, ...]
    sides: tuple[Side, ...] | None  # None: it has no split
    recordings: tuple[str, ...] | None = None  # of each clip; None: they are not known

    @property
    def name(self) -> str:
        """The target that rows name."""
        return self.path.stem or self.path.resolve().name  # of "." or ".." the folder's own


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


def read_labels(path: Path) -> LabelTable:
    """Read `clip,label[,split]` as CSV, TSV or JSON lines, with a header or without.

    The columns may also be called id, and category or class. A split is support or train, scored,
    query or test; validation is scored where no clip is test, and left out otherwise.

    Raises:
        ManifestError: naming the lines: malformed, a clip twice, a split that is not known; and
            for fewer than two classes.
    """
    rows = read_rows(path, (CLIP, LABEL, SPLIT))
    check_once(rows)
    labels = tuple(str(row.cells[1]) for row in rows)
    check_classes(path, labels)
    clip_ids = tuple(str(row.cells[0]) for row in rows)
    return LabelTable(path, clip_ids, labels, sides_of([(r.where, r.cells[2]) for r in rows], path))


def check_classes(path: Path, labels: Sequence[str]) -> None:
    """Check that there are two classes at least.

    Raises:
        ManifestError: naming the one.
    """
    if len(set(labels)) < 2:
        raise ManifestError(f"{path}: one class, {labels[0]!r}; expected at least 2 to tell apart")


def read_groups(path: Path, labels: LabelTable) -> tuple[str, ...]:
    """Read `clip,group`; return the group of each labelled clip, in the order of the labels.

    The second column may also be called recording. Clips without a label are ignored.

    Raises:
        ManifestError: naming the lines, or the labelled clips without a group.
    """
    rows = read_rows(path, (CLIP, GROUP))
    check_once(rows)
    group_of = {str(row.cells[0]): str(row.cells[1]) for row in rows}
    absent = [clip for clip in labels.clip_ids if clip not in group_of]
    if absent:
        raise ManifestError(
            list_problems(
                [f"{path}: clip {clip} of {labels.path} has no group here" for clip in absent]
            )
        )
    return tuple(group_of[clip] for clip in labels.clip_ids)


def sides_of(splits: Sequence[tuple[str, str | None]], path: Path) -> tuple[Side, ...] | None:
    """Return the side of each clip that has a split; None where none has one.

    Args:
        splits: where each stands, and the split.
        path: of what holds them, for the message.

    Raises:
        ManifestError: naming the rows of an unknown split or of none; or if a side has no clip.
    """
    if all(split is None for _, split in splits):
        return None
    problems = []
    sides: list[Side] = []
    names = {str(split).lower() for _, split in splits}
    has_test = any(SPLITS.get(name) == "scored" for name in names)
    for where, split in splits:
        name = str(split).lower()
        if split is None:
            problems.append(f"{where}: no split, where other rows have one")
        elif name in VALIDATION:
            sides.append("left out" if has_test else "scored")
        elif name in SPLITS:
            sides.append(SPLITS[name])
        else:
            problems.append(
                f"{where}: split is {split!r}; expected support or train, scored, test or "
                "validation"
            )
    if problems:
        raise ManifestError(list_problems(problems))
    for side, words in (("support", "support or train"), ("scored", "scored or test")):
        if side not in sides:
            raise ManifestError(
                f"{path}: no clip's split is {words}; leave the column out to divide"
            )
    return tuple(sides)


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
    index_of = _header(first, columns)
    has_header = index_of is not None
    if index_of is None:
        if not _fits(first, columns):
            raise ManifestError(
                f"{first.where}: {len(first.cells)} columns; expected {_wanted(columns)}, or a "
                "header that names them"
            )
        index_of = [index if index < len(first.cells) else None for index in range(len(columns))]
    width = len(first.cells)
    for line in lines if has_header else chain([first], lines):
        cells = without_empty_end(list(line.cells), width)
        if len(cells) != width:
            text = (
                f"{len(cells)} cells, {width} in the first line; put quotes around a cell that "
                "holds the separator"
            )
            problems.append(Problem("malformed", line.where, text))
            continue
        yield TableRow(line.where, tuple(None if i is None else cells[i] for i in index_of))


def _header(first: Line, columns: tuple[Column, ...]) -> list[int | None] | None:
    """Return the index of each wanted column; None where the line is not a header."""
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
    return [_index(first, names, column) for column in columns]


def _index(first: Line, names: list[str], column: Column) -> int | None:
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
