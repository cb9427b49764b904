"""Several tests answered together, so that one false finding in any of them is rare."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p: Sequence[float]) -> tuple[float, ...]:
    """Adjust a family of p values (Holm 1979); reject those whose adjusted p is below the level.

    The chance of one false rejection or more is then at most that level, whatever the tests
    have to do with one another. The smallest of m is multiplied by m, the next by m - 1, ...;
    none ends below one that was smaller, or above 1. The family is fixed before the run.

    Args:
        p: m uncorrected p values in [0, 1]; of an empty family nothing comes back.

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
