"""Read what the names of folders, files and cells say: a split, a modality, or something else.

"videos_train", "Val-256" and "trainlist01" name splits, "rawframes" and "flow_x" modalities;
"train station" names neither, as a word is left over.

A dataset may hold a clip as video, as frames, as flow and as depth; it is kept once.
`videos/wave/1.mp4`, `rawframes/wave/1` and `flow/wave/1` are one clip of the class "wave", and so
are `wave/1/rgb` and `wave/1/flow`, and `wave/1_rgb.avi` and `wave/1_depth.avi`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath

from taskgrain.data.manifest import Split
from taskgrain.data.videos import is_video_name, split_name

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
    """The split and the modality that a name names, and its other words."""

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
        match = _SPLIT_WORD.fullmatch(word)
        if match:
            splits.add(SPLIT_NAMES[match["split"]])
        elif word in MODALITIES:
            modalities.add(MODALITIES[word])
        elif word.rstrip("0123456789") in _NEUTRAL or _SIZE.fullmatch(word):
            num_other += 1
        elif not (word in _FLOW_AXES and "flow" in modalities):
            rest.append(word)
    # "train_val" means neither split: no clip may be put on one side for a name that has both. Then
    # its words say something else, and the name may be that of a class.
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
        match = _SPLIT_WORD.fullmatch(word)
        left = word[len(match["split"]) :] if match else word
        words += [part.lstrip("0") or "0" for part in re.findall(r"\d+|\D+", left)]
    return tuple(words)


NUM_SHOWN = 3  # names in a note
_OTHER = 10  # the rank of what shows no picture


def shown(names: Sequence[str]) -> str:
    """Join the first few names."""
    return ", ".join(names[:NUM_SHOWN]) + (", ..." if len(names) > NUM_SHOWN else "")


@dataclass(frozen=True, slots=True)
class PlacedClip:
    """A clip, and the folders that may name its class or split."""

    file: str  # relative to the root, with slashes
    parts: tuple[str, ...]  # its folders but those of modalities, and its own name


@dataclass(frozen=True, slots=True)
class Arrangement:
    """The clips of a dataset, each once."""

    clips: tuple[PlacedClip, ...]  # in the order found
    left_out: tuple[tuple[str, str], ...]  # (file, what it is): other forms of clips

    def notes(self) -> list[str]:
        """Phrase what was left out, with counts and names."""
        if not self.left_out:
            return []
        counts = Counter(what for _, what in self.left_out)
        kinds = ", ".join(f"{what} {number}" for what, number in sorted(counts.items()))
        files = [file for file, _ in self.left_out]
        return [
            f"{len(files)} files and folders show clips in another form and are left out: "
            f"{kinds} ({shown(files)}); a folder called after a modality is no class"
        ]


@dataclass(frozen=True, slots=True)
class _Form:
    """One form of one clip."""

    placed: PlacedClip
    modality: tuple[str, ...]  # the names that say it
    by_folder: bool  # whether one of them is that of a folder
    rank: int  # the lowest is read
    what: str


# Each file is a form of a clip. Forms are of one clip if they have the same folders and name once
# modalities are taken out of both; of them the form of the lowest rank stays, and the others are
# named in a note, so that nothing is left out in silence.
def arrange(files: Sequence[str]) -> Arrangement:
    """Choose one form of each clip: a video first, then RGB, then frames; never flow or depth.

    Where nothing but flow or depth is there, that is what the clips are.
    """
    tops = {file.split("/", 1)[0] for file in files if "/" in file}
    variants = _variants(tops)
    # Hundreds of thousands of clips lie in few folders: what a folder is called is worked out once.
    folders_of: dict[str, _Folders] = {}
    forms = []
    for file in files:
        above = file.rpartition("/")[0]
        if above not in folders_of:
            folders_of[above] = _folders(above.split("/") if above else [], variants)
        forms.append(_form(file, folders_of[above]))
    by_clip: dict[tuple[str, ...], list[_Form]] = defaultdict(list)
    for form in forms:
        by_clip[form.placed.parts].append(form)
    has_pictures = any(form.rank < _OTHER for form in forms)
    kept: list[PlacedClip] = []
    left_out: list[tuple[str, str]] = []
    for form in forms:
        alike = by_clip[form.placed.parts]
        best = alike[0] if len(alike) == 1 else min(alike, key=lambda each: each.rank)
        is_best = form.rank == best.rank and form.modality == best.modality
        # "jump_mask.mp4" alone is a clip; beside "jump.mp4", or in `masks/`, it is left out.
        if is_best and not (has_pictures and form.rank >= _OTHER and form.by_folder):
            kept.append(form.placed)
        else:
            left_out.append((form.placed.file, form.what))
    return Arrangement(tuple(kept), tuple(left_out))


@dataclass(frozen=True, slots=True)
class _Folders:
    """The folders above a clip: those that name a class or a split, and those of modalities."""

    kept: tuple[str, ...]  # that may name a class or a split
    named: tuple[str, ...]  # that are called after modalities
    modalities: tuple[str, ...]


def _folders(folders: Sequence[str], variants: Collection[str]) -> _Folders:
    kept: list[str] = []
    named: list[str] = []
    modalities: list[str] = []
    for depth, folder in enumerate(folders):
        kind = kind_of(folder)
        if not (_names_modality(kind, depth) or (depth == 0 and folder in variants)):
            kept.append(folder)
            continue
        named.append(folder)
        modalities += [kind.modality] if kind.modality else []
        kept += [] if kind.split is None else [str(kind.split)]
    return _Folders(tuple(kept), tuple(named), tuple(modalities))


def _form(file: str, folders: _Folders) -> _Form:
    name = file.rpartition("/")[2]
    is_video = is_video_name(name)
    name = split_name(name)[0] if is_video else name
    kept, named, modalities = list(folders.kept), list(folders.named), list(folders.modalities)
    by_folder = bool(modalities)
    # A folder of frames whose name ends in a digit is a clip ("video12"), and no modality.
    called = None if is_video or name[-1:].isdigit() else kind_of(name)
    if called is not None and called.is_plain and called.modality:
        by_folder = True
        named.append(name)  # the frames of `wave/1` lie in `wave/1/rgb`
        modalities.append(called.modality)
        # Where the clip has no folder of its own (`wave/rgb`), the modality's names it.
        kept += [name] if len(kept) < 2 else []
    else:
        stem, word = _ending(name) if is_video else (name, None)
        kept.append(stem)
        if word is not None:
            named.append(word)
            modalities.append(MODALITIES[word])
    others = [modality for modality in modalities if modality not in PICTURES]
    if others:
        rank, what = _OTHER, others[0]
    elif is_video:
        rank, what = int(RGB in modalities), "video"
    else:
        rank, what = 3 if FRAMES in modalities else 2, "frames"
    return _Form(PlacedClip(file, tuple(kept)), tuple(named), by_folder, rank, what)


def _names_modality(kind: Kind, depth: int) -> bool:
    """Return whether a folder is called after a modality; below the top level by no other word."""
    if kind.modality is None or kind.rest:
        return False
    return depth == 0 or kind.is_plain


def _ending(stem: str) -> tuple[str, str | None]:
    """Split "_rgb" or "_depth" off a video's name: return the clip, and the word or None."""
    for mark in "_-.":
        clip, separator, word = stem.rpartition(mark)
        word = word.casefold()
        if separator and clip and word in MODALITIES and MODALITIES[word] not in ("videos", FRAMES):
            return clip, word
    return stem, None


def _variants(tops: Collection[str]) -> frozenset[str]:
    """Find folders such as `Charades_480`, `Charades_rgb`: one name but for modality or split."""
    kinds = {name: kind_of(name) for name in tops}
    rests = {kind.rest for kind in kinds.values()}
    forms = {(kind.split, kind.modality) for kind in kinds.values()}
    if len(rests) != 1 or len(forms) < 2 or len(forms) < len(kinds):
        return frozenset()
    is_split = all(kind.split is not None for kind in kinds.values())
    has_modality = any(kind.modality is not None for kind in kinds.values())
    return frozenset(kinds) if is_split or has_modality else frozenset()


def folder_class(file: str) -> str | None:
    """Return the folder of a clip that may be called after its class: the nearest such."""
    folders = file.split("/")[:-1]
    return next((name for name in reversed(folders) if kind_of(name).is_class), None)
