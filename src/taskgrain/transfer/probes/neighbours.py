"""The probes that compare a clip with each support clip: votes of the nearest, Gaussian kernels.

Shapes: S problems, N support clips, Q query clips, D width, K classes, k neighbours, L labelings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from taskgrain.errors import ProbeError
from taskgrain.transfer.probes.clips import (
    QUERY_BLOCK,
    Floats,
    Labels,
    Queries,
    Support,
    check_finite,
    one_hot,
)
from taskgrain.transfer.probes.linear import check_positive, clipped
from taskgrain.transfer.probes.probe import FIXED, LEAVE_ONE_OUT, Choice, Probe, choose, may_choose

NEIGHBOURS = (1, 3, 5, 10)  # the grid; the first is taken where there are too few clips to choose
TEMPERATURE = 0.07  # of the votes, in units of the cosine (Wu et al. 2018, instance discrimination)


class NearestNeighbours(Probe):
    """Let the k support clips of the largest cosine vote, each with weight exp(cosine / 0.07).

    k is chosen by leave-one-out from 1, 3, 5 and 10 (those below N) where every class has five
    clips, and is 1 otherwise. Probabilities are shares of the votes.
    """

    def __init__(self, num_neighbours: int | None = None) -> None:
        """Take k, at least 1 (more than N means N), or None to choose it."""
        self.num_neighbours = num_neighbours

    def fit_support(self, support: Support, labels: Labels, *, num_classes: int) -> NeighbourVotes:
        """Keep the features, and choose k."""
        directions = _directions(support.features)
        num_problems, num_clips = labels.shape
        if self.num_neighbours is not None:
            if self.num_neighbours < 1:
                raise ValueError(f"num_neighbours is {self.num_neighbours}; expected at least 1")
            k = np.full(num_problems, min(self.num_neighbours, num_clips))
            return NeighbourVotes(directions, labels, num_classes, k, FIXED)
        if not may_choose(labels, num_classes):
            return NeighbourVotes(
                directions, labels, num_classes, np.ones_like(labels[:, 0]), FIXED
            )
        grid = tuple(k for k in NEIGHBOURS if k < num_clips)
        choice = _choose_neighbours(directions, labels, num_classes, grid)
        return NeighbourVotes(
            directions, labels, num_classes, np.array(grid)[choice.index], choice.chosen_on
        )


@dataclass(frozen=True, slots=True, eq=False)
class NeighbourVotes:
    """Support clips that vote."""

    directions: Floats  # (S, N, D), of length 1
    labels: Labels  # (S, N)
    num_classes: int
    num_neighbours: Labels  # (S,)
    chosen_on: str

    @property
    def chosen(self) -> tuple[str, ...]:
        """K of each problem, as text."""
        return tuple(f"k={k}" for k in self.num_neighbours)

    def scores(self, query: Floats) -> Floats:
        """Compute each class's share of the votes for query (S, Q, D): float64 (S, Q, K)."""
        shares = np.empty((len(query), query.shape[1], self.num_classes))
        for problem, k in enumerate(self.num_neighbours):
            for start in range(0, query.shape[1], QUERY_BLOCK):
                block = slice(start, start + QUERY_BLOCK)
                cosine = _directions(query[problem, block]) @ self.directions[problem].T
                (shares[problem, block],) = _votes(
                    cosine, self.labels[problem], self.num_classes, (int(k),)
                )
        return shares

    def answers(self, queries: Queries) -> Labels:
        """Answer as `Fitted.answers` states."""
        answers = np.empty(queries.shape, dtype=np.int64)
        support = queries.support
        aside = (support.points @ support.middle.swapaxes(1, 2))[:, :, 0]  # (S, N)
        middle = np.vecdot(support.middle, support.middle)[:, 0]  # (S,), squared length
        inverse = _inverse(np.sqrt(np.vecdot(support.features, support.features)))  # (S, N)
        for each in queries.met():
            # With p and x around the middle m: (p + m)(x + m) = px + mx + pm + mm.
            moved = each.along + middle[each.problem]  # (q,)
            squares = each.squares + each.along + moved
            check_finite(squares)
            cosine = np.add(each.products.T, moved[:, None], order="C")  # (q, N)
            cosine += aside[each.problem]
            cosine *= inverse[each.problem]
            cosine *= _inverse(np.sqrt(np.maximum(squares, 0.0)))[:, None]
            (shares,) = _votes(
                cosine,
                self.labels[each.problem],
                self.num_classes,
                (int(self.num_neighbours[each.problem]),),
            )
            answers[each.problem, each.query] = shares.argmax(axis=1)
        return answers


