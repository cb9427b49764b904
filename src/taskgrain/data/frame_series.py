"""Find the clip among a folder's images by their names, and whether one is missing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from pathlib import Path

from taskgrain.data.frame_names import Names, Number, read_names

# What a folder of frames calls the images themselves, and what it calls what was made from them.
FRAME_WORDS = frozenset(("img", "image", "images", "frame", "frames", "rgb", "color", "colour"))
OTHER_WORDS = frozenset(
    (
        *("flow", "x", "y", "u", "v", "tvl1", "diff", "edge", "edges"),
        *("depth", "disparity", "ir", "infrared", "thermal", "mask", "masks", "seg", "label"),
    )
)
MOST_SERIES = 16  # that are compared; in a folder without any order each image would be one
SHARED_NUMBERS = 0.5  # of the smaller series: with so many in common, two run beside each other


@dataclass(frozen=True, slots=True)
class Series:
    """The images of a folder that are its clip."""

    files: list[Path]  # in the order of their names
    note: str | None  # what was passed over, because it is no frame
    problem: str | None  # why it cannot be told which are the frames; then `files` is empty
    numbers: list[tuple[Number, ...]] = field(default_factory=list)  # in the name of each file


def choose_series(files: list[Path]) -> Series:
    """Choose the frames where several series of images are numbered side by side.

    As of img_00001, flow_x_00001, flow_y_00001. Series whose numbers go on from one another are
    one clip.
    """
    names = read_names([path.stem for path in files])
    if names.problem is not None:
        return Series([], None, names.problem)
    groups: dict[tuple[str, ...], list[int]] = {}
    for index in range(len(files)):
        groups.setdefault(names.texts(index), []).append(index)

    def series(indices: Sequence[int], note: str | None = None) -> Series:
        order = sorted(indices, key=lambda index: (names.parts[index], files[index].name))
        numbers = [names.numbers(index) for index in order]
        for one, other in pairwise(files[index] for index in order):
            if one.stem == other.stem:
                problem = (
                    f"{one.name} and {other.name} are called the same, and which is the frame is "
                    "not known; expected one image a frame"
                )
                return Series([], None, problem)
        return Series([files[index] for index in order], note, None, numbers)

    beside = _side_by_side(groups, names)
    if not beside:
        return series(range(len(files)))
    chosen = [texts for texts in beside if not _words(texts) & OTHER_WORDS]
    if len(chosen) > 1:
        chosen = [texts for texts in chosen if _words(texts) & FRAME_WORDS]
    if len(chosen) == 1:
        kept = groups[chosen[0]]
        others = ", ".join(_called(texts) for texts in groups if texts != chosen[0])
        passed = len(files) - len(kept)
        return series(kept, f"{passed} images beside the frames are passed over: {others}")
    if all(len(groups[texts]) == 1 for texts in beside):  # a1, b1, c1 may be an order too
        return series(range(len(files)))
    called = " and ".join(_called(texts) for texts in beside)
    problem = (
        f"several series of images have the same numbers, {called}, and none is known to be the "
        "frames; expected one series, or one called img, image, frame or rgb"
    )
    return Series([], None, problem)


def _side_by_side(groups: dict[tuple[str, ...], list[int]], names: Names) -> list[tuple[str, ...]]:
    """List the series that have numbers in common with another, and end alike."""
    if len(groups) < 2:
        return []
    largest = sorted(
        (texts for texts in groups if len(texts) > 1), key=lambda texts: -len(groups[texts])
    )[:MOST_SERIES]
    numbers = {texts: {names.numbers(index) for index in groups[texts]} for texts in largest}
    found: set[tuple[str, ...]] = set()
    for one, other in combinations(largest, 2):
        shared = len(numbers[one] & numbers[other])
        fewer = min(len(numbers[one]), len(numbers[other]))
        if one[-1] == other[-1] and shared and shared >= SHARED_NUMBERS * fewer:
            found |= {one, other}
    return [texts for texts in groups if texts in found]


def _words(texts: Sequence[str]) -> set[str]:
    return set(re.split(r"[\W_]+", " ".join(texts).casefold()))


def _called(texts: Sequence[str]) -> str:
    return "#".join(texts)


def gap_in(series: Series) -> str | None:
    """Find the first place where the numbers of the images jump by more than they usually do.

    Of several numbers in a name, that counts which rises most regularly.
    """
    files, numbers = series.files, series.numbers
    if len(files) < 3 or not all(numbers):
        return None
    width = min(len(row) for row in numbers)
    columns = [[row[-1 - index] for row in numbers] for index in range(width)]
    rising = [
        (count, usual, steps)
        for steps in ([after - before for before, after in pairwise(row)] for row in columns)
        for usual, count in Counter(steps).most_common(1)
        if usual > 0
    ]
    if not rising:
        return None
    count, usual, steps = max(rising, key=lambda each: each[0])  # of equals, the last number
    if 2 * count < len(steps):  # as of times, which are never twice the same apart
        usual = sorted(steps)[len(steps) // 2]
    for step, (before, after) in zip(steps, pairwise(files), strict=True):
        if step >= 2 * usual:
            return f"a gap in the numbering: {before.name} is followed by {after.name}"
    return None
