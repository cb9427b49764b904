"""Each probe against scikit-learn's own, or a slow obvious one."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression as Plain
from sklearn.linear_model import RidgeClassifier, RidgeClassifierCV
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from taskgrain.errors import ResultError
from taskgrain.transfer.probes import (
    LOGISTIC_C,
    LogisticRegression,
    NearestMean,
    NearestNeighbours,
    RbfRidge,
    Ridge,
    linear,
    neighbours,
    softmax_regression,
)
from taskgrain.transfer.probes.clips import one_hot
from taskgrain.transfer.probes.linear import LOGISTIC_CS
from taskgrain.transfer.probes.neighbours import TEMPERATURE
from taskgrain.transfer.probes.probe import folds_of

Problem = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]
SHAPES = [(2, 1, 64), (2, 30, 16), (13, 1, 64), (13, 5, 256), (5, 30, 64)]


def problem(classes: int, shots: int, width: int, *, gap: float = 0.3) -> Problem:
    generator = np.random.default_rng((classes, shots, width))
    means = 1.0 + gap * generator.normal(size=(classes, width))  # the mean is not 0
    support = np.repeat(np.arange(classes), shots)
    query = np.repeat(np.arange(classes), 20)
    return (
        means[support] + generator.normal(size=(len(support), width)),
        support,
        means[query] + generator.normal(size=(len(query), width)),
    )


@pytest.mark.parametrize(("classes", "shots", "width"), SHAPES)
@pytest.mark.parametrize("strength", [0.01, LOGISTIC_C, 10.0])
def test_logistic_regression_is_the_minimum_that_scikit_learn_states(
    classes: int, shots: int, width: int, strength: float
) -> None:
    features, labels, scored = problem(classes, shots, width)
    ours = LogisticRegression(C=strength).fit(features, labels)
    peer = Plain(C=strength, solver="newton-cg", tol=1e-10, max_iter=1000)
    with warnings.catch_warnings():  # it warns of its line search at the last digits
        warnings.simplefilter("ignore")
        peer.fit(features, labels)
    assert ours.coef_ == pytest.approx(peer.coef_, abs=1e-6)
    assert ours.intercept_ == pytest.approx(peer.intercept_, abs=1e-6)
    assert ours.predict_proba(scored) == pytest.approx(peer.predict_proba(scored), abs=1e-6)


@pytest.mark.parametrize(("classes", "shots", "width"), SHAPES)
def test_logistic_regression_answers_as_scikit_learns_default_solver(
    classes: int, shots: int, width: int
) -> None:
    # Stored results came from this solver, which stops earlier: within 0.005 of the minimum.
    features, labels, scored = problem(classes, shots, width)
    ours = LogisticRegression().fit(features, labels)
    peer = Plain(C=LOGISTIC_C, max_iter=1000).fit(features, labels)
    assert ours.predict_proba(scored) == pytest.approx(peer.predict_proba(scored), abs=5e-3)
    assert np.mean(ours.predict(scored) == peer.predict(scored)) >= 0.99


def test_uneven_classes_change_the_intercept_as_in_scikit_learn() -> None:
    features, labels, scored = problem(4, 12, 32)
    kept = np.flatnonzero((labels != 1) | (np.arange(len(labels)) % 6 == 0))
    ours = LogisticRegression().fit(features[kept], labels[kept])
    peer = Plain(C=LOGISTIC_C, tol=1e-10, solver="newton-cg").fit(features[kept], labels[kept])
    assert ours.predict_proba(scored) == pytest.approx(peer.predict_proba(scored), abs=1e-6)


def test_a_solver_that_stops_early_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels, _ = problem(5, 6, 64)
    monkeypatch.setattr(softmax_regression, "MAX_STEPS", 1)
    with pytest.raises(ResultError, match="of 30 clips in 30 axes did not converge"):
        LogisticRegression().fit(features, labels)


@pytest.mark.slow
def test_the_strength_of_logistic_regression_is_that_of_a_plain_search_over_folds() -> None:
    for shots, gap in ((5, 0.1), (6, 0.5), (9, 0.3)):
        features, labels, _ = problem(4, shots, 16, gap=gap)
        folds, errors = folds_of(labels), []
        for strength in LOGISTIC_CS:
            wrong = 0.0
            for fold in range(5):
                kept = folds != fold
                peer = Plain(C=strength, tol=1e-6, max_iter=5000).fit(features[kept], labels[kept])
                target = one_hot(labels[~kept], 4)
                wrong += ((peer.predict_proba(features[~kept]) - target) ** 2).sum()
            errors.append(wrong)
        best = LOGISTIC_CS[int(np.argmin(errors))]
        assert LogisticRegression(C=None).fit(features, labels).chosen_ == f"C={best:g}"


@pytest.mark.parametrize(("classes", "shots", "width"), SHAPES)
def test_ridge_is_scikit_learns_ridge_classifier(classes: int, shots: int, width: int) -> None:
    features, labels, scored = problem(classes, shots, width)
    ours, peer = Ridge(alpha=7.0).fit(features, labels), RidgeClassifier(7.0).fit(features, labels)
    assert ours.coef_ == pytest.approx(np.atleast_2d(peer.coef_), abs=1e-9)
    assert ours.intercept_ == pytest.approx(peer.intercept_, abs=1e-9)
    assert np.array_equal(ours.predict(scored), peer.predict(scored))
    if shots >= 5:
        alphas = [each * width for each in linear.ALPHAS_PER_WIDTH]
        chosen = RidgeClassifierCV(alphas=alphas).fit(features, labels).alpha_
        assert Ridge().fit(features, labels).chosen_ == f"alpha={chosen:g}"


def test_ridge_probabilities_are_its_scores_clipped_at_zero() -> None:
    features, labels, scored = problem(3, 30, 8, gap=2.0)
    probe = Ridge(alpha=1.0).fit(features, labels)
    estimate = (RidgeClassifier(1.0).fit(features, labels).decision_function(scored) + 1) / 2
    assert estimate.sum(axis=1) == pytest.approx(1.0)
    assert (estimate < 0).any()
    clipped = np.maximum(estimate, 0)
    expected = clipped / clipped.sum(axis=1, keepdims=True)
    assert probe.predict_proba(scored) == pytest.approx(expected)


@pytest.mark.parametrize("shots", [1, 8])
def test_rbf_ridge_is_scikit_learns_kernel_ridge_around_the_mean(shots: int) -> None:
    features, labels, scored = problem(5, shots, 32)
    ours = RbfRidge(sharpness=2.0, alpha=0.3).fit(features, labels)
    target = 2 * one_hot(labels, 5) - 1
    peer = KernelRidge(alpha=0.3, kernel="rbf", gamma=ours.gamma_)
    peer.fit(features, target - target.mean(axis=0))
    scores = ours.fitted_.scores(scored[None])[0]
    assert scores == pytest.approx(peer.predict(scored) + target.mean(axis=0), abs=1e-9)
    apart = [((a - b) ** 2).sum() for i, a in enumerate(features) for b in features[:i]]
    assert ours.gamma_ == pytest.approx(2.0 / np.mean(apart))


def test_rbf_ridge_chooses_what_refitting_without_each_clip_would() -> None:
    features, labels, _ = problem(3, 5, 16)
    gamma = RbfRidge(sharpness=1.0, alpha=1.0).fit(features, labels).gamma_
    target = 2 * one_hot(labels, 3) - 1
    target -= target.mean(axis=0)
    errors = {}
    for sharpness in neighbours.SHARPNESS:
        for alpha in neighbours.KERNEL_ALPHAS:
            wrong = 0.0
            for left in range(len(labels)):
                others = np.arange(len(labels)) != left
                peer = KernelRidge(alpha=alpha, kernel="rbf", gamma=gamma * sharpness)
                peer.fit(features[others], target[others])
                wrong += ((peer.predict(features[[left]]) - target[left]) ** 2).sum()
            errors[f"sharpness={sharpness:g} alpha={alpha:g}"] = wrong
    assert RbfRidge().fit(features, labels).chosen_ == min(errors, key=lambda key: errors[key])


def test_rbf_ridge_is_solved_where_its_penalty_is_lost_in_rounding() -> None:
    features, labels, _ = problem(3, 8, 16)
    features, labels = np.concatenate([features] * 2), np.concatenate([labels] * 2)
    ours = RbfRidge(sharpness=1.0, alpha=1e-18).fit(features, labels)  # each clip twice: singular
    assert np.array_equal(ours.predict(features), labels)


def test_rbf_ridge_refuses_what_would_not_fit_into_memory() -> None:
    features, labels = np.zeros((neighbours.MAX_KERNEL_CLIPS + 2, 1)), np.arange(8194) % 2
    with pytest.raises(ResultError, match="rbf-ridge on 8194 support clips; expected at most 8192"):
        RbfRidge().fit(features, labels)


def test_nearest_mean_answers_as_scikit_learns_nearest_centroid() -> None:
    features, labels, scored = problem(13, 5, 64)
    ours = NearestMean().fit(features, labels)
    assert np.array_equal(
        ours.predict(scored), NearestCentroid().fit(features, labels).predict(scored)
    )
    # The posterior under unit variance, written out.
    means = np.stack([features[labels == each].mean(axis=0) for each in range(13)])
    density = np.exp(-0.5 * ((scored[:, None] - means) ** 2).sum(axis=2))
    assert ours.predict_proba(scored) == pytest.approx(
        density / density.sum(axis=1, keepdims=True), abs=1e-12
    )


@pytest.mark.parametrize("k", [1, 3, 10])
def test_nearest_neighbours_vote_as_in_scikit_learn(k: int) -> None:
    features, labels, scored = problem(5, 6, 16)

    def weights(distance: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.exp((1 - distance) / TEMPERATURE)

    ours = NearestNeighbours(num_neighbours=k).fit(features, labels)
    peer = KNeighborsClassifier(k, metric="cosine", weights=weights).fit(features, labels)
    assert ours.predict_proba(scored) == pytest.approx(peer.predict_proba(scored), abs=1e-9)


def test_neighbours_are_chosen_by_leaving_each_clip_out() -> None:
    for gap in (0.2, 1.0):
        features, labels, _ = problem(4, 7, 16, gap=gap)
        errors = {}
        for k in (1, 3, 5, 10):
            wrong = 0.0
            for left in range(len(labels)):
                others = np.arange(len(labels)) != left
                probe = NearestNeighbours(k).fit(features[others], labels[others])
                target = one_hot(labels[[left]], 4)
                wrong += ((probe.predict_proba(features[[left]]) - target) ** 2).sum()
            errors[f"k={k}"] = wrong
        best = min(errors, key=lambda key: errors[key])
        assert NearestNeighbours().fit(features, labels).chosen_ == best


def test_parameters_without_meaning_are_refused() -> None:
    features, labels, _ = problem(2, 5, 4)
    for probe, word in (
        (LogisticRegression(C=0.0), "C is 0.0"),
        (Ridge(alpha=-1.0), "alpha is -1.0"),
        (RbfRidge(sharpness=0.0), "sharpness is 0.0"),
        (NearestNeighbours(num_neighbours=0), "num_neighbours is 0"),
    ):
        with pytest.raises(ValueError, match=word):
            probe.fit(features, labels)
