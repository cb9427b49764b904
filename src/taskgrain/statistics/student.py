"""Student's t: intervals over encoder seeds, paired differences, and one-sided tests.

With mean m and standard deviation s (n - 1 in the denominator) of n values, the statistic
t = (m - null) / (s / sqrt(n)) has df = n - 1 degrees of freedom (Student 1908).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

# scipy ships no types.
from scipy.special import stdtr, stdtrit

from taskgrain.names import IntervalKind
from taskgrain.statistics.intervals import INNER_TAIL, TAIL, Interval

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
