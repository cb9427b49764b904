"""Kinetics, and tables of the same kind: the clip and the class of each row.

Kinetics: `label,youtube_id,time_start,time_end,split`, the videos `ID_000010_000020.mp4` anywhere
below the folder. The general table: `path,label` (or `file_name`, `video_id`, `id` ...; `class`,
`category` ...) and, where it has one, `split`, as CSV, JSON lines or a JSON list, anywhere below
the folder: VideoFolder's `train/metadata.csv` too. Without the column `split`, the name of the
table or of its folder says it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from taskgrain.data.annotations import BadRowError, check_clip_id
from taskgrain.data.layouts.columns import (
    SEGMENT,
    ClipTable,
    holds_answers,
    names_captions,
    names_classes,
    names_clips,
    names_splits,
    open_tables,
    unread_columns,
)
from taskgrain.data.layouts.layout import Findings, FoundClip, LayoutOptions, reading_of
from taskgrain.data.layouts.names import folder_class, split_of_file
from taskgrain.data.layouts.tree import Tree
from taskgrain.data.manifest import Problem, Reading, Split
from taskgrain.data.tables import Row

NAME = "kinetics"


def recognises(tree: Tree) -> bool:
    """Whether a table has such columns, and no column of captions."""
    return bool(_lists(tree))


def read(tree: Tree, options: LayoutOptions) -> Reading:
    """Read every such table."""
    paths = _lists(tree)
    if not paths:
        expected = "a table with label,youtube_id,time_start,time_end or path,label"
        return tree.lacking(NAME, expected)
    problems: list[Problem] = []
    tables = open_tables(tree, paths, problems)
    segments = Counter(row.text("youtube_id") for table in tables for row in table.rows)
    clips = []
    for table in tables:
        for row in table.rows:
            try:
                clips.append(_clip(table, row, tree, segments))
            except BadRowError as error:
                problems.append(Problem(error.kind, row.where, str(error)))
    merged = _merged(clips)
    notes = [note for table in tables if (note := unread_columns(table))]
    if len(merged) < len(clips):
        notes.append(f"{len(clips) - len(merged)} rows say again what another row says")
    return reading_of(tree, NAME, Findings(merged, problems, notes, paths), options)


def _merged(clips: Sequence[FoundClip]) -> list[FoundClip]:
    """Join equal rows of one clip: of "all.csv" and "train.csv" the split is taken."""
    held: dict[tuple[str | None, str, str | None], FoundClip] = {}
    others: list[FoundClip] = []
    for clip in clips:
        key = (clip.clip_id, clip.file, clip.category)
        first = held.setdefault(key, clip)
        if first.split is None:
            held[key] = replace(first, split=clip.split)
        elif clip.split not in (None, first.split):
            others.append(clip)
    return [*held.values(), *others]


def _lists(tree: Tree) -> list[Path]:
    heads = {p: h.columns for p, h in tree.tables.items() if not holds_answers(p)}
    lists = [
        path
        for path, names in heads.items()
        if SEGMENT.issubset(names)
        or (names_clips(names) and names_classes(names) and not names_captions(names))
    ]
    # A list of test clips has no classes; only its name shows what it is.
    tested = [
        path
        for path, names in heads.items()
        if path not in lists
        and len(names) > 1
        and names_clips(names)
        and not names_captions(names)
        and split_of_file(path) is Split.TEST
    ]
    return [*lists, *tested] if lists else _divisions(heads)


def _divisions(heads: Mapping[Path, Sequence[str]]) -> list[Path]:
    """Find tables that divide clips and leave the classes to the folders."""
    return [
        path
        for path, names in heads.items()
        if names_clips(names)
        and not names_captions(names)
        and (names_splits(names) or (len(names) == 1 and split_of_file(path) is not None))
    ]


def _clip(table: ClipTable, row: Row, tree: Tree, segments: Counter[str | None]) -> FoundClip:
    split = table.split_of(row)
    category = table.category_of(row)
    clip_id: str | None
    if row.text("youtube_id") is not None and row.text("time_start") is not None:
        clip_id, file = _segment(row, tree, segments)
    else:
        clip_id, file = table.place_of(row, tree)
    if table.category is None and category is None and split is not None:
        # A table of paths and splits divides clips whose classes are their folders. It was once
        # passed over, and the division drawn anew.
        category = folder_class(file) if tree.index.holds(file) else None
    if category is None and split is not Split.TEST:
        raise BadRowError(f'no "{table.category or "label"}"; expected the name of a class')
    return FoundClip(file, row.where, category, split, clip_id=clip_id)


def _segment(row: Row, tree: Tree, segments: Counter[str | None]) -> tuple[str, str]:
    """Return the clip id of a segment of a YouTube video, and its file."""
    youtube_id = row.text("youtube_id")
    start, end = (_seconds(row, name) for name in ("time_start", "time_end"))
    name = check_clip_id(f"{youtube_id}_{start:06d}_{end:06d}")
    # A video from which one segment is taken may lie there under its own id.
    names: Sequence[str | None] = (name, youtube_id) if segments[youtube_id] == 1 else (name,)
    for each in names:
        file = None if each is None else tree.index.named(each)
        if file is not None:
            return name, file
    return name, f"videos/{name}.mp4"


def _seconds(row: Row, name: str) -> int:
    written = row.text(name)
    try:
        seconds = int(float(written or ""))
    except (ValueError, OverflowError):
        seconds = -1
    if not 0 <= seconds < 1_000_000:
        raise BadRowError(f'"{name}" is {(written or "")[:60]!r}; expected whole seconds')
    return seconds
