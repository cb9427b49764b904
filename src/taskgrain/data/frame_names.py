"""Find the clip among a folder's images by their names, and whether an image is missing.

A name is text and numbers in turn: "flow_x_00012" is flow_x_ and 12. Numbers are counters, decimals
as "0.125", or hexadecimal digits.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import combinations, pairwise
from pathlib import Path
from typing import Literal

import numpy as np

Number = int | Decimal
Parts = list[str | Number]
CHAIN = re.compile(r"(\d+(?:[.,_]\d+)*)")
HEXADECIMAL = re.compile(r"[0-9a-f]+|[0-9A-F]+")
# Text up to what may be hexadecimal, and after it a word that is not: "img_000a", "000a_rgb".
AROUND = re.compile(r"(.*[^0-9A-Za-z])??[0-9A-Za-z]*([^0-9A-Za-z](?![0-9a-fA-F]+$)[0-9A-Za-z]+)?")
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

# Standard deviation of the steps between numbers over their mean. What was counted in is steady;
# ids that tell no order, as hashes, have about 1.
STEADY = 0.2
UNSTEADY = 0.5
SAME_STEPS = 0.8  # of a counter's steps; some images may be missing
FEW = 5  # steps; of fewer all count
LEAST_HASH = 16  # digits


@dataclass(frozen=True, slots=True)
class Names:
    """The names of a folder's images, read in one way."""

    parts: list[Parts]  # of each name, in the order given: text and number in turn
    problem: str | None = None  # why the names tell no order

    def texts(self, index: int) -> tuple[str, ...]:
        """Return the text parts of a name."""
        return tuple(str(part) for part in self.parts[index][::2])

    def numbers(self, index: int) -> tuple[Number, ...]:
        """Return the numbers of a name."""
        return tuple(part for part in self.parts[index][1::2] if not isinstance(part, str))


# In natural order 0.5 comes before 0.125, and 000a before 0001: frames were once shown so, without
# a word. Digits are still counters by default. Another reading has to give another order, and
# steadier steps; names that tell no order at all, as hashes, are refused.
def read_names(stems: Sequence[str]) -> Names:
    """Choose how the numbers of some names are read, and read them.

    Digits are counters unless another reading gives another order and steadier steps.
    """
    counted = [natural(stem) for stem in stems]
    hexadecimal = _read_hexadecimal(stems, counted)
    if hexadecimal is not None:
        return hexadecimal
    tokens = [_tokens(stem) for stem in stems]
    decimal = [_values(each) for each in tokens]
    if _order(decimal) == _order(counted):
        return Names(counted)
    alike: dict[tuple[str, ...], list[list[str]]] = defaultdict(list)
    for each in tokens:
        alike[tuple(each[::2])].append(each[1::2])
    kinds = {_kind(group) for group in alike.values()}
    if "unknown" in kinds:
        problem = (
            "the numbers in its images' names may be counters or decimals, as 1.5 and 1.25, and "
            "neither comes in steady steps; expected as many digits in each name"
        )
        return Names(counted, problem)
    return Names(decimal if "decimal" in kinds else counted)


def natural(stem: str) -> Parts:
    """Split a name so that 2 comes before 10: text and whole number in turn."""
    parts = re.split(r"(\d+)", stem)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)]


def _tokens(stem: str) -> list[str]:
    """Split a name into text and digits in turn, decimals in one piece: "0.5", "0,5", "0_5".

    Of "1.2.3", as in a date, no two numbers are a decimal, and "_" makes one only alone.
    """
    tokens = [""]
    for index, part in enumerate(CHAIN.split(stem)):
        if index % 2 == 0:
            tokens[-1] += part
            continue
        is_one = re.fullmatch(r"\d+_\d+", part) is not None
        for piece in [part] if is_one else re.split("(_)", part):
            if is_one or re.fullmatch(r"\d+[.,]\d+", piece):
                tokens += [piece, ""]
                continue
            for index_within, digits in enumerate(re.split(r"(\d+)", piece)):
                if index_within % 2:
                    tokens += [digits, ""]
                else:
                    tokens[-1] += digits
    return tokens


def _values(tokens: Sequence[str]) -> Parts:
    return [_value(token) if index % 2 else token for index, token in enumerate(tokens)]


def _value(digits: str) -> Number:
    return int(digits) if digits.isdecimal() else Decimal(re.sub("[,_]", ".", digits))


def _order(names: Sequence[Parts]) -> list[int]:
    return sorted(range(len(names)), key=lambda index: names[index])


