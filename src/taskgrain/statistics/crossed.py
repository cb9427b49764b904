"""One interval over encoder seeds, support draws, test clips and classes at once; and its parts.

Shapes: S seeds, R draws, N clips, K classes, U units: the classes, or the clips of one class; m
tasks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from taskgrain.names import ClipMetric
from taskgrain.statistics.intervals import Interval, clip_weights
from taskgrain.statistics.tests import from_error

# Why crossed. Every seed's encoder is tested on the same clips after the same support draws, so the
# scores are a table (S, R, N), not S * R * N independent numbers. A clip that is hard is hard under
# every seed: more seeds do not average that away, and more clips do not average away what a seed
# favours. An interval over one of the axes alone is therefore too narrow, whichever it is.
#
# The model is the three-way random-effects analysis of variance,
#
#     d(s, r, u) = mean + S(s) + R(r) + U(u) + SR(s, r) + SU(s, u) + RU(r, u) + SRU(s, r, u),
#
# and the variance of the mean is the sum of each component over the number of its combinations:
#
#     Var(mean) = v_S / S + v_R / R + v_U / U + v_SR / (S R) + ... + v_SRU / (S R U).
#
# The mean square Q_K of a set of axes K, over the number of its combinations, holds the term of K
# and of every set that contains K. So the term of J alone is, by inclusion and exclusion,
#
#     V_J = sum over K containing J of (-1)^(|K| - |J|) Q_K,
#
# which is unbiased (Searle, Casella and McCulloch 1992, "Variance components", section 4.3). The
# crossed bootstrap (Owen 2007, "The pigeonhole bootstrap") resamples the same axes, but counts
# every interaction several times; here the signs take off what is counted twice. Nor can its
# percentiles be offered: over 3, 5, 8, 20 seeds they cover 86, 89, 90, 93 % where seeds make 70 %
# of the variance (docs/protocol.md, "Intervals").
#
# `crossed_interval` sets each V_J below 0 to 0, since no component is negative. `variance_parts`
# leaves it, so that a mean over several of its results is unbiased. The interval is
#
#     value -+ t(.975; df) sqrt(sum V_J),    1 / df = sum (V_J / sum V)^1.5 / df_J.
#
# Satterthwaite (1946) squares the shares, and covers 92 % over 3 seeds for some mixtures of
# variances, because the shares are estimates. The power 1.5 keeps 93 to 97 % (simulated,
# tests/statistics; up to 98 % over 3 seeds where they differ in their favourite classes, and 99 %
# where all is independent noise). Where only seeds vary it is Student's t with S - 1.

Values = NDArray[np.generic]
Classes = Literal["random", "fixed"]
OfClips = Callable[[NDArray[np.int64]], NDArray[Any]]  # clips (n,) -> their values (S, R, n)
Axes = tuple[int, ...]  # of a table (S, R, U): which of its three dimensions vary together

AXES = ("seeds", "draws", "clips")

# With fewer, 95 % intervals cover less than 93 % or more than 97 % for some mixtures of variances.
FEWEST_SEEDS = 3
FEWEST_DRAWS = 5  # or one, held fixed
FEWEST_CLASSES = 5  # to speak of other classes
SHARE_POWER = 1.5  # of a component's share in the degrees of freedom


@dataclass(frozen=True, slots=True)
class _Component:
    """A part of the variance of the value, and the degrees of freedom it was estimated with."""

    variance: float
    freedom: float


def crossed_fault(
    category: NDArray[np.int64], *, num_seeds: int, num_draws: int, classes: Classes = "random"
) -> str | None:
    """Return why no crossed interval can be given, or None where it holds its coverage.

    Args:
        category: int64 (N,), the category of each scored clip.
        num_seeds: encoder seeds; at least 3.
        num_draws: support draws; 1, or at least 5.
        classes: as in `crossed_interval`; random ones must be at least 5, and a fixed one must
            have at least 2 clips.
    """
    sizes = np.unique(category, return_counts=True)[1]
    if num_seeds < FEWEST_SEEDS:
        return f"{num_seeds} encoder seeds; a crossed interval needs at least {FEWEST_SEEDS}"
    if 1 != num_draws < FEWEST_DRAWS:
        return f"{num_draws} support draws; a crossed interval needs 1 or at least {FEWEST_DRAWS}"
    if classes == "random" and len(sizes) < FEWEST_CLASSES:
        return f"{len(sizes)} classes; an interval over classes needs at least {FEWEST_CLASSES}"
    if classes == "fixed" and (len(sizes) == 0 or sizes.min() < 2):
        return "a class has fewer than 2 scored clips, so their spread is not known"
    return None


def crossed_interval(
    values: NDArray[np.generic],
    category: NDArray[np.int64],
    *,
    metric: ClipMetric,
    classes: Classes = "random",
    known: NDArray[np.float64] | None = None,
) -> Interval:
    """Return the value, its 95 % interval, and the two-sided p for "the value is zero".

    Seeds, draws and units vary, each as the comment above has it. Clips are nested in classes:
    where classes are random, the unit is the class, whose spread holds that of its clips; where
    they are fixed, the clip within its class.

    Memory: in float64 a few times (S, R, K) for random classes, (S, R, clips of the largest
    class) for fixed ones.

    Args:
        values: (S, R, N), any real type; of a seed, a draw and a clip, whether it was answered
            right (0, 1), or the difference of two sources. With R = 1 the interval is
            conditional on that one support set.
        category: int64 (N,), the category of each scored clip.
        metric: how clips are weighed. "top-1" over random classes is a ratio of sums over them.
        classes: whether to speak of other classes too, or of other clips of these.
        known: float64 (N,), subtracted from the values of every seed and draw.

    Returns:
        Kind "crossed", n = S.

    Raises:
        ValueError: for another shape, a value that is not finite, or what `crossed_fault` names.
    """
    if values.ndim != 3 or values.shape[2] != len(category):
        raise ValueError(f"values have shape {values.shape}; expected (S, R, {len(category)})")
    fault = crossed_fault(
        category, num_seeds=values.shape[0], num_draws=values.shape[1], classes=classes
    )
    if fault is not None:
        raise ValueError(fault)
    # Seed by seed, and below class by class: memory may not grow with the clips.
    if not all(np.isfinite(each).all() for each in (*values, *([] if known is None else [known]))):
        raise ValueError("values hold one that is not finite")
    part = partial(_values_of, values, known)
    weight, of_class = _class_means(part, category, metric=metric)  # (K,), (S, R, K)
    value = float((of_class.mean(axis=(0, 1)) * weight).sum())
    overall = of_class @ weight - value  # (S, R)
    if classes == "random":
        # A ratio of sums over classes, linearised around each seed's and draw's own; where all
        # classes weigh alike this is `of_class - value`.
        own = overall[:, :, None]
        table = own + len(weight) * weight * (of_class - value - own)
        tables: Iterator[tuple[float, NDArray[np.float64]]] = iter([(1.0, table)])
    else:
        tables = _tables_of_clips(part, category, weight)
    variance, df = _variance(overall, tables)
    return from_error(value, math.sqrt(variance), df=df, n=values.shape[0], kind="crossed")


def variance_parts(
    values: NDArray[np.generic], category: NDArray[np.int64], *, metric: ClipMetric
) -> dict[Axes, float]:
    """Split the variance of a value into what seeds, draws, clips and their interactions add.

    The analysis of `crossed_interval` with fixed classes, clips within them. For K without clips
    Q_K is that of the values of each seed and draw; with clips it is the sum over classes of
    (weight of the class)^2 times that of the class's clips.

    Args:
        values: (S, R, N), as `crossed_interval` takes them; one seed, or one draw, is held fixed,
            and what clips share with it counts as the clips' own.
        category: int64 (N,), the category of each scored clip; two clips of each or more.
        metric: how clips are weighed.

    Returns:
        V_J for each set of axes 0 (seeds), 1 (draws) and 2 (clips) that vary, in the squared unit
        of the values. Each is unbiased, so that it may be below 0, and they add up to an unbiased
        estimate of the variance of the value.

    Raises:
        ValueError: for another shape, or if a class has one clip.
    """
    if values.ndim != 3 or values.shape[2] != len(category):
        raise ValueError(f"values have shape {values.shape}; expected (S, R, {len(category)})")
    if np.unique(category, return_counts=True)[1].min() < 2:
        raise ValueError("a class has fewer than 2 scored clips, so their spread is not known")
    part = partial(_values_of, values, None)
    weight, of_class = _class_means(part, category, metric=metric)
    observed = _observed_of(of_class @ weight, _tables_of_clips(part, category, weight))
    return {axes: _own(axes, observed) for axes in observed}


def _values_of(
    values: NDArray[Any], known: NDArray[np.float64] | None, clips: NDArray[np.int64]
) -> NDArray[Any]:
    """Return the values (S, R, n) of some clips, less what is known of them."""
    return values[:, :, clips] if known is None else values[:, :, clips] - known[clips]


def _class_means(
    part: OfClips, category: NDArray[np.int64], *, metric: ClipMetric
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the classes' weights (K,), summing to 1, and means over their clips (S, R, K)."""
    weight = clip_weights(category, metric=metric)
    members = [np.flatnonzero(category == each) for each in np.unique(category)]
    means = [part(clips).mean(axis=2, dtype=np.float64) for clips in members]
    return np.array([weight[clips].sum() for clips in members]), np.stack(means, axis=2)


