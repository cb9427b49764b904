"""Something-Something v1 and Jester: `id;category` in CSV files, and a folder of frames a clip.

`something-something-v1-train.csv` (`-validation`, `-test`, `-labels`), in the folder itself or in
`labels/` (there also plain `train.csv`), and `20bn-something-something-v1/ID/00001.jpg`; Jester is
the same under its own name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from taskgrain.data.annotations import BadRowError, KnownNames, check_clip_id
from taskgrain.data.layouts.found import Findings, FoundClip, reading_of
from taskgrain.data.layouts.layout import LayoutOptions
from taskgrain.data.layouts.tree import Tree, first_folder
from taskgrain.data.manifest import Problem, Reading, Split
from taskgrain.data.tables import read_names, read_pairs
from taskgrain.data.videos import index_videos, stored_as

FOLDERS = ("", "labels", "annotations")


@dataclass(frozen=True, slots=True)
class TwentyBn:
    """One dataset of this kind, by the name that all its files carry."""

    name: str  # "jester-v1"
    layout: str  # what we call it

    def recognises(self, tree: Tree) -> bool:
        """Whether the training file and the folder of frames have this dataset's names."""
        return self._annotations(tree.root) is not None

    def read(self, tree: Tree, options: LayoutOptions) -> Reading:
        """Read the CSV files; test clips have ids only."""
        root = tree.root
        found = self._annotations(root)
        if found is None:
            text = f"expected {self.name}-train.csv, or labels/train.csv and 20bn-{self.name}/"
            problem = Problem("missing-file", str(root), text)
            return Reading(root, self.layout, (), problems=(problem,))
        folder, prefix = found
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
    """Return where each row stands, its clip id, and its category (None in the test file)."""
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
