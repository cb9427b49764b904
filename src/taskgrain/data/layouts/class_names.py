"""Find the names of classes that lists number, or leave to the folders."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from taskgrain.data.layouts.found import FoundClip
from taskgrain.data.layouts.names import kind_of
from taskgrain.data.layouts.tree import Tree
from taskgrain.data.manifest import Problem, Split

_FILE = re.compile(r"class|label|categor|action", re.IGNORECASE)
_NUMBER_FIRST = re.compile(r"(?P<number>\d+)[\s,;:]+(?P<name>.*\S)")
_NUMBER_LAST = re.compile(r"(?P<name>.*\S)[\s,;:]+(?P<number>\d+)")


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


def folder_class(file: str) -> str | None:
    """Return the folder of a clip that may be called after its class: the nearest such."""
    folders = file.split("/")[:-1]
    return next((name for name in reversed(folders) if kind_of(name).is_class), None)


def _folder_names(clips: Sequence[FoundClip]) -> dict[str, str]:
    """Map each number to the one folder of its clips; nothing unless each has its own."""
    folders: dict[str, set[str | None]] = defaultdict(set)
    for clip in clips:
        if clip.category is not None:
            folders[clip.category].add(folder_class(clip.file))
    names = {number: held for number, (held, *more) in folders.items() if not more and held}
    is_whole = len(names) == len(folders) > 1 and len(set(names.values())) == len(names)
    return names if is_whole else {}


def _listed_names(labels: set[str], tree: Tree) -> tuple[dict[str, str], str]:
    """Read a file that names the numbered classes: `classInd.txt`, `label_map.txt`."""
    wanted = {int(label) for label in labels}
    for path, head in tree.tables.items():
        if not _FILE.search(path.stem) or not head.lines:
            continue
        names = _numbered(path.read_text(encoding="utf-8-sig", errors="replace").splitlines())
        if 0 in wanted and 0 not in names:  # the list counts from 1, the labels from 0
            names = {number - 1: name for number, name in names.items()}
        if wanted <= names.keys():
            return {label: names[int(label)] for label in labels}, path.name
    return {}, ""


def _numbered(lines: Sequence[str]) -> dict[int, str]:
    lines = [line.strip() for line in lines if line.strip()]
    for form in (_NUMBER_FIRST, _NUMBER_LAST):
        found = [match for line in lines if (match := form.fullmatch(line))]
        if found and len(found) == len(lines):
            return {int(match["number"]): match["name"].strip(" ,;") for match in found}
    return dict(enumerate(lines))
