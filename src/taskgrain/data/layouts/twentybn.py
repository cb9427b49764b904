"""The datasets of Something-Something's makers: v1 and Jester, and v2 as they pack it.

v1 has `id;category` in `something-something-v1-train.csv` (`-validation`, `-test`, `-labels`), in
the folder itself or in `labels/` (there also plain `train.csv`), and a folder of frames a clip,
`20bn-something-something-v1/ID/00001.jpg`. Jester is the same under its own name.

v2 has `labels/train.json`, `validation.json`, `test.json`, `labels.json` (or the older names
`something-something-v2-train.json` ...; in the folder itself, `labels/` or `annotations/`), the
videos in `20bn-something-something-v2/`, and `test-answers.csv`: `id;category`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from taskgrain.data.annotations import (
    AnnotationFiles,
    BadRowError,
    KnownNames,
    annotation_files,
    check_clip_id,
    read_annotations,
)
from taskgrain.data.layouts.layout import Findings, FoundClip, LayoutOptions, reading_of, record_of
from taskgrain.data.layouts.tree import Tree, first_folder
from taskgrain.data.manifest import ClipRecord, Problem, Reading, Split
from taskgrain.data.tables import read_names, read_pairs
from taskgrain.data.videos import index_videos, stored_as

FOLDERS = ("", "labels", "annotations")  # of the annotations
V2 = "something-something-v2"
PREFIX = f"{V2}-"
VIDEOS = f"20bn-{V2}"
VIDEO_FOLDERS = (VIDEOS, f"videos/{VIDEOS}", "videos", "rawframes", "frames")


@dataclass(frozen=True, slots=True)
class TwentyBn:
    """One dataset of this kind, by the name that all its files carry."""

    name: str  # "jester-v1"
    layout: str  # its name among our layouts

    def recognises(self, tree: Tree) -> bool:
        """Whether the training file and the folder of frames have this dataset's names."""
        return self._annotations(tree.root) is not None

    def read(self, tree: Tree, options: LayoutOptions) -> Reading:
        """Read the CSV files; test clips have ids only."""
        root = tree.root
        annotations = self._annotations(root)
        if annotations is None:
            expected = f"{self.name}-train.csv, or labels/train.csv and 20bn-{self.name}/"
            return tree.lacking(self.layout, expected)
        folder, prefix = annotations
        problems: list[Problem] = []
        categories = _categories(folder / f"{prefix}labels.csv", problems)
        frames = first_folder(root, self._frame_folders()) or root / f"20bn-{self.name}"
        held = index_videos(frames)
        below = frames.relative_to(root).as_posix()
        clips = []
        for split in Split:
            path = folder / f"{prefix}{split}.csv"
            if not path.is_file():
                if split is Split.TRAIN:
                    problems.append(Problem("missing-file", str(path), "no such file"))
                continue
            for where, clip_id, category in _rows(path, categories, split, problems):
                file = f"{below}/{stored_as(held, clip_id) or clip_id}"
                clips.append(FoundClip(file, where, category, split, clip_id=clip_id))
        return reading_of(tree, self.layout, Findings(clips, problems), options)

    def _annotations(self, root: Path) -> tuple[Path, str] | None:
        """Find the folder of the CSV files, and what their names begin with."""
        for folder in (root / name for name in FOLDERS):
            if (folder / f"{self.name}-train.csv").is_file():
                return folder, f"{self.name}-"
        # Anybody's table may be called train.csv: it counts only beside frames under the makers'
        # name.
        has_frames = first_folder(root, self._frame_folders()[:2]) is not None
        for folder in (root / name for name in FOLDERS):
            if has_frames and (folder / "train.csv").is_file():
                return folder, ""
        return None

    def _frame_folders(self) -> tuple[str, ...]:
        official = f"20bn-{self.name}"
        return (official, f"videos/{official}", "videos", "rawframes", "frames")


def _categories(path: Path, problems: list[Problem]) -> KnownNames | None:
    """Read the list of categories, one a line; None without one."""
    if not path.is_file():
        return None
    known = KnownNames(line.cells[0] for line in read_names(path, problems))
    return known if known.names else None


def _rows(
    path: Path, known: KnownNames | None, split: Split, problems: list[Problem]
) -> Iterator[tuple[str, str, str | None]]:
    """Yield each row's place, clip id, and category (None in the test file)."""
    for line in read_pairs(path, problems):
        where, cells = line.where, line.cells
        try:
            clip_id = check_clip_id(cells[0])
            category = cells[1] if len(cells) > 1 else None
            if category is None and split is not Split.TEST:
                raise BadRowError('expected "id;category"')
            if category is not None and known is not None and category not in known.names:
                raise BadRowError(
                    f'category "{category}" is none of the {len(known.names)} in the list of labels'
                    f"{known.nearest(category)}",
                    "unknown-category",
                )
        except BadRowError as error:
            problems.append(Problem(error.kind, where, str(error)))
            continue
        yield where, clip_id, category


def recognises_v2(tree: Tree) -> bool:
    """Whether annotations have the makers' names, or lie as theirs do."""
    return _files(tree.root) is not None


def has_makers_videos(root: Path) -> bool:
    """Whether the folder of videos has the makers' name: a train.json beside it is theirs."""
    return first_folder(root, VIDEO_FOLDERS[:2]) is not None


def read_v2(tree: Tree, options: LayoutOptions) -> Reading:
    """Read the annotations where they lie; test clips keep their labels only on request."""
    root = tree.root
    files = _files(root)
    if files is None:
        return tree.lacking(V2, f"{PREFIX}train.json or labels/train.json")
    reading = read_annotations(root, files, layout=V2)
    answers = files.labels.parent / "test-answers.csv"
    if not options.test_answers or not answers.is_file():
        return reading
    problems: list[Problem] = []
    answered = _answers(reading, answers, problems)
    known = {record.clip_id for record in answered}
    unanswered = [
        (clip_id, file)
        for clip_id, file in zip(reading.test_ids, reading.test_files, strict=True)
        if clip_id not in known
    ]
    return replace(
        reading,
        records=(*reading.records, *answered),
        test_ids=tuple(clip_id for clip_id, _ in unanswered),
        test_files=tuple(file for _, file in unanswered),
        problems=(*reading.problems, *problems),
    )


def _files(root: Path) -> AnnotationFiles | None:
    there = first_folder(root, VIDEO_FOLDERS)
    videos = there or root / VIDEOS
    for folder in FOLDERS:
        below = root / folder
        for prefix in (PREFIX, ""):
            # A plain train.json in the folder itself is our own format, unless the videos lie under
            # the makers' name.
            is_ours = not folder and not prefix and (there is None or there.name != VIDEOS)
            if is_ours or not (below / f"{prefix}train.json").is_file():
                continue
            return annotation_files(below, prefix, videos)
    return None


def _answers(reading: Reading, path: Path, problems: list[Problem]) -> list[ClipRecord]:
    """Make records of the test clips, whose category is known and whose placeholders are not."""
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
