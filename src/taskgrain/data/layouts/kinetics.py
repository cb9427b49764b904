"""Kinetics, and lists of the same kind: a CSV file with the path and the class of each clip.

Kinetics: `label,youtube_id,time_start,time_end,split`, the videos `ID_000010_000020.mp4` anywhere
below the folder. The general list: `path,label` and, where it has one, `split`. A file without the
column `split` is named after its own: `train.csv`, `val.csv`, `kinetics_test.csv`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from taskgrain.data.annotations import BadRowError, check_clip_id
from taskgrain.data.layouts.found import FoundClip, reading_of, split_named, split_of_file
from taskgrain.data.layouts.layout import LayoutOptions
from taskgrain.data.layouts.paths import clip_path
from taskgrain.data.layouts.tree import ClipIndex
from taskgrain.data.manifest import Problem, Reading, Split
from taskgrain.data.tables import Row, look_at, read_table

NAME = "kinetics"
FOLDERS = ("", "annotations", "labels")
SEGMENT = frozenset({"youtube_id", "time_start", "time_end"})
PATHS = ("path", "video", "file", "filename", "video_path")
CLASSES = ("label", "class", "category")


def recognises(root: Path) -> bool:
    """Whether a CSV file has such a header, and no column of captions."""
    return bool(_lists(root))


def read(root: Path, options: LayoutOptions) -> Reading:
    """Read every such list."""
    lists = _lists(root)
    if not lists:
        text = "expected a CSV file with label,youtube_id,time_start,time_end or path,label"
        return Reading(root, NAME, (), problems=(Problem("missing-file", str(root), text),))
    problems: list[Problem] = []
    rows = [(row, split_of_file(path)) for path in lists for row in read_table(path, problems)]
    index = ClipIndex(root)
    segments = Counter(row.text("youtube_id") for row, _ in rows)
    clips = []
    for row, otherwise in rows:
        try:
            split = _split(row, otherwise)
            category = row.text(*CLASSES)
            if category is None and split is not Split.TEST:
                raise BadRowError('no "label"; expected the name of a class')
            clip_id, file = _place(row, root, index, segments)
            clips.append(FoundClip(file, row.where, category, split, clip_id=clip_id))
        except BadRowError as error:
            problems.append(Problem(error.kind, row.where, str(error)))
    return reading_of(root, NAME, clips, options, problems)


def _lists(root: Path) -> list[Path]:
    found = []
    for folder in (root / name for name in FOLDERS):
        for path in sorted(folder.glob("*.csv")):
            columns = set(look_at(path).columns)
            is_list = bool(columns & set(PATHS)) and bool(columns & set(CLASSES))
            if columns >= SEGMENT or (is_list and not columns & {"caption", "captions"}):
                found.append(path)
    return found


def _split(row: Row, otherwise: Split | None) -> Split | None:
    written = row.text("split", "subset")
    if written is None:
        return otherwise
    split = split_named(written)
    if split is None:
        raise BadRowError(f'split "{written[:60]}"; expected train, validation or test')
    return split


def _place(
    row: Row, root: Path, index: ClipIndex, segments: Counter[str | None]
) -> tuple[str | None, str]:
    """Give a row's clip id (None: made from its path) and its file."""
    youtube_id = row.text("youtube_id")
    if youtube_id is None:
        written = row.text(*PATHS)
        if written is None:
            raise BadRowError("no path; expected that of a video")
        return None, clip_path(written, root, index)
    start, end = (_seconds(row, name) for name in ("time_start", "time_end"))
    name = check_clip_id(f"{youtube_id}_{start:06d}_{end:06d}")
    names: Sequence[str] = (name, youtube_id) if segments[youtube_id] == 1 else (name,)
    found = next(filter(None, map(index.named, names)), None)
    return name, found or f"videos/{name}.mp4"


def _seconds(row: Row, name: str) -> int:
    written = row.text(name)
    try:
        seconds = int(float(written or ""))
    except (ValueError, OverflowError):
        seconds = -1
    if not 0 <= seconds < 1_000_000:
        raise BadRowError(f'"{name}" is {(written or "")[:60]!r}; expected whole seconds')
    return seconds
