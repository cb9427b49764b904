"""What is held out together when a classifier is judged: recordings, never single clips.

Clips of one recording share room, light, person and camera. A classifier that has learned from one
of them can know the others by these, and would look better than it is on a new recording.

Shapes: N clips, K classes, F folds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

NONE = -1  # the label of a clip that shows none of the classes


@dataclass(frozen=True, slots=True, eq=False)
class TaughtClips:
    """Features of labelled clips, and the recording that each is of.

    Raises:
        ValueError: if the shapes do not fit, or a label is neither a class nor NONE.
    """

    features: Floats  # (N, D), finite
    labels: Labels  # (N,), 0..K-1, or NONE
    recordings: Labels  # (N,), any numbers; equal ones are one recording
    num_classes: int  # K, at least 2

    def __post_init__(self) -> None:
        num_clips = len(self.features)
        if self.features.ndim != 2 or not len(self.labels) == len(self.recordings) == num_clips:
            raise ValueError(
                f"features are {self.features.shape} for {len(self.labels)} labels and "
                f"{len(self.recordings)} recordings; expected (N, D), and N of both"
            )
        is_label = (self.labels >= NONE) & (self.labels < self.num_classes)
        if self.num_classes < 2 or not is_label.all():
            raise ValueError(f"expected labels of {NONE} to K - 1 of K >= 2 classes")

    def __len__(self) -> int:
        return len(self.labels)

    def of(self, chosen: Mask | Labels) -> TaughtClips:
        """Take some of the clips."""
        return TaughtClips(
            self.features[chosen], self.labels[chosen], self.recordings[chosen], self.num_classes
        )

    @property
    def has_none(self) -> bool:
        """Whether there are clips that show none of the classes."""
        return bool((self.labels == NONE).any())

    def recordings_of(self, label: int) -> Labels:
        """List the recordings that have clips of a class."""
        return np.unique(self.recordings[self.labels == label])


# Whole recordings are dealt to folds so that each class is spread over as many of them as it can
# be: a class whose recordings all lay in one fold would be unknown to the classifier of that fold.
# The largest recordings are dealt first, each to the fold in which its classes have the fewest
# clips so far (relative to the class, so that small classes count as much as large ones); of equal
# folds the one with the fewest clips, then the first.
#
# A class of a single recording cannot be held out by recording. Where `splits_lone_classes`, its
# clips are dealt one by one: what they then say is about new clips of a known recording.
def recording_folds(
    clips: TaughtClips, num_folds: int, *, splits_lone_classes: bool = False
) -> Labels:
    """Deal recordings to folds: int64 (N,), 0..F-1, equal for clips of one recording.

    Args:
        clips: with at least one recording; clips of NONE count as a class of their own.
        num_folds: F at most; there are never more than recordings.
        splits_lone_classes: deals the clips of a class of one recording one by one.
    """
    units = np.unique(clips.recordings, return_inverse=True)[1].astype(np.int64)
    if splits_lone_classes:
        for label in range(clips.num_classes):
            members = np.flatnonzero(clips.labels == label)
            if len(np.unique(units[members])) == 1:
                units[members] = units.max() + 1 + np.arange(len(members))
    kinds = np.where(clips.labels == NONE, clips.num_classes, clips.labels)
    counts = np.zeros((units.max() + 1, clips.num_classes + 1))  # of each unit and class
    np.add.at(counts, (units, kinds), 1)
    share = counts / np.maximum(counts.sum(axis=0), 1)
    num_folds = min(num_folds, int((counts.sum(axis=1) > 0).sum()))
    held = np.zeros((num_folds, clips.num_classes + 1))  # share of each class in each fold
    fold_of = np.zeros(len(counts), dtype=np.int64)
    for unit in np.argsort(-counts.sum(axis=1), kind="stable"):
        if counts[unit].sum() == 0:
            continue
        crowding = held @ (share[unit] > 0)
        fold = int(np.lexsort((held.sum(axis=1), crowding))[0])
        held[fold] += share[unit]
        fold_of[unit] = fold
    return fold_of[units]


def clip_folds(clips: TaughtClips, num_folds: int) -> Labels:
    """Deal the clips of each class to folds in turn, whatever recording they are of: int64 (N,).

    What is measured over such folds is about new clips of recordings that are known already.
    """
    order = np.lexsort((np.arange(len(clips)), clips.labels))
    folds = np.empty(len(clips), dtype=np.int64)
    folds[order] = np.arange(len(clips)) % num_folds
    return folds


def means_by_recording(values: Floats, recordings: Labels) -> Floats:
    """Average values of clips (N,) in each recording; NaN marks a clip that does not count.

    Returns:
        float64 (R,), of the recordings that have a clip that counts, in rising order.
    """
    counts = np.isfinite(values)
    _, index = np.unique(recordings[counts], return_inverse=True)
    means: Floats = np.bincount(index, weights=values[counts]) / np.bincount(index)
    return means
