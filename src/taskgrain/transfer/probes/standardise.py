"""Bring features to mean 0 and standard deviation 1.

Shapes: N clips, T' encoder steps, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from taskgrain.transfer.probes.arrays import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Standardiser:
    """Shift and scale that give features mean 0 and standard deviation 1."""

    mean: Floats  # (D,)
    scale: Floats  # (D,), positive

    @classmethod
    def of(cls, features: NDArray[np.floating]) -> Self:
        """Measure features (N, D), or (N, T', D) over clips and steps.

        A feature that never varies is only shifted.
        """
        wide = features.astype(np.float64).reshape(-1, features.shape[-1])
        # Rounding can give a constant feature a tiny deviation: compare values instead.
        varies = wide.max(axis=0) > wide.min(axis=0)
        return cls(wide.mean(axis=0), np.where(varies, wide.std(axis=0), 1.0))

    def __call__(self, features: NDArray[np.floating]) -> Floats:
        """Standardise features (..., D): float64 (..., D)."""
        standard: Floats = (features - self.mean) / self.scale  # the mean is float64
        return standard
