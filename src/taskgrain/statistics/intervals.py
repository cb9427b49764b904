"""What an interval is, and the bootstrap over scored clips.

Shapes: N clips, S sets of scores, R resamples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

IntervalKind = Literal["clips", "draws", "seeds", "crossed"]
INTERVAL_KINDS: tuple[IntervalKind, ...] = get_args(IntervalKind)

ClipMetric = Literal["top-1", "mean-per-class"]
CLIP_METRICS: tuple[ClipMetric, ...] = get_args(ClipMetric)

CONFIDENCE = 0.95
TAIL = (1.0 - CONFIDENCE) / 2.0  # probability left out on either side
NUM_RESAMPLES = 10_000
FEWEST_CLIPS = 5  # of a category: with fewer, resampling them shows too little of their spread


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 95 % interval, and what was taken as random.

    `n` counts the units that were: clips for "clips", encoder seeds for "seeds", support draws
    for "draws". `p` is None where no hypothesis was tested.
    """

    kind: IntervalKind
    value: float
    low: float
    high: float
    n: int
    p: float | None = None


def clip_weights(category: NDArray[np.int64], *, metric: ClipMetric) -> NDArray[np.float64]:
    """Weigh clips so that the weighted sum of their scores is the metric.

    Args:
        category: int64 (N,), the category of each clip.
        metric: "top-1" weighs every clip 1 / N; "mean-per-class" weighs a clip 1 / (number of
            categories seen * clips of its category).

    Returns:
        float64 (N,) that sums to 1.
    """
    if metric == "top-1":
        return np.full(len(category), 1.0 / len(category))
    _, inverse, count = np.unique(category, return_inverse=True, return_counts=True)
    weight: NDArray[np.float64] = 1.0 / (len(count) * count[inverse])
    return weight


class ClipBootstrap:
    """Resample the scored clips within each category, the same way for every source.

    Conditional on the encoders and the support draws: the interval says how far the value would
    move with other clips of the same categories, and nothing about another training seed. The
    percentile bootstrap (Efron and Tibshirani 1993, chapter 13) with resampling inside strata:
    of n_c clips of category c, n_c are drawn with replacement, so the counts of the clips are
    multinomial(n_c; 1/n_c, ...). Its variance within a category is (n_c - 1) / n_c of the
    unbiased one; a category of a single clip adds no width, so `is_sound` says whether each has
    enough clips for the interval to be shown.
    """

    def __init__(self, category: NDArray[np.int64], *, seed: int) -> None:
        """Draw 10,000 resamples.

        Args:
            category: int64 (N,), the category of each scored clip; N of at least 1.
            seed: the resamples depend on it and on `category`, on nothing else.
        """
        if category.ndim != 1 or len(category) == 0:
            raise ValueError(f"category has shape {category.shape}; expected (N,) with N > 0")
        self.category = category
        self.is_sound = int(np.unique(category, return_counts=True)[1].min()) >= FEWEST_CLIPS
        self._counts = _stratified_counts(category, np.random.default_rng(seed))  # (R, N)

    def intervals(self, scores: NDArray[np.float64], *, metric: ClipMetric) -> tuple[Interval, ...]:
        """Give the value and the interval of each set of scores.

        Both metrics are linear in the scores, so the paired interval of "a minus b" on the same
        clips and the same resamples is the interval of the scores a - b.

        Args:
            scores: float64 (S, N); a clip's score is its correctness averaged over the support
                draws, in [0, 1], or a difference of two such averages, in [-1, 1].
            metric: how clips are weighed.

        Returns:
            S intervals of kind "clips" with n = N.

        Raises:
            ValueError: if the scores are not (S, N) or not finite.
        """
        if scores.ndim != 2 or scores.shape[1] != len(self.category):
            raise ValueError(
                f"scores have shape {scores.shape}; expected (S, {len(self.category)})"
            )
        if not np.isfinite(scores).all():
            raise ValueError("scores hold a value that is not finite")
        weighted = scores * clip_weights(self.category, metric=metric)  # (S, N)
        # Summing N shares of 1 / N may give a last bit over 1.
        value = np.clip(weighted.sum(axis=1), -1.0, 1.0)
        resampled = self._counts.astype(np.float64) @ weighted.T  # (R, S)
        low, high = np.quantile(resampled, [TAIL, 1.0 - TAIL], axis=0)
        # Summing in another order moves the last bit: a constant score must lie in its interval.
        low, high = np.minimum(low, value).clip(-1.0), np.maximum(high, value).clip(None, 1.0)
        return tuple(
            Interval("clips", float(v), float(lo), float(hi), len(self.category))
            for v, lo, hi in zip(value, low, high, strict=True)
        )


def _stratified_counts(
    category: NDArray[np.int64], generator: np.random.Generator
) -> NDArray[np.uint16]:
    """Count how often each resample holds each clip: uint16 (R, N)."""
    counts = np.zeros((NUM_RESAMPLES, len(category)), dtype=np.uint16)
    for each in np.unique(category):
        members = np.flatnonzero(category == each)
        drawn = generator.integers(len(members), size=(NUM_RESAMPLES, len(members)))
        drawn += len(members) * np.arange(NUM_RESAMPLES)[:, None]  # one row of counts a resample
        cells = np.bincount(drawn.ravel(), minlength=NUM_RESAMPLES * len(members))
        counts[:, members] = cells.reshape(NUM_RESAMPLES, len(members))
    return counts
