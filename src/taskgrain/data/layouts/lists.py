"""Lists without a header: `path label` on each line, as SlowFast and MMAction2 write them.

The two are separated by a space, a comma, a semicolon or a tab; where the path is that of a folder
of frames, their number may stand between. Each file is named after its split: `train.csv`,
`val.txt`, `kinetics_val_list.txt`; or there is only one. The label, as a rule a number, is the name
of the class.
"""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

from taskgrain.data.annotations import BadRowError
from taskgrain.data.json_rows import MalformedFileError, read_text
from taskgrain.data.layouts import folders
from taskgrain.data.layouts.found import FoundClip, reading_of, split_of_file
from taskgrain.data.layouts.layout import LayoutOptions
from taskgrain.data.layouts.paths import MAX_PATH_BYTES, clip_path
from taskgrain.data.layouts.tree import VIDEOS, ClipIndex
from taskgrain.data.manifest import Problem, Reading, Split
from taskgrain.data.tables import HEAD_BYTES
from taskgrain.data.videos import VIDEO_SUFFIXES

NAME = "lists"
FOLDERS = ("", "annotations", "labels")
SUFFIXES = (".txt", ".csv", ".tsv", ".lst", ".list")
LOOKED_AT = 20  # lines by which a list is recognised
MAX_LINE = 2 * MAX_PATH_BYTES  # letters

_KINDS = "|".join(suffix[1:] for suffix in VIDEO_SUFFIXES)
_VIDEO = re.compile(
    rf"(?P<path>[^,;\t]*?\.(?:{_KINDS}))(?:\s*[,;\t]\s*(?P<named>[^,;\t]+)|\s+(?P<label>\S+))",
    re.IGNORECASE,
)
_FRAMES = re.compile(r"(?P<path>.*?\S)[ ,;\t]+(?:\d+[ ,;\t]+)?(?P<label>\d+)")


def recognises(root: Path) -> bool:
    """Whether such lists are there: one for training, and no more than one of each split.

    A single list of no split will do, but where folders say the class of each clip.
    """
    splits = [split_of_file(path) for path in find_lists(root)]
    if Split.TRAIN in splits:
        return None not in splits and len(splits) == len(set(splits))
    return splits == [None] and not folders.recognises(root)


def read(root: Path, options: LayoutOptions) -> Reading:
    """Read every such list."""
    lists = find_lists(root)
    if not lists:
        text = 'expected lists with a line "path label" for each clip'
        return Reading(root, NAME, (), problems=(Problem("missing-file", str(root), text),))
    problems: list[Problem] = []
    clips: list[FoundClip] = []
    index = ClipIndex(root)
    for path in lists:
        split = split_of_file(path)
        try:
            lines = read_text(path).split("\n")
        except MalformedFileError as error:
            problems.append(error.problem)
            continue
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            try:
                clips.append(_clip(line.strip(), where, split, root, index))
            except BadRowError as error:
                problems.append(Problem(error.kind, where, str(error)))
    notes = [f"{path.name} has no header: read as path and label" for path in lists]
    return reading_of(root, NAME, clips, options, problems, notes)


def find_lists(root: Path) -> list[Path]:
    """Find the files whose first lines are a path and a label each; the videos may be missing."""
    return [
        path
        for folder in (root / name for name in FOLDERS)
        for path in sorted(folder.glob("*"))
        if path.suffix.lower() in SUFFIXES and path.is_file() and _is_list(root, path)
    ]


def _is_list(root: Path, path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES).decode("utf-8-sig", errors="replace")
    except OSError:
        return False
    whole = head.splitlines()[: -1 if len(head) >= HEAD_BYTES else None]  # the last may be cut
    lines = list(islice((line.strip() for line in whole if line.strip()), LOOKED_AT))
    return bool(lines) and all(
        len(line) <= MAX_LINE and (_VIDEO.fullmatch(line) or _names_frames(root, line))
        for line in lines
    )


def _names_frames(root: Path, line: str) -> bool:
    found = _FRAMES.fullmatch(line)
    if found is None:
        return False
    try:
        return any((root / folder / found["path"]).is_dir() for folder in ("", VIDEOS))
    except (OSError, ValueError):  # too long for a name; ValueError: a NUL
        return False


def _clip(line: str, where: str, split: Split | None, root: Path, index: ClipIndex) -> FoundClip:
    line = line[: MAX_LINE + 1]  # a longer one holds no path that is taken
    video = _VIDEO.fullmatch(line)
    found = video or _FRAMES.fullmatch(line)
    if found is None:
        raise BadRowError('expected "path label"; a header "path,label" allows any other text')
    label = (video["named"] or video["label"]) if video else found["label"]
    return FoundClip(clip_path(found["path"], root, index), where, label, split)
