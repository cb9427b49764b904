"""Read published few-shot lists: which clips of a dataset they name, and as which class.

Lists of Something-Something v2 come in these forms, one clip a line (docs/data-format.md):

    Poking a hole into something soft/72897     CMN's `smsm-100/test.list`, TRX's `ssv2_CMN`
    test18/195025                               OTAM's classes: TRX, HyRSM, MoLo, CLIP-FSAR
    test0//folder/of/clip.mp4                   the same with a path
    80715 52 2  or  80715 31                    TSL: id, perhaps frames, number of the class

and as CSV or JSON lines with columns, or as JSON: `{class: [ids]}`, the same below each split,
rows, or `image_names` beside `image_labels`. A class that is only a number is the category that its
clips have in the dataset.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from taskgrain.data.json_rows import parse_json, read_text
from taskgrain.data.manifest import ClipRecord, Problem, Split
from taskgrain.data.tables import is_jsonl, read_table
from taskgrain.data.videos import is_video_name, split_name
from taskgrain.errors import ManifestError, list_problems, nearest
from taskgrain.labels.template import plain_name, strip_brackets

FORMS = '"CLASS/ID", "test3/ID", "test3//PATH" or "ID [FRAMES] NUMBER"'
CLIP_COLUMNS = ("clip", "id", "video_id", "video", "video_name", "file", "filename", "path")
CLASS_COLUMNS = ("template", "class", "category", "class_name", "label")  # "label" may be a caption
SPLIT_COLUMNS = ("split", "subset")
# Few-shot publications call the classes of training base, those of testing novel.
SPLITS = {
    **{"train": Split.TRAIN, "base": Split.TRAIN},
    **{"val": Split.VALIDATION, "validation": Split.VALIDATION},
    **{"test": Split.TEST, "novel": Split.TEST},
}

_NUMBERS = re.compile(r"(?P<clip>\S+)(?:\s+\d+)?\s+(?P<number>\d+)")
_NUMBERED = re.compile(r"(?P<split>train|base|validation|val|test|novel)?_?\d+")
# At the beginning of a word: "latest.txt" is called after no split.
_NAMED_AFTER = re.compile(r"(?<![a-z])(train|base|validation|val|test|novel)")


@dataclass(frozen=True, slots=True)
class ListedClip:
    """One clip of a list."""

    where: str  # "file:line", or "file: class" of JSON without rows
    clip_id: str
    class_name: str  # as it is written
    split: Split | None  # where the list says

    @property
    def is_numbered(self) -> bool:
        """Whether the class has a number and no name."""
        return _NUMBERED.fullmatch(self.class_name) is not None


@dataclass(frozen=True, slots=True)
class FewShotList:
    """The clips of one split of a published list, in the order of the file."""

    path: Path
    split: Split | None  # as its content says, or its name; None where neither does
    clips: tuple[ListedClip, ...]


def read_few_shot(path: Path) -> FewShotList:
    """Read a list in any of the forms above; of several splits the one that its name says, or test.

    Raises:
        ManifestError: naming each line that cannot be read or names a clip again, up to ten; if
            the file is not there or holds no clip, or holds several splits and no test clips.
    """
    if not path.is_file():
        raise ManifestError(f"{path}: no such file; expected a few-shot list of clips and classes")
    problems: list[str] = []
    clips = list(_clips(path, problems))
    first: dict[str, str] = {}
    for clip in clips:
        if clip.clip_id in first:
            before = first[clip.clip_id]
            problems.append(f"{clip.where}: clip {clip.clip_id} is there twice, first at {before}")
        first.setdefault(clip.clip_id, clip.where)
    if problems:
        raise ManifestError(list_problems(problems))
    if not clips:
        raise ManifestError(f"{path}: holds no clip; expected lines of {FORMS}")
    split = _split_of(path, {clip.split for clip in clips})
    return FewShotList(path, split, tuple(c for c in clips if c.split in (None, split)))


def few_shot_records(listed: FewShotList, records: Sequence[ClipRecord]) -> tuple[ClipRecord, ...]:
    """Return the records of the listed clips, whatever their split was, divided anew.

    Half of each class is the support pool (train) and the rest is scored (validation): its clips
    are put in the order of the SHA-256 of their ids, and the first half of them, rounded down, is
    support. So it depends on the listed clips alone. The published protocols know no such
    division: they draw support and queries of each episode from all clips of a class
    (`EpisodePlan.pooled`).

    Args:
        listed: the list.
        records: of the dataset, with their categories.

    Raises:
        ManifestError: naming by line, up to ten, the clips that the dataset does not have, those
            whose class is unknown or another there, and classes of one clip.
    """
    record_of = {record.clip_id: record for record in records}
    problems = [
        f"{clip.where}: the dataset has no annotated clip {clip.clip_id!r}"
        for clip in listed.clips
        if clip.clip_id not in record_of
    ]
    known = [clip for clip in listed.clips if clip.clip_id in record_of]
    category_of = {clip_id: record.category for clip_id, record in record_of.items()}
    problems += _misnamed(known, category_of)
    problems += _misnumbered(known, category_of)
    members: dict[str, list[str]] = defaultdict(list)
    for clip in known:
        members[category_of[clip.clip_id]].append(clip.clip_id)
    if not problems:
        problems += [
            f"{listed.path}: class {name!r} has one clip; it takes two, one to learn from and one "
            "to score"
            for name, clips in members.items()
            if len(clips) < 2
        ]
    if problems:
        raise ManifestError(list_problems(problems))
    split_of: dict[str, Split] = {}
    for clips in members.values():
        for rank, clip_id in enumerate(sorted(clips, key=_digest)):
            split_of[clip_id] = Split.TRAIN if rank < len(clips) // 2 else Split.VALIDATION
    return tuple(
        record._replace(split=split_of[record.clip_id])
        for record in records
        if record.clip_id in split_of
    )


# Frozen: another hash would put other clips into the support of every published list.
def _digest(clip_id: str) -> bytes:
    return hashlib.sha256(clip_id.encode()).digest()


def _clips(path: Path, problems: list[str]) -> Iterator[ListedClip]:
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv") or is_jsonl(path):
        yield from _from_table(path, problems)
    elif suffix == ".json":
        yield from _from_json(path, problems)
    else:
        for number, line in enumerate(read_text(path).split("\n"), start=1):
            if line.strip():
                yield from _from_line(line.strip(), f"{path}:{number}", problems)


def _from_line(line: str, where: str, problems: list[str]) -> Iterator[ListedClip]:
    numbers = _NUMBERS.fullmatch(line)
    if numbers is not None:
        yield _listed(where, numbers["clip"], numbers["number"])
        return
    name, _, clip = line.partition("//") if "//" in line else line.rpartition("/")
    if not name.strip() or not clip.strip():
        problems.append(f"{where}: {line[:60]!r} is none of {FORMS}")
        return
    yield _listed(where, clip.strip(), name.strip())


def _from_table(path: Path, problems: list[str]) -> Iterator[ListedClip]:
    malformed: list[Problem] = []
    for row in read_table(path, malformed):
        clip, name = row.text(*CLIP_COLUMNS), row.text(*CLASS_COLUMNS)
        if clip is None or name is None:
            wanted = f"{' or '.join(CLIP_COLUMNS[:2])}, and {' or '.join(CLASS_COLUMNS[:3])}"
            problems.append(f"{row.where}: has no clip or no class; expected columns {wanted}")
            continue
        yield from _with_split(row.where, (clip, name), row.text(*SPLIT_COLUMNS), problems)
    problems += map(str, malformed)


def _from_json(path: Path, problems: list[str]) -> Iterator[ListedClip]:
    content = parse_json(read_text(path), path)
    if isinstance(content, dict) and {"image_names", "image_labels"} <= content.keys():
        yield from _from_columns(path, content, problems)
    elif isinstance(content, dict) and content and content.keys() <= SPLITS.keys():
        for split, classes in content.items():
            yield from _from_classes(path, classes, problems, split=split)
    elif isinstance(content, dict):
        yield from _from_classes(path, content, problems, split=None)
    elif isinstance(content, list) and content:
        yield from _from_table(path, problems)
    else:
        problems.append(f'{path}: expected {{"class": ["id", ...]}} or rows with "id" and "class"')


def _from_classes(
    path: Path, content: object, problems: list[str], *, split: str | None
) -> Iterator[ListedClip]:
    """Read `{class: [ids]}`."""
    if not isinstance(content, dict):
        problems.append(f'{path}: {split} holds no object; expected {{"class": ["id", ...]}}')
        return
    for name, clips in content.items():
        if not isinstance(clips, list) or not all(_is_id(clip) for clip in clips):
            problems.append(f"{path}: class {name!r} holds no list of ids")
            continue
        for clip in clips:
            yield from _with_split(f"{path}: {name}", (str(clip), name), split, problems)


def _from_columns(
    path: Path, content: Mapping[str, object], problems: list[str]
) -> Iterator[ListedClip]:
    """Read `image_names` and `image_labels`, which are numbers."""
    names, labels = content["image_names"], content["image_labels"]
    if not isinstance(names, list) or not isinstance(labels, list) or len(names) != len(labels):
        problems.append(f"{path}: image_names and image_labels are no lists of the same length")
        return
    for clip, label in zip(names, labels, strict=True):
        if not _is_id(clip) or not _is_id(label):
            problems.append(f"{path}: {clip!r} of class {label!r} is no clip of a class")
        else:
            yield _listed(str(path), str(clip), str(label))


def _is_id(value: object) -> bool:
    return (isinstance(value, str) and bool(value.strip())) or type(value) is int


def _with_split(
    where: str, clip: tuple[str, str], split: str | None, problems: list[str]
) -> Iterator[ListedClip]:
    """Return a clip and its class, and the split that is written beside them."""
    if split is None:
        yield _listed(where, *clip)
    elif split.strip().lower() in SPLITS:
        yield _listed(where, *clip, split=SPLITS[split.strip().lower()])
    else:
        problems.append(f"{where}: split {split!r}; expected one of {', '.join(SPLITS)}")


def _listed(where: str, clip: str, name: str, *, split: Split | None = None) -> ListedClip:
    """Read the id from a path, and the split from a class name such as "test18"."""
    # Some lists were written under Windows.
    file = PurePosixPath(clip.replace("\\", "/")).name
    clip_id = split_name(file)[0] if is_video_name(file) else file
    numbered = _NUMBERED.fullmatch(name)
    if split is None and numbered is not None and numbered["split"]:
        split = SPLITS[numbered["split"]]
    return ListedClip(where, clip_id, name, split)


def _split_of(path: Path, splits: set[Split | None]) -> Split | None:
    """Choose the split that is read."""
    named = _NAMED_AFTER.search(path.stem.lower())
    by_name = SPLITS[named[1]] if named else None
    written = {split for split in splits if split is not None}
    if len(written) < 2:
        return next(iter(written), by_name)
    for wanted in (by_name, Split.TEST):
        if wanted in written:
            return wanted
    raise ManifestError(
        f"{path}: holds clips of {' and '.join(sorted(written))}, and no test clips; give a list "
        "of one split"
    )


def _misnamed(clips: Iterable[ListedClip], category_of: Mapping[str, str]) -> list[str]:
    """Find class names that match no category, and clips that the dataset puts elsewhere."""
    names: dict[str, set[str]] = defaultdict(set)
    for category in category_of.values():
        names[plain_name(category)].add(category)
    problems: dict[str, str] = {}
    for clip in clips:
        if clip.is_numbered:
            continue
        theirs = category_of[clip.clip_id]
        meant = names.get(plain_name(clip.class_name), set())
        if not meant:
            known = sorted(set(category_of.values()))
            near = nearest(strip_brackets(clip.class_name), known)
            text = f"{clip.where}: the dataset has no category {clip.class_name!r}{near}"
            problems.setdefault(clip.class_name, text)  # once for the clips of one class
        elif theirs not in meant:
            problems[clip.where] = (
                f"{clip.where}: clip {clip.clip_id} is {theirs!r} in the dataset, not "
                f"{clip.class_name!r}"
            )
    return list(problems.values())


def _misnumbered(clips: Iterable[ListedClip], category_of: Mapping[str, str]) -> list[str]:
    """Find numbered classes of several categories, and categories of several numbers."""
    category: dict[str, str] = {}
    number: dict[str, str] = {}
    problems = []
    for clip in clips:
        if not clip.is_numbered:
            continue
        theirs = category_of[clip.clip_id]
        usual = category.setdefault(clip.class_name, theirs)
        other = number.setdefault(theirs, clip.class_name)
        if usual != theirs:
            problems.append(
                f"{clip.where}: clip {clip.clip_id} is {theirs!r} in the dataset, clips of class "
                f"{clip.class_name} before it are {usual!r}"
            )
        elif other != clip.class_name:
            problems.append(
                f"{clip.where}: class {clip.class_name} is {theirs!r} in the dataset, as class "
                f"{other} is"
            )
    return problems
