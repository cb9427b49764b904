"""Clips with captions: a table with a row for each clip, or for each caption of one.

Columns: `id`, or `file` (`video`, `path` ...) below the folder; `caption`, or in JSON `captions`, a
list; and, where they are known, `category` (a template may have brackets), `placeholders` (JSON)
and `split`. Several rows of one clip are several captions of it: rows of one file are one clip, and
an id that numbers the rows is no clip's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from taskgrain.data.annotations import BadRowError, check_clip_id
from taskgrain.data.layouts.columns import (
    CAPTIONS,
    IDS,
    TEXTS,
    ClipTable,
    names_captions,
    names_clips,
    open_tables,
)
from taskgrain.data.layouts.layout import Findings, FoundClip, LayoutOptions, check_name, reading_of
from taskgrain.data.layouts.tree import Tree
from taskgrain.data.manifest import Problem, Reading, Split
from taskgrain.data.tables import Row

NAME = "captions"
UNCATEGORISED = "uncategorised"


@dataclass(slots=True)
class _Clip:
    """What the rows of one clip hold together."""

    clip_id: str | None  # from an id column, perhaps beside a file
    file: str
    where: str  # of its first row
    category: str | None
    split: Split | None
    placeholders: tuple[str, ...] | None
    captions: list[str] = field(default_factory=list)


def recognises(tree: Tree) -> bool:
    """Whether a table has a column of captions and one that names the clip."""
    return bool(_tables(tree))


def read(tree: Tree, options: LayoutOptions) -> Reading:
    """Read every such table."""
    paths = _tables(tree)
    if not paths:
        expected = "a table with the columns id (or file) and caption"
        return tree.lacking(NAME, expected)
    problems: list[Problem] = []
    rows: list[_Clip] = []
    tables = open_tables(tree, paths, problems)
    for table in tables:
        for row in table.rows:
            try:
                rows.append(_clip(table, row, tree))
            except BadRowError as error:
                problems.append(Problem(error.kind, row.where, str(error)))
    notes: list[str] = []
    # Ids that name the clips are right as they are; only beside files may they number the rows.
    if not all(table.clip in IDS for table in tables):
        rows, notes = _without_row_numbers(rows)
    clips: dict[str, _Clip] = {}
    for clip in rows:
        try:
            _add(clips, clip)
        except BadRowError as error:
            problems.append(Problem(error.kind, clip.where, str(error)))
    merged = [
        FoundClip(
            clip.file,
            clip.where,
            clip.category or UNCATEGORISED,
            clip.split,
            tuple(clip.captions),
            clip.placeholders,
            clip.clip_id,
        )
        for clip in clips.values()
    ]
    return reading_of(tree, NAME, Findings(merged, problems, notes, paths), options)


def _tables(tree: Tree) -> list[Path]:
    return [
        path
        for path, head in tree.tables.items()
        if names_captions(head.columns) and names_clips(head.columns)
    ]


def _clip(table: ClipTable, row: Row, tree: Tree) -> _Clip:
    """Read one row."""
    clip_id, file = table.place_of(row, tree)
    if clip_id is None:
        written = row.text(*IDS)
        clip_id = None if written is None or "/" in written else check_clip_id(written)
    category = table.category_of(row)
    split = table.split_of(row)
    captions = _captions(row)
    if not captions and split is not Split.TEST:
        raise BadRowError("no caption; expected a text")
    return _Clip(clip_id, file, row.where, category, split, _placeholders(row), captions)


def _without_row_numbers(rows: Sequence[_Clip]) -> tuple[list[_Clip], list[str]]:
    """Drop ids that number rows: where a file has several ids, or several files share one."""
    ids: dict[str, set[str]] = defaultdict(set)
    files: dict[str, set[str]] = defaultdict(set)
    for clip in rows:
        if clip.clip_id is not None:
            ids[clip.file].add(clip.clip_id)
            files[clip.clip_id].add(clip.file)
    if all(len(held) == 1 for held in (*ids.values(), *files.values())):
        return list(rows), []
    note = "ids of the tables number rows and not clips: clips are known by their files"
    return [replace(clip, clip_id=None) for clip in rows], [note]


def _captions(row: Row) -> list[str]:
    names = CAPTIONS if any(name in row.cells for name in CAPTIONS) else TEXTS
    written = [value for name in names for value in _listed(row.cells.get(name))]
    return [check_name(text, "caption") for text in written]


def _placeholders(row: Row) -> tuple[str, ...] | None:
    written = row.cells.get("placeholders")
    if not isinstance(written, list):
        return None
    return tuple(check_name(text, "placeholder") for text in written)


def _listed(value: object) -> list[object]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _add(clips: dict[str, _Clip], clip: _Clip) -> None:
    """Add a row to its clip; raise BadRowError for another class or split."""
    held = clips.setdefault(clip.file, clip)
    if held is clip:
        return
    if clip.split is not held.split:
        raise BadRowError(f"the clip is in another split at {held.where}", "two-splits")
    if clip.category != held.category:
        raise BadRowError(f"the clip has another category at {held.where}")
    held.captions += clip.captions