def _tables_of_clips(
    part: OfClips, category: NDArray[np.int64], weight: NDArray[np.float64]
) -> Iterator[tuple[float, NDArray[np.float64]]]:
    """Yield each class's weight and its values (S, R, n_c): one class in memory at a time."""
    for each, share in zip(np.unique(category), weight, strict=True):
        yield float(share), part(np.flatnonzero(category == each)).astype(np.float64)


def _variance(
    overall: NDArray[np.float64], tables: Iterator[tuple[float, NDArray[np.float64]]]
) -> tuple[float, float]:
    """Return the variance of the value and its degrees of freedom.

    Args:
        overall: (S, R), the value of each seed and draw.
        tables: weights and (S, R, U) tables of units; the value is the weighted sum of their means.
    """
    observed = _observed_of(overall, tables)
    own = {axes: max(0.0, _own(axes, observed)) for axes in observed}
    total = sum(own.values())
    if total == 0.0:
        return 0.0, math.inf
    inverse = sum((own[j] / total) ** SHARE_POWER / observed[j].freedom for j in own if own[j])
    return total, 1.0 / inverse


def _observed_of(
    overall: NDArray[np.float64], tables: Iterator[tuple[float, NDArray[np.float64]]]
) -> dict[Axes, _Component]:
    """Return Q_K of each set of axes K: its own variance and that of the sets that contain it."""
    crossed = [axis for axis in (0, 1) if overall.shape[axis] > 1]
    sets = [axes for size in (1, 2) for axes in combinations(crossed, size)]
    without = {axes: _observed(overall, axes) for axes in sets}
    of_units: dict[Axes, list[_Component]] = {(*axes, 2): [] for axes in ((), *without)}
    for weight, table in tables:
        for axes, found in of_units.items():
            part = _observed(table, axes)
            found.append(_Component(weight**2 * part.variance, part.freedom))
    return without | {axes: _pooled(found) for axes, found in of_units.items()}


