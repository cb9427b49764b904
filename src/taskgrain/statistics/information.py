"""What labels know of a factor: bits that they share, less those that chance shares.

Shapes: L labels, V values of the factor.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import random_table

Counts = NDArray[np.int64]

PERMUTATIONS = 200


def joint_counts(labels: NDArray[np.int16], values: NDArray[np.int16]) -> Counts:
    """Count how often each label meets each value: (L, V), those that do not occur left out.

    Args:
        labels: (N,) codes of the scenes' labels.
        values: (N,) codes of the scenes' values.
    """
    rows, row = np.unique(labels, return_inverse=True)
    columns, column = np.unique(values, return_inverse=True)
    flat = np.bincount(row * len(columns) + column, minlength=len(rows) * len(columns))
    return flat.reshape(len(rows), len(columns)).astype(np.int64)


def entropies(counts: Counts) -> NDArray[np.float64]:
    """Compute the entropy over the last axis, in bits; every total is one or more."""
    shares = counts / counts.sum(axis=-1, keepdims=True)
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    bits: NDArray[np.float64] = -(shares * logs).sum(axis=-1)
    return bits


def information_bits(tables: Counts) -> NDArray[np.float64]:
    """Compute the mutual information of rows and columns, in bits, of tables (..., L, V)."""
    flat = tables.reshape(*tables.shape[:-2], -1)
    bits: NDArray[np.float64] = (
        entropies(tables.sum(axis=-1)) + entropies(tables.sum(axis=-2)) - entropies(flat)
    )
    return bits


def share_known(table: Counts, *, permutations: int = PERMUTATIONS, seed: int = 0) -> float:
    """Compute which share of a factor's entropy a label knows, corrected for chance.

    (I - I0) / (H - I0), with I the mutual information, H the entropy of the factor, and I0 the mean
    of I over permutations of the factor among the scenes: 1 where the label determines the factor,
    about 0 where they are independent. The table of a permutation is drawn from the law that
    permutations give it (Patefield 1981, algorithm AS 159), which takes no time for each scene.

    Args:
        table: (L, V) scenes of each label and value, as `joint_counts` counts them.
        permutations: over which I0 is the mean.
        seed: of the permutations.

    Returns:
        The share; 0.0 for a factor of one value, and where chance alone tells all of it.
    """
    if min(table.shape) < 2:
        return 0.0
    generator = np.random.default_rng(seed)
    permuted = random_table(table.sum(axis=1), table.sum(axis=0)).rvs(
        permutations, method="patefield", random_state=generator
    )
    by_chance = float(information_bits(np.asarray(permuted, np.int64)).mean())
    entropy = float(entropies(table.sum(axis=0)))
    if entropy - by_chance <= 1e-12:
        return 0.0
    return (float(information_bits(table)) - by_chance) / (entropy - by_chance)
