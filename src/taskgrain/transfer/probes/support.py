"""What several probes need of the same support clips, computed once.

Shapes: S problems, N support clips, T' encoder steps, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from taskgrain.transfer.probes.arrays import Floats
from taskgrain.transfer.probes.axes import Axes, principal_axes


@dataclass(frozen=True, eq=False)
class Support:
    """The standardised support clips of S problems; what follows from them is computed when asked.

    Everything but `features` is of features without steps.
    """

    features: Floats  # (S, N, D), or (S, N, T', D)

    @cached_property
    def middle(self) -> Floats:
        """Mean of each problem's clips: (S, 1, D)."""
        middle: Floats = self.features.mean(axis=1, keepdims=True)
        return middle

    @cached_property
    def points(self) -> Floats:
        """The features (S, N, D) around their middle."""
        return self.features - self.middle

    @cached_property
    def squares(self) -> Floats:
        """Squared lengths of the points: (S, N)."""
        squares: Floats = np.vecdot(self.points, self.points)
        return squares

    @cached_property
    def gram(self) -> Floats:
        """Scalar products of the points: (S, N, N)."""
        gram: Floats = self.points @ self.points.swapaxes(1, 2)
        return gram

    @cached_property
    def axes(self) -> Axes:
        """The points in their principal axes."""
        _, num_clips, width = self.features.shape
        return principal_axes(
            self.middle, self.points, gram=None if num_clips > width else self.gram
        )
