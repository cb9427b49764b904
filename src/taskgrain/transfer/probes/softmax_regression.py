"""Minimise many penalised softmax regressions together, by preconditioned L-BFGS.

Each problem goes its own way and stops by itself: its answer does not depend on the others.

Shapes: S problems, N clips, R coordinates, K classes, P = K * (R + 1) weights and intercepts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskgrain.transfer.probes.arrays import Floats

MEMORY = 5  # pairs of steps and changes of gradient
MAX_STEPS = 5000  # about 20 to 80 are needed; hundreds for many clips and a weak penalty
MAX_HALVINGS = 40
# Of the Newton decrement, whose square is twice what the objective could still fall (nats). It
# leaves the probabilities right to about 1e-8.
TOLERANCE = 1e-7
SUFFICIENT = 1e-4  # share of the fall that the slope promises
ROUNDING = 1e-13  # relative: what may be lost to the sum's rounding


@dataclass(frozen=True, slots=True, eq=False)
class SoftmaxProblems:
    """Regressions of the same shape: |w|^2 / 2 + C * (sum of the clips' cross-entropies, nats).

    The intercept is not penalised.
    """

    coordinates: Floats  # (S, N, R), with mean 0 over the clips and no correlations, or nearly
    energy: Floats  # (S, R), sum of squares of each coordinate
    target: Floats  # (S, K, N), 0 and 1
    weight: Floats  # (S, N), of each clip: 1, or 0 for one that is held out
    strength: Floats  # (S,), C


@dataclass(frozen=True, slots=True, eq=False)
class Minimum:
    """Where the regressions are least."""

    theta: Floats  # (S, K, R + 1): weights, and the intercept, which sums to 0 over the classes
    is_found: NDArray[np.bool_]  # (S,)


@dataclass(slots=True, eq=False)
class _Point:
    """Everything known at one theta of each problem."""

    theta: Floats  # (S, K, R + 1)
    value: Floats  # (S,)
    gradient: Floats  # (S, K, R + 1)
    spread: Floats  # (S, K), mean over the clips of p (1 - p)


class _Objective:
    def __init__(self, problems: SoftmaxProblems) -> None:
        num_problems, num_clips, num_axes = problems.coordinates.shape
        ones = np.ones((num_problems, num_clips, 1))
        self.rows = np.concatenate([problems.coordinates, ones], axis=2)  # (S, N, R + 1)
        self.columns = np.ascontiguousarray(self.rows.swapaxes(1, 2))  # (S, R + 1, N)
        self.target = problems.target
        self.weight = problems.strength[:, None, None] * problems.weight[:, None]  # (S, 1, N)
        self.penalty = np.ones(num_axes + 1)
        self.penalty[-1] = 0.0
        num_classes = self.target.shape[1]
        share = problems.weight.mean(axis=1)[:, None]  # of the clips that are not held out
        energy = np.concatenate([problems.energy * share, share * num_clips], axis=1)
        # Where all classes are as probable, the curvature over weights that sum to 0 is
        # energy / K, and p (1 - p) is (1 - 1 / K) / K.
        factor = problems.strength * num_classes / (num_classes - 1)
        self.curvature = (factor[:, None] * energy)[:, None]  # (S, 1, R + 1), times p (1 - p)

    def at(self, theta: Floats) -> _Point:
        logits = theta @ self.columns  # (S, K, N)
        logits -= logits.max(axis=1, keepdims=True)
        probs = np.exp(logits)
        total = probs.sum(axis=1, keepdims=True)
        probs /= total
        # Written so that a clip fitted perfectly costs its true small loss, not a rounded 0.
        loss = np.log(total[:, 0]) - np.einsum("skn,skn->sn", logits, self.target)
        penalised = theta * self.penalty
        value = 0.5 * _dot(penalised, theta) + np.einsum("sn,sn->s", loss, self.weight[:, 0])
        gradient = ((probs - self.target) * self.weight) @ self.rows
        gradient += penalised
        spread = probs.mean(axis=2) - np.einsum("skn,skn->sk", probs, probs) / probs.shape[2]
        return _Point(theta, value, gradient, spread)

    def curvature_at(self, point: _Point) -> Floats:
        """Guess the diagonal of the second derivative: (S, K, R + 1), positive."""
        # An intercept has no penalty: a class that is certain everywhere keeps some curvature.
        spread = np.maximum(point.spread, 1e-12)[:, :, None]
        return self.curvature * spread + self.penalty


def minimise(problems: SoftmaxProblems, *, tolerance: float = TOLERANCE) -> Minimum:
    """Minimise every problem from zero, until its Newton decrement is below the tolerance.

    The decrement is measured with the guessed curvature. A problem that needs more than 5000
    steps is not found.
    """
    objective = _Objective(problems)
    num_problems, num_classes, _ = problems.target.shape
    num_axes = problems.coordinates.shape[2]
    here = objective.at(np.zeros((num_problems, num_classes, num_axes + 1)))
    is_found = np.zeros(num_problems, dtype=np.bool_)
    pairs: list[tuple[Floats, Floats, Floats]] = []
    for _ in range(MAX_STEPS):
        curvature = objective.curvature_at(here)
        is_found |= _dot(here.gradient, here.gradient / curvature) < tolerance**2
        if is_found.all():
            break
        direction = _direction(here.gradient, curvature, pairs)
        there = _step(objective, here, direction, is_found)
        step, change = there.theta - here.theta, there.gradient - here.gradient
        product = _dot(step, change)
        inverse = np.divide(1.0, product, out=np.zeros_like(product), where=product > 0)
        pairs = [*pairs, (step, change, inverse)][-MEMORY:]
        here = there
    here.theta[..., -1] -= here.theta[..., -1].mean(axis=1, keepdims=True)
    return Minimum(here.theta, is_found)


def _direction(
    gradient: Floats, curvature: Floats, pairs: list[tuple[Floats, Floats, Floats]]
) -> Floats:
    """Multiply the gradient with minus the inverse curvature that the last steps have shown."""
    direction = -gradient
    scratch = np.empty_like(direction)
    amounts = []
    for step, change, inverse in reversed(pairs):
        amount = inverse * _dot(step, direction)
        direction -= np.multiply(amount[:, None, None], change, out=scratch)
        amounts.append(amount)
    direction /= curvature
    for (step, change, inverse), amount in zip(pairs, reversed(amounts), strict=True):
        amount = amount - inverse * _dot(change, direction)
        direction += np.multiply(amount[:, None, None], step, out=scratch)
    return direction


def _step(
    objective: _Objective, here: _Point, direction: Floats, is_found: NDArray[np.bool_]
) -> _Point:
    """Go along the direction, half as far until the objective falls; stay where it was found."""
    slope = _dot(here.gradient, direction)
    length = np.where(is_found, 0.0, 1.0)
    slack = ROUNDING * np.abs(here.value)
    for _ in range(MAX_HALVINGS):
        there = objective.at(here.theta + length[:, None, None] * direction)
        falls = there.value <= here.value + SUFFICIENT * length * slope + slack
        if falls.all():
            return there
        length = np.where(falls, length, length / 2)
    return objective.at(here.theta + np.where(falls, length, 0.0)[:, None, None] * direction)


def _dot(one: Floats, other: Floats) -> Floats:
    """Multiply and sum (S, K, R + 1) each: (S,)."""
    count = len(one)
    product: Floats = np.vecdot(one.reshape(count, -1), other.reshape(count, -1))
    return product
