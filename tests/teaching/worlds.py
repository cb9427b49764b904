"""Made features with known truth: classes, recordings that shift all of their clips, and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskgrain.teaching.folds import TaughtClips

WIDTH = 60


@dataclass(frozen=True)
class FeatureWorld:
    """Class means, from which clips are drawn: mean + shift of the recording + noise."""

    means: NDArray[np.float64]  # (K, D)
    shift: float  # deviation of a recording's shift
    rng: np.random.Generator

    @classmethod
    def of(cls, seed: int, *, num_classes: int, separation: float, shift: float) -> FeatureWorld:
        rng = np.random.default_rng(seed)
        return cls(rng.normal(size=(num_classes, WIDTH)) * separation, shift, rng)

    def clips(
        self, num_recordings: int, per_recording: int, *, crossed: bool, num_classes: int = 0
    ) -> TaughtClips:
        """Draw clips: of every class in every recording if crossed, else one class a recording.

        Args:
            num_recordings: in all if crossed, else of each class.
            per_recording: clips of a class in each recording.
            crossed: whether recordings show all classes.
            num_classes: the first classes of the world; 0 means all.
        """
        features, labels, recordings = [], [], []
        number = 0
        for _ in range(num_recordings):
            shift = self.rng.normal(size=WIDTH) * self.shift
            for label in range(num_classes or len(self.means)):
                if not crossed:
                    shift = self.rng.normal(size=WIDTH) * self.shift
                for _ in range(per_recording):
                    features.append(self.means[label] + shift + self.rng.normal(size=WIDTH))
                    labels.append(label)
                    recordings.append(number)
                number += not crossed
            number += crossed
        return TaughtClips(
            np.array(features),
            np.array(labels, dtype=np.int64),
            np.array(recordings, dtype=np.int64),
            num_classes or len(self.means),
        )
