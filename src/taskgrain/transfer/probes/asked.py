"""Query clips, and their scalar products with the support clips: computed once for all probes.

Shapes: S problems, Q query clips of each, q of them at a time, N support clips, D width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from taskgrain.transfer.probes.arrays import Floats, Labels
from taskgrain.transfer.probes.raw import RawClips, Scaling, compare, shape_of
from taskgrain.transfer.probes.support import Support

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
