"""A folder for each class: `CLASS/clip.mp4`, or `train/CLASS/clip.mp4` and `validation/...`.

A clip is a video file or a folder of frames, at any depth below its class; the class is called as
its folder is. A folder that is called after a modality is no class (`names`), nor is one that is
called after a split: `CLASS/train/clip.mp4` is a training clip of CLASS (`layout`). Clips of
a `test` folder may lie in no class folder. What lies beside the folders of splits belongs to none
of them and is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from taskgrain.data.layouts.layout import Findings, FoundClip, LayoutOptions, reading_of
from taskgrain.data.layouts.names import PlacedClip, shown, split_named
from taskgrain.data.layouts.tree import Tree
from taskgrain.data.manifest import Reading, Split

NAME = "folders"
Parts = tuple[str, ...]  # folders of a clip, and its name


@dataclass(frozen=True, slots=True)
class _Sorted:
    """A clip with the class and the split that its folders name."""

    clip: PlacedClip
    category: str | None
    split: Split | None
    beside: str | None = None  # the folder that it lies in, where that is beside the splits


def recognises(tree: Tree) -> bool:
    """Whether the folders of clips name two classes at least, or splits and a class."""
    clips = _sort(tree.arrangement.clips)
    classes = {each.category for each in clips if each.category is not None}
    has_splits = any(each.split is Split.TRAIN for each in clips)
    return len(classes) > 1 or (bool(classes) and has_splits)


def lacking(tree: Tree) -> str | None:
    """Phrase why the folders name no classes; None where there is no clip."""
    clips = [clip.file for clip in tree.arrangement.clips]
    tops = sorted({file.split("/")[0] for file in clips if "/" in file})
    if not clips:
        return None
    if not tops:
        return f"{len(clips)} clips lie in the folder itself, and nothing says their classes"
    if len(tops) == 1:
        return f"one folder alone holds clips ({tops[0]}): one class is not enough"
    return (
        f"{len(clips)} clips lie in {shown(tops)}, which are called after splits or modalities, "
        "and in no folders of classes"
    )


def read(tree: Tree, options: LayoutOptions) -> Reading:
    """Sort the clips by their folders; a clip that lies in none is left out, with a note."""
    clips: list[FoundClip] = []
    left_out: list[str] = []
    beside: Counter[str] = Counter()
    called: Counter[str] = Counter()
    for each in _sort(tree.arrangement.clips):
        file = each.clip.file
        if each.beside is not None:
            beside[each.beside] += 1
        elif each.category is None and each.split is not Split.TEST:
            left_out.append(file)
        else:
            clips.append(FoundClip(file, f"{tree.root}/{file}", each.category, each.split))
            if each.category is not None and split_named(each.category) is not None:
                called[each.category] += 1
    notes = []
    if left_out:
        notes.append(
            f"{len(left_out)} clips lie in no class folder and are left out ({shown(left_out)})"
        )
    if beside:
        notes.append(
            f"{beside.total()} clips lie beside the folders of the splits, in "
            f"{shown(list(beside))}, and are left out: no split is called so"
        )
    notes += [
        f"the folder {name} ({number} clips) is called as a split is, but folders of other names "
        "stand beside it: it is taken for a class"
        for name, number in called.items()
    ]
    return reading_of(tree, NAME, Findings(clips, notes=notes), options)


# `train/` and `test/` beside a table once became two classes: what is called after a split is
# looked at first.
def _sort(clips: Sequence[PlacedClip]) -> list[_Sorted]:
    above = _above([clip.parts for clip in clips])
    inner = [clip.parts[above:] for clip in clips]
    if _has_splits(inner):
        return [_below_split(clip, parts) for clip, parts in zip(clips, inner, strict=True)]
    return [
        _Sorted(clip, parts[0] if len(parts) > 1 else None, None)
        for clip, parts in zip(clips, inner, strict=True)
    ]


def _below_split(clip: PlacedClip, parts: Parts) -> _Sorted:
    split = split_named(parts[0]) if len(parts) > 1 else None
    category = parts[1] if len(parts) > 2 else None
    if split is not None or len(parts) == 1:
        return _Sorted(clip, category, split)
    folders = clip.file.split("/")
    return _Sorted(clip, None, None, "/".join(folders[: folders.index(parts[0]) + 1]))


# Data often lie in `my-data/`, or in `my-data/videos/`: folders that stand alone name nothing. So
# we go down while one folder alone holds every clip that lies deeper, and stop where several stand
# side by side (the classes) or where the one that is left is called after a split. If several are
# never met the folders name no classes, and none is passed.
def _above(paths: Sequence[Parts]) -> int:
    """Count the folders above those of the classes or splits: 1 where all is in `my-data/`."""
    above = 0
    while True:
        deep = [path[above:] for path in paths if len(path) > above + 1]
        tops = {path[0] for path in deep}
        if len(tops) != 1 or split_named(next(iter(tops))) is not None:
            return above if len(tops) > 1 or above == 0 or tops else 0
        below = {path[1] for path in deep if len(path) > 2}
        are_deep = all(len(path) > 2 for path in deep)
        is_split = len(below) == 1 and split_named(next(iter(below))) is not None
        if len(below) < 2 and not (are_deep and (is_split or _parts_below(deep))):
            return 0
        above += 1


def _parts_below(deep: Sequence[Parts]) -> bool:
    """Whether further down, below folders that stand alone, several stand side by side."""
    for depth in range(2, max(map(len, deep))):
        if len({path[depth] for path in deep if len(path) > depth + 1}) > 1:
            return True
    return False


def _has_splits(paths: Sequence[Parts]) -> bool:
    """Whether the upper folders are splits: all are called so, or one of them holds classes.

    Beside folders of other names a second split has to be there, too: one folder may be called
    "train" after what it shows. Where it holds clips itself, it is a class.
    """
    deep = [path for path in paths if len(path) > 1]
    splits = {split_named(path[0]) for path in deep}
    has_classes = any(len(path) > 2 and split_named(path[0]) is Split.TRAIN for path in deep)
    return bool(splits) and (None not in splits or (has_classes and len(splits) > 2))
