"""How much of what a target asks for a source's labels name, and the kind of target that makes it.

First what labels know of a factor (the bits that both share, less those that chance shares), then
how far apart a target's classes are in each factor, then both together.

Shapes: L labels, V values of a factor, P pairs of classes, J factors.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import pi, sqrt

import numpy as np
from numpy.typing import NDArray

from taskgrain.names import TaskKind

# What the labels of a source know of factor j is the share rho_j = (I - I0) / (H - I0): I the bits
# that label and factor share, H the entropy of the factor, I0 the bits that chance alone shares.
# Without I0 nearly unique labels would seem to know everything (docs/protocol.md, "Alignment").
#
# The alignment with a target is the mean over pairs (a, b) of its classes of
#
#     max over factors j of TV(P(F_j | a), P(F_j | b)) * rho_j,
#
# TV the total variation distance: a pair counts as far as the labels know a factor that tells it
# apart. No clip needs both labels, so it is defined for categories that the source never had.

Counts = NDArray[np.int64]
Kind = TaskKind

PERMUTATIONS = 200  # of the factor, for what chance alone shares
NAMED = 0.10
"""Least alignment gain of a target that the finer labels name."""
UNNAMED = 0.01
"""Largest alignment gain of a target that they do not name."""
DEVIATIONS = 4.0  # beyond which a distance is more than chance makes
MEAN_OF_ABSOLUTE = sqrt(2 / pi)  # of a standard normal variable
DEVIATION_OF_ABSOLUTE = sqrt(1 - 2 / pi)


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


def share_known(table: Counts) -> float:
    """Compute which share of a factor's entropy a label knows, corrected for chance.

    (I - I0) / (H - I0), with I0 the mean of I over 200 permutations of the factor among the scenes:
    1 where the label determines the factor, about 0 where they are independent.

    Args:
        table: (L, V) scenes of each label and value, as `joint_counts` counts them.

    Returns:
        The share; 0.0 for a factor of one value, and where chance alone tells all of it.
    """
    if min(table.shape) < 2:
        return 0.0
    # Not above: whoever asks for a target's kind alone, as a report does, would wait for scipy.
    from scipy.stats import random_table

    # Tables are drawn from the law that permutations give them (Patefield 1981, algorithm AS 159):
    # permuting 100,000 scenes or more 200 times would take time for each of them.
    permuted = random_table(table.sum(axis=1), table.sum(axis=0)).rvs(
        PERMUTATIONS, method="patefield", random_state=np.random.default_rng(0)
    )
    by_chance = float(information_bits(np.asarray(permuted, np.int64)).mean())
    entropy = float(entropies(table.sum(axis=0)))
    if entropy - by_chance <= 1e-12:
        return 0.0
    return (float(information_bits(table)) - by_chance) / (entropy - by_chance)


@dataclass(frozen=True, slots=True)
class ClassShares:
    """How often a class's scenes have each value of each factor.

    Scenes that have no such factor count for no value: the shares of a factor add up to at most 1.
    """

    shares: Mapping[str, Mapping[str, float]]  # factor -> value -> share of the scenes
    number: int | None = None  # scenes that were counted; None where the shares are exact


def distances(
    classes: Sequence[ClassShares],
    factors: Sequence[str],
    shown: Mapping[str, Collection[str]] | None,
) -> NDArray[np.float64]:
    """Compute the total variation distance of each pair of classes in each factor: float (P, J).

    Of scenes that have the factor; times the smaller share of such scenes in the two classes.
    What two samples of one distribution differ by is taken off: with T0 the mean distance of
    samples of these sizes (normal approximation), (T - T0) / (1 - T0), and 0 up to four standard
    deviations above T0.

    Args:
        classes: two or more, in the order in which pairs are formed.
        factors: in the order of the columns.
        shown: factor -> values that the source shows; a value that it never shows adds nothing,
            so that two such classes are at no distance. None: every value counts.
    """
    pairs = list(combinations(classes, 2))
    return np.array(
        [
            [
                _distance(first, second, factor, None if shown is None else shown.get(factor, ()))
                for factor in factors
            ]
            for first, second in pairs
        ]
    )


def _distance(
    first: ClassShares, second: ClassShares, factor: str, shown: Collection[str] | None
) -> float:
    held = (first.shares.get(factor, {}), second.shares.get(factor, {}))
    having = [sum(shares.values()) for shares in held]
    if min(having) <= 0:
        return 0.0
    values = sorted({*held[0], *held[1]})
    # Conditional on having the factor at all: a held thing, say, has no outcome.
    shares_of = np.array([[shares.get(value, 0.0) for value in values] for shares in held])
    shares_of /= np.array(having)[:, None]
    counts = [
        None if each.number is None else each.number * share
        for each, share in zip((first, second), having, strict=True)
    ]
    counted = np.array([shown is None or value in shown for value in values])
    by_chance, spread = _chance(shares_of, counts, counted)
    plain = 0.5 * float(np.abs(shares_of[0] - shares_of[1])[counted].sum())
    if plain <= by_chance + DEVIATIONS * spread:
        return 0.0
    return min(having) * (plain - by_chance) / (1 - by_chance)


def _chance(
    shares_of: NDArray[np.float64], counts: Sequence[float | None], counted: NDArray[np.bool_]
) -> tuple[float, float]:
    """Compute the mean of the distance between two samples of one distribution, and its spread.

    Args:
        shares_of: float64 (2, V), the share of each value in the two classes.
        counts: scenes behind each class; None where its shares are exact.
        counted: bool (V,), the values that add to the distance.
    """
    inverse = [0.0 if number is None else 1.0 / number for number in counts]
    if not sum(inverse):
        return 0.0, 0.0
    # The distribution that both would share: the exact one where either is, else both samples
    # pooled by their numbers of scenes.
    weights = np.array([1.0 if each == 0.0 else 0.0 for each in inverse])
    if not weights.sum():
        weights = 1.0 / np.array(inverse)
    pooled = (shares_of * (weights / weights.sum())[:, None]).sum(axis=0)[counted]
    # A value of share p differs by a normal variable of variance p (1 - p) (1 / n + 1 / m), of
    # which the distance takes half the absolute value. Spreads are added up, as if all values rose
    # and fell together: no less than the true spread.
    total = 0.5 * float(np.sqrt(pooled * (1 - pooled) * sum(inverse)).sum())
    return MEAN_OF_ABSOLUTE * total, DEVIATION_OF_ABSOLUTE * total


def alignment(apart: NDArray[np.float64], known: Sequence[float]) -> float:
    """Compute a source's alignment with a target: 0 to 1.

    The mean over pairs of classes of the largest distance times what the source knows of the
    factor (docs/protocol.md, "Alignment").

    Args:
        apart: float (P, J), as `distances` computes it; one pair or more.
        known: of each factor the share that the source's labels know, as `share_known` computes it.
    """
    return float(np.max(apart * np.array(known), axis=1, initial=0.0).mean())


def kind_of(gain: float, gain_if_shown: float) -> Kind:
    """Classify a target by what finer labels say of it and coarser ones do not.

    Args:
        gain: alignment of the finer source less that of the coarser one.
        gain_if_shown: the same, had the source shown every value that the classes have.

    Returns:
        "named" from a gain of .10 on; "kind-named" where only new values keep it below; "unnamed"
        up to .01; else "between".
    """
    if gain >= NAMED:
        return "named"
    if gain_if_shown >= NAMED:
        return "kind-named"
    return "unnamed" if gain <= UNNAMED else "between"
