"""The interval of a plain proportion: of N clips, k were answered right."""

from __future__ import annotations

import math

# scipy ships no types.
from scipy.special import ndtri

from taskgrain.statistics.intervals import TAIL, Interval


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
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return Interval("clips", share, min(low, share), max(high, share), count)
