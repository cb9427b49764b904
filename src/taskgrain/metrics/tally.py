"""Counts of each clip, and the score that their sum gives.

Shapes: N clips, C counts a clip.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Formula = Callable[[FloatArray], FloatArray]
"""Sums of counts float64 (..., C) to scores float64 (...); NaN where nothing was counted."""


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """One row of counts a clip; tallies of more clips add with `+`.

    The score of some clips is the formula of the sum of their rows, whatever they were counted
    with. So a corpus is scored in parts, and resampling clips is resampling rows.
    """

    counts: FloatArray  # (N, C)
    formula: Formula

    def __add__(self, other: Tally) -> Tally:
        if self.formula is not other.formula:
            raise ValueError("tallies of different scores do not add")
        return Tally(np.concatenate([self.counts, other.counts]), self.formula)

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def value(self) -> float:
        """The score of all clips together; NaN where nothing was counted."""
        return float(self.formula(self.counts.sum(axis=0))) if len(self) else math.nan

    @property
    def of_clips(self) -> FloatArray:
        """The score of each clip by itself: float64 (N,)."""
        return self.formula(self.counts)


def ratio(totals: FloatArray) -> FloatArray:
    """Divide the first of two counts by the second: float64 (..., 2) to (...)."""
    part, whole = totals[..., 0], totals[..., 1]
    shares = np.full(part.shape, np.nan)
    np.divide(part, whole, out=shares, where=whole != 0)
    return shares


def share_of(part: FloatArray, whole: FloatArray) -> Tally:
    """Tally a share: float64 (N,) counts of what it is of, and of how much there was."""
    return Tally(np.stack([part, whole], axis=1), ratio)


def mean_of(values: FloatArray) -> Tally:
    """Tally a mean over clips of float64 (N,) values."""
    return share_of(values, np.ones(len(values)))
