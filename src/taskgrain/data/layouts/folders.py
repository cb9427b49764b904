"""A folder for each class: `CLASS/clip.mp4`, or `train/CLASS/clip.mp4` and `validation/...`.

A clip is a video file or a folder of frames, at any depth below its class; the class is called as
its folder is. Clips of a `test` folder may lie in no class folder. What lies beside the folders of
splits belongs to none of them and is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from itertools import islice
from pathlib import Path

from taskgrain.data.layouts.found import FoundClip, reading_of, split_named
from taskgrain.data.layouts.layout import LayoutOptions
from taskgrain.data.layouts.tree import find_clips
from taskgrain.data.manifest import Reading, Split

NAME = "folders"
NUM_SHOWN = 3  # clips that a note names


def recognises(root: Path) -> bool:
    """Whether two folders at least hold clips, in the folder itself or in its only one."""
    holding = _folders_with_clips(root)
    if len(holding) == 1:
        holding = _folders_with_clips(holding[0])
    return len(holding) > 1


def only_class(root: Path) -> str | None:
    """Name the one folder that holds clips; None where there are several, or none."""
    holding = _folders_with_clips(root)
    return holding[0].name if len(holding) == 1 else None


def read(root: Path, options: LayoutOptions) -> Reading:
    """Walk the folders; a clip that lies in none is left out, with a note."""
    paths = [tuple(file.split("/")) for file in find_clips(root)]
    above = _above(paths)
    has_splits = _has_splits([path[above:] for path in paths])
    clips: list[FoundClip] = []
    left_out: list[str] = []
    beside: Counter[str] = Counter()
    for path in paths:
        file, inner = "/".join(path), path[above:]
        split = split_named(inner[0]) if has_splits else None
        if has_splits and split is None and len(inner) > 1:
            beside["/".join(path[: above + 1])] += 1
            continue
        inner = inner[1:] if has_splits else inner
        category = inner[0] if len(inner) > 1 else None
        if (category is None and split is not Split.TEST) or not inner:
            left_out.append(file)
        else:
            clips.append(FoundClip(file, f"{root}/{file}", category, split))
    notes = []
    if left_out:
        notes.append(
            f"{len(left_out)} clips lie in no class folder and are left out ({_first(left_out)})"
        )
    if beside:
        notes.append(
            f"{beside.total()} clips lie beside the folders of the splits, in {_first(beside)}, "
            "and are left out: no split is called so"
        )
    return reading_of(root, NAME, clips, options, notes=notes)


def _first(names: Collection[str]) -> str:
    shown = ", ".join(islice(names, NUM_SHOWN))
    return shown + (", ..." if len(names) > NUM_SHOWN else "")


def _folders_with_clips(folder: Path) -> list[Path]:
    below = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    return list(islice((p for p in below if any(True for _ in find_clips(p))), 2))


def _above(paths: Iterable[tuple[str, ...]]) -> int:
    """Count the folders above those of the classes: 1 where all is in `videos/`, otherwise 0."""
    deep = [path for path in paths if len(path) > 1]
    tops = {path[0] for path in deep}
    if len(tops) != 1 or split_named(next(iter(tops))) is not None:
        return 0
    return int(len({path[1] for path in deep if len(path) > 2}) > 1)


def _has_splits(paths: Iterable[tuple[str, ...]]) -> bool:
    """Whether the upper folders are splits: there is one for training, with folders of classes.

    Beside folders of other names a second split has to be there, too: one folder may be called
    "train" after what it shows. Where it holds clips itself, it is a class.
    """
    deep = [path for path in paths if len(path) > 1]
    splits = {split_named(path[0]) for path in deep}
    has_classes = any(len(path) > 2 and split_named(path[0]) is Split.TRAIN for path in deep)
    return has_classes and (None not in splits or len(splits) > 2)
