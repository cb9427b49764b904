"""What an interval is, and the bootstrap over scored clips.

Shapes: N clips, S sets of scores, R resamples.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from taskgrain.names import CLIP_METRICS, ClipMetric, IntervalKind
from taskgrain.statistics.groups import GroupSums

# Categories are fixed, and the clips within a category are chance. With w_i the weight of clip i,
# x_i its score, and k_i how often a resample holds it,
#
#     value = sum_i w_i x_i,        resampled value - value = sum_i w_i (k_i - 1) x_i,
#
# where k is multinomial(n_c; 1 / n_c, ...) within each category c of n_c clips. Both are linear in
# x, and k is drawn once for every source: the paired interval of "a minus b" is the interval of the
# scores a - b, and what makes a clip hard for both cancels.
#
# This is the percentile bootstrap (Efron and Tibshirani 1993, chapter 13) inside strata. Left like
# that it is too narrow where categories are small: resampling gives (n_c - 1) / n_c of the
# variance, and its quantiles are those of a known variance (five clips of each of eight
# categories: it covers 90 %, measured). So deviations are widened by sqrt(n_c / (n_c - 1)), and by
# Student's over the normal quantile; with 100 clips of each of 13 categories, by 0.6 %.
#
# Of groups, what a resample holds more or less than once moves the value by the group's sum of
# deviations from its classes' means (`statistics.groups`). Those sums are unbiased already, and are
# widened by Student's over the normal quantile alone.

CONFIDENCE = 0.95
TAIL = (1.0 - CONFIDENCE) / 2.0  # probability left out on either side
# Tail of the 90 % interval: if that interval lies within a margin, two one-sided tests at .05 both
# reject a difference as large as the margin (Schuirmann 1987).
INNER_TAIL = 0.05
NUM_RESAMPLES = 10_000
FEWEST_CLIPS = 5  # of a category: with fewer, resampling them shows too little of their spread
KEPT_BYTES = 256 << 20  # of resamples: up to 26,843 clips; with more they are drawn at every call
STORED_BYTES = 4 << 30  # of resamples in a file: up to 429,496 clips; with more they are drawn anew
CELLS_AT_ONCE = 1 << 20  # resamples * clips, of 8 bytes each

Draw = tuple[NDArray[np.int64], int, NDArray[np.uint8]]
"""Units of a stratum, the first of some resamples, and how often each of these holds each unit."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 95 % and 90 % intervals, and what was taken as random.

    `n` counts the units that were taken as random: clips for "clips", pairs of clips that show the
    same in two looks for "clip-pairs", encoder seeds for "seeds" and "crossed", support draws for
    "draws", episodes for "episodes", tasks for "tasks". `p` is None where no hypothesis was tested.
    """

    kind: IntervalKind
    value: float
    low: float
    high: float
    n: int
    p: float | None = None
    low_90: float | None = None  # None where only the 95 % interval was computed
    high_90: float | None = None


class ScoreTable(Protocol):
    """Scores of S sets on N clips, computed on demand and never all at once."""

    @property
    def shape(self) -> tuple[int, int]:
        """S and N."""

    def of_set(self, index: int) -> NDArray[np.float64]:
        """Compute the scores of one set: float64 (N,)."""

    def of_clips(self, clips: NDArray[np.int64]) -> NDArray[np.float64]:
        """Compute every set's scores on some clips: float64 (S, n)."""


@dataclass(frozen=True, slots=True, eq=False)
class _Whole:
    """Scores that lie in memory, as a table."""

    scores: NDArray[np.float64]  # (S, N)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.scores), self.scores.shape[1]

    def of_set(self, index: int) -> NDArray[np.float64]:
        return self.scores[index]

    def of_clips(self, clips: NDArray[np.int64]) -> NDArray[np.float64]:
        return self.scores[:, clips]


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


def has_enough_clips(category: NDArray[np.int64]) -> bool:
    """Whether each category has the clips that an interval over them needs: five."""
    return int(np.unique(category, return_counts=True)[1].min()) >= FEWEST_CLIPS


