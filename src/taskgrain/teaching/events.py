"""What happens in a long video and when: the answers to its windows, smoothed, and their events.

Shapes: W windows, C cells of time, K classes, K' scores of a window (`teaching.classifier`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from taskgrain.data.container import FRAME_RATE
from taskgrain.data.streaming import SlidingWindows
from taskgrain.statistics.tests import poisson_bounds
from taskgrain.teaching.folds import NONE, Floats, Labels

Decide = Callable[[Floats], tuple[Labels, Floats]]
"""Maps scores (M, K') to a class, or NONE, for each (M,) and the classes' probabilities (M, K)."""

FEWEST_WINDOWS = 2  # of an event, that answer its class by themselves


# How windows become events. A window of L frames begins every h frames. Time is cut into cells of
# h frames, cell c from frame c h on.
#
# Averages. With s_k(j) the score of class k in window j, a cell's score is the mean over the
# windows that hold the middle of the cell,
#     s_k(c) = mean of s_k(j) over j h <= (c + 1/2) h < j h + L
# about L / h of them; at the ends of the video there are fewer, and the frames behind the last
# window have its score. A cell is then decided as a clip is: by the largest score, its probability
# and the threshold. Scores are averaged, not probabilities, because scores are linear in features:
# the mean is the score of the windows' mean features, for which temperature and threshold are
# right. Probabilities near 0 and 1 would let the most certain window outvote the others.
#
# Odd windows. A mean over few windows still follows one that is far off. So a stretch of cells of
# one class is taken at its word only where at least two of its windows answer that class by
# themselves. An action as long as a window fills two of them to 1 - h / L or more. Other stretches
# are decided as the nearest one that has two windows (the earlier of two as near). "None of these"
# is treated as the classes are, so that a gap of one window does not break an event. Where no
# stretch has two windows, all stay as they are.
#
# Neighbouring cells of one class are one event. Events do not overlap: where windows of one class
# are followed by windows of another, the mean changes sides within h / 2 of the middle of their
# overlap.


@dataclass(frozen=True, slots=True)
class Event:
    """A stretch of a video that shows one class."""

    start: float  # in seconds from the first frame
    end: float
    label: str
    probability: float  # of its class, the mean over its cells
    highest: float  # of any of its cells


def find_events(
    scores: Floats,
    decide: Decide,
    classes: Sequence[str],
    *,
    windows: SlidingWindows,
    num_frames: int,
) -> list[Event]:
    """Smooth the scores of a video's windows, and join what is of one class.

    Args:
        scores: (W, K') of its windows, W = `windows.count(num_frames)`.
        decide: on the class of scores.
        classes: names of the labels 0..K-1.
        windows: where the windows lie.
        num_frames: of the video, at 12 a second; at least 1.

    Returns:
        Events in the order of their times, none of which overlap.

    Raises:
        ValueError: if there are other than W windows.
    """
    if len(scores) != windows.count(num_frames) or not len(scores):
        raise ValueError(
            f"{len(scores)} windows of {num_frames} frames; expected {windows.count(num_frames)}"
        )
    first, last = _windows_of_cells(len(scores), windows, num_frames)
    own, _ = decide(scores)
    means = np.stack([scores[a : b + 1].mean(axis=0) for a, b in zip(first, last, strict=True)])
    labels, probs = decide(means)
    labels = _settled(labels, own, first, last)
    return [
        Event(
            start * windows.step / FRAME_RATE,
            min(stop * windows.step, num_frames) / FRAME_RATE,
            classes[labels[start]],
            float(probs[start:stop, labels[start]].mean()),
            float(probs[start:stop, labels[start]].max()),
        )
        for start, stop in _stretches(labels)
        if labels[start] != NONE
    ]


def _windows_of_cells(
    num_windows: int, windows: SlidingWindows, num_frames: int
) -> tuple[Labels, Labels]:
    """Return the first and the last window that hold the middle of each cell: (C,) each."""
    length, step = windows.num_frames, windows.step
    cells = np.arange(-(-num_frames // step), dtype=np.int64)
    last = np.minimum(cells, num_windows - 1)
    # The least j of j h + L > (c + 1/2) h, in whole numbers.
    first = (2 * cells * step + step - 2 * length) // (2 * step) + 1
    return np.clip(first, 0, last), last


def _settled(labels: Labels, own: Labels, first: Labels, last: Labels) -> Labels:
    """Decide stretches of too few windows (C,) as the nearest stretch that has enough."""
    fewest = min(FEWEST_WINDOWS, len(own))
    is_sure = np.zeros(len(labels), dtype=np.bool_)
    for start, stop in _stretches(labels):
        answers = own[first[start] : last[stop - 1] + 1]
        is_sure[start:stop] = (answers == labels[start]).sum() >= fewest
    sure = np.flatnonzero(is_sure)
    if not len(sure):
        return labels
    cells = np.arange(len(labels))
    after = np.searchsorted(sure, cells)
    later = sure[np.minimum(after, len(sure) - 1)]
    earlier = sure[np.maximum(after - 1, 0)]
    settled: Labels = labels[np.where(abs(cells - earlier) <= abs(later - cells), earlier, later)]
    return np.where(is_sure, labels, settled)


def _stretches(labels: Labels) -> list[tuple[int, int]]:
    """List where equal labels begin and end: start and stop of each run."""
    borders = np.flatnonzero(np.diff(labels)) + 1
    edges = [0, *borders.tolist(), len(labels)]
    return list(pairwise(edges))


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """How often a model saw an event in video that shows none of its classes."""

    events: int
    hours: float  # of video, above 0

    @property
    def per_hour(self) -> float:
        """Events an hour."""
        return self.events / self.hours

    @property
    def bounds(self) -> tuple[float, float]:
        """Events an hour, 95 % interval (`poisson_bounds`).

        Exact where events come independently of one another at one rate. Video of one place, where
        the same thing deceives again and again, says little of other places.
        """
        low, high = poisson_bounds(self.events)
        return low / self.hours, high / self.hours

    def to_json(self) -> dict[str, object]:
        """Write as what `json.dumps` takes; docs/data-format.md, "Events of a long video"."""
        low, high = self.bounds
        return {
            "events": self.events,
            "hours": self.hours,
            "per_hour": self.per_hour,
            "low": low,
            "high": high,
        }
