"""Clips with captions: a CSV or JSONL file with a row for each clip, or for each caption of one.

Columns: `id`, or `file` (`video`, `path`) below the folder; `caption`, or in JSONL `captions`, a
list; and, where they are known, `category` (a template may have brackets), `placeholders` (JSONL)
and `split`. Several rows of one clip are several captions of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from taskgrain.data.annotations import BadRowError, check_clip_id
from taskgrain.data.companions import FACTORS, HIERARCHY
from taskgrain.data.layouts.found import (
    FoundClip,
    check_name,
    reading_of,
    split_named,
    split_of_file,
)
from taskgrain.data.layouts.layout import LayoutOptions
from taskgrain.data.layouts.paths import clip_path
from taskgrain.data.layouts.tree import ClipIndex
from taskgrain.data.ledger import LEDGER
from taskgrain.data.manifest import Problem, Reading, Split
from taskgrain.data.tables import Row, look_at, read_table

NAME = "captions"
FOLDERS = ("", "annotations", "labels")
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
IDS = ("id", "clip", "clip_id", "video_id")
FILES = ("file", "video", "path", "filename", "video_path")
CATEGORIES = ("template", "category", "class", "label")
UNCATEGORISED = "uncategorised"


@dataclass(slots=True)
class _Clip:
    """What the rows of one clip say together."""

    clip_id: str | None
    file: str
    where: str  # of its first row
    category: str | None
    split: Split | None
    placeholders: tuple[str, ...] | None
    captions: list[str] = field(default_factory=list)


def recognises(root: Path) -> bool:
    """Whether a file has a column of captions and one that names the clip."""
    return bool(_tables(root))


def read(root: Path, options: LayoutOptions) -> Reading:
    """Read every such file."""
    tables = _tables(root)
    if not tables:
        text = "expected a CSV or JSONL file with the columns id (or file) and caption"
        return Reading(root, NAME, (), problems=(Problem("missing-file", str(root), text),))
    problems: list[Problem] = []
    index = ClipIndex(root)
    clips: dict[str, _Clip] = {}
    for path in tables:
        otherwise = split_of_file(path)
        for row in read_table(path, problems):
            try:
                clip = _clip(row, root, index, otherwise)
                _add(clips, clip)
            except BadRowError as error:
                problems.append(Problem(error.kind, row.where, str(error)))
    found = [
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
    return reading_of(root, NAME, found, options, problems)


def _tables(root: Path) -> list[Path]:
    found = []
    for folder in (root / name for name in FOLDERS):
        for path in sorted(folder.glob("*")):
            if path.suffix.lower() not in SUFFIXES or path.name in (FACTORS, HIERARCHY, LEDGER):
                continue
            columns = set(look_at(path).columns) if path.is_file() else set()
            if columns & {"caption", "captions"} and columns & {*IDS, *FILES}:
                found.append(path)
    return found


def _clip(row: Row, root: Path, index: ClipIndex, otherwise: Split | None) -> _Clip:
    """Read one row."""
    written_id, written_file = row.text(*IDS), row.text(*FILES)
    clip_id = None if written_id is None else check_clip_id(written_id)
    if written_file is not None:
        file = clip_path(written_file, root, index)
    elif clip_id is not None:
        file = index.named(clip_id) or f"videos/{clip_id}.webm"
    else:
        raise BadRowError(f"no clip; expected one of the columns {', '.join((*IDS, *FILES))}")
    category = row.text(*CATEGORIES)
    written_split = row.text("split", "subset")
    split = otherwise if written_split is None else split_named(written_split)
    if written_split is not None and split is None:
        raise BadRowError(f'split "{written_split[:60]}"; expected train, validation or test')
    captions = _captions(row)
    if not captions and split is not Split.TEST:
        raise BadRowError("no caption; expected a text")
    return _Clip(clip_id, file, row.where, category, split, _placeholders(row), captions)


def _captions(row: Row) -> list[str]:
    written = [value for name in ("caption", "captions") for value in _listed(row.cells.get(name))]
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
    """Add a row to what is known of its clip; another class or split is a BadRowError."""
    held = clips.setdefault(clip.clip_id or f"/{clip.file}", clip)
    if held is clip:
        return
    if clip.split is not held.split:
        raise BadRowError(f"the clip is in another split at {held.where}", "two-splits")
    if (clip.file, clip.category) != (held.file, held.category):
        raise BadRowError(f"the clip has another file or category at {held.where}")
    held.captions += clip.captions