def _choose_neighbours(
    directions: Floats, labels: Labels, num_classes: int, grid: tuple[int, ...]
) -> Choice:
    """Leave each clip out in turn; the error is the squared error of the shares of votes."""
    errors = np.zeros((len(labels), len(grid)))
    for problem, (clips, truth) in enumerate(zip(directions, labels, strict=True)):
        for start in range(0, len(clips), QUERY_BLOCK):
            block = slice(start, start + QUERY_BLOCK)
            cosine = clips[block] @ clips.T
            rows = np.arange(len(cosine))
            cosine[rows, start + rows] = -np.inf  # a clip does not vote for itself
            target = one_hot(truth[block], num_classes)
            for index, shares in enumerate(_votes(cosine, truth, num_classes, grid)):
                errors[problem, index] += ((shares - target) ** 2).sum()
    return choose(errors, labels, fixed=0, chosen_on=LEAVE_ONE_OUT)


def _votes(cosine: Floats, labels: Labels, num_classes: int, grid: tuple[int, ...]) -> list[Floats]:
    """Count the votes of the nearest k clips, for each k of the grid: shares (Q, K).

    Args:
        cosine: float64 (Q, N), of each query clip with each support clip.
        labels: int64 (N,), of the support clips.
        num_classes: K.
        grid: numbers of neighbours, in rising order.
    """
    num_query = len(cosine)
    # Only the nearest few are put in order; the shares of every k of the grid are sums over the
    # first k of them.
    most = min(grid[-1], cosine.shape[1])
    if most == 1:
        nearest = cosine.argmax(axis=1)[:, None]
    elif most < len(labels):
        nearest = np.argpartition(-cosine, most - 1, axis=1)[:, :most]
    else:
        nearest = np.tile(np.arange(most), (num_query, 1))
    similarity = np.take_along_axis(cosine, nearest, axis=1)
    order = np.argsort(-similarity, axis=1, kind="stable")
    nearest = np.take_along_axis(nearest, order, axis=1)
    similarity = np.take_along_axis(similarity, order, axis=1)
    # Relative to the nearest, whose weight is 1: shares are the same, and no exponential overflows.
    weight = np.exp((similarity - similarity[:, :1]) / TEMPERATURE)
    slot = np.arange(num_query)[:, None] * num_classes + labels[nearest]  # (Q, most)
    shares = []
    for k in grid:
        counted = np.bincount(
            slot[:, :k].ravel(), weights=weight[:, :k].ravel(), minlength=num_query * num_classes
        ).reshape(num_query, num_classes)
        shares.append(counted / counted.sum(axis=1, keepdims=True))
    return shares


def _inverse(lengths: Floats) -> Floats:
    """Divide 1 by lengths; a length of 0 stays 0."""
    return np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)


def _directions(features: Floats) -> Floats:
    """Scale features (..., D) to length 1; features of length 0 stay 0."""
    length = np.sqrt((features**2).sum(axis=-1, keepdims=True))
    directions: Floats = features / np.where(length > 0, length, 1.0)
    return directions


# Kernel ridge regression, of one problem. Let K (N, N) hold exp(-gamma |x_i - x_j|^2) of support
# clips and t (N,) the targets +1 and -1 less their mean. The fit and the score of a clip x are
#     (K + alpha) d = t    and    sum_i d_i exp(-gamma |x - x_i|^2) + mean.
# A clip that is left out is answered wrong by exactly d_i / G_ii, G the inverse of K + alpha
# (Rasmussen and Williams 2006, equation 5.12). With K + alpha = L L', L lower triangular, and
# M the inverse of L, G is M'M: G_ii is the sum of squares of column i of M.
KERNEL_ALPHAS = (10.0, 1.0, 0.1, 0.01)  # a clip's kernel with itself is 1
SHARPNESS = (0.25, 1.0, 4.0)  # gamma times the mean squared distance of two support clips
FIXED_KERNEL = (1.0, 0.1)  # sharpness, alpha
MAX_KERNEL_CLIPS = 8192  # 0.5 GB a matrix of so many clips


