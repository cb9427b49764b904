"""The linear probes: nearest mean, ridge and logistic regression, for many support draws at once.

Shapes: S problems, N support clips, Q query clips, D width, R axes, K classes, G grid values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from taskgrain.errors import ProbeError
from taskgrain.transfer.probes.clips import (
    Axes,
    Floats,
    Labels,
    Queries,
    Support,
    compare,
    one_hot,
    softmax,
)
from taskgrain.transfer.probes.probe import (
    FIXED,
    FOLDS,
    LEAVE_ONE_OUT,
    NUM_FOLDS,
    Choice,
    Probe,
    choose,
    folds_of,
    may_choose,
)
from taskgrain.transfer.probes.softmax_regression import TOLERANCE, SoftmaxProblems, minimise

# The algebra, of one problem. X (N, D) are the standardised support clips around their mean m.
# Once fitted, each probe has a score that is linear in a clip, w_k . x + b_k for class k, and
# answers the largest.
#
# Nearest mean. Of -|x - m_k|^2 / 2 = m_k . x - |m_k|^2 / 2 - |x|^2 / 2 the last term is the same
# for every class. So w_k = m_k and b_k = -|m_k|^2 / 2.
#
# Principal axes. Let X = U S V', U (N, R), S diagonal (R, R), V (D, R), by the eigenvectors of the
# smaller of XX' and X'X. A penalty on |w|^2 keeps every w in the span of the clips (what is
# orthogonal to them changes no score and costs penalty), so w = V v, and |w| = |v|. Both penalised
# probes are solved for v, with the coordinates Z = XV = US (N, R) in place of X. Z has columns of
# mean 0 with Z'Z = S^2 = diag(e): they do not correlate. At the end b = b_axes - w . m.
#
# Ridge (Hoerl and Kennard 1970). |Zv + b - t|^2 + alpha |v|^2 with t = +1 or -1 is least at
# b = mean(t) and
#     v = Z't / (e + alpha)
# elementwise: each alpha of the grid costs a division. A clip that is left out is answered wrong
# by exactly (t_i - f_i) / (1 - h_i) (PRESS, Allen 1974), f the fit to all clips and
#     h_i = 1 / N + sum_r z_ir^2 / (e_r + alpha)
# the leverage; so leave-one-out needs no second fit.
#
# Logistic regression. |W|^2 / 2 + C sum_i -log softmax(W z_i + b)[y_i] has no closed form.
# `softmax_regression` takes Newton steps; in these axes the diagonal of the second derivative,
# about C p (1 - p) e_r + 1, is a good guess of the whole, since Z'Z is diagonal. Two classes share
# one vector w = w_1 - w_0 with the penalty |w|^2 / 2, as scikit-learn has it. At the minimum
# w_1 = -w_0 = w / 2, whose penalties add up to |w|^2 / 4: half, so C is halved too.
#
# Folds are solved in the axes of all clips: the minimum does not depend on the axes, and only the
# guess of the curvature gets worse.
#
# What breaks the algebra: features that were not standardised. The strengths of ridge count in
# widths D, the squared length of a standardised clip, and a feature of a thousandfold scale would
# hardly be penalised. An axis without energy has no weight (`principal_axes`).


@dataclass(frozen=True, slots=True, eq=False)
class LinearScores:
    """Scores that are linear in the features."""

    coef: Floats  # (S, K, D)
    intercept: Floats  # (S, K)
    chosen: tuple[str | None, ...]  # (S,)
    chosen_on: str | None

    def scores(self, query: Floats) -> Floats:
        """Score query (S, Q, D): float64 (S, Q, K)."""
        product: Floats = query @ self.coef.swapaxes(1, 2) + self.intercept[:, None]
        return product

    def answers(self, queries: Queries) -> Labels:
        """Answer as `Fitted.answers` states."""
        answers = np.empty(queries.shape, dtype=np.int64)
        for each in compare(queries.clips, queries.rows, self.coef, queries.scaling, lengths=False):
            scores = each.products + self.intercept[each.problem][:, None]  # (K, q)
            answers[each.problem, each.query] = scores.argmax(axis=0)
        return answers


class NearestMean(Probe):
    """Answer the class whose support clips have the nearest mean, by Euclidean distance.

    It has no hyper-parameter. Equal distances go to the class of the lower index. Probabilities
    are the posterior under equally frequent classes with unit variance.
    """

    def fit_support(self, support: Support, labels: Labels, *, num_classes: int) -> LinearScores:
        """Average the features of each class."""
        members = one_hot(labels, num_classes)  # (S, N, K)
        means = members.swapaxes(1, 2) @ support.features / members.sum(axis=1)[:, :, None]
        # -|x - m|^2 / 2 without |x|^2, which is the same for every class: x m - |m|^2 / 2.
        return LinearScores(means, -0.5 * (means**2).sum(axis=2), (None,) * len(labels), None)

    def probabilities(self, scores: Floats) -> Floats:
        """Compute the posterior."""
        return softmax(scores)


# Strengths of the penalty; of equal errors the stronger is taken. The linear ones count in widths:
# a standardised clip's squared length is about D, so that they mean the same at every width.
ALPHAS_PER_WIDTH = (100.0, 10.0, 1.0, 0.1, 0.01)
FIXED_ALPHA_PER_WIDTH = 1.0


class Ridge(Probe):
    """Ridge regression on +1 for the class and -1 for the others, as `RidgeClassifier` has it.

    Minimises |Xw + b - t|^2 + alpha |w|^2 for each class. alpha is chosen from 100, 10, 1, 0.1
    and 0.01 times D, by exact leave-one-out, where every class has five clips, and is D
    otherwise. The scores halved and raised by one half estimate the classes' probabilities and
    sum to 1; `predict_proba` returns them without the negative ones, scaled to sum to 1 again.
    """

    def __init__(self, alpha: float | None = None) -> None:
        """Take alpha, positive, or None to choose it."""
        self.alpha = alpha

    def fit_support(self, support: Support, labels: Labels, *, num_classes: int) -> LinearScores:
        """Solve in the principal axes, where the whole grid costs a division each."""
        check_positive(self.alpha)
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
        return clipped(scores)


def _left_out(axes: Axes, target: Floats, moment: Floats, alpha: float) -> Floats:
    """Compute the mean squared error of each clip under the fit to the others (PRESS): (S,)."""
    inverse = 1.0 / (axes.energy + alpha)  # (S, R)
    fitted = axes.coordinates @ (moment * inverse[:, :, None]) + target.mean(axis=1)[:, None]
    leverage = (axes.coordinates**2 @ inverse[:, :, None]) + 1.0 / target.shape[1]  # (S, N, 1)
    errors: Floats = (((target - fitted) / (1.0 - leverage)) ** 2).mean(axis=(1, 2))
    return errors


def check_positive(value: float | None, name: str = "alpha") -> None:
    """Refuse a penalty or width that is not positive; None is to be chosen.

    Raises:
        ValueError: naming it.
    """
    if value is not None and not value > 0:
        raise ValueError(f"{name} is {value}; expected a positive number, or None to choose it")


def clipped(scores: Floats) -> Floats:
    """Turn scores (..., K) of targets +1 and -1 into probabilities, none below 0."""
    estimate = np.maximum(0.5 * (scores + 1.0), 0.0)  # sums to 1 or more: no division by 0
    probs: Floats = estimate / estimate.sum(axis=-1, keepdims=True)
    return probs


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
    five clips, and is 0.1 otherwise.
    """

    def __init__(self, C: float | None = LOGISTIC_C) -> None:
        """Take C, positive, or None to choose it."""
        self.C = C

    def fit_support(self, support: Support, labels: Labels, *, num_classes: int) -> LinearScores:
        """Solve every problem to its minimum.

        Raises:
            ProbeError: if the solver does not converge: the fit would not be the stated one.
        """
        check_positive(self.C, "C")
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
        """Compute the modelled probabilities."""
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
    # Every fold with every strength is a problem of its own; held-out clips have weight 0, so that
    # all have one shape and are solved together.
    folds = np.stack([folds_of(each) for each in labels])  # (S, N)
    fits = [(fold, value) for fold in range(NUM_FOLDS) for value in range(len(LOGISTIC_CS))]
    size = max(1, BLOCK_NUMBERS // axes.coordinates.size)  # fits solved together
    errors = np.zeros((len(labels), len(LOGISTIC_CS)))
    for start in range(0, len(fits), size):
        block = fits[start : start + size]
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
        of_fit = ((wrong**2).sum(axis=2) * (1.0 - kept)).sum(axis=1).reshape(len(block), -1)
        for (_, value), error in zip(block, of_fit, strict=True):
            errors[:, value] += error
    return choose(errors, labels, fixed=LOGISTIC_CS.index(LOGISTIC_C), chosen_on=FOLDS)


def _solve(problems: SoftmaxProblems, *, tolerance: float = TOLERANCE) -> Floats:
    """Solve for weights and intercepts in the principal axes: (S, K, R + 1)."""
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
