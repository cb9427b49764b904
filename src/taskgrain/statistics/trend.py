"""Whether a value rises along nested levels, tested over encoder seeds.

Shapes: S seeds, L levels from coarse to fine.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from taskgrain.statistics.intervals import Interval
from taskgrain.statistics.student import paired_interval


def trend_interval(
    values: NDArray[np.float64], *, positions: Sequence[float] | None = None
) -> Interval:
    """Return the mean slope over the levels, its t interval over seeds, and p for "no slope".

    A least-squares line is laid through each seed's L values, and the S slopes are taken as one
    sample. That the levels of a seed go up and down together is then in the slopes' spread; a
    single line through all S * L values would count them as independent. Only for nested
    classification levels: captions and joint sources have no place on a line. A slope may
    come from one step alone: the differences between neighbours say which.

    Args:
        values: float64 (S, L), S and L of at least 2.
        positions: where the levels stand, rising; 0, 1, ..., L - 1 if absent, so that the slope is
            per level. The bits of a label, say, give a slope per bit.

    Returns:
        Kind "seeds", n = S. Equal slopes leave no spread: p is 1 if they are zero, 0 otherwise.

    Raises:
        ValueError: for other shapes, positions that do not rise, or a value that is not finite.
    """
    if values.ndim != 2 or min(values.shape) < 2:
        raise ValueError(f"values have shape {values.shape}; expected (S, L), at least (2, 2)")
    at = np.asarray(range(values.shape[1]) if positions is None else positions, dtype=np.float64)
    if at.shape != (values.shape[1],) or not (np.diff(at) > 0.0).all():
        raise ValueError(f"positions are {at.tolist()}; expected {values.shape[1]} rising numbers")
    found = slopes(values, at.tolist()).tolist()
    return paired_interval(found, [0.0] * len(found), kind="seeds")


def slopes(values: NDArray[np.float64], positions: Sequence[float]) -> NDArray[np.float64]:
    """Lay a least-squares line through each seed's values and give its slope.

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
