"""What an interval is, and the bootstrap over scored clips.

Shapes: N clips, S sets of scores, R resamples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

# scipy ships no types.
from scipy.special import ndtri, stdtrit

IntervalKind = Literal["clips", "draws", "seeds", "crossed"]
INTERVAL_KINDS: tuple[IntervalKind, ...] = get_args(IntervalKind)

ClipMetric = Literal["top-1", "mean-per-class"]
CLIP_METRICS: tuple[ClipMetric, ...] = get_args(ClipMetric)

CONFIDENCE = 0.95
TAIL = (1.0 - CONFIDENCE) / 2.0  # probability left out on either side
NUM_RESAMPLES = 10_000
FEWEST_CLIPS = 5  # of a category: with fewer, resampling them shows too little of their spread
KEPT_BYTES = 256 << 20  # of resamples: up to 26,843 clips; with more they are drawn at every call
CELLS_AT_ONCE = 1 << 20  # resamples * clips, of 8 bytes each


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 95 % interval, and what was taken as random.

    `n` counts the units that were: clips for "clips", encoder seeds for "seeds" and "crossed",
    support draws for "draws". `p` is None where no hypothesis was tested.
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
    multinomial(n_c; 1/n_c, ...).

    Left like this it is too narrow where categories are small: resampling gives (n_c - 1) / n_c of
    the variance, and its quantiles are those of a known variance (five clips of each of eight
    categories: it covers 90 %, measured). So deviations are widened by sqrt(n_c / (n_c - 1)) and
    by Student's over the normal quantile; with 100 clips of each of 13 categories, by 0.6 %.
    A category of a single clip adds no width, so `is_sound` says whether each has enough clips
    for the interval to be shown.

    Resamples take one byte a clip, at most 256 MB, whatever the number of clips.
    """

    def __init__(self, category: NDArray[np.int64], *, seed: int) -> None:
        """Fix 10,000 resamples.

        Args:
            category: int64 (N,), the category of each scored clip; N of at least 1.
            seed: the resamples depend on it and on `category`, on nothing else.
        """
        if category.ndim != 1 or len(category) == 0:
            raise ValueError(f"category has shape {category.shape}; expected (N,) with N > 0")
        self.category = category
        self._seed = seed
        self._members = [np.flatnonzero(category == each) for each in np.unique(category)]
        self.is_sound = min(map(len, self._members)) >= FEWEST_CLIPS
        keeps = NUM_RESAMPLES * len(category) <= KEPT_BYTES
        self._kept = list(self._draw()) if keeps else None

    def intervals(self, scores: NDArray[np.float64], *, metric: ClipMetric) -> tuple[Interval, ...]:
        """Give the value and the interval of each set of scores.

        Both metrics are linear in the scores, so the paired interval of "a minus b" on the same
        clips and the same resamples is the interval of the scores a - b. Above 26,843 clips every
        call draws the resamples again (seconds): pass the sets together.

        Args:
            scores: float64 (S, N); a clip's score is its correctness averaged over the support
                draws, in [0, 1], or a difference of two such averages, in [-1, 1].
            metric: how clips are weighed.

        Returns:
            S intervals of kind "clips" with n = N, none reaching past its lowest or highest score.

        Raises:
            ValueError: if the scores are not (S, N) or not finite.
        """
        if scores.ndim != 2 or scores.shape[1] != len(self.category):
            raise ValueError(
                f"scores have shape {scores.shape}; expected (S, {len(self.category)})"
            )
        if not np.isfinite(scores).all():
            raise ValueError("scores hold a value that is not finite")
        weight = clip_weights(self.category, metric=metric)
        weighted = scores * weight  # (S, N)
        # Summing N shares of 1 / N may give a last bit over 1.
        value = np.clip(weighted.sum(axis=1), -1.0, 1.0)
        deviation = self._deviations(weighted) * self._quantile_ratio(weight)  # (R, S)
        low, high = value + np.quantile(deviation, [TAIL, 1.0 - TAIL], axis=0)
        # A mean lies among its scores; and a constant score, summed in another order, in its
        # interval.
        low = np.minimum(np.maximum(low, scores.min(axis=1)), value)
        high = np.maximum(np.minimum(high, scores.max(axis=1)), value)
        return tuple(
            Interval("clips", float(v), float(lo), float(hi), len(self.category))
            for v, lo, hi in zip(value, low, high, strict=True)
        )

    def _deviations(self, weighted: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give float64 (R, S): each resample's value minus the value, at its unbiased variance."""
        deviation = np.zeros((NUM_RESAMPLES, len(weighted)))
        for members, first, counts in self._draw() if self._kept is None else self._kept:
            own = weighted[:, members]  # (S, n_c)
            widening = np.sqrt(len(members) / max(len(members) - 1, 1))
            moved = counts.astype(np.float64) @ own.T - own.sum(axis=1)
            deviation[first : first + len(counts)] += widening * moved
        return deviation

    def _quantile_ratio(self, weight: NDArray[np.float64]) -> float:
        """Give t / z at 97.5 %, for clips that spread alike in every category (Satterthwaite)."""
        sizes = np.array([len(members) for members in self._members])
        of_class = np.array([weight[members[0]] ** 2 * len(members) for members in self._members])
        known = sizes > 1
        if not known.any():
            return 1.0
        variance, freedom = of_class[known], sizes[known] - 1
        df = variance.sum() ** 2 / (variance**2 / freedom).sum()
        return float(stdtrit(df, 1.0 - TAIL) / ndtri(1.0 - TAIL))

    def _draw(self) -> Iterator[tuple[NDArray[np.int64], int, NDArray[np.uint8]]]:
        """Yield a category's clips, the first of some resamples, and how often each holds each.

        The counts are uint8 (resamples, n_c): none comes near 255, as a clip's mean is 1.
        """
        generator = np.random.default_rng(self._seed)
        for members in self._members:
            size = len(members)
            step = max(1, CELLS_AT_ONCE // size)
            for first in range(0, NUM_RESAMPLES, step):
                rows = min(step, NUM_RESAMPLES - first)
                drawn = generator.integers(size, size=(rows, size))
                drawn += size * np.arange(rows)[:, None]  # one row of counts a resample
                counts = np.bincount(drawn.ravel(), minlength=rows * size)
                yield members, first, counts.reshape(rows, size).astype(np.uint8)
