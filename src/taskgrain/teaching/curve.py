"""What more recordings would bring: accuracy on new recordings from fewer of those that are there.

Shapes: N clips, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from taskgrain.randomness import generator_for
from taskgrain.teaching.classifier import fit_linear
from taskgrain.teaching.estimate import FEWEST_RECORDINGS, OUTER_FOLDS, Value, judgeable
from taskgrain.teaching.folds import (
    Floats,
    Labels,
    Mask,
    TaughtClips,
    means_by_recording,
    recording_folds,
)

DRAWS = 3  # of which recordings are taught
MOST_POINTS = 5

# Each point teaches from m recordings of every class, drawn from those outside the fold, and is
# asked about the recordings of the fold. The last point has all but the fold's. The penalty is the
# one chosen on all clips: a class of one recording leaves nothing to choose it on, and the points
# are to differ by their recordings alone.
#
# What one more recording of a class would bring cannot be measured; what its last one brought can:
# the recall of the class with all of its recordings outside the fold, less that with one fewer. The
# next one brings about as much or less, since curves flatten.


@dataclass(frozen=True, slots=True)
class Point:
    """The accuracy on new recordings of a classifier taught from some of each class."""

    num_recordings: int  # of every class that has as many, and all of the others
    accuracy: Value


@dataclass(frozen=True, slots=True)
class LastRecording:
    """What the last recording of a class brought to the recall of that class."""

    label: int
    gain: Value


@dataclass(frozen=True, slots=True)
class Curve:
    """Accuracy over the number of recordings, and the gain of the last one of each class."""

    points: tuple[Point, ...]
    last: tuple[LastRecording, ...]  # the largest gain first


def learning_curve(clips: TaughtClips, penalty: float) -> Curve:
    """Measure what recordings bring.

    Args:
        clips: to teach from.
        penalty: in widths, as `hold_out` chose it on all clips.
    """
    folds = recording_folds(clips, OUTER_FOLDS)
    is_judged = judgeable(clips)
    most = max((len(clips.recordings_of(k)) for k in range(clips.num_classes)), default=1) - 1
    num_folds = int(folds.max()) + 1
    points = []
    for number in _numbers(most):
        right = _right(clips, folds, penalty, number)
        value = Value.of(
            means_by_recording(np.where(is_judged, right, np.nan), clips.recordings),
            num_folds=num_folds,
        )
        if value is not None:
            points.append(Point(number, value))
    return Curve(tuple(points), _last_recordings(clips, folds, penalty))


def _numbers(most: int) -> list[int]:
    """Choose up to five numbers of recordings, 1 and the largest among them, evenly in ratio."""
    if most < 1:
        return []
    return sorted({round(float(each)) for each in np.geomspace(1, most, min(most, MOST_POINTS))})


def _right(clips: TaughtClips, folds: Labels, penalty: float, number: int) -> Floats:
    """Return how often each clip is answered right, over the draws: float64 (N,), 0 to 1."""
    right = np.zeros(len(clips))
    for draw in range(DRAWS):
        for is_held, pool in _folds(folds):
            kept = np.concatenate(
                [
                    _some_recordings(clips, pool, label, number, f"{draw} {label}")
                    for label in range(clips.num_classes)
                ]
            )
            right[is_held] += _answered_right(clips, np.sort(kept), is_held, penalty)
    return right / DRAWS


def _folds(folds: Labels) -> Iterator[tuple[Mask, Mask]]:
    for fold in range(int(folds.max()) + 1):
        yield folds == fold, folds != fold


def _some_recordings(clips: TaughtClips, pool: Mask, label: int, number: int, name: str) -> Labels:
    """Draw recordings of a class from a pool of clips; return the clips of them: int64 (n,)."""
    members = np.flatnonzero(pool & (clips.labels == label))
    recordings = np.unique(clips.recordings[members])
    # The first of a shuffled order: more recordings of the same draw hold the fewer.
    order = generator_for(0, 0, f"recordings taught {name}").permutation(len(recordings))
    return members[np.isin(clips.recordings[members], recordings[order[:number]])]


def _answered_right(clips: TaughtClips, kept: Labels, is_held: Mask, penalty: float) -> Mask:
    (model,) = fit_linear(clips.of(kept), [penalty])
    return model.scores(clips.features[is_held]).argmax(axis=1) == clips.labels[is_held]


def _last_recordings(
    clips: TaughtClips, folds: Labels, penalty: float
) -> tuple[LastRecording, ...]:
    gains = []
    for label in range(clips.num_classes):
        recordings = clips.recordings_of(label)
        if len(recordings) < FEWEST_RECORDINGS:
            continue
        gain = np.full(len(clips), np.nan)
        for is_held, pool in _folds(folds):
            asked = is_held & (clips.labels == label)
            if not asked.any():
                continue
            others = np.flatnonzero(pool & (clips.labels != label))
            members = np.flatnonzero(pool & (clips.labels == label))
            there = np.unique(clips.recordings[members])
            full = _answered_right(clips, np.flatnonzero(pool), asked, penalty)
            fewer = np.zeros(int(asked.sum()))
            for left in there:  # each in turn is the last
                kept = members[clips.recordings[members] != left]
                taught = np.sort(np.concatenate([others, kept]))
                fewer += _answered_right(clips, taught, asked, penalty)
            gain[asked] = full - fewer / len(there)
        value = Value.of(
            means_by_recording(gain, clips.recordings),
            num_folds=int(folds.max()) + 1,
            lowest=-1.0,
        )
        if value is not None:
            gains.append(LastRecording(label, value))
    return tuple(sorted(gains, key=lambda each: (-each.gain.value, each.label)))
