"""Find clips that show the same footage: encoded anew, scaled, or shortened.

Shapes: S stored frames of a clip, 12 a second; G = 12 cells of a frame on each side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from taskgrain.data.framing import Framing

Signature = NDArray[np.uint8]  # (S, G, G), grey levels

SIGNATURE_FRAMING = Framing(56, 56)  # what clips are stored in for pixels and motion energy
GRID = 12  # cells on each side
MOST_FRAMES = 720  # of a signature: the first minute
EVERY = 3  # of one of two clips that are compared, every third frame is looked at
LEAST_SHARE = 0.75  # of the shorter clip has to lie within the longer one
LEAST_FRAMES = 6  # of a clip that is compared: half a second
ALIKE = 0.02
"""Largest `difference` of two clips that show the same footage.

Measured on 30 drawn scenes. Of 90 pairs of takes (the same room, things, hand and camera; the
hand moves at another time, speed and height) the nearest lies at .022, one in twenty below .068.
Of copies that begin or end a sixth to a quarter earlier all lie below .016, of those of half the
height and width nine in ten below .018, of those scaled and cut at both ends eight in ten below
.02. Copies so coarse that edges vanish (x264, crf 45) lie at .05 and are not found; real clips of
other footage at .7 and more.
"""
QUIET = 1.0  # grey level: by so little the cells of a clip change where nothing moves in it


def signature_of(frames: NDArray[np.uint8]) -> Signature:
    """Shrink the frames of a clip to a grey grid by averaging areas.

    Args:
        frames: uint8 (S, H, W, 3), RGB, in `SIGNATURE_FRAMING`.

    Returns:
        uint8 (S, 12, 12), of 720 frames at most.
    """
    kept = frames[:MOST_FRAMES]
    found = np.empty((len(kept), GRID, GRID), np.uint8)
    for frame, cells in zip(kept, found, strict=True):
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        cells[:] = cv2.resize(grey, (GRID, GRID), interpolation=cv2.INTER_AREA)
    return found


def near_duplicates(signatures: Mapping[str, Signature]) -> Iterator[tuple[str, str]]:
    """Yield the pairs of clips that show the same footage, in the order of the mapping.

    Args:
        signatures: name of a clip -> uint8 (S, 12, 12). A clip of less than half a second is in
            no pair.
    """
    names = [name for name, each in signatures.items() if len(each) >= LEAST_FRAMES]
    if len(names) < 2:
        return
    means = np.stack([signatures[name].mean(axis=0).ravel() for name in names])  # (N, G * G)
    change = np.array([_change(signatures[name]) for name in names])
    for place, name in enumerate(names[:-1]):
        others = slice(place + 1, None)
        # What is cut off a copy changes its mean over time by less than the clip itself changes.
        apart = np.abs(means[others] - means[place]).mean(axis=1)
        near = apart <= np.maximum(np.maximum(change[others], change[place]), QUIET)
        for other in np.flatnonzero(near) + place + 1:
            are_still = max(change[place], change[other]) < QUIET
            if are_still or difference(signatures[name], signatures[names[other]]) <= ALIKE:
                yield name, names[other]


def difference(one: Signature, other: Signature) -> float:
    """Compute how differently the cells of two clips change, wherever they fit best in time.

    The clips are laid over one another wherever three quarters of the shorter one overlap with the
    longer. With x and y the levels of both there, less each cell's mean over time, it is

        1 - sum(x y) / sqrt(sum(x x) sum(y y))        over all cells and times

    of the best place. What stands still plays no part: before one background two takes of a small
    thing differ by less than two encodings of one take.

    Args:
        one: uint8 (S, 12, 12), S >= 1.
        other: the same, of another S.

    Returns:
        0.0 for equal clips in which something moves, about 1 for clips of unlike footage, 1 at
        most. Changes below a grey level count as a grey level, so that noise is unlike noise.
    """
    short, long = (one, other) if len(one) <= len(other) else (other, one)
    room = len(short) - max(1, round(LEAST_SHARE * len(short)))  # frames that may stand out
    best = 0.0
    for start in range(-room, len(long) - len(short) + room + 1):
        first, last = max(0, -start), min(len(short), len(long) - start)
        x = _centred(short[first:last:EVERY])
        y = _centred(long[first + start : last + start : EVERY])
        least = x.size * QUIET**2
        sizes = max(float((x * x).sum()), least) * max(float((y * y).sum()), least)
        best = max(best, float((x * y).sum()) / sizes**0.5)
    return max(0.0, 1.0 - best)  # rounding may exceed 1


def _centred(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Subtract each cell's mean over time: (S, G, G), in grey levels."""
    found = levels.astype(np.float32)
    return found - found.mean(axis=0)


def _change(signature: Signature) -> float:
    """Average how far the cells of a clip are from their means over time, in grey levels."""
    return float(np.abs(_centred(signature)).mean())
