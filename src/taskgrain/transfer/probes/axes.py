"""The principal axes of support features: coordinates in which the linear probes are solved.

Both penalised linear probes keep their weights in the span of the support features, and neither
changes under rotation. In these coordinates the features do not correlate, which makes ridge
regression a division and gives logistic regression a good first guess of its curvature.

Shapes: S problems, N support clips, D width, R = min(N, D) axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from taskgrain.transfer.probes.arrays import Floats

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
    """Give energies (S, R), nothing where they are rounding, and their square roots."""
    kept = np.where(energy > energy[:, -1:] * (num_clips * EPSILON), energy, 0.0)
    return kept, np.sqrt(kept)
