"""Read what the name of a folder, a file or a cell says: a split, a modality, or something else.

"videos_train", "Val-256" and "trainlist01" name splits, "rawframes" and "flow_x" modalities;
"train station" names neither, as a word is left over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath

from taskgrain.data.manifest import Split

SPLIT_NAMES: Mapping[str, Split] = {
    **dict.fromkeys(("train", "training", "trainval"), Split.TRAIN),
    **dict.fromkeys(
        ("validation", "validate", "valid", "val", "dev", "eval", "evaluation"), Split.VALIDATION
    ),
    **dict.fromkeys(("test", "testing"), Split.TEST),
}
# What is seen comes in these forms, the best to decode first.
VIDEOS, RGB, FRAMES = "videos", "rgb", "frames"
PICTURES = (VIDEOS, RGB, FRAMES)
MODALITIES: Mapping[str, str] = {
    **dict.fromkeys(("video", "videos", "vid", "vids", "clip", "clips", "mp4", "avi"), VIDEOS),
    **dict.fromkeys(("rgb", "color", "colour"), RGB),
    **dict.fromkeys(("rawframe", "rawframes", "frame", "frames", "image", "images"), FRAMES),
    **dict.fromkeys(("img", "imgs", "jpeg", "jpegs", "jpg", "jpgs", "png", "pngs"), FRAMES),
    **dict.fromkeys(("flow", "flows", "opticalflow", "optical", "tvl1"), "flow"),
    **dict.fromkeys(("depth", "depths"), "depth"),
    **dict.fromkeys(("ir", "infrared", "thermal"), "infrared"),
    **dict.fromkeys(("skeleton", "skeletons", "keypoints"), "skeleton"),
    **dict.fromkeys(("mask", "masks", "segmentation", "segmentations"), "masks"),
    **dict.fromkeys(("audio", "audios", "wav"), "audio"),
}
_NEUTRAL = frozenset(
    (
        *("set", "sets", "data", "dataset", "split", "splits", "part", "list", "lists", "file"),
        *("files", "folder", "org", "orig", "original", "raw", "resized", "compressed", "small"),
        *("full", "all"),
    )
)
_FLOW_AXES = frozenset("xyuv")
_SPLIT_WORD = re.compile(
    rf"(?P<split>{'|'.join(sorted(SPLIT_NAMES, key=len, reverse=True))})"
    r"(?:lists?|sets?|splits?|data|files?|videos?|clips?)?\d*"
)
_SIZE = re.compile(r"\d+(?:p|fps|x\d+|px)?|v\d+")
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a name says."""

    split: Split | None
    modality: str | None
    rest: tuple[str, ...]  # words that say something else
    is_plain: bool  # whether each word names the split or the modality

    @property
    def is_class(self) -> bool:
        """Whether the name may be that of a class."""
        return bool(self.rest) or (self.split is None and self.modality is None)


@lru_cache(100_000)
def kind_of(name: str) -> Kind:
    """Read a name without regard to case; of two splits or two modalities in it, neither."""
    words = _WORD.findall(name.casefold())
    splits: set[Split] = set()
    modalities: set[str] = set()
    rest: list[str] = []
    num_other = 0
    for word in words:
        found = _SPLIT_WORD.fullmatch(word)
        if found:
            splits.add(SPLIT_NAMES[found["split"]])
        elif word in MODALITIES:
            modalities.add(MODALITIES[word])
        elif word.rstrip("0123456789") in _NEUTRAL or _SIZE.fullmatch(word):
            num_other += 1
        elif not (word in _FLOW_AXES and "flow" in modalities):
            rest.append(word)
    split = splits.pop() if len(splits) == 1 else None
    others = modalities - set(PICTURES) or modalities  # "flow_images" are flow
    modality = min(others) if len(others) == 1 else None
    is_known = len(splits) < 2 and len(others) < 2
    return Kind(
        split,
        modality,
        tuple(rest) if is_known or rest else tuple(words),
        is_known and not rest and not num_other,
    )


def split_named(name: str) -> Split | None:
    """Return the split that a folder or a cell is called after; None if its words say more."""
    kind = kind_of(name)
    return None if kind.rest else kind.split


def split_of_file(path: PurePath) -> Split | None:
    """Read the split off a file's name: "kinetics-400_val.csv"; None if it names none, or two."""
    return kind_of(path.stem).split


def variant_of(stem: str) -> tuple[str, ...]:
    """Return the words of a list's name but that of its split, numbers without leading zeros.

    "ucf101_train_split_2_videos" and "ucf101_val_split_2_videos" are lists of one variant.
    """
    words = []
    for word in _WORD.findall(stem.casefold()):
        found = _SPLIT_WORD.fullmatch(word)
        left = word[len(found["split"]) :] if found else word
        words += [part.lstrip("0") or "0" for part in re.findall(r"\d+|\D+", left)]
    return tuple(words)
