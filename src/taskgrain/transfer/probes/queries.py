"""Query clips beside the support clips of each problem, without standardising the queries.

Every problem standardises in its own way, and standardising all query clips anew for each costs
more than comparing them. So the scale goes to the few support clips: (x - m) / s . p is
x . (p / s) - m . (p / s). Products with the support clips are computed once for all probes.

Where a feature hardly varies in the support and does among the clips, the two sides of that
difference are large and nearly equal. Such problems (`FAR`) standardise their queries after all.

Shapes: M clips, S problems, Q query clips of each, q of them at a time, N points, D width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from taskgrain.transfer.probes.support import Floats, Labels, Support

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
    """What standardises: (x - mean) / scale."""

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
    squares: Floats | None  # (q,), the clips' squared lengths, at least 0; None: not asked for


def compare(
    clips: RawClips, rows: Labels | None, points: Floats, scaling: Scaling, *, lengths: bool
) -> Iterator[Compared]:
    """Yield the scalar products of standardised query clips with each problem's points.

    Args:
        clips: from which the query clips come.
        rows: (S, Q), which clips each problem is asked; None: all, in their order.
        points: (S, N, D), standardised.
        scaling: of the clips.
        lengths: whether the clips' lengths are asked for too.

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
class Asked:
    """What S problems are asked.

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
            assert each.squares is not None, "lengths were asked for"
            yield Met(each.problem, each.query, each.products[:-1], each.products[-1], each.squares)
