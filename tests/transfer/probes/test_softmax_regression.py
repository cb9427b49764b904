"""Logistic regression on features as people bring them: wide, sparse, badly conditioned."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression as Plain

from taskgrain.transfer.probes import LogisticRegression, Standardiser
from taskgrain.transfer.probes.clips import one_hot, softmax
from taskgrain.transfer.probes.softmax_regression import SoftmaxProblems, minimise

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Make = Callable[[np.random.Generator, Labels, int], Floats]


def rectified(generator: np.random.Generator, labels: Labels, width: int) -> Floats:
    """Sparse features of a ReLU network, nearly separable, with a low-dimensional common part."""
    classes, clips = labels.max() + 1, len(labels)
    means = 0.7 * generator.normal(size=(classes, width))
    common = generator.normal(size=(clips, 64)) @ generator.normal(size=(64, width)) / 8
    noise = 0.7 * generator.normal(size=(clips, width))
    return np.maximum(means[labels] + common + noise - 0.3, 0.0)


def twins(generator: np.random.Generator, labels: Labels, width: int) -> Floats:
    """Clips two and two alike, as clips cut from one recording are: all but parallel rows."""
    features = rectified(generator, labels, width)
    features[1::2] = features[: 2 * len(features[1::2]) : 2]
    return np.maximum(features + 0.02 * generator.normal(size=features.shape), 0.0)


def unit_norm(generator: np.random.Generator, labels: Labels, width: int) -> Floats:
    """Features of length 1 around a large common mean, as CLIP has them."""
    means = 0.15 * generator.normal(size=(labels.max() + 1, width))
    common = 3.0 + 0.3 * generator.normal(size=width)
    features = common + means[labels] + 0.3 * generator.normal(size=(len(labels), width))
    scaled: Floats = features / np.linalg.norm(features, axis=1, keepdims=True)
    return scaled


def outliers(generator: np.random.Generator, labels: Labels, width: int) -> Floats:
    """A few dimensions hundreds of times the others, as V-JEPA has them."""
    means = 0.4 * generator.normal(size=(labels.max() + 1, width))
    features: Floats = means[labels] + generator.normal(size=(len(labels), width))
    features[:, :4] = 300 * features[:, :4] + 1000
    return features


def pixels(generator: np.random.Generator, labels: Labels, width: int) -> Floats:
    """Smooth grey values in 0..1, of few degrees of freedom."""
    means = 0.3 * generator.normal(size=(labels.max() + 1, 12))
    latent = means[labels] + generator.normal(size=(len(labels), 12))
    grey = np.round(128 + 30 * latent @ generator.normal(size=(12, width)))
    scaled: Floats = np.clip(grey, 0, 255) / 255
    return scaled


def repeated_columns(generator: np.random.Generator, labels: Labels, width: int) -> Floats:
    return np.tile(rectified(generator, labels, width // 4), 4)


def repeated_rows(generator: np.random.Generator, labels: Labels, width: int) -> Floats:
    """Every row twice, mostly under two labels: not separable."""
    features = rectified(generator, labels, width)
    features[1::2] = features[: 2 * len(features[1::2]) : 2]
    generator.shuffle(features)
    return features


def constant_columns(generator: np.random.Generator, labels: Labels, width: int) -> Floats:
    features = rectified(generator, labels, width)
    features[:, ::3] = 5.0
    features[:, 1] = 0.0
    features[0, 1] = 1e-3  # one clip alone has anything in it
    return features


def many_scales(generator: np.random.Generator, labels: Labels, width: int) -> Floats:
    features = rectified(generator, labels, width)
    scaled: Floats = features * 10.0 ** generator.uniform(-6, 6, size=width)
    return scaled


def far_apart(generator: np.random.Generator, labels: Labels, width: int) -> Floats:
    means = 10 * generator.normal(size=(labels.max() + 1, width))
    features: Floats = means[labels] + 0.01 * generator.normal(size=(len(labels), width))
    return features


KINDS: list[Make] = [
    rectified,
    twins,
    unit_norm,
    outliers,
    pixels,
    repeated_columns,
    repeated_rows,
    constant_columns,
    many_scales,
    far_apart,
]


def standardised(make: Make, classes: int, shots: int, width: int) -> tuple[Floats, Labels]:
    generator = np.random.default_rng((classes, shots, width))
    labels = np.repeat(np.arange(classes), shots)
    features = make(generator, labels, width).astype(np.float32)
    scale = Standardiser.of(features)
    return (features.astype(np.float64) - scale.mean) / scale.scale, labels


def objective(coef: Floats, intercept: Floats, features: Floats, labels: Labels, c: float) -> float:
    """Compute what scikit-learn states: |w|^2 / 2 + C * cross-entropies."""
    logits = features @ coef.T + intercept
    if len(coef) == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    loss = -log_softmax(logits, axis=1)[np.arange(len(labels)), labels].sum()
    return float(0.5 * (coef**2).sum() + c * loss)


def compare(make: Make, classes: int, shots: int, width: int, c: float) -> None:
    features, labels = standardised(make, classes, shots, width)
    ours = LogisticRegression(C=c).fit(features, labels)
    peer = Plain(C=c, tol=1e-10, max_iter=10_000)
    with warnings.catch_warnings():  # it warns of its line search at the last digits
        warnings.simplefilter("ignore")
        peer.fit(features, labels)
    reached = objective(ours.coef_, ours.intercept_, features, labels, c)
    assert reached <= objective(peer.coef_, peer.intercept_, features, labels, c) * (1 + 1e-9)
    # Its solver ends where the objective no longer falls by 1e-14 of itself: some 1e-5 here.
    assert ours.predict_proba(features) == pytest.approx(peer.predict_proba(features), abs=2e-4)
    assert np.array_equal(ours.predict(features), peer.predict(features))


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("c", [0.1, 10.0])
def test_the_objective_is_as_low_as_scikit_learn_makes_it(make: Make, c: float) -> None:
    compare(make, 6, 5, 96, c)


HARD = (twins, pixels, many_scales)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "classes", "shots", "c"),
    [
        *((make, 20, 5, c) for make in KINDS for c in (0.01, 1.0)),
        *((make, *size, 1.0) for make in HARD for size in ((2, 1), (2, 100), (50, 4), (100, 2))),
    ],
)
def test_the_objective_is_as_low_at_any_number_of_classes_and_shots(
    make: Make, classes: int, shots: int, c: float
) -> None:
    compare(make, classes, shots, 256, c)


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("c", [0.01, 10.0])
def test_twenty_classes_of_wide_features_reach_the_minimum(make: Make, c: float) -> None:
    features, labels = standardised(make, 20, 5, 640)
    probe = LogisticRegression(C=c).fit(features, labels)
    missed = one_hot(labels, 20) - probe.predict_proba(features)  # (N, K)
    # At the minimum the penalty's slope is that of the cross-entropies, and intercepts have none.
    assert probe.coef_ == pytest.approx(c * missed.T @ features, abs=1e-6)
    assert c * missed.sum(axis=0) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e3, 1e6])
def test_support_of_another_scale_than_the_source_reaches_the_minimum(scale: float) -> None:
    # At one or two shots the source's deviations are used, whatever the target's are.
    features, labels = standardised(rectified, 20, 2, 256)
    features *= scale
    probe = LogisticRegression().fit(features, labels)
    missed = one_hot(labels, 20) - probe.predict_proba(features)
    slope = probe.coef_ - 0.1 * missed.T @ features
    assert np.abs(slope).max() <= 1e-6 * max(1.0, scale)


@pytest.mark.slow
@pytest.mark.parametrize("make", [twins, pixels, repeated_rows, many_scales])
def test_strengths_are_chosen_by_folds_of_wide_features_too(make: Make) -> None:
    features, labels = standardised(make, 20, 5, 640)
    probe = LogisticRegression(C=None).fit(features, labels)
    assert probe.chosen_ in {"C=0.01", "C=0.1", "C=1", "C=10"}
    assert probe.chosen_on_ is not None
    missed = one_hot(labels, 20) - probe.predict_proba(features)
    strength = float(str(probe.chosen_).removeprefix("C="))
    assert probe.coef_ == pytest.approx(strength * missed.T @ features, abs=1e-6)


def problems_of(parts: list[tuple[Floats, Labels]], weight: Floats, c: float) -> SoftmaxProblems:
    coordinates = np.stack([features for features, _ in parts])
    target = np.stack([one_hot(labels, labels.max() + 1).T for _, labels in parts])
    energy = (coordinates**2).sum(axis=1)
    return SoftmaxProblems(coordinates, energy, target, weight, np.full(len(parts), c))


def test_a_clip_of_weight_zero_is_as_if_it_were_not_there() -> None:
    features, labels = standardised(twins, 5, 6, 40)
    kept = np.arange(len(labels)) % 6 != 2
    full = minimise(problems_of([(features, labels)], kept.astype(np.float64)[None], 1.0))
    ones = np.ones((1, int(kept.sum())))
    part = minimise(problems_of([(features[kept], labels[kept])], ones, 1.0))
    assert full.is_found.all()
    assert part.is_found.all()

    def answers(theta: Floats) -> Floats:
        return softmax(features @ theta[0, :, :-1].T + theta[0, :, -1])

    assert answers(full.theta) == pytest.approx(answers(part.theta), abs=1e-6)


def test_a_hard_problem_changes_no_bit_of_the_easy_ones_beside_it() -> None:
    parts = [standardised(make, 8, 5, 40) for make in (far_apart, twins, pixels, unit_norm)]
    together = minimise(problems_of(parts, np.ones((4, 40)), 10.0))
    assert together.is_found.all()
    for index, part in enumerate(parts):
        alone = minimise(problems_of([part], np.ones((1, 40)), 10.0))
        assert np.array_equal(alone.theta[0], together.theta[index])


def test_no_probability_is_further_than_its_tolerance_promises_from_the_exact_one() -> None:
    # The worst of these is 1e-9 away; with ten times the tolerance it is 8e-9.
    parts = [standardised(make, 8, 5, 40) for make in KINDS]
    problems = problems_of(parts, np.ones((len(parts), 40)), 10.0)
    offered, exact = minimise(problems), minimise(problems, tolerance=1e-11)
    assert exact.is_found.all()
    for (features, _), ours, theirs in zip(parts, offered.theta, exact.theta, strict=True):
        probs, limit = (softmax(features @ each[:, :-1].T + each[:, -1]) for each in (ours, theirs))
        assert probs == pytest.approx(limit, rel=0.0, abs=4e-9)
