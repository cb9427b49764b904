"""Choosing a hyper-parameter from the support alone.

Where every class has five clips, the value of a small grid with the least squared error of held-out
clips is taken, for each problem by itself; with fewer, the value that was fixed in advance.

Shapes: S problems, N support clips, G values of the grid, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from taskgrain.transfer.probes.arrays import Floats, Labels, fewest_clips

FEWEST_SHOTS_TO_CHOOSE = 5  # below, what is left of a class is too little to judge by
NUM_FOLDS = 5
FIXED = "fixed in advance"
LEAVE_ONE_OUT = "leave-one-out on the support"
FOLDS = f"{NUM_FOLDS} folds of the support"


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The value taken for each problem, as an index into the grid, and where it was chosen."""

    index: Labels  # (S,)
    chosen_on: str


def may_choose(labels: Labels, num_classes: int) -> bool:
    """Whether any problem of labels (S, N) has enough clips of every class to choose on."""
    return bool((fewest_clips(labels, num_classes) >= FEWEST_SHOTS_TO_CHOOSE).any())


def choose(errors: Floats, labels: Labels, *, fixed: int, chosen_on: str) -> Choice:
    """Take the value with the least error where there are clips enough, else the fixed one.

    Args:
        errors: float64 (S, G), of held-out clips; of equals the first is taken.
        labels: int64 (S, N).
        fixed: index of the value that is taken where a class has too few clips.
        chosen_on: how the errors were found.
    """
    enough = fewest_clips(labels, int(labels.max()) + 1) >= FEWEST_SHOTS_TO_CHOOSE
    index = np.where(enough, errors.argmin(axis=1), fixed)
    return Choice(index, chosen_on if enough.any() else FIXED)


def folds_of(labels: Labels) -> Labels:
    """Deal each class's clips to the folds in turn: labels (N,) give folds int64 (N,) in 0..4.

    The first class begins with fold 0, the next where the one before stopped, so that folds
    differ by one clip at most.
    """
    order = np.argsort(labels, kind="stable")
    folds = np.empty_like(order)
    folds[order] = np.arange(len(order)) % NUM_FOLDS
    return folds
