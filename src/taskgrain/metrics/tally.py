"""Counts of each clip, the score that their sum gives, and its interval by resampling the clips.

Shapes: N clips, C counts a clip, R resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from taskgrain.statistics.intervals import NUM_RESAMPLES, TAIL, Interval

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
    """Tally a share: float64 (N,) counts of the part, and of the whole."""
    return Tally(np.stack([part, whole], axis=1), ratio)


def mean_of(values: FloatArray) -> Tally:
    """Tally a mean over clips of float64 (N,) values."""
    return share_of(values, np.ones(len(values)))


FEWEST_CLIPS = 30  # with fewer, a percentile interval is too narrow to be shown
# More clips are resampled in so many random groups: the interval of independent clips is the same
# but for its width, which varies by 2 % then; the number of resamples makes it vary by 1.4 %.
MOST_UNITS = 1_000
_CELLS_AT_ONCE = 1 << 18  # resamples * units


def clip_intervals(tallies: Mapping[str, Tally], *, seed: int) -> dict[str, Interval | None]:
    """Compute each score's 95 % interval over other clips like these (percentile bootstrap).

    All scores are resampled alike, from their counts of each clip; what was taken from all clips
    together (the idf of CIDEr-D) is kept as it is. The interval says nothing about another training
    run.

    Args:
        tallies: scores by name, of the same N clips.
        seed: the resamples depend on it and on N, on nothing else.

    Returns:
        By name, an interval of kind "clips" with n = N. None where it would mislead: with fewer
        than 30 clips that count, or where all have the same score, so that no resample differs.
    """
    sizes = {len(tally) for tally in tallies.values()}
    if len(sizes) > 1:
        raise ValueError(f"tallies are of {sorted(sizes)} clips; expected as many in each")
    shown = {name: tally for name, tally in tallies.items() if _is_sound(tally)}
    intervals: dict[str, Interval | None] = dict.fromkeys(tallies)
    if not shown:
        return intervals
    # Tallies may share their counts, as the four of BLEU do: each array is resampled once.
    counts = {id(tally.counts): tally.counts for tally in shown.values()}
    with threadpool_limits(limits=1):  # so thin a product gains nothing from more threads
        totals = _resampled(counts, seed)
    for name, tally in shown.items():
        scores = tally.formula(totals[id(tally.counts)])
        scores = scores[~np.isnan(scores)]  # resamples without any clip that counts
        low, high = np.quantile(scores, [TAIL, 1.0 - TAIL])
        value = tally.value
        # BLEU is no mean: its resamples may all lie on one side of it.
        low, high = min(float(low), value), max(float(high), value)
        intervals[name] = Interval("clips", value, low, high, len(tally))
    return intervals


def _is_sound(tally: Tally) -> bool:
    scores = tally.of_clips
    scores = scores[~np.isnan(scores)]  # of the clips that have something to count
    return len(scores) >= FEWEST_CLIPS and bool((scores != scores[0]).any())


def _resampled(counts: Mapping[int, FloatArray], seed: int) -> dict[int, FloatArray]:
    """Sum the counts of each resample: float64 (N, C) to (R, C), each array once."""
    table = np.concatenate(list(counts.values()), axis=1)
    generator = np.random.default_rng(seed)
    if len(table) > MOST_UNITS:
        first = np.linspace(0, len(table), MOST_UNITS, endpoint=False).astype(np.intp)
        table = np.add.reduceat(table[generator.permutation(len(table))], first, axis=0)
    num_units = len(table)
    at_once = max(1, _CELLS_AT_ONCE // num_units)
    totals = np.empty((NUM_RESAMPLES, table.shape[1]))
    for start in range(0, NUM_RESAMPLES, at_once):
        rows = min(at_once, NUM_RESAMPLES - start)
        # int32 draws the units that int64 does, in two thirds of the time.
        drawn = generator.integers(num_units, size=(rows, num_units), dtype=np.int32)
        drawn += np.arange(0, rows * num_units, num_units, dtype=np.int32)[:, None]
        # A resample's sum is a product: how often it holds each unit, times the units' counts.
        held = np.bincount(drawn.ravel(), minlength=rows * num_units)  # of each unit, how often
        weights = held.reshape(rows, num_units).astype(np.float64)
        np.matmul(weights, table, out=totals[start : start + rows])
    columns = np.cumsum([array.shape[1] for array in counts.values()])[:-1]
    split = np.split(totals, columns, axis=1)
    return dict(zip(counts, split, strict=True))
