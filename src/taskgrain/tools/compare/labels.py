"""The true classes of the clips, which of them are learned from, and what was recorded together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from taskgrain.errors import ManifestError, list_problems
from taskgrain.tools.compare.tables import (
    CLIP,
    GROUP,
    LABEL,
    SPLIT,
    TableRow,
    check_once,
    read_rows,
)

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
    """What a labels file says, in its order."""

    path: Path
    clip_ids: tuple[str, ...]
    labels: tuple[str, ...]
    sides: tuple[Side, ...] | None  # None: the file does not say


def read_labels(path: Path) -> LabelTable:
    """Read `clip,label[,split]` as CSV, TSV or JSON lines, with a header or without.

    Columns may also be called id, and category or class. A split is support or train, scored,
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
    """Read `clip,group` and give the group of each labelled clip, in the order of the labels.

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
    given = [(row.where, row.cells[2]) for row in rows]
    if all(split is None for _, split in given):
        return None
    problems = []
    sides: list[Side] = []
    names = {str(split).lower() for _, split in given}
    has_test = any(SPLITS.get(name) == "scored" for name in names)
    for where, split in given:
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
