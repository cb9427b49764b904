"""The clips of many problems: those that a probe learns from, and those that it answers.

The principal axes of the support clips are the coordinates in which the penalised linear probes
are solved (`linear` has the algebra).

Shapes: S problems, N support clips, T' encoder steps, D width, R = min(N, D) axes, K classes;
M clips that queries come from, Q queries of a problem, q of them at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def one_hot(labels: Labels, num_classes: int) -> Floats:
    """Mark the class of each clip, labels (S, N) in 0..K-1, by float64 (S, N, K) of 0 and 1."""
    marked: Floats = np.eye(num_classes)[labels]
    return marked


def softmax(logits: Floats) -> Floats:
    """Turn logits (..., K) into probabilities (..., K)."""
    weight = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probs: Floats = weight / weight.sum(axis=-1, keepdims=True)
    return probs


def fewest_clips(labels: Labels, num_classes: int) -> Labels:
    """Count the clips of each problem's smallest class, int64 (S,), from labels (S, N)."""
    fewest: Labels = (labels[:, :, None] == np.arange(num_classes)).sum(axis=1).min(axis=1)
    return fewest


@dataclass(frozen=True, slots=True, eq=False)
class Standardiser:
    """Shift and scale by which features have mean 0 and standard deviation 1."""

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


# Principal axes of N clips X (N, D) around their mean. With X = U S V', the axes V are eigenvectors
# of X'X (D, D), and the coordinates are XV = US. Where there are fewer clips than features the
# smaller XX' = U S^2 U' (N, N) gives the same: V = X'U / S, so that V is a mixture of the rows of
# X, kept as the mixing U'/ S and never multiplied out. Both products have the same eigenvalues, the
# energies. Energies below N * eps of the largest are rounding (X has at most N - 1 of them that are
# not), and dividing by their roots would blow rounding up: such axes get energy 0 and weight 0.
def principal_axes(mean: Floats, centred: Floats, *, gram: Floats | None) -> Axes:
    """Find the axes of each problem's features.

    Works on the smaller of the N x N and the D x D products. Axes whose energy is rounding get
    energy 0.

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
    """The standardised support clips of S problems, and what is computed of them when needed.

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


# Query clips are compared with the support clips of each problem without being standardised.
#
# Every problem standardises in its own way, and standardising all query clips anew for each costs
# more than comparing them. So the scale goes to the few support clips:
#     (x - m) / s . p = x . (p / s) - m . (p / s)
# and the products with the support clips are computed once for all probes.
#
# Where a feature hardly varies in the support and does among the clips, the two terms on the right
# are large and nearly equal, and their difference is rounding. Such problems (`FAR`) standardise
# their queries after all.
QUERY_BLOCK = 1024  # clips compared at a time: bounds the memory
FAR = 1e5  # scales from the centre: squares of more lose 1e-6 and more to rounding
POINT_BLOCK = 512  # points compared at a time, at least those of one problem