class RbfRidge(Probe):
    """Kernel ridge regression with exp(-gamma |x - y|^2), on +1 and -1 around their means.

    gamma and alpha are chosen together by exact leave-one-out where every class has five clips
    (gamma: 0.25, 1, 4 over the mean squared distance of two support clips; alpha: 10, 1, 0.1,
    0.01); otherwise they are 1 over that distance, and 0.1. Probabilities are as `Ridge` has them.
    """

    def __init__(self, sharpness: float | None = None, alpha: float | None = None) -> None:
        """Take gamma in units of one over the mean squared distance, and alpha; None to choose."""
        self.sharpness = sharpness
        self.alpha = alpha

    def fit_support(self, support: Support, labels: Labels, *, num_classes: int) -> KernelScores:
        """Solve as `fit_labelings` does."""
        (fitted,) = self.fit_labelings(support, [labels], num_classes=num_classes)
        return fitted

    def fit_labelings(
        self, support: Support, labelings: Sequence[Labels], *, num_classes: int
    ) -> list[KernelScores]:
        """Solve every kernel of the grid, each with every alpha, for all labels at once.

        Raises:
            ProbeError: if the kernel would not fit into memory.
        """
        check_positive(self.alpha)
        check_positive(self.sharpness, "sharpness")
        num_clips = support.features.shape[1]
        if num_clips > MAX_KERNEL_CLIPS:
            raise ProbeError(
                f"rbf-ridge on {num_clips} support clips; expected at most {MAX_KERNEL_CLIPS}; "
                "leave it out, or ask for fewer shots"
            )
        distance = _distances_within(support)
        typical = distance.sum(axis=(1, 2)) / (num_clips * (num_clips - 1))
        unit = np.where(typical > 0, 1.0 / np.where(typical > 0, typical, 1.0), 1.0)  # (S,)
        choose_here = any(may_choose(labels, num_classes) for labels in labelings)
        sharpness = _grid(self.sharpness, SHARPNESS, FIXED_KERNEL[0], choose_here)
        alphas = _grid(self.alpha, KERNEL_ALPHAS, FIXED_KERNEL[1], choose_here)
        targets = [2.0 * one_hot(labels, num_classes) - 1.0 for labels in labelings]
        means = [target.mean(axis=1) for target in targets]  # (S, K)
        centred = [target - mean[:, None] for target, mean in zip(targets, means, strict=True)]
        # The kernel and its factor depend on the clips alone: labels are columns of one target.
        solved = [
            solution
            for each in sharpness
            for solution in _kernel_solutions(
                distance, unit * each, np.concatenate(centred, axis=2), alphas, len(labelings)
            )
        ]
        grid = [(each, alpha) for each in sharpness for alpha in alphas]
        fits = []
        for labeling, (labels, mean) in enumerate(zip(labelings, means, strict=True)):
            choice = self._choose(grid, labels, [errors[:, labeling] for _, errors in solved])
            columns = slice(labeling * num_classes, (labeling + 1) * num_classes)
            dual = np.stack(
                [solved[each][0][problem, :, columns] for problem, each in enumerate(choice.index)]
            )
            gamma = unit * np.array([grid[each][0] for each in choice.index])
            chosen = tuple(f"sharpness={grid[i][0]:g} alpha={grid[i][1]:g}" for i in choice.index)
            fits.append(KernelScores(support, dual, mean, gamma, chosen, choice.chosen_on))
        return fits

    def _choose(
        self, grid: list[tuple[float, float]], labels: Labels, errors: list[Floats]
    ) -> Choice:
        """Choose for each problem by its errors (S,) with each value of the grid."""
        if len(grid) == 1:
            return Choice(np.zeros(len(labels), dtype=np.int64), FIXED)
        fixed = grid.index((self.sharpness or FIXED_KERNEL[0], self.alpha or FIXED_KERNEL[1]))
        return choose(np.stack(errors, axis=1), labels, fixed=fixed, chosen_on=LEAVE_ONE_OUT)

    def probabilities(self, scores: Floats) -> Floats:
        """Clip the estimated probabilities at 0."""
        return clipped(scores)


