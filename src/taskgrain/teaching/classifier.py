"""A linear classifier that a handful of clips teach, and how unlike its classes another clip is.

Shapes: N clips, M clips to answer, D width, K classes, K' = K, or K + 1 with clips of no class,
A penalties.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from taskgrain.teaching.folds import NONE, Floats, Labels, Mask, TaughtClips, recording_folds
from taskgrain.transfer.probes.clips import one_hot, principal_axes
from taskgrain.transfer.probes.linear import ALPHAS_PER_WIDTH, FIXED_ALPHA_PER_WIDTH

INNER_FOLDS = 5
TEMPERATURES = np.logspace(-3, 1, 81)  # of scores between about -1 and 1

# The classifier, and why it is this one.
#
# Ridge on standardised features, +1 for the class and -1 for the others: with fewer clips than
# features it is solved in the span of the clips, so that a fit costs milliseconds, and an estimate
# can afford the hundreds of fits that nested folds need. Clips are weighted so that every class
# counts alike, in mean and deviation too. Otherwise a class that lacks a clip has a lower score;
# since a clip that is held out is taken from its own class, it would be answered wrong for that
# reason alone (.14 instead of .27 in made worlds of weak classes). Scores are no probabilities.
# With held-out scores s (of clips whose recording was left out),
#     p_k = exp(s_k / T) / sum_j exp(s_j / T),      T = argmin of the mean held-out -log p_class
# (temperature scaling, Guo et al. 2017). T and the penalty are chosen on held-out recordings: with
# clips of known recordings both would be too sure.
#
# How unlike the taught classes a clip is, the larger the less alike, are the odds against its most
# probable class m,
#     u = log (1 - p_m) / p_m = log sum_{j != m} exp(s_j / T) - s_m / T
# which order clips as the largest probability does (Hendrycks and Gimpel 2017) and still differ
# where that is 1 to the last bit. Where there are clips of no class they are a class of their own,
# which is no candidate for m and counts in the sum. Of three kinds it told unseen classes best on
# development clips, by little (docs/log.md); the others were the energy of the scores (Liu et al.
# 2020) and the distance to the nearest taught clip (Sun et al. 2022).
#
# The threshold. Held-out clips of the classes have scores u_1 <= ... <= u_n. A new clip of a class
# (exchangeable with them) lies above u_r, r = ceil((n + 1) (1 - alpha)), with probability alpha at
# most (split conformal prediction, Vovk et al. 2005). With n < 1 / alpha - 1 no such r exists:
# the classifier then has no threshold, and says so.
#
# What breaks it: clips held out one by one. A clip beside others of its recording is more alike
# than any clip of a new recording will be, and the threshold would reject most of those.


@dataclass(frozen=True, slots=True, eq=False)
class LinearModel:
    """Scores that are linear in standardised features."""

    mean: Floats  # (D,)
    scale: Floats  # (D,), positive
    coef: Floats  # (K', D)
    intercept: Floats  # (K',)

    def standardised(self, features: NDArray[np.floating]) -> Floats:
        """Standardise features (M, D)."""
        standard: Floats = (features - self.mean) / self.scale
        return standard

    def scores(self, features: NDArray[np.floating]) -> Floats:
        """Score features (M, D): float64 (M, K'), about 1 for the class and -1 for the others."""
        scores: Floats = self.standardised(features) @ self.coef.T + self.intercept
        return scores


def fit_linear(
    clips: TaughtClips, penalties: Sequence[float], *, num_scores: int | None = None
) -> list[LinearModel]:
    """Fit ridge with each penalty, in widths D; clips of NONE, if there are any, are class K.

    Args:
        clips: to teach from.
        penalties: above 0.
        num_scores: K', where it is to be K + 1 though there may be no clip of NONE.
    """
    labels, present = targets_of(clips)
    num_scores = num_scores or present
    weight = class_weights(labels, num_scores)  # (N,)
    mean, scale = _balanced_scale(clips.features, weight)
    root = np.sqrt(weight * len(labels))[:, None]
    rows = root * ((clips.features - mean) / scale)  # (N, D), whose sum over root is 0
    target = 2.0 * one_hot(labels[None], num_scores)[0] - 1.0  # (N, K')
    base = _mean_target(labels, num_scores)
    num_clips, width = rows.shape
    gram = (rows @ rows.T)[None] if num_clips <= width else None
    axes = principal_axes(np.zeros((1, 1, width)), rows[None], gram=gram)
    moment = axes.coordinates[0].T @ (root * (target - base))  # (axes, K')
    models = []
    for penalty in penalties:
        solved = moment / (axes.energy[0] + penalty * width)[:, None]
        models.append(LinearModel(mean, scale, axes.lift(solved.T[None])[0], base))
    return models


def _mean_target(labels: Labels, num_scores: int) -> Floats:
    """Return the weighted mean (K',) of +1 for the class and -1 for the others.

    It is equal for all classes that have clips, to the last bit. Summed up clip by clip it would
    tell by its rounding which class lacks the clip that is held out.
    """
    is_there = np.bincount(labels, minlength=num_scores) > 0
    return np.where(is_there, 2.0 / is_there.sum() - 1.0, -1.0)


def _balanced_scale(features: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Return the weighted mean and deviation (D,) of features; a constant one is only shifted."""
    mean = weight @ features
    varies = features.max(axis=0) > features.min(axis=0)
    deviation = np.sqrt(weight @ (features - mean) ** 2)
    return mean, np.where(varies & (deviation > 0), deviation, 1.0)


def targets_of(clips: TaughtClips) -> tuple[Labels, int]:
    """Return labels 0..K'-1 and K': clips of NONE are the class K."""
    num_scores = clips.num_classes + clips.has_none
    return np.where(clips.labels == NONE, clips.num_classes, clips.labels), num_scores


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """What is known of clips from classifiers that have not seen their recordings."""

    scores: Floats  # (N, K'), at the chosen penalty
    penalty: float  # the chosen one, in widths
    temperature: float
    accuracy: float  # mean over classes of the share that is answered right


def hold_out(clips: TaughtClips, *, num_folds: int = INNER_FOLDS) -> HeldOut:
    """Choose penalty and temperature on clips whose recordings were left out."""
    folds = recording_folds(clips, num_folds, splits_lone_classes=True)
    labels, num_scores = targets_of(clips)
    if folds.max(initial=0) == 0:  # a single clip: nothing is left to judge it by
        nothing = np.zeros((len(clips), num_scores))
        return HeldOut(nothing, FIXED_ALPHA_PER_WIDTH, temperature=1.0, accuracy=0.0)
    scores = np.empty((len(ALPHAS_PER_WIDTH), len(clips), num_scores))
    for fold in range(int(folds.max()) + 1):
        is_held = folds == fold
        scores[:, is_held] = _score_held(clips, is_held, ALPHAS_PER_WIDTH)
    target = 2.0 * one_hot(labels[None], num_scores)[0] - 1.0
    weight = class_weights(labels, num_scores)
    errors = ((scores - target) ** 2).sum(axis=2) @ weight  # (A,), each class counts alike
    best = int(errors.argmin())
    temperature = _temperature(scores[best], labels, weight)
    is_class = clips.labels != NONE
    right = scores[best][:, : clips.num_classes].argmax(axis=1) == clips.labels
    of_class = class_weights(clips.labels[is_class], clips.num_classes)
    accuracy = float(right[is_class] @ of_class)
    return HeldOut(scores[best], ALPHAS_PER_WIDTH[best], temperature, accuracy)


# Folds are answered without weights of features. With R the taught clips' rows, standardised and
# scaled by their root weights, the solution lies in their span: for a clip x
#     s(x) = base + (x R') (R R' + penalty I)^-1 root (t - base)
# in which features occur in scalar products alone. One product of all standardised clips with one
# another gives them all, for every penalty. With more clips than features the weights are the
# shorter way.
def _score_held(clips: TaughtClips, is_held: Mask, penalties: Sequence[float]) -> Floats:
    """Score the held clips with each penalty, taught from the others: (A, M, K').

    A class that only held clips have scores -1.
    """
    labels, num_scores = targets_of(clips)
    taught = np.flatnonzero(~is_held)
    if len(taught) > clips.features.shape[1]:
        models = fit_linear(clips.of(taught), penalties, num_scores=num_scores)
        return np.stack([model.scores(clips.features[is_held]) for model in models])
    weight = class_weights(labels[taught], num_scores)
    mean, scale = _balanced_scale(clips.features[taught], weight)
    points = (clips.features - mean) / scale  # (N, D)
    products = points @ points.T  # (N, N)
    root = np.sqrt(weight * len(taught))
    target = 2.0 * one_hot(labels[None, taught], num_scores)[0] - 1.0  # (n, K')
    base = _mean_target(labels[taught], num_scores)
    energy, vectors = np.linalg.eigh(root[:, None] * products[np.ix_(taught, taught)] * root)
    moment = vectors.T @ (root[:, None] * (target - base))
    along = products[np.ix_(is_held, taught)] @ (root[:, None] * vectors)  # (M, n)
    width = clips.features.shape[1]
    return np.stack(
        [base + along @ (moment / (energy + each * width)[:, None]) for each in penalties]
    )


def class_weights(labels: Labels, num_classes: int) -> Floats:
    """Weigh clips so that each class that has some counts alike: (N,), sum 1."""
    counts = np.bincount(labels, minlength=num_classes)
    weights: Floats = 1.0 / counts[labels] / (counts > 0).sum()
    return weights


def _temperature(scores: Floats, labels: Labels, weight: Floats) -> float:
    losses = []
    for temperature in TEMPERATURES:
        logits = scores / temperature
        logits -= logits.max(axis=1, keepdims=True)
        log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        losses.append(-log_probs[np.arange(len(labels)), labels] @ weight)
    return float(TEMPERATURES[int(np.argmin(losses))])


def unlikeness(scores: Floats, *, num_classes: int, temperature: float) -> Floats:
    """Compute how unlike the K classes clips are: (M,), in nats, the larger the less alike.

    Args:
        scores: (M, K').
        num_classes: K; a score beyond is of clips of no class.
        temperature: T.
    """
    logits = scores / temperature
    best = logits[:, :num_classes].argmax(axis=1)
    rows = np.arange(len(logits))
    top = logits[rows, best]
    logits[rows, best] = -np.inf
    highest = logits.max(axis=1)
    others = highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1))
    against: Floats = others - top
    return against


def known_unlikeness(clips: TaughtClips, held: HeldOut) -> Floats:
    """Compute the unlikeness of held-out clips of the classes, without those of NONE: (n,)."""
    scores = held.scores[clips.labels != NONE]
    return unlikeness(scores, num_classes=clips.num_classes, temperature=held.temperature)


def conformal_threshold(known: Floats, alpha: float) -> float | None:
    """Return the unlikeness that at most alpha of new clips of the classes exceed.

    Args:
        known: (n,), of held-out clips of the classes.
        alpha: 0 to 1.

    Returns:
        The value of rank ceil((n + 1) (1 - alpha)); None where n < 1 / alpha - 1: there is none.
    """
    rank = ceil((len(known) + 1) * (1.0 - alpha) - 1e-9)
    return float(np.sort(known)[rank - 1]) if rank <= len(known) else None
