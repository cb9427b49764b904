"""How unlike the clips that an encoder learned from a clip is: a distance of its features.

An encoder answers to every clip, to one that shows nothing it ever saw too, and its probabilities
do not say so. What it computes of such a clip mostly lies far from what it computes of its own
clips. So the distance is kept with its weights, together with the distances of clips of the same
kind that it did not learn from: how many of them lie as far out is a p-value.

Shapes: N clips, D width of the features.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

from taskgrain.data.files import atomic_path
from taskgrain.models.weights import read_arrays, save_tensors

Floats = NDArray[np.float64]

FILE = "familiarity.safetensors"  # beside model.safetensors
FEWEST_HELD_OUT = 19  # clips: with fewer no clip could be rarer than one in twenty
LEAST_SHARE = 1e-9  # of the largest variance; what varies less counts as varying so much


@dataclass(frozen=True, slots=True, eq=False)
class Familiarity:
    """Where the features of an encoder's own clips lie."""

    mean: Floats  # (D,)
    root: Floats  # (D, D), a root of the inverse covariance
    known: Floats  # (n,), distances of clips that were not learned from, rising

    @classmethod
    def of(
        cls, learned: NDArray[np.floating], held_out: NDArray[np.floating]
    ) -> Familiarity | None:
        """Measure where the features of own clips lie.

        Args:
            learned: (N, D) of clips that the encoder learned from.
            held_out: (n, D) of others of the same kind.

        Returns:
            None if there are too few clips to say that one is unlike them, or if features are not
            finite or all alike.
        """
        enough = len(learned) > 1 and len(held_out) >= FEWEST_HELD_OUT
        if not enough or not (np.isfinite(learned).all() and np.isfinite(held_out).all()):
            return None
        x = learned.astype(np.float64)
        mean, scale = x.mean(axis=0), x.std(axis=0)
        if not scale.any():
            return None
        scale[scale == 0.0] = 1.0
        # Shrunk (Ledoit and Wolf 2004): a thousand clips leave the small variances of a hundred
        # and more features too small, and what is divided by them too large.
        covariance, _ = ledoit_wolf((x - mean) / scale, assume_centered=True)
        variances, axes = np.linalg.eigh(covariance)
        variances = np.maximum(variances, LEAST_SHARE * variances[-1])
        root = (axes / np.sqrt(variances)).T / scale
        empty = cls(mean, root, np.empty(0))
        return cls(mean, root, np.sort(empty.distances(held_out)))

    def distances(self, features: NDArray[np.floating]) -> Floats:
        """Return the Mahalanobis distances of features (N, D): float64 (N,), 0 or more.

        In deviations of the learned clips, of the one Gaussian that they are taken for (Lee et al.
        2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples", has one a
        class; sources that learned captions have none).
        """
        return np.linalg.norm((features - self.mean) @ self.root.T, axis=1)

    def typical(self, features: NDArray[np.floating]) -> Floats:
        """Return for features (N, D) the share of own clips that lie at least as far out.

        The clip itself counts as one of them, so that of an own clip the share is uniform, and at
        least 1 / (n + 1): a conformal p-value of "it is like the clips that were learned from".
        """
        nearer = np.searchsorted(self.known, self.distances(features), side="left")
        return (len(self.known) - nearer + 1) / (len(self.known) + 1)

    def write(self, folder: Path) -> None:
        """Write into the folder of a checkpoint."""
        arrays = {"mean": self.mean, "root": self.root, "known": self.known}
        tensors = {
            name: torch.from_numpy(np.ascontiguousarray(each)) for name, each in arrays.items()
        }
        with atomic_path(folder / FILE) as temporary:
            save_tensors(tensors, temporary)

    @classmethod
    def read(cls, folder: Path, width: int) -> Familiarity | None:
        """Read what `write` wrote for an encoder of a width; None where there is none.

        Raises:
            CheckpointError: naming the file and what is missing or malformed in it.
        """
        path = folder / FILE
        if not path.is_file():
            return None
        shapes = {"mean": (width,), "root": (width, width), "known": (None,)}
        arrays = read_arrays(path, shapes)
        return cls(arrays["mean"], arrays["root"], np.sort(arrays["known"]))