@dataclass(frozen=True, slots=True, eq=False)
class KernelScores:
    """Scores that are sums of the kernel with each support clip."""

    support: Support
    dual: Floats  # (S, N, K)
    mean: Floats  # (S, K)
    gamma: Floats  # (S,)
    chosen: tuple[str, ...]
    chosen_on: str

    def scores(self, query: Floats) -> Floats:
        """Score query (S, Q, D): float64 (S, Q, K)."""
        parts = []
        for start in range(0, query.shape[1], QUERY_BLOCK):
            distance = _distances_to(self.support, query[:, start : start + QUERY_BLOCK])
            kernel = np.exp(-self.gamma[:, None, None] * distance)
            parts.append(kernel @ self.dual + self.mean[:, None])
        return np.concatenate(parts, axis=1)

    def answers(self, queries: Queries) -> Labels:
        """Answer as `Fitted.answers` states."""
        answers = np.empty(queries.shape, dtype=np.int64)
        lengths = self.support.squares[:, :, None]  # (S, N, 1)
        for each in queries.met():
            kernel = each.products * -2.0  # (N, q)
            kernel += each.squares
            kernel += lengths[each.problem]
            np.maximum(kernel, 0.0, out=kernel)
            kernel *= -self.gamma[each.problem]
            np.exp(kernel, out=kernel)
            scores = self.dual[each.problem].T @ kernel + self.mean[each.problem][:, None]
            answers[each.problem, each.query] = scores.argmax(axis=0)
        return answers


def _kernel_solutions(
    distance: Floats, gamma: Floats, target: Floats, alphas: tuple[float, ...], num_labelings: int
) -> list[tuple[Floats, Floats]]:
    """Solve (kernel + alpha) dual = target for each alpha.

    Args:
        distance: (S, N, N), squared.
        gamma: (S,).
        target: (S, N, L * K), of L labelings side by side.
        alphas: to solve with.
        num_labelings: L.

    Returns:
        For each alpha, dual (S, N, L * K) and left-out errors (S, L).
    """
    kernels = np.exp(-gamma[:, None, None] * distance)
    solutions = []
    for alpha in alphas:
        solved = [
            _one_solution(kernel, each, alpha) for kernel, each in zip(kernels, target, strict=True)
        ]
        errors = np.stack([each for _, each in solved])  # (S, L * K)
        by_labeling = errors.reshape(len(errors), num_labelings, -1).mean(axis=2)
        solutions.append((np.stack([dual for dual, _ in solved]), by_labeling))
    return solutions


def _one_solution(kernel: Floats, target: Floats, alpha: float) -> tuple[Floats, Floats]:
    """Solve for kernel (N, N) and target (N, K): dual (N, K) and the left-out errors (K,).

    By the inverse of the Cholesky factor, whose columns' squares add up to the diagonal of the
    inverse matrix: for 2,500 clips a fourteenth of the time that eigenvectors take.
    """
    matrix = kernel.copy()
    matrix.flat[:: len(matrix) + 1] += alpha
    # LAPACK counts in columns: the transposed view of a symmetric matrix is that matrix.
    factor, fault = lapack.dpotrf(matrix.T, lower=1, overwrite_a=1)
    if fault:  # alpha is lost in the rounding of a singular kernel
        return _by_eigenvectors(kernel, target, alpha)
    inverse, _ = lapack.dtrtri(factor, lower=1, overwrite_c=1)
    dual = inverse.T @ (inverse @ target)
    diagonal = np.einsum("ij,ij->j", inverse, inverse)
    return dual, ((dual / diagonal[:, None]) ** 2).mean(axis=0)


def _by_eigenvectors(kernel: Floats, target: Floats, alpha: float) -> tuple[Floats, Floats]:
    """Solve as `_one_solution` does where rounding makes the kernel indefinite."""
    values, vectors = np.linalg.eigh(kernel)
    inverse = 1.0 / (np.maximum(values, 0.0) + alpha)  # (N,)
    dual = vectors @ ((vectors.T @ target) * inverse[:, None])
    return dual, ((dual / (vectors**2 @ inverse)[:, None]) ** 2).mean(axis=0)


def _distances_within(support: Support) -> Floats:
    """Square the distances between support clips: (S, N, N), at least 0."""
    distance = support.squares[:, :, None] + support.squares[:, None]
    distance -= 2.0 * support.gram
    np.maximum(distance, 0.0, out=distance)
    # A clip's distance to itself would otherwise be what rounding leaves of 2 s - 2 s.
    every = np.arange(distance.shape[1])
    distance[:, every, every] = 0.0
    return distance


def _distances_to(support: Support, query: Floats) -> Floats:
    """Square the distances of clips (S, Q, D) to the support clips: (S, Q, N), at least 0."""
    query = query - support.middle  # distances are small differences without it
    distance = np.vecdot(query, query)[:, :, None] + support.squares[:, None]
    distance -= 2.0 * (query @ support.points.swapaxes(1, 2))
    return np.maximum(distance, 0.0, out=distance)


def _grid(
    wanted: float | None, grid: tuple[float, ...], fixed: float, choose_here: bool
) -> tuple[float, ...]:
    if wanted is not None:
        return (wanted,)
    return grid if choose_here else (fixed,)
