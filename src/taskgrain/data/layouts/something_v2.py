"""Something-Something v2 as its makers pack it.

`labels/train.json`, `validation.json`, `test.json`, `labels.json` (or the older names
`something-something-v2-train.json` ...; in the folder itself, `labels/` or `annotations/`), the
videos in `20bn-something-something-v2/`, and `test-answers.csv`: `id;category`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from taskgrain.data.annotations import (
    AnnotationFiles,
    BadRowError,
    check_clip_id,
    read_annotations,
)
from taskgrain.data.layouts.found import FoundClip, record_of
from taskgrain.data.layouts.layout import LayoutOptions
from taskgrain.data.layouts.tree import Tree, first_folder
from taskgrain.data.manifest import ClipRecord, Problem, Reading, Split
from taskgrain.data.tables import read_pairs

NAME = "something-something-v2"
PREFIX = "something-something-v2-"
VIDEOS = "20bn-something-something-v2"
FOLDERS = ("", "labels", "annotations")
VIDEO_FOLDERS = (VIDEOS, f"videos/{VIDEOS}", "videos", "rawframes", "frames")


def recognises(tree: Tree) -> bool:
    """Whether annotations have the makers' names, or lie as theirs do."""
    return _files(tree.root) is not None


def has_makers_videos(root: Path) -> bool:
    """Whether the folder of videos has the makers' name: a train.json beside it is theirs."""
    return first_folder(root, VIDEO_FOLDERS[:2]) is not None


def read(tree: Tree, options: LayoutOptions) -> Reading:
    """Read the annotations where they lie; test clips keep their labels only on request."""
    root = tree.root
    files = _files(root)
    if files is None:
        text = f"expected {PREFIX}train.json or labels/train.json"
        return Reading(root, NAME, (), problems=(Problem("missing-file", str(root), text),))
    reading = read_annotations(root, files, layout=NAME)
    answers = files.labels.parent / "test-answers.csv"
    if not options.test_answers or not answers.is_file():
        return reading
    problems: list[Problem] = []
    answered = _answers(reading, answers, problems)
    known = {record.clip_id for record in answered}
    asked = [
        (clip_id, file)
        for clip_id, file in zip(reading.test_ids, reading.test_files, strict=True)
        if clip_id not in known
    ]
    return replace(
        reading,
        records=(*reading.records, *answered),
        test_ids=tuple(clip_id for clip_id, _ in asked),
        test_files=tuple(file for _, file in asked),
        problems=(*reading.problems, *problems),
    )


def _files(root: Path) -> AnnotationFiles | None:
    there = first_folder(root, VIDEO_FOLDERS)
    videos = there or root / VIDEOS
    for folder in FOLDERS:
        below = root / folder
        for prefix in (PREFIX, ""):
            is_ours = not folder and not prefix and (there is None or there.name != VIDEOS)
            if is_ours or not (below / f"{prefix}train.json").is_file():
                continue
            return AnnotationFiles(
                {
                    split: below / f"{prefix}{split}.json"
                    for split in (Split.TRAIN, Split.VALIDATION)
                },
                test=below / f"{prefix}test.json",
                labels=below / f"{prefix}labels.json",
                videos=videos,
            )
    return None


def _answers(reading: Reading, path: Path, problems: list[Problem]) -> list[ClipRecord]:
    """Make records of the test clips: the category is known, what fills it is not."""
    file_of = dict(zip(reading.test_ids, reading.test_files, strict=True))
    records = []
    for line in read_pairs(path, problems):
        where, cells = line.where, line.cells
        try:
            clip_id = check_clip_id(cells[0])
            file = file_of.pop(clip_id, None)
            if file is None:
                raise BadRowError(f'id "{clip_id}" is not in test.json, or stands here twice')
            category = cells[1] if len(cells) > 1 else None
            clip = FoundClip(file, where, category, Split.TEST, clip_id=clip_id)
            records.append(record_of(reading.root, clip))
        except BadRowError as error:
            problems.append(Problem(error.kind, where, str(error)))
    return records