def _observed(table: NDArray[np.float64], axes: Axes) -> _Component:
    """Return Q_K of some axes K: the mean square of their interaction over its combinations.

    Of one axis it is the squared standard error of the mean over that axis.
    """
    rest = tuple(axis for axis in range(table.ndim) if axis not in axes)
    effects = table.mean(axis=rest) if rest else table
    # Taking off the mean of each axis in turn leaves what is of all these axes together, and no
    # fewer: the effect of a smaller set is constant along one of them.
    for axis in range(effects.ndim):
        effects = effects - effects.mean(axis=axis, keepdims=True)
    freedom = math.prod(size - 1 for size in effects.shape)
    return _Component(float((effects**2).sum()) / freedom / effects.size, freedom)


def _own(axes: Axes, observed: dict[Axes, _Component]) -> float:
    """Return V_J: Q_J less what the sets of axes that contain J add to it."""
    above = [other for other in observed if set(other) >= set(axes)]
    return sum((-1) ** (len(o) - len(axes)) * observed[o].variance for o in above)


def _pooled(parts: list[_Component]) -> _Component:
    """Add independent estimates of one kind (Satterthwaite: each is of a class of its own)."""
    total = sum(part.variance for part in parts)
    if total == 0.0:
        return _Component(0.0, sum(part.freedom for part in parts))
    return _Component(total, total**2 / sum(part.variance**2 / part.freedom for part in parts))


