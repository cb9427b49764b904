"""What a layout is, what it finds, and the dataset that is made of it: ids, splits and captions."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from taskgrain.data.annotations import BadRowError
from taskgrain.data.json_rows import is_text
from taskgrain.data.layouts.names import shown, split_named
from taskgrain.data.layouts.tree import Tree
from taskgrain.data.manifest import ClipRecord, Problem, Reading, Split
from taskgrain.data.videos import is_video_name, split_name
from taskgrain.errors import ManifestError
from taskgrain.labels.template import (
    CaptionParser,
    fill,
    placeholder_count,
    placeholder_names,
    strip_brackets,
)
from taskgrain.randomness import drawn_digest


@dataclass(frozen=True, slots=True)
class LayoutOptions:
    """What the user decides where the data themselves do not say it."""

    # Where the data name no validation clips; None: see `num_scored`.
    validation_share: float | None = None
    seed: int = 0  # of the draw of those
    test_answers: bool = False  # keep the labels of test clips; otherwise only their ids
    division: int = 1  # which of several official divisions is read, from 1
    draws_validation: bool = True  # False: clips that the data do not divide stay in training

    def __post_init__(self) -> None:
        share = self.validation_share
        if share is not None and not 0 < share < 1:
            raise ValueError(f"validation_share {share}: expected 0 < share < 1")
        if self.division < 1:
            raise ValueError(f"division {self.division}: expected 1 or more")

    def num_scored(self, num_clips: int) -> int:
        """Return how many clips of a class validate: at least one on either side of two or more.

        Without a share a fifth; but five of them, the fewest that an interval can be had from,
        wherever that is not more than half.
        """
        if self.validation_share is None:
            # A fifth of ten clips is two, and a study of ten clips a class could claim nothing.
            number = max(round(0.2 * num_clips), min(5, num_clips // 2))
        else:
            number = round(self.validation_share * num_clips)
        return min(max(number, 1), num_clips - 1)  # none of a single clip

    @property
    def share_words(self) -> str:
        """Phrase the share of clips that validate."""
        if self.validation_share is None:
            return "a fifth of each class, or up to five clips of a small one,"
        return f"{self.validation_share:g} of each class"


def chosen_of(divisions: Sequence[str], options: LayoutOptions) -> tuple[str, str | None]:
    """Choose one of the official divisions of a dataset, and phrase a note where there are several.

    Raises:
        ManifestError: if there are fewer divisions than the number that is asked for.
    """
    if options.division > len(divisions):
        raise ManifestError(
            f"division {options.division} is wanted, but there are {len(divisions)}: "
            f"{', '.join(divisions)}"
        )
    chosen = divisions[options.division - 1]
    if len(divisions) == 1:
        return chosen, None
    return chosen, (
        f"of {len(divisions)} official divisions number {options.division} is read ({chosen}); "
        "taskgrain import --division reads another"
    )


@dataclass(frozen=True, slots=True)
class Layout:
    """One layout. Reading lists what is wrong and raises nothing for it."""

    recognises: Callable[[Tree], bool]  # from file names and headers alone
    read: Callable[[Tree, LayoutOptions], Reading]


MAX_MADE_ID_BYTES = 120  # of an id made from a path; a longer one is cut and gets a hash
HASH_DIGITS = 8

# UCF101 and UCF50: clips of one group are cut from one video.
_TAKE = re.compile(r"(?P<group>.*_g\d+)_c\d+", re.IGNORECASE)
_NO_ID_LETTER = re.compile(r"[^\w.-]+", re.UNICODE)


@dataclass(frozen=True, slots=True)
class FoundClip:
    """A clip as a layout finds it, before it has an id and a split."""

    file: str  # relative to the root, with slashes
    where: str  # "file:line", or the clip's own path: what a problem names
    category: str | None  # with or without brackets; None where it is not known
    split: Split | None = None  # None where it is not known
    captions: tuple[str, ...] = ()  # none: made from the category
    placeholders: tuple[str, ...] | None = None  # None: read from the caption
    clip_id: str | None = None  # None: made from the path


@dataclass(frozen=True, slots=True)
class Findings:
    """What a layout finds in a folder."""

    clips: Sequence[FoundClip]
    problems: Sequence[Problem] = ()
    notes: Sequence[str] = ()  # on what was decided on the way
    used: Collection[Path] = ()  # the tables that were read; of the others a note is made
    set_aside: Collection[str] = ()  # files of clips that the tables leave out on purpose


def reading_of(tree: Tree, layout: str, findings: Findings, options: LayoutOptions) -> Reading:
    """Build the reading of a dataset; an invalid clip is left out and its problem listed."""
    root = tree.root
    bad = list(findings.problems)
    notes = [*findings.notes, *tree.notes(findings.used), *_unnamed(tree, findings)]
    # This order must not change: the draw of validation clips goes by ids, and splits that folders
    # or labelled test clips give decide what is left to be drawn.
    named = _unique(_with_ids(findings.clips), bad)
    named = _with_split_folders(named, notes)
    named = _scored_on_test(named, options, notes)
    named, num_open = _with_splits(named, options)
    if num_open:
        notes.append(
            f"the data do not divide {num_open} clips into training and validation: "
            f"{options.share_words} are drawn for validation, seed "
            f"{options.seed}"
        )
    num_withheld = sum(c.split is Split.TEST and c.category is not None for c in named)
    if num_withheld and not options.test_answers:
        notes.append(f"{num_withheld} test clips have labels, of which only the ids are kept")
    records: list[ClipRecord] = []
    tested: list[FoundClip] = []
    for clip in named:
        if clip.split is Split.TEST and (clip.category is None or not options.test_answers):
            tested.append(clip)
            continue
        try:
            records.append(record_of(root, clip))
        except BadRowError as error:
            bad.append(Problem(error.kind, clip.where, str(error)))
    notes += _alike({record.category for record in records})
    if not records and not bad:
        bad.append(Problem("malformed", str(root), "holds no clip that has a class"))
    order = list(Split)
    records.sort(key=lambda record: order.index(record.split))  # stable: the order found
    return Reading(
        root,
        layout,
        tuple(records),
        tuple(clip.clip_id or "" for clip in tested),
        problems=tuple(bad),
        notes=tuple(notes),
        test_files=tuple(clip.file for clip in tested),
        closed=tuple(tree.closed),
    )


def record_of(root: Path, clip: FoundClip) -> ClipRecord:
    """Make the record of one clip that has an id and a split.

    Raises:
        BadRowError: if it has no category, or one that does not fit its placeholders.
    """
    assert clip.clip_id is not None
    assert clip.split is not None
    template = check_name(clip.category, "category")
    if not strip_brackets(template).strip():
        raise BadRowError(f'template "{template}" names no category; expected words')
    captions = tuple(dict.fromkeys(check_name(text, "caption") for text in clip.captions))
    placeholders = clip.placeholders
    if placeholders is None and captions:
        placeholders = _objects(template, captions[0]) if "[" in template else ()
    if placeholders is None:
        placeholders = placeholder_names(template)
    if len(placeholders) != placeholder_count(template):
        raise BadRowError(
            f'template "{template}" has {placeholder_count(template)} brackets, '
            f"but {len(placeholders)} placeholders"
        )
    if not captions:
        captions = (_caption_of(template, placeholders),)
    return ClipRecord(clip.clip_id, clip.split, template, placeholders, captions, root, clip.file)


@lru_cache(maxsize=1024)  # making a parser takes longer than using it
def _parser(template: str) -> CaptionParser:
    return CaptionParser([template])


def _objects(template: str, caption: str) -> tuple[str, ...] | None:
    """Read from a caption what fills the brackets of a template; None if it does not fit."""
    parsed = _parser(template).parse(caption)
    return parsed.objects if parsed else None


def _caption_of(template: str, placeholders: Sequence[str]) -> str:
    """Return a class in words: "Opening_a-box" -> "opening a box"."""
    if placeholders:
        return fill(template, placeholders)
    return " ".join(re.sub(r"[_-]+", " ", template).split()).lower() or template


def check_name(text: object, what: str) -> str:
    """Return a category or caption in composed Unicode, without space around it.

    Raises:
        BadRowError: if it is empty or cannot be written.
    """
    if not isinstance(text, str) or not text.strip():
        raise BadRowError(f"no {what}; expected a text")
    if not is_text(text) or "\0" in text:
        raise BadRowError(f"the {what} {text[:60]!r} is not UTF-8 text")
    return unicodedata.normalize("NFC", " ".join(text.split()))


def made_id(file: str) -> str:
    """Make a clip id from a path: "pushing a cup/clip 1.mp4" -> "pushing_a_cup-clip_1".

    It depends on the path alone. Two paths may give the same one.
    """
    stem = split_name(file)[0] if is_video_name(file.rpartition("/")[2]) else file
    safe = unicodedata.normalize("NFC", stem.encode("utf-8", "replace").decode())
    safe = _NO_ID_LETTER.sub("_", safe.replace("/", "-")).lstrip(".-") or "clip"
    if len(safe.encode()) <= MAX_MADE_ID_BYTES:
        return safe
    cut = safe.encode()[: MAX_MADE_ID_BYTES - HASH_DIGITS - 1].decode(errors="ignore")
    return f"{cut}-{_hash(file)}"


def is_made_id(clip_id: str, file: str) -> bool:
    """Whether an id was made from a path, and not given by the annotations."""
    made = made_id(file)
    return clip_id in (made, f"{made}-{_hash(file)}")


def _hash(text: str) -> str:
    # surrogateescape: the name of a file may hold bytes that are no text.
    return blake2b(text.encode("utf-8", "surrogateescape")).hexdigest()[:HASH_DIGITS]


def _with_ids(clips: Sequence[FoundClip]) -> list[FoundClip]:
    """Assign an id to clips without one; two that would be equal both get a hash."""
    made = [made_id(clip.file) if clip.clip_id is None else clip.clip_id for clip in clips]
    # Without regard to case: some file systems know none, and ids are names of files.
    times = Counter(clip_id.casefold() for clip_id in made)
    named = []
    for clip, clip_id in zip(clips, made, strict=True):
        is_ambiguous = clip.clip_id is None and times[clip_id.casefold()] > 1
        unique = f"{clip_id}-{_hash(clip.file)}" if is_ambiguous else clip_id
        named.append(replace(clip, clip_id=unique))
    return named


def _unique(clips: Sequence[FoundClip], problems: list[Problem]) -> list[FoundClip]:
    """Keep the first clip of each id, and list the others."""
    first: dict[str, FoundClip] = {}
    for clip in clips:
        assert clip.clip_id is not None
        held = first.setdefault(clip.clip_id, clip)
        if held is not clip:
            text = f'id "{clip.clip_id}" stands already at {held.where}'
            if clip.file == held.file and clip.category != held.category:
                text += f', as "{held.category}"; a clip has one class'
            same = clip.split is held.split
            problems.append(Problem("duplicate-id" if same else "two-splits", clip.where, text))
    return list(first.values())


def _unnamed(tree: Tree, findings: Findings) -> list[str]:
    """Note the clips that lie there and that no table or list names."""
    named = {*(clip.file for clip in findings.clips), *findings.set_aside}
    clips = tree.arrangement.clips if findings.used else ()
    unnamed = [clip.file for clip in clips if clip.file not in named]
    if not unnamed:
        return []
    return [f"{len(unnamed)} clips are named by no row and are left out ({shown(unnamed)})"]


def _with_split_folders(clips: Sequence[FoundClip], notes: list[str]) -> list[FoundClip]:
    """Read splits from the names of the clips' folders, where nothing else names a split.

    One of them has to be for training, and all clips have to lie in such folders.
    """
    if not clips or any(clip.split is not None for clip in clips):
        return list(clips)
    folders = [[split_named(name) for name in clip.file.split("/")[:-1]] for clip in clips]
    splits = [next((split for split in names if split), None) for names in folders]
    if None in splits or Split.TRAIN not in splits or len(set(splits)) < 2:
        return list(clips)
    notes.append("no table says the splits: they are those that the folders are called after")
    return [replace(clip, split=split) for clip, split in zip(clips, splits, strict=True)]


def _scored_on_test(
    clips: Sequence[FoundClip], options: LayoutOptions, notes: list[str]
) -> list[FoundClip]:
    """Score the test clips that have a class where the data have no validation clips.

    A share for validation, or a request for the labels of test clips, leaves them as they are.
    """
    splits = {clip.split for clip in clips}
    tested = [c for c in clips if c.split is Split.TEST and c.category is not None]
    is_open = Split.TRAIN in splits and Split.VALIDATION not in splits
    if not tested or not is_open or options.test_answers or options.validation_share is not None:
        return list(clips)
    notes.append(
        f"the data have no validation clips: their {len(tested)} labelled test clips are the ones "
        "that are scored, as validation; --validation draws some of the training clips instead"
    )
    held = set(map(id, tested))
    return [replace(clip, split=Split.VALIDATION) if id(clip) in held else clip for clip in clips]


def _alike(categories: Collection[str]) -> list[str]:
    """Note the categories that differ in case, spaces or marks alone."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(categories):
        groups[re.sub(r"[\W_]+", " ", name.casefold()).strip()].append(name)
    alike = [" and ".join(map(repr, names)) for names in groups.values() if len(names) > 1]
    if not alike:
        return []
    return [
        f"{len(alike)} classes are written in several ways, each of which counts as a class of its "
        f"own ({shown(alike)}); give one name to what is one class"
    ]


