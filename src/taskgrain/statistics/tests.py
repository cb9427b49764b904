"""The tests: Student's t over seeds, trends, what seeds could find, and families of tests.

Shapes: S seeds, L levels from coarse to fine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

# scipy ships no types.
from scipy.special import gammaincinv, nctdtrinc, ndtri, stdtr, stdtrit

from taskgrain.names import IntervalKind
from taskgrain.statistics.intervals import INNER_TAIL, TAIL, Interval

# The encoder seed is the unit of nearly every test here: n seeds give n differences, of which the
# mean m and the standard deviation s (n - 1 in the denominator) are taken. Where they are normal,
#
#     t = (m - null) / (s / sqrt(n))
#
# has Student's distribution with df = n - 1 (Student 1908). The same clips and support draws serve
# both members of a pair, so what is hard in them cancels in a difference, seed by seed.

LEVEL = 0.05  # a corrected p below it is a claim
POWER = 0.8  # of finding a difference that is there, at the uncorrected LEVEL
ALARM_LEVEL = 0.001  # over the whole family: an alarm 1 time in 20 would be no alarm
# Below it a study describes itself (docs/protocol.md, "What may be said"): a sign-flip test cannot
# go below p = .25 at 3 seeds, and goes to .0078 at 8.
SEEDS_FOR_A_CLAIM = 8
FEWEST_DRAWS = 20  # for a t test that far out in its tail
LARGEST_DF = 1e9  # above it t is the normal distribution to the last printed digit
ROUNDING = 1e-12  # fractions that differ by less are equal: what is left is rounding


def from_error(value: float, error: float, *, df: float, n: int, kind: IntervalKind) -> Interval:
    """Return value -+ t(.975; df) * error, the same at t(.95), and the two-sided p for "it is 0".

    Args:
        value: an estimate, finite.
        error: its standard error; 0 gives no width, and p = 1 at zero, 0 elsewhere.
        df: degrees of freedom of the error, above 0; may be infinite.
        n: units behind the value.
        kind: what they are.
    """
    p = 2.0 * float(stdtr(min(df, LARGEST_DF), -abs(_statistic(value, error))))
    return replace(_around(value, error, df=df, n=n, kind=kind), p=p)


def mean_interval(values: Sequence[float], *, kind: IntervalKind) -> Interval:
    """Return m and m -+ t(.975; n - 1) * s / sqrt(n), and the same at t(.95).

    Args:
        values: n >= 2 finite numbers, one for each unit of `kind` (each encoder seed, say).
        kind: what one value stands for.

    Raises:
        ValueError: with fewer than two values, or one that is not finite.
    """
    mean, error = _mean_and_error(values)
    return _around(mean, error, df=len(values) - 1, n=len(values), kind=kind)


def paired_interval(
    first: Sequence[float], second: Sequence[float], *, kind: IntervalKind
) -> Interval:
    """Return the mean of first - second, its t interval, and p for "the mean difference is zero".

    The paired t test, two-sided. Value i of both must come from the same unit (the same encoder
    seed, say). Equal differences leave no spread to judge by (`has_spread`): p is then 1, and the
    interval, which has no width, means nothing.

    Raises:
        ValueError: if the lengths differ, with fewer than two pairs, or if one is not finite.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} values cannot be paired with {len(second)}")
    differences = [a - b for a, b in zip(first, second, strict=True)]
    mean, error = _mean_and_error(differences)
    found = from_error(mean, error, df=len(differences) - 1, n=len(differences), kind=kind)
    return found if has_spread(first, second) else replace(found, p=1.0)


def has_spread(first: Sequence[float], second: Sequence[float]) -> bool:
    """Whether the paired differences of two lists of fractions differ by more than rounding.

    Two pairs of accuracies may differ by the same number of clips and yet by 1e-17 as floats.
    """
    differences = [a - b for a, b in zip(first, second, strict=True)]
    return max(differences) - min(differences) > ROUNDING


