"""Keep each clip once where a dataset holds it as video, as frames, as flow, as depth ...

`videos/wave/1.mp4`, `rawframes/wave/1` and `flow/wave/1` are one clip of the class "wave", and so
are `wave/1/rgb` and `wave/1/flow`, and `wave/1_rgb.avi` and `wave/1_depth.avi`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from taskgrain.data.layouts.names import FRAMES, MODALITIES, PICTURES, RGB, Kind, kind_of
from taskgrain.data.videos import is_video_name, split_name

NUM_SHOWN = 3  # clips that a note names
_OTHER = 10  # the rank of what shows no picture


@dataclass(frozen=True, slots=True)
class PlacedClip:
    """A clip, and the folders that may say something of it."""

    file: str  # relative to the root, with slashes
    parts: tuple[str, ...]  # its folders but those of modalities, and its own name

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders alone."""
        return self.parts[:-1]


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
        files = [file for file, _ in self.left_out[:NUM_SHOWN]]
        more = ", ..." if len(self.left_out) > NUM_SHOWN else ""
        return [
            f"{len(self.left_out)} files and folders show clips in another form and are left out: "
            f"{kinds} ({', '.join(files)}{more}); a folder called after a modality is no class"
        ]


@dataclass(frozen=True, slots=True)
class _Form:
    """One form of one clip."""

    placed: PlacedClip
    modality: tuple[str, ...]  # the names that say it
    by_folder: bool  # whether one of them is that of a folder
    rank: int  # the lowest is read
    what: str


def arrange(files: Sequence[str]) -> Arrangement:
    """Choose one form of each clip: a video, then RGB, then frames; flow and depth are none.

    Where nothing but flow or depth is there, that is what the clips are.
    """
    tops = {file.split("/", 1)[0] for file in files if "/" in file}
    variants = _variants(tops)
    said: dict[str, _Folders] = {}
    forms = []
    for file in files:
        above = file.rpartition("/")[0]
        if above not in said:
            said[above] = _folders(above.split("/") if above else [], variants)
        forms.append(_form(file, said[above]))
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
        # "jump_mask.mp4" alone is a clip; the same beside "jump.mp4", or in `masks/`, is none.
        if is_best and not (has_pictures and form.rank >= _OTHER and form.by_folder):
            kept.append(form.placed)
        else:
            left_out.append((form.placed.file, form.what))
    return Arrangement(tuple(kept), tuple(left_out))


@dataclass(frozen=True, slots=True)
class _Folders:
    """What the folders above a clip say."""

    kept: tuple[str, ...]  # but those that name modalities
    said: tuple[str, ...]  # those that do
    modalities: tuple[str, ...]


def _folders(folders: Sequence[str], variants: Collection[str]) -> _Folders:
    kept: list[str] = []
    said: list[str] = []
    modalities: list[str] = []
    for depth, folder in enumerate(folders):
        kind = kind_of(folder)
        is_said = _says_modality(kind, depth) or (depth == 0 and folder in variants)
        if is_said:
            said.append(folder)
            modalities += [kind.modality] if kind.modality else []
        if not is_said:
            kept.append(folder)
        elif kind.split is not None:
            kept.append(str(kind.split))
    return _Folders(tuple(kept), tuple(said), tuple(modalities))


def _form(file: str, folders: _Folders) -> _Form:
    name = file.rpartition("/")[2]
    is_video = is_video_name(name)
    name = split_name(name)[0] if is_video else name
    kept, said, modalities = list(folders.kept), list(folders.said), list(folders.modalities)
    by_folder = bool(modalities)
    called = None if is_video or name[-1:].isdigit() else kind_of(name)
    if called is not None and called.is_plain and called.modality:
        by_folder = True
        said.append(name)  # the frames of `wave/1` lie in `wave/1/rgb`
        modalities.append(called.modality)
        kept += [name] if len(kept) < 2 else []
    else:
        stem, word = _ending(name) if is_video else (name, None)
        kept.append(stem)
        if word is not None:
            said.append(word)
            modalities.append(MODALITIES[word])
    others = [modality for modality in modalities if modality not in PICTURES]
    if others:
        rank, what = _OTHER, others[0]
    elif is_video:
        rank, what = int(RGB in modalities), "video"
    else:
        rank, what = 3 if FRAMES in modalities else 2, "frames"
    return _Form(PlacedClip(file, tuple(kept)), tuple(said), by_folder, rank, what)


def _says_modality(kind: Kind, depth: int) -> bool:
    """Whether a folder is called after a modality; below the first, by no other word."""
    if kind.modality is None or kind.rest:
        return False
    return depth == 0 or kind.is_plain


def _ending(stem: str) -> tuple[str, str | None]:
    """Take "_rgb" or "_depth" off a video's name: the clip, and the word; None without one."""
    for mark in "_-.":
        clip, found, word = stem.rpartition(mark)
        word = word.casefold()
        if found and clip and word in MODALITIES and MODALITIES[word] not in ("videos", FRAMES):
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
