"""Lists without a header: `path label` on each line, as SlowFast, MMAction2 and UCF101 have them.

The two are separated by a space, a comma, a semicolon or a tab; where the path is that of a folder
of frames, their number may stand between. The path may lack its suffix, or be a name alone. Each
file is named after its split: `train.csv`, `val.txt`, `trainlist01.txt`; or there is only one. The
label, often a number, is the name of the class; where each number stands for one folder, the class
is called as the folder is. A list named after a split may leave the labels to the folders. Of
UCF101's three divisions, `trainlist01.txt` and `testlist01.txt` are one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from taskgrain.data.annotations import BadRowError
from taskgrain.data.layouts import folders
from taskgrain.data.layouts.columns import names_clips
from taskgrain.data.layouts.layout import Findings, FoundClip, LayoutOptions, chosen_of, reading_of
from taskgrain.data.layouts.names import (
    FRAMES,
    PICTURES,
    folder_class,
    kind_of,
    shown,
    split_of_file,
    variant_of,
)
from taskgrain.data.layouts.tree import MAX_PATH_BYTES, Tree
from taskgrain.data.manifest import Problem, Reading, Split
from taskgrain.data.tables import Head, plain_lines
from taskgrain.data.videos import VIDEO_SUFFIXES, is_video_name

NAME = "lists"
SUFFIXES = (".txt", ".csv", ".tsv", ".lst", ".list")
LOOKED_AT = 20  # lines by which a list is recognised
MAX_LINE = 2 * MAX_PATH_BYTES  # letters

_KINDS = "|".join(suffix[1:] for suffix in VIDEO_SUFFIXES)
# The forms of a line. What ends in a video's suffix is a path, and the rest is the label, which may
# then hold spaces. Without a suffix either a number ends the line, or the first space or comma ends
# the path. Of several numbers behind a video it is not known which is the class: they are refused.
_VIDEO = re.compile(
    rf"(?P<path>[^,;\t]*?\.(?:{_KINDS}))(?:\s*[,;\t]\s*(?P<named>[^,;\t]+)|\s+(?P<label>\S+))",
    re.IGNORECASE,
)
_VIDEO_WITH_COMMA = re.compile(
    rf"(?P<path>.+?\.(?:{_KINDS}))(?:\s*[,;\t]\s*|\s+)(?P<label>[^\s,;]+)", re.IGNORECASE
)
_NUMBERED = re.compile(r"(?P<path>.*?\S)[ ,;\t]+(?:\d+[ ,;\t]+)?(?P<label>\d+)")
_NAMED = re.compile(r"(?P<path>[^\s,;]+)(?:\s*[,;\t]\s*|\s+)(?P<label>.*\S)")
_NUMBER_FIRST = re.compile(r"(?P<label>\d+)[ ,;\t]+(?P<path>.*\S)")
_OF_SEVERAL = re.compile(rf".*\.(?:{_KINDS})(?:[ ,;\t]+\d+){{2,}}", re.IGNORECASE)
_FORMS = (_NUMBERED, _NAMED, _NUMBER_FIRST)
_QUOTED = re.compile(r'"([^"]*)"')


def recognises(tree: Tree) -> bool:
    """Return whether there are such lists: one for training, and at most one of each split.

    Of several divisions into lists of the same names, one is read. A single list without a split
    is enough, unless folders name the class of each clip.
    """
    variants = _variants(tree)
    return bool(variants.divisions) or (variants.is_alone and not folders.recognises(tree))


def read(tree: Tree, options: LayoutOptions) -> Reading:
    """Read the lists of one division."""
    variants = _variants(tree)
    if not variants.lists:
        expected = 'lists with a line "path label" for each clip'
        return tree.lacking(NAME, expected)
    notes: list[str] = []
    lists = list(variants.lists)
    if variants.divisions:
        chosen, note = chosen_of(list(variants.divisions), options)
        lists = list(variants.divisions[chosen])
        notes += [note] if note else []
    problems: list[Problem] = []
    clips = [clip for path in lists for clip in _read_list(path, tree, problems)]
    clips, more = with_class_names(clips, tree, problems)
    notes += more
    notes += [f"{path.name} has no header: read as path and label" for path in lists]
    others = [tree.name_of(path) for path in variants.lists if path not in lists]
    if others:
        notes.append(f"{len(others)} lists of other divisions are not read ({shown(others)})")
    return reading_of(tree, NAME, Findings(clips, problems, notes, variants.lists), options)


def find_lists(tree: Tree) -> list[Path]:
    """Find the files whose first lines are a path and a label each; the videos may be missing."""
    return [path for path, head in tree.tables.items() if _is_list(path, head, tree)]


def _variants(tree: Tree) -> ListVariants:
    return ListVariants.of(find_lists(tree), tree.root)


def _is_list(path: Path, head: Head, tree: Tree) -> bool:
    # A header, also one that lacks the class; a clip may be called "video", but hardly "label" too.
    is_table = names_clips(head.columns) and not any(map(str.isdecimal, head.columns))
    lines = head.lines[:LOOKED_AT]
    if path.suffix.lower() not in SUFFIXES or is_table or not lines:
        return False
    if any(len(line) > MAX_LINE for line in lines):
        return False
    if all(_of_video(line) for line in lines):
        return True
    is_split = split_of_file(path) is not None
    beside = tree.folder_of(path)
    num_clips = sum(_of_clip(line, tree, beside, may_be_alone=is_split) for line in lines)
    # Half of them: some clips may be missing. A list of classes may begin with the name of a clip.
    return 2 * num_clips >= len(lines) and not _counts(lines)


def _counts(lines: tuple[str, ...]) -> bool:
    """Whether lines are numbered from 0 or 1 and each names something else: a list of classes."""
    cells = [re.split(r"[\s,;]+", line, maxsplit=1) for line in lines]
    numbers = [cell[0] for cell in cells]
    is_counted = any(numbers == list(map(str, range(k, k + len(lines)))) for k in (0, 1))
    names = {cell[-1] for cell in cells}
    return is_counted and len(names) == len(lines) and not any(map(is_video_name, names))


def _of_video(line: str) -> re.Match[str] | None:
    line = _unquoted(line)
    return _VIDEO.fullmatch(line) or _VIDEO_WITH_COMMA.fullmatch(line)


def _of_clip(line: str, tree: Tree, beside: str, *, may_be_alone: bool) -> bool:
    """Whether a line begins with the name of a clip that is there."""
    line = _unquoted(line)
    names = [form["path"] for form in _forms(line)]
    for name in (*names, line) if may_be_alone else names:
        try:
            if tree.index.holds(tree.clip_path(name, beside)):
                return True
        except BadRowError:
            continue
    return False


def _forms(line: str) -> list[re.Match[str]]:
    """Return the ways in which a line may be a path and a label; no label is called as a video."""
    matches = [match for form in _FORMS if (match := form.fullmatch(line))]
    return [match for match in matches if not is_video_name(match["label"])]


def _unquoted(line: str) -> str:
    return _QUOTED.sub(r"\1", line) if '"' in line else line


def _read_list(path: Path, tree: Tree, problems: list[Problem]) -> list[FoundClip]:
    split, beside = split_of_file(path), tree.folder_of(path)
    clips = []
    for line in plain_lines(path, problems):
        try:
            written, label = _path_and_label(
                line.cells[0], tree, beside, is_split=split is not None
            )
            clips.append(FoundClip(tree.clip_path(written, beside), line.where, label, split))
        except BadRowError as error:
            problems.append(Problem(error.kind, line.where, str(error)))
    return clips


def _path_and_label(
    line: str, tree: Tree, beside: str, *, is_split: bool
) -> tuple[str, str | None]:
    """Read a line; a list of a split may leave the label to the folders.

    Raises:
        BadRowError: if it is no path with a label.
    """
    line = _unquoted(line[: MAX_LINE + 1])  # a longer one holds no path that is taken
    of_video = _of_video(line)
    if of_video is not None:
        label = of_video.groupdict().get("named") or of_video["label"]
        return of_video["path"], label.strip()
    if _OF_SEVERAL.fullmatch(line):
        raise BadRowError('several numbers after the path of a video; expected "path label"')
    forms = _forms(line)
    # A line may fit several forms: the one whose path is there counts.
    for form in forms:
        if tree.index.holds(tree.clip_path(form["path"], beside)):
            return form["path"], form["label"]
    if is_split and (is_video_name(line) or tree.index.holds(tree.clip_path(line, beside))):
        return line, None
    if not forms:
        raise BadRowError('expected "path label"; a header "path,label" allows any other text')
    return forms[0]["path"], forms[0]["label"]


@dataclass(frozen=True, slots=True)
class ListVariants:
    """Lists of clips, and the divisions that they make."""

    lists: tuple[Path, ...]
    divisions: Mapping[str, tuple[Path, ...]]  # the first is the one to read; names of its files

    @property
    def is_alone(self) -> bool:
        """Whether there is one list, of no split."""
        return len(self.lists) == 1 and split_of_file(self.lists[0]) is None

    @classmethod
    def of(cls, lists: Sequence[Path], root: Path) -> ListVariants:
        """Sort lists: all are one division, or those whose names are alike but for the split."""
        splits = [split_of_file(path) for path in lists]
        if Split.TRAIN in splits and None not in splits and len(set(splits)) == len(splits):
            return cls(tuple(lists), {_called(lists): tuple(lists)})
        grouped: dict[tuple[object, ...], dict[Split, Path]] = defaultdict(dict)
        for path, split in zip(lists, splits, strict=True):
            if split is not None:
                grouped[_key(path, root)].setdefault(split, path)
        whole = {
            key: tuple(held[split] for split in Split if split in held)
            for key, held in sorted(grouped.items())
            if Split.TRAIN in held and len(held) > 1
        }
        return cls(tuple(lists), {_called(paths): paths for paths in whole.values()})


def _called(paths: Sequence[Path]) -> str:
    return " and ".join(path.name for path in paths)


def _key(path: Path, root: Path) -> tuple[object, ...]:
    """Order divisions: videos before frames before flow, then by their names and numbers."""
    modality = kind_of(path.stem).modality
    rank = 0 if modality is None else 1 if modality in PICTURES else 3
    rank += modality == FRAMES
    folder = path.parent.relative_to(root).parts
    words = (*(word for name in folder for word in variant_of(name)), *variant_of(path.stem))
    # zfill: the tenth division comes after the second.
    return (rank, *((word.isdecimal(), word.zfill(9)) for word in words))


_CLASS_FILE = re.compile(r"class|label|categor|action", re.IGNORECASE)
_INDEX_FIRST = re.compile(r"(?P<number>\d+)[\s,;:]+(?P<name>.*\S)")
_INDEX_LAST = re.compile(r"(?P<name>.*\S)[\s,;:]+(?P<number>\d+)")


def with_class_names(
    clips: Sequence[FoundClip], tree: Tree, problems: list[Problem]
) -> tuple[list[FoundClip], list[str]]:
    """Name the classes of listed clips.

    Numbers that each stand for one folder take its name, other numbers that of a list of classes
    that has all of them. A clip without a label has the class of its folder.

    Returns:
        The clips, and notes on what was decided. A clip of no class is left out; it is a problem.
    """
    labels = {clip.category for clip in clips if clip.category is not None}
    are_numbers = bool(labels) and all(label.isdecimal() for label in labels)
    names: dict[str, str] = {}
    notes = []
    if are_numbers:
        names = _folder_names(clips)
        if names:
            notes.append(
                f"the lists number {len(names)} classes, each of which has one folder: the classes "
                "are called as the folders are"
            )
        else:
            names, source = _listed_names(labels, tree)
            notes += [f"the classes that the lists number are named by {source}"] if names else []
    named = []
    for clip in clips:
        category = clip.category
        if category is None:
            category = folder_class(clip.file)
            if category is None and clip.split is not Split.TEST:
                text = (
                    'expected "path label": the clip lies in no folder of a class; a header '
                    '"path,label" allows any other text'
                )
                problems.append(Problem("malformed", clip.where, text))
                continue
        else:
            category = names.get(category, category)
        named.append(replace(clip, category=category))
    return named, notes


def _folder_names(clips: Sequence[FoundClip]) -> dict[str, str]:
    """Map each number to the one folder of its clips; nothing unless each has its own."""
    folders: dict[str, set[str | None]] = defaultdict(set)
    for clip in clips:
        if clip.category is not None:
            folders[clip.category].add(folder_class(clip.file))
    # One folder a number and one number a folder: anything else would part or join classes.
    names = {number: held for number, (held, *more) in folders.items() if not more and held}
    is_whole = len(names) == len(folders) > 1 and len(set(names.values())) == len(names)
    return names if is_whole else {}


def _listed_names(labels: set[str], tree: Tree) -> tuple[dict[str, str], str]:
    """Read a file that names the numbered classes: `classInd.txt`, `label_map.txt`."""
    wanted = {int(label) for label in labels}
    for path, head in tree.tables.items():
        if not _CLASS_FILE.search(path.stem) or not head.lines:
            continue
        names = _numbered(path.read_text(encoding="utf-8-sig", errors="replace").splitlines())
        if 0 in wanted and 0 not in names:  # the list counts from 1, the labels from 0
            names = {number - 1: name for number, name in names.items()}
        if wanted <= names.keys():
            return {label: names[int(label)] for label in labels}, path.name
    return {}, ""


def _numbered(lines: Sequence[str]) -> dict[int, str]:
    lines = [line.strip() for line in lines if line.strip()]
    for form in (_INDEX_FIRST, _INDEX_LAST):
        matches = [match for line in lines if (match := form.fullmatch(line))]
        if matches and len(matches) == len(lines):
            return {int(match["number"]): match["name"].strip(" ,;") for match in matches}
    return dict(enumerate(lines))