class ClipBootstrap:
    """Resample the scored clips within each category, the same way for every source.

    Conditional on the encoders and the support draws: the interval says how far the value would
    move with other clips of the same categories, and nothing about another training seed.
    `is_sound` says whether each category has enough clips for the interval to be shown.

    With groups, clips that were recorded together, these are resampled: the groups of a class, or
    all that shared classes connect where groups hold clips of several classes.

    Resamples take one byte a clip, at most 256 MB, whatever the number of clips; or none, where
    they are kept in a file.
    """

    def __init__(
        self,
        category: NDArray[np.int64],
        *,
        seed: int,
        groups: NDArray[np.int64] | None = None,
        spill_folder: Path | None = None,
    ) -> None:
        """Fix 10,000 resamples.

        Args:
            category: int64 (N,), the category of each scored clip; N of at least 1.
            seed: the resamples depend on it, on `category` and on `groups`, on nothing else.
            groups: int64 (N,) in 0..G-1, each with clips: what was recorded together. None, or
                groups of one clip each: every clip for itself.
            spill_folder: where resamples are kept in a file rather than in memory, one that has no
                name and ends with the process. Where it cannot be written they are drawn again at
                every call.
        """
        if category.ndim != 1 or len(category) == 0:
            raise ValueError(f"category has shape {category.shape}; expected (N,) with N > 0")
        self.category = category
        self._seed = seed
        self._members = [np.flatnonzero(category == each) for each in np.unique(category)]
        self.is_sound = has_enough_clips(category)
        self.groups: GroupSums | None = None
        if groups is not None and len(np.unique(groups)) < len(groups):
            self.groups = GroupSums(category, groups)
            self._members = self.groups.strata
            weights = [clip_weights(category, metric=metric) for metric in CLIP_METRICS]
            self.is_sound &= all(self.groups.is_sound(weight) for weight in weights)
        self._num_units = sum(map(len, self._members))
        self._kept = self._keep(spill_folder)

    def intervals(
        self, scores: NDArray[np.float64] | ScoreTable, *, metric: ClipMetric
    ) -> tuple[Interval, ...]:
        """Return the value and the interval of each set of scores.

        Both metrics are linear in the scores, so the paired interval of "a minus b" on the same
        clips and the same resamples is the interval of the scores a - b. Above 26,843 clips every
        call draws the resamples again (seconds), unless they lie in a file: pass the sets together.

        Args:
            scores: float64 (S, N), or a table of them; a clip's score is its correctness averaged
                over the support draws, in [0, 1], or a difference of two such averages, in
                [-1, 1].
            metric: how clips are weighed.

        Returns:
            S intervals of kind "clips", n the number of clips or of groups, none reaching past its
            lowest or highest score.

        Raises:
            ValueError: if the scores are not (S, N) or not finite.
        """
        if isinstance(scores, np.ndarray) and scores.ndim != 2:
            raise ValueError(f"scores have shape {scores.shape}; expected (S, N)")
        table = _Whole(scores) if isinstance(scores, np.ndarray) else scores
        if table.shape[1] != len(self.category):
            raise ValueError(f"scores have shape {table.shape}; expected (S, {len(self.category)})")
        weight = clip_weights(self.category, metric=metric)
        value, least, most = _summed(table, weight)
        deviation = self._deviations(table, weight)  # (R, S)
        low, high = self._bounds(deviation, weight, TAIL, value, least, most)
        low_90, high_90 = self._bounds(deviation, weight, INNER_TAIL, value, least, most)
        return tuple(
            Interval("clips", of[0], of[1], of[2], self._num_units, low_90=of[3], high_90=of[4])
            for of in np.stack([value, low, high, low_90, high_90], axis=1).tolist()
        )

    def _bounds(
        self,
        deviation: NDArray[np.float64],
        weight: NDArray[np.float64],
        tail: float,
        value: NDArray[np.float64],
        least: NDArray[np.float64],
        most: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return lower and upper bounds, float64 (2, S), that leave out a tail on either side."""
        moved = np.quantile(deviation, [tail, 1.0 - tail], axis=0)
        low, high = value + moved * self._quantile_ratio(weight, tail)
        # A mean lies among its scores, and rounding must not put a constant score outside of its
        # own interval.
        low = np.minimum(np.maximum(low, least), value)
        high = np.maximum(np.minimum(high, most), value)
        return np.stack([low, high])

    def _deviations(self, table: ScoreTable, weight: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return float64 (R, S): each resample's value minus the value, its variance unbiased."""
        deviation = np.zeros((NUM_RESAMPLES, table.shape[0]))
        units_of = self._units_of(table, weight)
        last: NDArray[np.int64] | None = None
        own = np.empty((0, 0))
        for members, first, counts in self._draw() if self._kept is None else self._kept:
            if members is not last:  # some resamples of one stratum follow one another
                own, last = units_of(members), members  # (S, n_c)
            size = len(members)
            widening = 1.0 if self.groups else float(np.sqrt(size / max(size - 1, 1)))
            moved = counts.astype(np.float64) @ own.T - own.sum(axis=1)
            deviation[first : first + len(counts)] += widening * moved
        return deviation

    def _units_of(
        self, table: ScoreTable, weight: NDArray[np.float64]
    ) -> Callable[[NDArray[np.int64]], NDArray[np.float64]]:
        """Return what computes what each of some clips or groups adds: float64 (S, n)."""
        if self.groups is None:
            # In Fortran's order: another one would change the last bits of the sums.
            return lambda clips: np.asfortranarray(table.of_clips(clips) * weight[clips])
        scores = np.stack([table.of_set(index) for index in range(table.shape[0])])
        units = self.groups.sums(scores, weight)
        return lambda groups: units[:, groups]

    def _keep(self, spill_folder: Path | None) -> Iterable[Draw] | None:
        """Keep the resamples in memory or in a file; None where they are to be drawn again."""
        num_bytes = NUM_RESAMPLES * self._num_units
        if spill_folder is None:
            return list(self._draw()) if num_bytes <= KEPT_BYTES else None
        try:
            return StoredDraws(spill_folder, self._draw()) if num_bytes <= STORED_BYTES else None
        except OSError:
            return None

    def _quantile_ratio(self, weight: NDArray[np.float64], tail: float) -> float:
        """Return t / z at 1 - tail, for clips that spread alike in every class (Satterthwaite)."""
        # Imported here: the command `score` needs `Interval`, but not scipy, which loads slowly.
        from scipy.special import ndtri, stdtrit

        if self.groups is not None:
            of_groups = max(self.groups.freedom(weight), 1.0)
            return float(stdtrit(of_groups, 1.0 - tail) / ndtri(1.0 - tail))
        sizes = np.array([len(members) for members in self._members])
        of_class = np.array([weight[members[0]] ** 2 * len(members) for members in self._members])
        known = sizes > 1
        if not known.any():
            return 1.0
        variance, freedom = of_class[known], sizes[known] - 1
        df = variance.sum() ** 2 / (variance**2 / freedom).sum()
        return float(stdtrit(df, 1.0 - tail) / ndtri(1.0 - tail))

    def _draw(self) -> Iterator[Draw]:
        """Yield a category's clips, the first of some resamples, and how often each holds each.

        With groups: a stratum's groups in place of a category's clips.

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


def _summed(
    table: ScoreTable, weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return each set's weighted sum, its least and its greatest score: float64 (S,) each.

    Raises:
        ValueError: if a score is not finite.
    """
    found = np.empty((3, table.shape[0]))
    for index, column in enumerate(found.T):
        scores = table.of_set(index)
        if not np.isfinite(scores).all():
            raise ValueError("scores hold a value that is not finite")
        # Summing N shares of 1 / N may give a last bit over 1.
        column[:] = np.clip((scores * weight).sum(), -1.0, 1.0), scores.min(), scores.max()
    return found[0], found[1], found[2]


class StoredDraws:
    """Draws in a file without a name, which is gone with the process however that ends.

    Of 20,000 clips they are 200 MB, by which the memory of gathering rows grew (docs/log.md).

    Raises:
        OSError: if the file cannot be made or written: the disk is full, the folder read-only.
    """

    def __init__(self, folder: Path, draws: Iterable[Draw]) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (kept for every reading)
        weakref.finalize(self, self._file.close)
        self._parts: list[tuple[NDArray[np.int64], int, tuple[int, ...]]] = []
        for units, first, counts in draws:
            self._file.write(counts.data)
            self._parts.append((units, first, counts.shape))
        self._file.flush()

    def __iter__(self) -> Iterator[Draw]:
        """Yield the draws in the order in which they came, one in memory at a time."""
        offset = 0
        for units, first, shape in self._parts:
            size = shape[0] * shape[1]
            # By offset: readings that overlap do not move each other's place in the file.
            counts = np.frombuffer(os.pread(self._file.fileno(), size, offset), np.uint8)
            yield units, first, counts.reshape(shape)
            offset += size
