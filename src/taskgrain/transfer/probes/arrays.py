"""The small array steps that the probes share.

Shapes: S problems, N support clips, K classes.
"""

from __future__ import annotations

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