def p_above(values: Sequence[float], *, null: float) -> float:
    """Return the one-sided p for "the mean is `null`" against "the mean is above `null`".

    Values without any spread but rounding's give .5 at `null`, 0 above it and 1 below it: a probe
    that answers one class is right in 1 / K of every draw, and as a float a little beside it.

    Raises:
        ValueError: with fewer than two values, or one that is not finite.
    """
    mean, error = _mean_and_error(values)
    return float(stdtr(len(values) - 1, -_statistic(mean - null, error)))


def _around(value: float, error: float, *, df: float, n: int, kind: IntervalKind) -> Interval:
    outer, inner = (
        float(stdtrit(min(df, LARGEST_DF), 1.0 - tail)) * error for tail in (TAIL, INNER_TAIL)
    )
    return Interval(
        kind,
        value,
        value - outer,
        value + outer,
        n,
        low_90=value - inner,
        high_90=value + inner,
    )


def _mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and its standard error s / sqrt(n)."""
    if len(values) < 2:
        raise ValueError(f"{len(values)} values; a t interval needs at least 2")
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"values are not all finite: {list(values)}")
    return float(array.mean()), float(array.std(ddof=1)) / math.sqrt(len(values))


def _statistic(difference: float, error: float) -> float:
    """Divide; without spread the statistic is 0 for no difference, and infinite for any other."""
    if error <= ROUNDING:
        return math.copysign(math.inf, difference) if abs(difference) > ROUNDING else 0.0
    return difference / error


def trend_interval(values: NDArray[np.float64]) -> Interval:
    """Return the mean slope over the levels, its t interval over seeds, and p for "no slope".

    A least-squares line is laid through each seed's L values, and the S slopes are taken as one
    sample. That the levels of a seed go up and down together is then in the slopes' spread; a
    single line through all S * L values would count them as independent. Only for nested
    classification levels: captions and joint sources have no place on a line. A slope may
    come from one step alone: the differences between neighbours say which.

    Args:
        values: float64 (S, L), S and L of at least 2.

    Returns:
        Of the slope per level; kind "seeds", n = S. Equal slopes leave no spread: p is then 1.

    Raises:
        ValueError: for other shapes, or a value that is not finite.
    """
    if values.ndim != 2 or min(values.shape) < 2:
        raise ValueError(f"values have shape {values.shape}; expected (S, L), at least (2, 2)")
    found = slopes(values, range(values.shape[1])).tolist()
    return paired_interval(found, [0.0] * len(found), kind="seeds")


def slopes(values: NDArray[np.float64], positions: Sequence[float]) -> NDArray[np.float64]:
    """Return the slope of a least-squares line through each seed's values.

    Args:
        values: float64 (S, L).
        positions: (L,), where the levels stand, not all in one place.

    Returns:
        float64 (S,), in the unit of the values per unit of the positions.
    """
    at = np.asarray(positions, dtype=np.float64)
    centred = at - at.mean()
    found: NDArray[np.float64] = values @ centred / (centred @ centred)
    return found


def proportion_interval(right: int, count: int) -> Interval:
    """Return k / N with Wilson's score interval (Wilson 1927, equation 1), of kind "clips".

    Unlike value -+ z * s it has width where all are right or wrong, and it needs no number of
    clips of a class, as a bootstrap within classes does.

    Args:
        right: k, 0 to N.
        count: N, at least 1.

    Raises:
        ValueError: for other numbers.
    """
    if not 0 <= right <= count or count < 1:
        raise ValueError(f"{right} of {count}; expected 0 to N of N, which is at least 1")
    z = float(ndtri(1.0 - TAIL))
    share = right / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2) / (1 + z * z / count)
    # At 0 and N of N one end is the share itself, but for rounding.
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return Interval("clips", share, min(low, share), max(high, share), count)


def poisson_bounds(count: int) -> tuple[float, float]:
    """Return the exact 95 % interval of a Poisson mean of which one count is known (Garwood 1936).

    Half the quantiles of chi-squared with 2 n and 2 n + 2 degrees of freedom at .025 and .975. It
    holds the mean in 95 % of cases or more; of no event it is 0 to 3.69.

    Raises:
        ValueError: if the count is below 0.
    """
    if count < 0:
        raise ValueError(f"a count of {count}; expected 0 or more")
    low = float(gammaincinv(count, TAIL)) if count else 0.0
    return low, float(gammaincinv(count + 1, 1.0 - TAIL))


def minimum_detectable_difference(sd: float, *, num_seeds: int) -> float:
    """Return the mean difference that the paired t test over seeds finds with a power of .8.

    Exact for normal differences: t then has the noncentral distribution with S - 1 degrees of
    freedom. With sd = 1 it is 3.26, 1.68 and 1.16 at 3, 5 and 8 seeds. Rejections on the wrong
    side are left out (1 in 10,000 at the most). An sd estimated from few seeds
    is itself uncertain: over 3, the true one may be half or six times as large.

    Args:
        sd: standard deviation over seeds of the paired differences, at least 0; the result has
            its unit.
        num_seeds: S, at least 2.

    Raises:
        ValueError: for an argument outside its range.
    """
    if not (math.isfinite(sd) and sd >= 0.0):
        raise ValueError(f"sd is {sd}; expected a number of at least 0")
    if num_seeds < 2:
        raise ValueError(f"{num_seeds} seeds; a paired t test needs at least 2")
    df = num_seeds - 1
    # The noncentrality at which t stays below its critical value with a probability of 1 - POWER.
    shift = nctdtrinc(df, 1.0 - POWER, stdtrit(df, 1.0 - LEVEL / 2.0))
    return sd * float(shift) / math.sqrt(num_seeds)


def holm(p: Sequence[float]) -> tuple[float, ...]:
    """Adjust a family of p values (Holm 1979); reject those whose adjusted p is below the level.

    The chance of one false rejection or more is then at most that level, whatever the tests
    have to do with one another. The smallest of m is multiplied by m, the next by m - 1, ...;
    none ends below one that was smaller, or above 1. The family is fixed before the run.

    Args:
        p: m uncorrected p values in [0, 1]; m may be 0.

    Returns:
        m adjusted p values, in the order of `p`.

    Raises:
        ValueError: for a p outside [0, 1], or that is not a number.
    """
    values = np.asarray(p, dtype=np.float64)
    wrong = values[~((values >= 0.0) & (values <= 1.0))]  # NaN too
    if len(wrong):
        raise ValueError(f"p is {wrong[0]}; expected 0 to 1")
    order = np.argsort(values, kind="stable")
    factors = np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return tuple(adjusted.tolist())


def permuted_label_interval(accuracies: Sequence[float], *, chance: float) -> Interval:
    """Compare the accuracies of probes fitted on permuted support labels with chance.

    Permuting the labels of a support set with as many clips of every class makes each class
    equally likely for each scored clip; but a probe that answers one class for every clip may
    favour it in ties, so accuracies are means over the classes, which are then exactly 1 / K.
    Draws are permuted independently: a t test over them holds, conditional on the scored clips.
    It is one-sided, because a leak of true labels can only raise the accuracy, and because the
    accuracy at one shot is skewed to the right (it counts the labels that a permutation leaves in
    place), which makes the upper tail of t too light and the lower one too heavy.

    Args:
        accuracies: mean over classes, of each support draw, at least two of them, in [0, 1].
        chance: 1 / K, times the share that could be decoded of each class's clips, averaged.

    Returns:
        The mean with its t interval of kind "draws", and p against "above chance", uncorrected;
        no p below 20 draws or without any spread, where a t test says nothing.
    """
    interval = mean_interval(accuracies, kind="draws")
    # Without spread t would be infinite, and a probe that answers one class would ring the alarm.
    varies = min(accuracies) < max(accuracies)
    p = p_above(accuracies, null=chance) if varies and len(accuracies) >= FEWEST_DRAWS else None
    return Interval("draws", interval.value, interval.low, interval.high, interval.n, p)


def is_alarm(p: float, *, family: int) -> bool:
    """Whether one of `family` permuted-label tests is above chance (Bonferroni, p < .001)."""
    if family < 1:
        raise ValueError(f"a family of {family} tests; expected at least 1")
    return p * family < ALARM_LEVEL
