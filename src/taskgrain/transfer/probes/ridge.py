"""Least squares on class indicators: linear, and in the features of a Gaussian kernel.

Shapes: S problems, N support clips, Q query clips, D width, R axes, K classes, G grid values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# scipy ships no types.
from scipy.linalg import lapack

from taskgrain.errors import ProbeError
from taskgrain.transfer.probes.arrays import Floats, Labels, one_hot
from taskgrain.transfer.probes.asked import Asked
from taskgrain.transfer.probes.axes import Axes
from taskgrain.transfer.probes.choice import FIXED, LEAVE_ONE_OUT, Choice, choose, may_choose
from taskgrain.transfer.probes.linear import LinearScores
from taskgrain.transfer.probes.probe import Probe
from taskgrain.transfer.probes.support import Support

# Strengths of the penalty; of equal errors the stronger is taken. The linear ones count in widths:
# a standardised clip's squared length is about D, so that they mean the same at every width.
ALPHAS_PER_WIDTH = (100.0, 10.0, 1.0, 0.1, 0.01)
FIXED_ALPHA_PER_WIDTH = 1.0
KERNEL_ALPHAS = (10.0, 1.0, 0.1, 0.01)  # a clip's kernel with itself is 1
SHARPNESS = (0.25, 1.0, 4.0)  # gamma times the mean squared distance of two support clips
FIXED_KERNEL = (1.0, 0.1)  # sharpness, alpha
MAX_KERNEL_CLIPS = 8192  # 0.5 GB a matrix of so many clips
QUERY_BLOCK = 1024  # clips compared at a time: bounds the memory


class Ridge(Probe):
    """Ridge regression on +1 for the class and -1 for the others, as `RidgeClassifier` has it.

    Minimises |Xw + b - t|^2 + alpha |w|^2 for each class. alpha is chosen from 100, 10, 1, 0.1
    and 0.01 times D, by exact leave-one-out, where every class has five clips, and is D
    otherwise. The scores halved and raised by one half estimate the classes' probabilities and
    sum to 1; `predict_proba` gives them without the negative ones, scaled to sum to 1 again.
    """

    def __init__(self, alpha: float | None = None) -> None:
        """Take alpha, positive, or None to choose it."""
        self.alpha = alpha

    def fit_support(self, support: Support, labels: Labels, *, num_classes: int) -> LinearScores:
        """Solve in the principal axes, where the whole grid costs a division each."""
        _check_alpha(self.alpha)
        axes = support.axes
        target = 2.0 * one_hot(labels, num_classes) - 1.0  # (S, N, K)
        moment = axes.coordinates.swapaxes(1, 2) @ target  # (S, R, K)
        width = support.features.shape[2]
        grid = np.array([each * width for each in ALPHAS_PER_WIDTH])
        fixed = ALPHAS_PER_WIDTH.index(FIXED_ALPHA_PER_WIDTH)
        if self.alpha is not None:
            alpha, where = np.full(len(labels), float(self.alpha)), FIXED
        else:
            choice = Choice(np.full(len(labels), fixed), FIXED)
            if may_choose(labels, num_classes):
                errors = np.stack([_left_out(axes, target, moment, a) for a in grid], axis=1)
                choice = choose(errors, labels, fixed=fixed, chosen_on=LEAVE_ONE_OUT)
            alpha, where = grid[choice.index], choice.chosen_on
        weights = moment / (axes.energy + alpha[:, None])[:, :, None]  # (S, R, K)
        coef = axes.lift(weights.swapaxes(1, 2))  # (S, K, D)
        intercept = target.mean(axis=1) - (coef @ axes.mean.swapaxes(1, 2))[:, :, 0]
        chosen = tuple(f"alpha={each:g}" for each in alpha)
        return LinearScores(coef, intercept, chosen, where)

    def probabilities(self, scores: Floats) -> Floats:
        """Clip the estimated probabilities at 0."""
        return _clipped(scores)


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
        _check_alpha(self.alpha)
        _check_alpha(self.sharpness, "sharpness")
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
        solved = [
            solution
            for each in sharpness
            for solution in _kernel_solutions(
                distance, unit * each, np.concatenate(centred, axis=2), alphas, len(labelings)
            )
        ]
        grid = [(each, alpha) for each in sharpness for alpha in alphas]
        fits = []
        for place, (labels, mean) in enumerate(zip(labelings, means, strict=True)):
            choice = self._choose(grid, labels, [errors[:, place] for _, errors in solved])
            columns = slice(place * num_classes, (place + 1) * num_classes)
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
        return _clipped(scores)


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

    def answers(self, asked: Asked) -> Labels:
        """Answer as `Fitted.answers` states."""
        answers = np.empty(asked.shape, dtype=np.int64)
        lengths = self.support.squares[:, :, None]  # (S, N, 1)
        for each in asked.met():
            kernel = each.products * -2.0  # (N, q)
            kernel += each.squares
            kernel += lengths[each.problem]
            np.maximum(kernel, 0.0, out=kernel)
            kernel *= -self.gamma[each.problem]
            np.exp(kernel, out=kernel)
            scores = self.dual[each.problem].T @ kernel + self.mean[each.problem][:, None]
            answers[each.problem, each.query] = scores.argmax(axis=0)
        return answers


def _left_out(axes: Axes, target: Floats, moment: Floats, alpha: float) -> Floats:
    """Give the mean squared error of each clip under the fit to the others: (S,).

    The error of a clip that is left out is its residual over one minus its leverage.
    """
    inverse = 1.0 / (axes.energy + alpha)  # (S, R)
    fitted = axes.coordinates @ (moment * inverse[:, :, None]) + target.mean(axis=1)[:, None]
    leverage = (axes.coordinates**2 @ inverse[:, :, None]) + 1.0 / target.shape[1]  # (S, N, 1)
    errors: Floats = (((target - fitted) / (1.0 - leverage)) ** 2).mean(axis=(1, 2))
    return errors


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
    given: float | None, grid: tuple[float, ...], fixed: float, choose_here: bool
) -> tuple[float, ...]:
    if given is not None:
        return (given,)
    return grid if choose_here else (fixed,)


def _check_alpha(value: float | None, name: str = "alpha") -> None:
    if value is not None and not value > 0:
        raise ValueError(f"{name} is {value}; expected a positive number, or None to choose it")


def _clipped(scores: Floats) -> Floats:
    estimate = np.maximum(0.5 * (scores + 1.0), 0.0)  # sums to 1 or more: no division by 0
    probs: Floats = estimate / estimate.sum(axis=-1, keepdims=True)
    return probs