@dataclass(frozen=True, slots=True)
class Part:
    """One component: what it adds to the variance of the mean is `of_one` over `units`.

    `name` joins what varies, "seeds x clips". Clips count as one unit, the scored clips together:
    their component is the variance over other test sets of as many clips of the same classes.
    """

    name: str
    of_one: float  # variance that one unit adds
    units: int  # that the mean is taken over

    @property
    def in_mean(self) -> float:
        """What it adds to the variance of the mean."""
        return self.of_one / self.units


def shared_components(
    values: Values, category: NDArray[np.int64], *, metric: ClipMetric
) -> list[Part]:
    """Split the variance of a difference where all seeds answer the same clips.

    Seeds, draws, clips within fixed classes and their interactions are random (`variance_parts`).
    The clips' component is that of the closed form over clips within classes, sum over classes of
    (weight of the class)^2 s^2 / (clips of the class), less what clips share with seeds and draws.

    Args:
        values: (S, R, N), of a seed, a draw and a clip, the difference of two answers.
        category: int64 (N,), two clips of each or more.
        metric: how clips are weighed.

    Returns:
        A part for each set of seeds, draws and clips that vary; with one seed it is held fixed, and
        has none.
    """
    return [
        _part(axes, value, values.shape)
        for axes, value in variance_parts(values, category, metric=metric).items()
    ]


def rotating_components(
    values: Sequence[Values], categories: Sequence[NDArray[np.int64]], *, metric: ClipMetric
) -> list[Part]:
    """Split the variance of a difference where each seed answers clips of its own.

    Draws and clips are nested in seeds: the variance over the S values of the seeds (S - 1 in the
    denominator) is what seeds add, with their classes, and what draws and clips add under one seed.
    The latter are means over the seeds of `variance_parts`; the former is the rest.

    Args:
        values: of each seed (R, N), as in `shared_components`; two seeds or more.
        categories: of each seed int64 (N,), two clips of each or more.
        metric: how clips are weighed.
    """
    # A seed's classes are its own here, so what seeds add holds what their classes add.
    of_seed = [
        float(each.mean(axis=0, dtype=np.float64) @ clip_weights(category, metric=metric))
        for each, category in zip(values, categories, strict=True)
    ]
    within = [
        variance_parts(each[None], category, metric=metric)
        for each, category in zip(values, categories, strict=True)
    ]
    mean = {axes: float(np.mean([each[axes] for each in within])) for axes in within[0]}
    num_seeds, num_draws = len(values), len(values[0])
    over_seeds = float(np.var(of_seed, ddof=1)) - sum(mean.values())
    nested = [_part(axes, value, (1, num_draws)) for axes, value in mean.items()]
    return [
        Part("seeds", over_seeds, num_seeds),
        *(Part(each.name, each.of_one, each.units * num_seeds) for each in nested),
    ]


def clip_noise(
    values: Sequence[Values], categories: Sequence[NDArray[np.int64]], *, metric: ClipMetric
) -> tuple[float, float]:
    """Estimate how much of the variance of tasks, and of tasks x seeds, is noise of their clips.

    Under one seed a task's difference varies over other test clips by V_C + V_SC: a clip may favour
    one source under every seed (V_C, which counts among what tasks differ by) or under one seed
    (V_SC, which counts among tasks x seeds). Both are means over tasks of two-way analyses of
    variance, seeds x clips within classes (`variance_parts` with one draw).

    Args:
        values: of each task (S, N), the difference of a clip's scores, over all draws; two seeds
            or more.
        categories: of each task int64 (N,), two clips of each or more.
        metric: how clips are weighed.

    Returns:
        V_C and V_SC.
    """
    found = [
        variance_parts(each[:, None], category, metric=metric)
        for each, category in zip(values, categories, strict=True)
    ]
    alike, by_seed = (
        float(np.mean([each[axes] * units for each in found]))
        for axes, units in (((2,), 1), ((0, 2), len(values[0])))
    )
    return alike, by_seed


def _part(axes: Axes, in_mean: float, shape: tuple[int, ...]) -> Part:
    """Return a set of axes as a named part: what it adds to the mean, times its units."""
    units = int(np.prod([shape[axis] for axis in axes if AXES[axis] != "clips"], dtype=np.int64))
    return Part(" x ".join(AXES[axis] for axis in axes), in_mean * units, units)