def _kind(rows: Sequence[Sequence[str]]) -> Literal["counter", "decimal", "unknown"]:
    """Decide whether numbers around a point are counters or decimals, in names of the same text."""
    for column in zip(*rows, strict=True):
        pairs = [re.split("[.,_]", written) for written in column]
        fractions = [pair[1] if len(pair) > 1 else "" for pair in pairs]
        if len(set(map(len, fractions))) < 2:
            continue  # both readings have the same order
        values = [_value(written) for written in column]
        groups: dict[str, list[Number]] = defaultdict(list)
        for pair, fraction in zip(pairs, fractions, strict=True):
            # Read as counters, what stands behind the point counts anew within each number before
            # it.
            groups[pair[0]].append(int(fraction or 0))
        spread, counted = _spread([values]), _spread(list(groups.values()))
        if len(set(values)) < len(set(column)):  # 1.1 and 1.10
            return "counter"
        padded = any(len(each) > 1 and each.endswith("0") for each in fractions)  # 0.50, or 50
        if any("_" in written for written in column):  # mostly between two counters
            return "decimal" if not padded and spread < STEADY and counted > UNSTEADY else "counter"
        if counted < STEADY and spread > UNSTEADY:
            return "counter"
        if padded:
            return "counter" if counted <= spread else "unknown"
        return "decimal" if spread < counted else "unknown"
    return "counter"


def _spread(series: Sequence[Sequence[Number]]) -> float:
    """Compute standard deviation over mean of the steps within series; 0.0 without any.

    The largest tenth is left out, for images may be missing.
    """
    steps = [
        float(after) - float(before)
        for row in series
        for before, after in pairwise(sorted(set(row)))
    ]
    # Of fewer steps each counts: leaving one out would make any two of them look steady.
    usual = sorted(steps)[: len(steps) - -(-len(steps) // 10) if len(steps) >= FEW else None]
    return float(np.std(usual) / np.mean(usual)) if usual else 0.0


def _read_hexadecimal(stems: Sequence[str], counted: Sequence[Parts]) -> Names | None:
    """Read names whose last number is hexadecimal, series by series; None if there is none."""
    if len(stems) > 2 and all(map(UUID.fullmatch, stems)):
        return Names(list(counted), _no_order(stems[0]))
    series: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, stem in enumerate(stems):
        match = AROUND.fullmatch(stem)
        before, after = match.groups(default="") if match else (stem, "")
        series[before, after].append(index)
    parts = list(counted)
    is_read = False
    for (_, after), indices in series.items():
        some = [stems[index] for index in indices]
        read = _hexadecimal(some, [counted[index] for index in indices], len(after))
        if read is None:
            continue
        if read.problem is not None:
            return Names(parts, read.problem)
        is_read = True
        for index, each in zip(indices, read.parts, strict=True):
            parts[index] = each
    return Names(parts) if is_read else None


def _no_order(stem: str) -> str:
    return f"its images' names, as {stem}, tell no order; expected numbers, as 00001, 00002"


def _hexadecimal(stems: Sequence[str], counted: Sequence[Parts], num_after: int) -> Names | None:
    """Read names that differ in one hexadecimal number; None if they differ otherwise.

    Args:
        stems: names with the same text before and after the number.
        counted: the same names, read as counters.
        num_after: letters after the number.
    """
    first, last = min(stems), max(stems)  # what these two begin with, all do
    same = next((n for n in range(len(first)) if first[n] != last[n : n + 1]), len(first))
    # Digits with which all names begin are the number's first digits, and no text before it.
    before = len(first[:same].rstrip("0123456789"))
    digits = [stem[before : len(stem) - num_after] for stem in stems]
    text = "".join(digits)
    # Digits alone are a counter, letters alone are words ("face", "bed").
    if not HEXADECIMAL.fullmatch(text) or text.isdecimal() or text.isalpha() or "" in digits:
        return None
    values = [int(each, 16) for each in digits]
    order = sorted(range(len(values)), key=values.__getitem__)
    if order == _order(counted) or len(set(values)) < len(values):
        return None
    steps = [values[right] - values[left] for left, right in pairwise(order)]
    step, most = Counter(steps).most_common(1)[0]
    # Frames are counted in steps that are nearly all alike, though some may be missing; long
    # numbers whose steps are not are hashes.
    counts = most >= SAME_STEPS * len(steps) and (len(steps) > 1 or step == 1)
    if counts or (len(steps) > 2 and _spread([values]) < UNSTEADY):
        after = first[len(first) - num_after :]
        return Names([[stem[:before], n, after] for stem, n in zip(stems, values, strict=True)])
    if min(map(len, digits)) >= LEAST_HASH and len(stems) > 2:
        return Names(list(counted), _no_order(stems[0]))
    return None


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
    problem: str | None  # why it is not known which are the frames; then `files` is empty
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
    # First what is known to be no frame goes, then what is called after frames stays: of img,
    # flow_x and flow_y the first step is enough, of a and rgb it takes the second.
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
    beside: set[tuple[str, ...]] = set()
    for one, other in combinations(largest, 2):
        shared = len(numbers[one] & numbers[other])
        fewer = min(len(numbers[one]), len(numbers[other]))
        if one[-1] == other[-1] and shared and shared >= SHARED_NUMBERS * fewer:
            beside |= {one, other}
    return [texts for texts in groups if texts in beside]


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
