"""L2-penalised multinomial logistic regression, for many support draws at once.

Shapes: S problems, N support clips, D width, R axes, K classes, G grid values.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from taskgrain.errors import ProbeError
from taskgrain.transfer.probes.arrays import Floats, Labels, one_hot, softmax
from taskgrain.transfer.probes.axes import Axes
from taskgrain.transfer.probes.choice import (
    FIXED,
    FOLDS,
    NUM_FOLDS,
    Choice,
    choose,
    folds_of,
    may_choose,
)
from taskgrain.transfer.probes.linear import LinearScores
from taskgrain.transfer.probes.probe import Probe
from taskgrain.transfer.probes.softmax_regression import TOLERANCE, SoftmaxProblems, minimise
from taskgrain.transfer.probes.support import Support

# Inverse strength of the L2 penalty on standardised features. Fixed before any target was drawn,
# for every source and every number of shots: the value of the prototype study, tenfold the
# penalty that scikit-learn sets, because features outnumber the clips of a support draw.
LOGISTIC_C = 0.1
LOGISTIC_CS = (0.01, 0.1, 1.0, 10.0)  # the grid of the probe that chooses
FOLD_TOLERANCE = 1e-4  # of the Newton decrement: enough to rank the grid by
BLOCK_NUMBERS = 1 << 18  # support coordinates solved together: about what the caches hold


class LogisticRegression(Probe):
    """L2-penalised multinomial logistic regression, the minimum that scikit-learn states.

    Minimises |w|^2 / 2 + C * (sum of the cross-entropies of the clips, in nats); the intercept is
    not penalised. Two classes have one weight vector, as scikit-learn has it. C is 0.1 unless
    given; with None it is chosen by five folds from 0.01, 0.1, 1 and 10 where every class has
    five clips, and is 0.1 otherwise. The penalty keeps every w in the span of the support
    features and does not change under rotation: it is solved in the support's principal axes.
    """

    def __init__(self, C: float | None = LOGISTIC_C) -> None:
        """Take C, positive, or None to choose it."""
        self.C = C

    def fit_support(self, support: Support, labels: Labels, *, num_classes: int) -> LinearScores:
        """Solve every problem to its minimum.

        Raises:
            ProbeError: if the solver does not converge: the fit would not be the stated one.
        """
        if self.C is not None and not self.C > 0:
            raise ValueError(f"C is {self.C}; expected a positive number, or None to choose it")
        num_problems, num_clips, width = support.features.shape
        size = max(1, BLOCK_NUMBERS // (num_clips * min(num_clips, width)))
        blocks = [slice(start, start + size) for start in range(0, num_problems, size)]
        axes = support.axes
        fits = [self._fit(axes[block], labels[block], num_classes) for block in blocks]
        return LinearScores(
            np.concatenate([each.coef for each in fits]),
            np.concatenate([each.intercept for each in fits]),
            tuple(text for each in fits for text in each.chosen),
            next((each.chosen_on for each in fits if each.chosen_on != FIXED), FIXED),
        )

    def probabilities(self, scores: Floats) -> Floats:
        """Give the modelled probabilities."""
        return softmax(scores)

    def _fit(self, axes: Axes, labels: Labels, num_classes: int) -> LinearScores:
        target = np.ascontiguousarray(one_hot(labels, num_classes).swapaxes(1, 2))  # (S, K, N)
        if self.C is not None:
            strength, where = np.full(len(labels), float(self.C)), FIXED
        else:
            choice = Choice(np.full(len(labels), LOGISTIC_CS.index(LOGISTIC_C)), FIXED)
            if may_choose(labels, num_classes):
                choice = _choose_strength(axes, target, labels)
            strength, where = np.array(LOGISTIC_CS)[choice.index], choice.chosen_on
        everything = np.ones(labels.shape)
        theta = _solve(SoftmaxProblems(axes.coordinates, axes.energy, target, everything, strength))
        coef = axes.lift(theta[:, :, :-1])  # (S, K, D)
        intercept = theta[:, :, -1] - (coef @ axes.mean.swapaxes(1, 2))[:, :, 0]
        return LinearScores(coef, intercept, tuple(f"C={each:g}" for each in strength), where)


def _choose_strength(axes: Axes, target: Floats, labels: Labels) -> Choice:
    """Hold every fold out in turn; the error is the squared error of its probabilities."""
    folds = np.stack([folds_of(each) for each in labels])  # (S, N)
    cells = [(fold, value) for fold in range(NUM_FOLDS) for value in range(len(LOGISTIC_CS))]
    size = max(1, BLOCK_NUMBERS // axes.coordinates.size)  # cells solved together
    errors = np.zeros((len(labels), len(LOGISTIC_CS)))
    for start in range(0, len(cells), size):
        block = cells[start : start + size]
        coordinates, energy, truth = (
            np.concatenate([each] * len(block)) for each in (axes.coordinates, axes.energy, target)
        )
        kept = np.concatenate([folds != fold for fold, _ in block]).astype(np.float64)
        strength = np.repeat([LOGISTIC_CS[value] for _, value in block], len(labels))
        theta = _solve(
            SoftmaxProblems(coordinates, energy, truth, kept, strength), tolerance=FOLD_TOLERANCE
        )
        logits = coordinates @ theta[:, :, :-1].swapaxes(1, 2) + theta[:, None, :, -1]
        wrong = softmax(logits) - truth.swapaxes(1, 2)
        of_cell = ((wrong**2).sum(axis=2) * (1.0 - kept)).sum(axis=1).reshape(len(block), -1)
        for (_, value), error in zip(block, of_cell, strict=True):
            errors[:, value] += error
    return choose(errors, labels, fixed=LOGISTIC_CS.index(LOGISTIC_C), chosen_on=FOLDS)


def _solve(problems: SoftmaxProblems, *, tolerance: float = TOLERANCE) -> Floats:
    """Give weights and intercepts in the principal axes: (S, K, R + 1)."""
    if problems.target.shape[1] == 2:
        # One weight vector for two classes is two of half the length: half the penalty.
        problems = replace(problems, strength=problems.strength / 2)
    minimum = minimise(problems, tolerance=tolerance)
    if not minimum.is_found.all():
        _, num_clips, num_axes = problems.coordinates.shape
        raise ProbeError(
            f"logistic regression of {num_clips} clips in {num_axes} axes did not converge "
            "(are the features standardised, and is C moderate?)"
        )
    return minimum.theta
