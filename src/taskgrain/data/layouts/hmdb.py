"""HMDB51's official splits: `CLASS_test_split1.txt`, with a clip and 0, 1 or 2 on each line.

1 is training and 2 is test; clips of 0 are in neither. There are three such divisions, of which
one is read. The clips lie anywhere below the folder.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from taskgrain.data.annotations import BadRowError
from taskgrain.data.layouts.layout import Findings, FoundClip, LayoutOptions, chosen_of, reading_of
from taskgrain.data.layouts.names import shown
from taskgrain.data.layouts.tree import Tree
from taskgrain.data.manifest import Problem, Reading, Split
from taskgrain.data.tables import read_names

NAME = "hmdb51"
# A clip of code 0 is left out on purpose: it must not count as one that the lists forgot.
CODES = {"0": None, "1": Split.TRAIN, "2": Split.TEST}

_FILE = re.compile(r"(?P<category>.+)_test_split(?P<number>\d+)\.txt", re.IGNORECASE)
_LINE = re.compile(r"(?P<clip>.*\S)\s+(?P<code>[012])")


def recognises(tree: Tree) -> bool:
    """Whether files of two classes have such names and such lines."""
    return any(len(files) > 1 for files in _divisions(tree).values())


def read(tree: Tree, options: LayoutOptions) -> Reading:
    """Read one of the divisions."""
    divisions = _divisions(tree)
    if not divisions:
        expected = "a file CLASS_test_split1.txt for each class"
        return tree.lacking(NAME, expected)
    problems: list[Problem] = []
    clips: list[FoundClip] = []
    unused: list[str] = []
    chosen, note = chosen_of([str(number) for number in sorted(divisions)], options)
    for path, category in divisions[int(chosen)]:
        for line in read_names(path, problems):
            match = _LINE.fullmatch(line.cells[0])
            try:
                if match is None:
                    raise BadRowError("expected a clip and 0, 1 or 2")
                file = _file(tree, category, match["clip"])
                split = CODES[match["code"]]
                if split is None:
                    unused.append(file)
                else:
                    clips.append(FoundClip(file, line.where, category, split))
            except BadRowError as error:
                problems.append(Problem(error.kind, line.where, str(error)))
    notes = [note] if note else []
    if unused:
        notes.append(f"{len(unused)} clips are in neither part of the division ({shown(unused)})")
    used = [path for files in divisions.values() for path, _ in files]
    return reading_of(tree, NAME, Findings(clips, problems, notes, used, unused), options)


def _file(tree: Tree, category: str, name: str) -> str:
    # Below its class first: clips of two classes may have one name.
    return tree.index.below(f"{category}/{name}") or tree.index.named(name) or f"{category}/{name}"


def _divisions(tree: Tree) -> dict[int, list[tuple[Path, str]]]:
    """Find the files of each division, with their classes."""
    divisions: dict[int, list[tuple[Path, str]]] = defaultdict(list)
    for path, head in tree.tables.items():
        named = _FILE.fullmatch(path.name)
        if named and all(map(_LINE.fullmatch, head.lines)):
            divisions[int(named["number"])].append((path, named["category"]))
    return divisions
