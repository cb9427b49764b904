from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression as Plain
from sklearn.neighbors import NearestCentroid

from taskgrain.errors import ResultError
from taskgrain.transfer import probes
from taskgrain.transfer.probes import (
    LOGISTIC_C,
    PROBES,
    LogisticRegression,
    NearestMean,
    ProbeName,
    Standardiser,
)

NAMES = tuple(PROBES)
Problem = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]


def problem(*, classes: int, shots: int, width: int = 64, gap: float = 0.3) -> Problem:
    generator = np.random.default_rng((classes, shots, width))
    means = gap * generator.normal(size=(classes, width))
    support = np.repeat(np.arange(classes), shots)
    query = np.repeat(np.arange(classes), 100)
    return (
        means[support] + generator.normal(size=(len(support), width)),
        support,
        means[query] + generator.normal(size=(len(query), width)),
        query,
    )


@pytest.mark.parametrize("classes", [2, 13])
@pytest.mark.parametrize("shots", [1, 5, 30])
def test_logistic_regression_answers_as_plain_scikit_learn(classes: int, shots: int) -> None:
    features, labels, scored, _ = problem(classes=classes, shots=shots, width=256)
    ours = LogisticRegression().fit(features, labels)
    plain = Plain(C=LOGISTIC_C, max_iter=5000, tol=1e-8).fit(features, labels)
    assert np.mean(ours.predict(scored) == plain.predict(scored)) >= 0.99
    assert ours.predict_proba(scored) == pytest.approx(plain.predict_proba(scored), abs=0.01)


def test_nearest_mean_answers_as_scikit_learns_nearest_centroid() -> None:
    features, labels, scored, _ = problem(classes=13, shots=5)
    ours = NearestMean().fit(features, labels).predict(scored)
    assert np.array_equal(ours, NearestCentroid().fit(features, labels).predict(scored))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [2, 5])
def test_the_most_probable_class_is_the_answer(name: ProbeName, classes: int) -> None:
    features, labels, scored, _ = problem(classes=classes, shots=4)
    probe = PROBES[name]()
    assert probe.fit(features, labels) is probe
    probs = probe.predict_proba(scored)
    assert probs.shape == (len(scored), classes)
    assert probs.sum(axis=1) == pytest.approx(1.0)
    assert np.array_equal(probs.argmax(axis=1), probe.predict(scored))


@pytest.mark.parametrize("name", NAMES)
def test_separable_classes_are_told_apart(name: ProbeName) -> None:
    features, labels, scored, truth = problem(classes=13, shots=1, gap=3.0)
    assert np.array_equal(PROBES[name]().fit(features, labels).predict(scored), truth)


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_the_support_clips_does_not_matter(name: ProbeName) -> None:
    features, labels, scored, _ = problem(classes=5, shots=6)
    order = np.random.default_rng(0).permutation(len(labels))
    straight = PROBES[name]().fit(features, labels).predict_proba(scored)
    shuffled = PROBES[name]().fit(features[order], labels[order]).predict_proba(scored)
    assert straight == pytest.approx(shuffled, abs=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_fitting_twice_gives_the_same_bits(name: ProbeName) -> None:
    features, labels, scored, _ = problem(classes=5, shots=6)
    first, second = (PROBES[name]().fit(features, labels).predict_proba(scored) for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_a_solver_that_stops_early_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels, _, _ = problem(classes=5, shots=6)
    monkeypatch.setattr(probes, "MAX_ITERATIONS", 1)
    with pytest.raises(ResultError, match=r"features \(30, 64\) did not converge"):
        LogisticRegression().fit(features, labels)


def test_standardised_features_have_mean_zero_and_deviation_one() -> None:
    features = np.random.default_rng(0).normal(5, 3, size=(40, 6)).astype(np.float32)
    features[:, 2] = np.float32(0.3)  # dead: its deviation in float64 need not be exactly zero
    standard = Standardiser.of(features)(features)
    assert standard.dtype == np.float64
    assert standard.mean(axis=0) == pytest.approx(0, abs=1e-6)
    assert standard.std(axis=0)[[0, 1, 3, 4, 5]] == pytest.approx(1)
    assert np.abs(standard[:, 2]).max() < 1e-6
