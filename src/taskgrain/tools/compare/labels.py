"""The true classes of the clips, which of them are learned from, and what was recorded together.

Labels and groups are read from tables; where the labels give no split, the clips are divided here.

Shapes: N clips, K classes, G groups.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np

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
DIVISION_STREAM = 3  # keeps it apart from draws, permutations and episodes of the same seed
ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class LabelTable:
    """The content of a labels file, in its order."""

    path: Path
    clip_ids: tuple[str, ...]
    labels: tuple[str, ...]
    sides: tuple[Side, ...] | None  # None: the file has no split


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
    if len(set(labels)) < 2:
        raise ManifestError(f"{path}: one class, {labels[0]!r}; expected at least 2 to tell apart")
    clip_ids = tuple(str(row.cells[0]) for row in rows)
    return LabelTable(path, clip_ids, labels, _sides(rows, path))


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


def _sides(rows: list[TableRow], path: Path) -> tuple[Side, ...] | None:
    splits = [(row.where, row.cells[2]) for row in rows]
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


def divide(
    table: LabelTable, groups: Sequence[str] | None, *, seed: int, support_share: float
) -> tuple[Side, ...]:
    """Choose the side of each clip, in the table's order.

    A split of the labels is taken as it is. Otherwise whole groups are dealt, the largest
    first, to the side whose classes lack most of them; without groups each clip is a group of
    its own, and each class is divided to the clip. It depends on the clips, their labels and
    groups and on the seed: neither on the order of rows nor on any features.

    Args:
        table: the labels.
        groups: of each clip, as "the same recording"; a group is never on both sides.
        seed: of the division.
        support_share: of the clips to learn from.

    Raises:
        ManifestError: naming the groups that the split puts on both sides, or the classes that
            cannot be on both sides.
    """
    if table.sides is not None:
        _check_groups(table, table.sides, groups)
        return table.sides
    order = sorted(range(len(table.clip_ids)), key=lambda index: table.clip_ids[index])
    members: dict[str, list[int]] = defaultdict(list)
    for index in order:
        members[table.clip_ids[index] if groups is None else groups[index]].append(index)
    _check_divisible(table, members, by_group=groups is not None)
    counts = [Counter(table.labels[index] for index in clips) for clips in members.values()]
    # Where groups hold clips of several classes, a deal may leave a class on one side, and another
    # order of the groups need not.
    for attempt in range(ATTEMPTS):
        is_support = _deal(counts, entropy=(seed, attempt, DIVISION_STREAM), share=support_share)
        lacking = _lacking(counts, is_support)
        if not lacking:
            break
    else:
        raise ManifestError(
            f"{table.path}: in {ATTEMPTS} attempts no division by group had clips of every class "
            f"on both sides ({lacking[0]!r} was lacking); give a split column"
        )
    sides: dict[int, Side] = {
        index: "support" if supports else "scored"
        for clips, supports in zip(members.values(), is_support, strict=True)
        for index in clips
    }
    return tuple(sides[index] for index in range(len(table.clip_ids)))


def _deal(
    counts: Sequence[Counter[str]], *, entropy: tuple[int, int, int], share: float
) -> list[bool]:
    """Choose for each group whether it is support."""
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    wanted = {name: _support_clips(number, share) for name, number in total.items()}
    sizes = {True: wanted, False: {name: total[name] - wanted[name] for name in wanted}}
    left = {side: dict(of_class) for side, of_class in sizes.items()}  # may fall below 0
    shuffled = np.random.default_rng(entropy).permutation(len(counts)).tolist()
    shuffled.sort(key=lambda group: -counts[group].total())  # stable: equals stay shuffled
    is_support = [False] * len(counts)
    for group in shuffled:
        # A clip counts by the share of its class that its side still lacks: otherwise large
        # classes would decide where a group goes, and small ones would be divided badly.
        need = {
            side: sum(
                number * lacking[name] / max(sizes[side][name], 1)
                for name, number in counts[group].items()
            )
            for side, lacking in left.items()
        }
        is_support[group] = need[True] >= need[False]
        for name, number in counts[group].items():
            left[is_support[group]][name] -= number
    return is_support


def _support_clips(number: int, share: float) -> int:
    """Round the share of a class, leaving a clip on either side where there are two."""
    return min(max(round(number * share), 1), max(number - 1, 1))


def _lacking(counts: Sequence[Counter[str]], is_support: Sequence[bool]) -> list[str]:
    """List the classes that are on one side only."""
    seen: dict[bool, set[str]] = {True: set(), False: set()}
    for each, side in zip(counts, is_support, strict=True):
        seen[side].update(each)
    return sorted(seen[True] ^ seen[False])


def _check_divisible(table: LabelTable, members: dict[str, list[int]], *, by_group: bool) -> None:
    groups_of: dict[str, set[str]] = defaultdict(set)
    for group, clips in members.items():
        for index in clips:
            groups_of[table.labels[index]].add(group)
    what = "group" if by_group else "clip"
    alone = sorted(name for name, held in groups_of.items() if len(held) < 2)
    if alone:
        raise ManifestError(
            list_problems(
                [
                    f"{table.path}: class {name!r} has one {what}; it takes at least 2, one to "
                    "learn from and one to score; add some or leave the class out"
                    for name in alone
                ]
            )
        )


def _check_groups(table: LabelTable, sides: Sequence[Side], groups: Sequence[str] | None) -> None:
    if groups is None:
        return
    on: dict[str, dict[Side, str]] = defaultdict(dict)
    for clip, side, group in zip(table.clip_ids, sides, groups, strict=True):
        on[group].setdefault(side, clip)
    torn = [
        f"{table.path}: group {group} is on both sides: clip {clips['support']} is support, "
        f"clip {clips['scored']} is scored"
        for group, clips in on.items()
        if "support" in clips and "scored" in clips
    ]
    if torn:
        raise ManifestError(list_problems(torn))


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