def _with_splits(clips: Sequence[FoundClip], options: LayoutOptions) -> tuple[list[FoundClip], int]:
    """Assign a split to every clip, and count the clips that the data do not divide.

    Clips without a split are drawn; where the data name no validation clip, training clips are
    drawn too. Each class of two groups or more has at least one on either side. Without a draw
    they are training clips.
    """
    if not options.draws_validation:
        return [replace(clip, split=clip.split or Split.TRAIN) for clip in clips], 0
    has_validation = any(clip.split is Split.VALIDATION for clip in clips)
    open_splits = (None,) if has_validation else (None, Split.TRAIN)
    classes: dict[str | None, list[FoundClip]] = defaultdict(list)
    for clip in clips:
        if clip.split in open_splits:
            classes[clip.category].append(clip)
    scored: set[str | None] = set()
    for members in classes.values():
        scored |= _drawn(members, options)
    divided = [
        replace(clip, split=Split.VALIDATION if clip.clip_id in scored else Split.TRAIN)
        if clip.split in open_splits
        else clip
        for clip in clips
    ]
    return divided, sum(map(len, classes.values()))


def _drawn(members: Sequence[FoundClip], options: LayoutOptions) -> set[str | None]:
    """Draw the clips of a class that are scored; what was filmed together stays together."""
    groups: dict[str, list[str | None]] = defaultdict(list)
    for clip in members:
        clip_id = clip.clip_id or ""
        take = _TAKE.fullmatch(clip_id)
        groups[take["group"] if take else clip_id].append(clip_id)
    ordered = sorted(groups, key=lambda group: drawn_digest(options.seed, group))
    number, scored = options.num_scored(len(members)), set[str | None]()
    # Never the last group: a class keeps clips to learn from.
    for group in ordered[:-1]:
        if len(scored) >= number:
            break
        scored.update(groups[group])
    return scored