@dataclass(frozen=True, eq=False)
class RawClips:
    """Clips as they are, not standardised; only the networks read those with steps."""

    features: Floats  # (M, D) or (M, T', D)

    @cached_property
    def centre(self) -> Floats:
        """The clips' mean (D,): around it, sums of squares lose least to rounding."""
        centre: Floats = self.features.mean(axis=0)
        return centre

    @cached_property
    def centred(self) -> Floats:
        """The features (M, D) around the centre."""
        return self.features - self.centre

    @cached_property
    def squares(self) -> Floats:
        """The squares (M, D) of the centred features."""
        return self.centred**2


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """Shift and scale of each problem: (x - mean) / scale."""

    mean: Floats  # (1 or S, 1, D), or (1 or S, 1, 1, D) for features with steps
    scale: Floats  # likewise, positive

    def __call__(self, features: Floats) -> Floats:
        """Standardise features (1 or S, N, D), or (1 or S, N, T', D)."""
        return (features - self.mean) / self.scale


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Some query clips beside the points of one problem, all standardised."""

    problem: int
    query: slice  # which of the Q
    products: Floats  # (N, q), scalar products; free to be overwritten
    squares: Floats | None  # (q,), the clips' squared lengths, at least 0; None: not wanted


def compare(
    clips: RawClips, rows: Labels | None, points: Floats, scaling: Scaling, *, lengths: bool
) -> Iterator[Compared]:
    """Yield the scalar products of standardised query clips with each problem's points.

    Args:
        clips: from which the query clips come.
        rows: (S, Q), the query clips of each problem; None: all, in their order.
        points: (S, N, D), standardised.
        scaling: of the clips.
        lengths: whether the clips' lengths are wanted too.

    Raises:
        FloatingPointError: if a product or a length is NaN or infinite.
    """
    space = _Space(clips, points, scaling, lengths=lengths)
    if rows is not None:
        for problem, index in enumerate(rows):
            ((products, squares),) = space.compare(index, slice(problem, problem + 1))
            yield Compared(problem, slice(None), products, squares)
        return
    step = max(1, POINT_BLOCK // points.shape[1])
    for start in range(0, len(clips.features), QUERY_BLOCK):
        query = slice(start, start + QUERY_BLOCK)
        for first in range(0, len(points), step):
            found = space.compare(query, slice(first, first + step))
            for problem, (products, squares) in enumerate(found, start=first):
                yield Compared(problem, query, products, squares)


def shape_of(clips: RawClips, rows: Labels | None, num_problems: int) -> tuple[int, int]:
    """Return (S, Q): how many answers there are."""
    return num_problems, len(clips.features) if rows is None else rows.shape[1]


class _Space:
    """Raw clips and standardised points, brought to the clips' own origin and units."""

    def __init__(self, clips: RawClips, points: Floats, scaling: Scaling, *, lengths: bool) -> None:
        self.clips = clips
        self.lengths = lengths
        shift = np.broadcast_to((scaling.mean - clips.centre)[:, 0], points[:, 0].shape)  # (S, D)
        scale = np.broadcast_to(scaling.scale[:, 0], shift.shape)
        reach = np.abs(clips.centred).max(axis=0)  # (D,)
        self.is_far = ((reach + np.abs(shift)) / scale).max(axis=1) > FAR  # (S,)
        self.points, self.shift, self.scale = points, shift, scale
        self.weights = points / scaling.scale  # (S, N, D)
        self.offset = self.weights @ shift[:, :, None]  # (S, N, 1)
        if not lengths:
            return
        # |(x - m) / s|^2 is x^2 . s^-2 - 2 x . (m s^-2) + m . (m s^-2).
        self.inverse = 1.0 / scale**2  # (S, D)
        self.slope = 2.0 * shift * self.inverse
        self.constant = 0.5 * np.vecdot(shift, self.slope)

    def compare(self, index: Labels | slice, problems: slice) -> list[tuple[Floats, Floats | None]]:
        """Return products (N, q) and squared lengths (q,) of some clips in some problems."""
        weights, centred = self.weights[problems], self.clips.centred[index]
        products = (weights.reshape(-1, weights.shape[2]) @ centred.T).reshape(
            *weights.shape[:2], -1
        )
        products -= self.offset[problems]
        check_finite(products)
        if not self.lengths:
            squares = None
        else:
            squares = self.inverse[problems] @ self.clips.squares[index].T
            squares -= self.slope[problems] @ centred.T
            squares += self.constant[problems, None]
            check_finite(squares)
            np.maximum(squares, 0.0, out=squares)
        for place in np.flatnonzero(self.is_far[problems]):
            problem = problems.start + int(place)
            standardised = (centred - self.shift[problem]) / self.scale[problem]  # (q, D)
            products[place] = self.points[problem] @ standardised.T
            if squares is not None:
                squares[place] = (standardised**2).sum(axis=1)
        return [
            (each, None if squares is None else squares[place])
            for place, each in enumerate(products)
        ]


def check_finite(values: Floats) -> None:
    """Raise a FloatingPointError if a value is NaN or infinite."""
    if not np.isfinite(values).all():
        raise FloatingPointError("NaN or infinite")


KEPT_BYTES = 64 << 20  # of products that are kept for the next probe
FLOAT_BYTES = 8


@dataclass(frozen=True, slots=True, eq=False)
class Met:
    """Some query clips beside the support clips of one problem, around the support's middle."""

    problem: int
    query: slice  # which of the Q
    products: Floats  # (N, q), with the support's points; not to be overwritten
    along: Floats  # (q,), with the middle itself
    squares: Floats  # (q,), squared distances from the middle, at least 0


@dataclass(frozen=True, eq=False)
class Queries:
    """The query clips of S problems.

    `rows` (S, Q) are the clips of each problem; None: all, in their order. `scaling` is that by
    which the support was standardised.
    """

    clips: RawClips
    rows: Labels | None
    scaling: Scaling
    support: Support
    _kept: list[Met] = field(default_factory=list, init=False)

    @property
    def shape(self) -> tuple[int, int]:
        """(S, Q): how many answers there are."""
        return shape_of(self.clips, self.rows, len(self.support.features))

    def met(self) -> Iterator[Met]:
        """Yield every query clip beside the support clips of its problem.

        Raises:
            FloatingPointError: if a product or a distance is NaN or infinite.
        """
        # Kept for the next probe once all have been yielded: one that fails half-way leaves
        # nothing, so that the next one does not take a part for the whole.
        if self._kept:
            yield from self._kept
            return
        num_problems, num_query = self.shape
        num_points = self.support.features.shape[1] + 1
        kept: list[Met] = []
        keeps = FLOAT_BYTES * num_problems * num_query * num_points <= KEPT_BYTES
        for met in self._compared():
            if keeps:
                kept.append(met)
            yield met
        self._kept.extend(kept)

    def _compared(self) -> Iterator[Met]:
        middle = self.support.middle
        around = Scaling(self.scaling.mean + self.scaling.scale * middle, self.scaling.scale)
        points = np.concatenate([self.support.points, middle], axis=1)
        for each in compare(self.clips, self.rows, points, around, lengths=True):
            assert each.squares is not None, "lengths were wanted"
            yield Met(each.problem, each.query, each.products[:-1], each.products[-1], each.squares)
