"""How large a difference must be for a study of so many seeds to find it."""

from __future__ import annotations

import math

# scipy ships no types.
from scipy.special import nctdtrinc, stdtrit

POWER = 0.8
LEVEL = 0.05


def minimum_detectable_difference(
    sd: float, *, num_seeds: int, power: float = POWER, level: float = LEVEL
) -> float:
    """Return the mean difference that the paired t test over seeds finds with this power.

    Exact for normal differences: t then has the noncentral distribution with S - 1 degrees of
    freedom. With sd = 1 it is 3.26, 1.68 and 1.16 at 3, 5 and 8 seeds. Rejections on the wrong
    side are left out (1 in 10,000 at the most). An sd estimated from few seeds
    is itself uncertain: over 3, the true one may be half or six times as large.

    Args:
        sd: standard deviation over seeds of the paired differences, at least 0; the result has
            its unit.
        num_seeds: S, at least 2.
        power: chance to find it, from .5 to below 1.
        level: of the two-sided test; for the first of a Holm family of m, .05 / m.

    Raises:
        ValueError: for an argument outside its range.
    """
    if not (math.isfinite(sd) and sd >= 0.0):
        raise ValueError(f"sd is {sd}; expected a number of at least 0")
    if num_seeds < 2:
        raise ValueError(f"{num_seeds} seeds; a paired t test needs at least 2")
    if not 0.5 <= power < 1.0:
        raise ValueError(f"power is {power}; expected .5 to below 1")
    if not 0.0 < level < 0.5:
        raise ValueError(f"level is {level}; expected above 0, below .5")
    df = num_seeds - 1
    shift = nctdtrinc(df, 1.0 - power, stdtrit(df, 1.0 - level / 2.0))
    return sd * float(shift) / math.sqrt(num_seeds)
