"""Minimise many penalised softmax regressions together, by Newton's method.

Each Newton step is solved by preconditioned conjugate gradients, as exactly as the distance from
the minimum deserves (Dembo, Eisenstat and Steihaug 1982, "Inexact Newton Methods"). Each problem
goes its own way and stops by itself: its answer does not depend on the others.

Two things are needed on wide, sparse, nearly separable features, as image networks compute them:

- Steps that need no differences of gradients. A quasi-Newton method learns the curvature from
  them; close to the minimum of a badly conditioned problem they are rounding, the directions go
  uphill, and the method wanders about its own noise. Newton's method computes the curvature.
- A line search that does not compare values where their difference is rounding. A Newton decrement
  of 1e-6 promises a fall of 5e-13 nats, which a sum of some nats does not show; the slope along
  the direction still shows it (Hager and Zhang, 2005, the approximate Wolfe condition).

Shapes: S problems, N clips, R coordinates, K classes, P = K * (R + 1) weights and intercepts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskgrain.transfer.probes.clips import Floats

MAX_STEPS = 100  # about 5 to 15 are needed
MAX_PRODUCTS = 1000  # of one Newton step: a few at the start, tens to some hundreds at the end
MAX_HALVINGS = 40
# Of the Newton decrement, whose square is twice what the objective could still fall (nats). It
# leaves the probabilities right to about 1e-8.
TOLERANCE = 1e-7
LOOSEST = 0.25  # share of the residual that a Newton step may leave
SUFFICIENT = 1e-4  # share of the fall that the slope promises
ROUNDING = 1e-13  # relative: what may be lost to the sum's rounding


# The algebra, of one problem. Row x_i has a 1 at its end, theta (K, R + 1) the intercepts in its
# last column, P the identity without that column's entry. With p_i = softmax(theta x_i) and the
# clip's weight w_i,
#     value       theta P theta / 2 + C sum_i w_i (log sum_k exp(theta_k x_i) - theta_y x_i)
#     gradient    P theta + C sum_i w_i (p_i - e_y) x_i'
#     curvature times a direction d
#                 P d + C sum_i w_i (p_i * c_i - p_i (p_i . c_i)) x_i'    with c_i = d x_i
# so that a product with the second derivative costs two multiplications with the rows, and the
# K (R + 1) square matrix is never made.


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
    probs: Floats  # (S, K, N)


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
        return _Point(theta, value, gradient, probs)

    def guess_curvature(self, point: _Point) -> Floats:
        """Guess the diagonal of the second derivative: (S, K, R + 1), positive."""
        probs = point.probs
        spread = probs.mean(axis=2) - np.einsum("skn,skn->sk", probs, probs) / probs.shape[2]
        # An intercept has no penalty: a class that is certain everywhere keeps some curvature.
        return self.curvature * np.maximum(spread, 1e-12)[:, :, None] + self.penalty

    def bend(self, point: _Point, direction: Floats) -> Floats:
        """Multiply the second derivative at a point with a direction: (S, K, R + 1)."""
        change = direction @ self.columns  # (S, K, N), of the logits
        change *= point.probs
        change -= point.probs * change.sum(axis=1, keepdims=True)
        change *= self.weight
        bent: Floats = change @ self.rows
        bent += direction * self.penalty
        return bent


def minimise(problems: SoftmaxProblems, *, tolerance: float = TOLERANCE) -> Minimum:
    """Minimise every problem from zero, until its Newton decrement is below the tolerance.

    The decrement is measured with the guessed curvature. A problem that needs more than 100
    Newton steps, or whose objective no step makes smaller, is not found.
    """
    objective = _Objective(problems)
    num_problems, num_classes, _ = problems.target.shape
    num_axes = problems.coordinates.shape[2]
    here = objective.at(np.zeros((num_problems, num_classes, num_axes + 1)))
    is_found = np.zeros(num_problems, dtype=np.bool_)
    is_lost = np.zeros(num_problems, dtype=np.bool_)
    for _ in range(MAX_STEPS):
        curvature = objective.guess_curvature(here)
        decrement = np.sqrt(_dot(here.gradient, here.gradient / curvature))
        is_found |= decrement < tolerance
        rests = is_found | is_lost
        if rests.all():
            break
        # The closer, the more exactly: Newton's quadratic end. Never more than the tolerance needs.
        left = np.minimum(LOOSEST, np.sqrt(decrement / 10))
        left = np.maximum(left * decrement, tolerance / 4)
        direction = _newton_direction(objective, here, curvature, left=left, rests=rests)
        there = _step(objective, here, direction, rests)
        is_lost = ~rests & (there.theta == here.theta).all(axis=(1, 2))
        here = there
    here.theta[..., -1] -= here.theta[..., -1].mean(axis=1, keepdims=True)
    return Minimum(here.theta, is_found)


def _newton_direction(
    objective: _Objective,
    here: _Point,
    curvature: Floats,
    *,
    left: Floats,
    rests: NDArray[np.bool_],
) -> Floats:
    """Solve the second derivative times the direction = minus the gradient: (S, K, R + 1).

    Args:
        objective: whose derivatives are meant.
        here: where.
        curvature: (S, K, R + 1), the guessed diagonal, as the preconditioner.
        left: (S,), norm of the residual, in units of the decrement, at which a problem stops.
        rests: (S,), problems that are not solved; their direction is 0.
    """
    direction = np.zeros_like(here.theta)
    residual = -here.gradient
    scaled = residual / curvature
    search = scaled.copy()
    size = _dot(residual, scaled)
    runs = ~rests
    for _ in range(MAX_PRODUCTS):
        bent = objective.bend(here, search)
        bend = _dot(search, bent)
        runs = runs & (bend > 0)
        length = np.divide(size, bend, out=np.zeros_like(size), where=runs)[:, None, None]
        direction += length * search
        residual -= length * bent
        np.divide(residual, curvature, out=scaled)
        before, size = size, _dot(residual, scaled)
        runs = runs & (size > left**2)
        if not runs.any():
            break
        share = np.divide(size, before, out=np.zeros_like(size), where=runs)
        search *= share[:, None, None]
        search += scaled
    return direction


def _step(
    objective: _Objective, here: _Point, direction: Floats, rests: NDArray[np.bool_]
) -> _Point:
    """Go along the direction, half as far until the objective falls; stay where it rests."""
    slope = _dot(here.gradient, direction)
    length = np.where(rests, 0.0, 1.0)
    # A clip that is certain costs log(1 + little), which is rounded as 1 is.
    slack = ROUNDING * (here.value + objective.weight.sum(axis=(1, 2)))
    for _ in range(MAX_HALVINGS):
        there = objective.at(here.theta + length[:, None, None] * direction)
        falls = rests | (there.value <= here.value + SUFFICIENT * length * slope)
        if not falls.all():
            # Two values that differ by rounding do not show a fall of 1e-14; the slopes do.
            is_level = there.value <= here.value + slack
            ahead = _dot(there.gradient, direction)
            falls |= is_level & (ahead <= (2 * SUFFICIENT - 1) * slope)
        if falls.all():
            return there
        length = np.where(falls, length, length / 2)
    return objective.at(here.theta + np.where(falls, length, 0.0)[:, None, None] * direction)


def _dot(one: Floats, other: Floats) -> Floats:
    """Multiply and sum (S, K, R + 1) each: (S,)."""
    count = len(one)
    product: Floats = np.vecdot(one.reshape(count, -1), other.reshape(count, -1))
    return product
