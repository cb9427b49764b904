"""The support clips of many problems: labels, scale, and what several probes need of them.

The principal axes of the features are the coordinates in which the penalised linear probes are
solved (`linear` has the algebra).

Shapes: S problems, N support clips, T' encoder steps, D width, R = min(N, D) axes, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def one_hot(labels: Labels, num_classes: int) -> Floats:
    """Mark the class of each clip: labels (S, N) in 0..K-1 give float64 (S, N, K) of 0 and 1."""
    marked: Floats = np.eye(num_classes)[labels]
    return marked


def softmax(logits: Floats) -> Floats:
    """Turn logits (..., K) into probabilities (..., K)."""
    weight = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probs: Floats = weight / weight.sum(axis=-1, keepdims=True)
    return probs


def fewest_clips(labels: Labels, num_classes: int) -> Labels:
    """Count the clips of the smallest class of each problem: labels (S, N) give int64 (S,)."""
    fewest: Labels = (labels[:, :, None] == np.arange(num_classes)).sum(axis=1).min(axis=1)
    return fewest


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


EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True, eq=False)
class Axes:
    """Support features around their mean, rotated to where their covariance is diagonal."""

    mean: Floats  # (S, 1, D)
    coordinates: Floats  # (S, N, R) of the support
    energy: Floats  # (S, R), sum of squares of each coordinate
    # The basis (S, R, D) is mixing @ rows: with few clips, the product is never made.
    mixing: Floats | None  # (S, R, N); None: the rows are the basis
    rows: Floats  # (S, N, D), features around their mean, or (S, R, D)

    def lift(self, weights: Floats) -> Floats:
        """Turn weights of coordinates (S, K, R) into weights of features (S, K, D)."""
        lifted: Floats = (weights if self.mixing is None else weights @ self.mixing) @ self.rows
        return lifted

    def __getitem__(self, problems: slice) -> Axes:
        """Take some of the problems."""
        mixing = None if self.mixing is None else self.mixing[problems]
        return Axes(
            self.mean[problems],
            self.coordinates[problems],
            self.energy[problems],
            mixing,
            self.rows[problems],
        )


def principal_axes(mean: Floats, centred: Floats, *, gram: Floats | None) -> Axes:
    """Find the axes of each problem's features.

    Works on the smaller of the N x N and the D x D products. Axes whose energy is rounding are
    given none.

    Args:
        mean: (S, 1, D), of the features.
        centred: (S, N, D), the features around it.
        gram: (S, N, N), the scalar products of these where N is at most D, else None.
    """
    num_clips = centred.shape[1]
    if gram is None:
        energy, vectors = np.linalg.eigh(centred.swapaxes(1, 2) @ centred)
        energy, length = _above_rounding(energy, num_clips)
        vectors = vectors * (length > 0)[:, None]
        return Axes(mean, centred @ vectors, energy, None, vectors.swapaxes(1, 2))
    energy, vectors = np.linalg.eigh(gram)
    energy, length = _above_rounding(energy, num_clips)
    inverse = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
    mixing = (vectors * inverse[:, None]).swapaxes(1, 2)
    return Axes(mean, vectors * length[:, None], energy, mixing, centred)


def _above_rounding(energy: Floats, num_clips: int) -> tuple[Floats, Floats]:
    """Set energies (S, R) that are rounding to 0; return them and their square roots."""
    kept = np.where(energy > energy[:, -1:] * (num_clips * EPSILON), energy, 0.0)
    return kept, np.sqrt(kept)


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
