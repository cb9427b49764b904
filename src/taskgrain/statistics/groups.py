"""Clips that were recorded together: the unit that varies is the recording, not the clip.

Shapes: N clips, S sets of scores, G groups, K classes, P pairs of a group and a class in it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

# Clips that are cut from one recording are alike: ten alike clips of each of m recordings are m
# pieces of evidence and not 10 m, and an interval over clips then covers 45 % instead of 95 %.
#
# The value is sum_i w_i x_i over clips i. With mu_c the mean of the clips of class c, m the groups
# of that class, and p_gc the share of its clips that group g holds, g moves the value by
#
#     D_g = sum over clips i of g of w_i (x_i - mu_c) sqrt((m - 1) / m) / (1 - p_gc),
#
# and Var(value) is estimated by sum_g D_g^2. Dividing by 1 - p_gc measures a clip's distance from
# the mean of the other groups, since a group draws mu_c towards itself; that makes the squares too
# large by m / (m - 1), which the root takes off (the jackknife: Efron and Tibshirani 1993, ch. 11).

# Elsewhere 95 % intervals cover less than 93 % or more than 97 % (tests/statistics, simulated).
LARGEST_SHARE = 0.5  # of a class's clips that one group may hold
FEWEST_FREEDOM = 8.0  # degrees of freedom
LEAST_EVENNESS = 1 / 8  # of the degrees of freedom that groups of equal size would leave


class GroupSums:
    """How a weighted mean over clips varies with other groups of clips of the same classes.

    The sum of the squares of the groups' sums is the variance of the mean. For groups of equal size
    within classes that is the usual unbiased variance; for unequal ones it holds whether the clips
    of a group are alike or not.
    """

    def __init__(self, category: Labels, groups: Labels) -> None:
        """Lay out the groups.

        Args:
            category: int64 (N,), of each clip.
            groups: int64 (N,) in 0..G-1, each with clips.
        """
        # Not above: `intervals` imports this module, and `score` needs that but not scipy.
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        _, own = np.unique(category, return_inverse=True)
        self._category = own
        self._groups = groups
        self.num_groups = int(groups.max()) + 1
        num_classes = int(own.max()) + 1
        pairs, self._pair_of, count = np.unique(
            groups * num_classes + own, return_inverse=True, return_counts=True
        )
        self._group_of, self._class_of = np.divmod(pairs, num_classes)  # (P,)
        self._count = count.astype(np.float64)
        self._share = self._count / np.bincount(own)[self._class_of]  # of the class's clips
        of_class = np.bincount(self._class_of)[self._class_of]
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = np.sqrt((of_class - 1) / of_class) / (1.0 - self._share)
        self._factor = np.where(of_class > 1, factor, 0.0)  # (P,); alone, a group shows nothing
        # Groups that share a class vary together, and so do those that a chain of classes joins:
        # they are the connected parts of the graph of groups and classes.
        links = coo_array(
            (np.ones(len(pairs)), (self._group_of, self.num_groups + self._class_of)),
            shape=(self.num_groups + num_classes,) * 2,
        )
        joined = connected_components(links, directed=False)[1][: self.num_groups]
        _, self._stratum = np.unique(joined, return_inverse=True)

    @property
    def strata(self) -> list[Labels]:
        """Return each set of groups that shared classes connect, as those of one class are."""
        return [np.flatnonzero(self._stratum == each) for each in range(self._stratum.max() + 1)]

    @property
    def spans_classes(self) -> bool:
        """Whether a group has clips of several classes."""
        return len(self._group_of) > self.num_groups

    def sums(self, scores: Floats, weight: Floats) -> Floats:
        """Return float64 (S, G): by how much each group moves the weighted mean.

        Args:
            scores: float64 (S, N).
            weight: float64 (N,), equal within a class.
        """
        size = np.bincount(self._category)
        scale = weight * self._factor[self._pair_of]
        found = np.empty((len(scores), self.num_groups))
        for row, of_clip in zip(found, scores, strict=True):
            means = np.bincount(self._category, of_clip) / size
            row[:] = np.bincount(self._groups, scale * (of_clip - means[self._category]))
        return found

    def freedom(self, weight: Floats) -> float:
        """Return the degrees of freedom of the variance, if the clips of a group are all alike.

        Satterthwaite's, of the effective number of groups less one in every class; or in every
        stratum, where groups that hold several classes leave fewer.
        """
        moved = np.bincount(self._pair_of, weight)  # (P,)
        of_group = np.bincount(self._group_of, moved)
        by_class = _freedom(np.square(moved, dtype=np.float64), self._class_of)
        return min(by_class, _freedom(np.square(of_group, dtype=np.float64), self._stratum))

    def is_sound(self, weight: Floats) -> bool:
        """Whether intervals over groups cover 93 to 97 %."""
        freedom = self.freedom(weight)
        even = self.num_groups - (self._stratum.max() + 1)
        return bool(
            self._share.max() <= LARGEST_SHARE
            and freedom >= max(FEWEST_FREEDOM, LEAST_EVENNESS * even)
        )


def _freedom(variance: Floats, part_of: Labels) -> float:
    """Combine units (U,) that make up the variances of parts; 0 where a part rests on one."""
    total = np.bincount(part_of, variance)
    effective = total**2 / np.bincount(part_of, variance**2)  # as many equal units vary as much
    if (effective < 1.0 + 1e-9).any():
        return 0.0
    return float(total.sum() ** 2 / (total**2 / (effective - 1.0)).sum())
