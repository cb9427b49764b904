from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from taskgrain.transfer.probes import (
    CLASSIFIERS,
    LogisticRegression,
    Mlp,
    NearestMean,
    NearestNeighbours,
    Probe,
    ProbeName,
    RbfRidge,
    Ridge,
    Standardiser,
)
from taskgrain.transfer.probes.probe import FIXED, NUM_FOLDS, folds_of

NETWORKS: tuple[ProbeName, ...] = ("mlp", "recurrent", "attentive")
NAMES = tuple(CLASSIFIERS)
PLAIN = tuple(name for name in NAMES if name not in NETWORKS)
Problem = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]


def problem(
    *, classes: int, shots: int, width: int = 64, gap: float = 0.3, seed: int = 0
) -> Problem:
    generator = np.random.default_rng((classes, shots, width, seed))
    means = gap * generator.normal(size=(classes, width))
    support = np.repeat(np.arange(classes), shots)
    query = np.repeat(np.arange(classes), 40)
    return (
        means[support] + generator.normal(size=(len(support), width)),
        support,
        means[query] + generator.normal(size=(len(query), width)),
        query,
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [2, 5])
def test_the_most_probable_class_is_the_answer(name: ProbeName, classes: int) -> None:
    features, labels, scored, _ = problem(classes=classes, shots=5)
    probe = CLASSIFIERS[name]().set_params(**({"num_steps": 8} if name in NETWORKS else {}))
    assert probe.fit(features, labels) is probe
    probs = probe.predict_proba(scored)
    assert probs.shape == (len(scored), classes)
    assert (probs >= 0).all()
    assert probs.sum(axis=1) == pytest.approx(1.0)
    assert np.array_equal(probs.argmax(axis=1), probe.predict(scored))


@pytest.mark.parametrize("name", NAMES)
def test_separable_classes_are_told_apart(name: ProbeName) -> None:
    features, labels, scored, truth = problem(classes=8, shots=1, gap=3.0)
    assert np.array_equal(CLASSIFIERS[name]().fit(features, labels).predict(scored), truth)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("shots", [1, 6])
def test_the_order_of_the_support_clips_does_not_matter(name: ProbeName, shots: int) -> None:
    features, labels, scored, _ = problem(classes=5, shots=shots)
    order = np.random.default_rng(0).permutation(len(labels))
    if name == "logistic-regression-cv" and shots > 1:
        order = order[np.argsort(labels[order], kind="stable")]
        order = np.argsort(order, kind="stable")  # the folds follow the order: keep it
    straight = CLASSIFIERS[name]().fit(features, labels).predict_proba(scored)
    shuffled = CLASSIFIERS[name]().fit(features[order], labels[order]).predict_proba(scored)
    assert straight == pytest.approx(shuffled, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_fitting_twice_gives_the_same_bits(name: ProbeName) -> None:
    features, labels, scored, _ = problem(classes=5, shots=5)
    brief = {"num_steps": 8} if name in NETWORKS else {}
    first, second = (
        CLASSIFIERS[name]().set_params(**brief).fit(features, labels).predict_proba(scored)
        for _ in range(2)
    )
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [12, 64])
def test_an_answer_does_not_depend_on_the_problems_solved_beside_it(
    name: ProbeName, width: int
) -> None:
    problems = [
        problem(classes=4, shots=5, width=width, seed=seed, gap=0.2 * seed) for seed in range(5)
    ]
    features, labels, scored = (np.stack([each[index] for each in problems]) for index in (0, 1, 2))
    brief = {"num_steps": 8} if name in NETWORKS else {}
    together = CLASSIFIERS[name]().set_params(**brief).fit_many(features, labels, num_classes=4)
    scores = together.scores(scored)
    assert len(together.chosen) == 5
    for index in range(5):
        one = slice(index, index + 1)
        alone = (
            CLASSIFIERS[name]()
            .set_params(**brief)
            .fit_many(features[one], labels[one], num_classes=4)
        )
        assert alone.chosen == together.chosen[one]
        if name in NETWORKS:  # float32, and the product's order of summation may differ
            assert alone.scores(scored[one]) == pytest.approx(scores[one], abs=1e-3)
        else:
            assert alone.scores(scored[one]).tobytes() == scores[one].tobytes()


@pytest.mark.parametrize("name", PLAIN)
def test_classes_may_have_any_names(name: ProbeName) -> None:
    features, labels, scored, _ = problem(classes=3, shots=5)
    names = np.array(["spoon", "fork", "knife"])
    probe = CLASSIFIERS[name]().fit(features, names[labels])
    assert probe.classes_.tolist() == ["fork", "knife", "spoon"]
    assert probe.n_features_in_ == 64
    plain = CLASSIFIERS[name]().fit(features, labels)
    assert np.mean(probe.predict(scored) == names[plain.predict(scored)]) > 0.97


@pytest.mark.parametrize("name", PLAIN)
def test_features_that_are_not_finite_and_lone_classes_are_refused(name: ProbeName) -> None:
    features, labels, scored, _ = problem(classes=3, shots=5)
    with pytest.raises(ValueError, match="one class"):
        CLASSIFIERS[name]().fit(features, np.zeros_like(labels))
    broken = features.copy()
    broken[3, 2] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        CLASSIFIERS[name]().fit(broken, labels)
    probe = CLASSIFIERS[name]().fit(features, labels)
    with pytest.raises(ValueError, match="NaN"):
        probe.predict(broken)
    with pytest.raises(ValueError, match="63 features"):
        probe.predict(scored[:, :-1])


def test_a_support_without_variation_gives_every_class_the_same_probability() -> None:
    features, labels = np.ones((15, 4)), np.repeat(np.arange(3), 5)
    for name in PLAIN:
        probs = CLASSIFIERS[name]().fit(features, labels).predict_proba(features[:1])
        if name != "k-nn":  # of equal neighbours some are nearer by their order alone
            assert probs == pytest.approx(1 / 3, abs=1e-9), name


def assert_contract(probe: Probe) -> None:
    # Loaded here, as no fast test needs it: it takes a second.
    from sklearn.utils.estimator_checks import check_estimator

    ran = check_estimator(probe, on_fail=None, on_skip=None)
    failed = [each for each in ran if each["status"] == "failed"]
    assert not failed, failed[0]["exception"]
    assert sum(each["status"] == "passed" for each in ran) > 40


@pytest.mark.parametrize(
    "probe",
    [NearestMean(), NearestNeighbours(), Ridge(), RbfRidge(), LogisticRegression()],
    ids=lambda probe: type(probe).__name__,
)
@pytest.mark.slow
def test_a_probe_keeps_scikit_learns_contract(probe: Probe) -> None:
    assert_contract(probe)


@pytest.mark.parametrize("name", ["mlp", "recurrent", "attentive"])
@pytest.mark.slow
def test_a_network_keeps_scikit_learns_contract(name: ProbeName) -> None:
    assert_contract(CLASSIFIERS[name]())


def test_probes_are_cloned_searched_and_piped() -> None:
    features, labels, _, _ = problem(classes=3, shots=8, gap=1.0)
    assert clone(LogisticRegression(C=3.0)).get_params() == {"C": 3.0}
    assert clone(Mlp(num_steps=7)).num_steps == 7
    piped = make_pipeline(StandardScaler(), Ridge())
    assert cross_val_score(piped, features, labels, cv=2).mean() > 0.9
    search = GridSearchCV(LogisticRegression(), {"C": [1e-6, 0.1]}, cv=2).fit(features, labels)
    assert search.best_params_["C"] in (1e-6, 0.1)


def test_hyper_parameters_are_fixed_below_five_clips_a_class_and_chosen_from_there() -> None:
    few, many = problem(classes=3, shots=4), problem(classes=3, shots=5)
    choosing: tuple[ProbeName, ...] = ("k-nn", "ridge", "rbf-ridge", "logistic-regression-cv")
    for name in choosing:
        assert CLASSIFIERS[name]().fit(*few[:2]).chosen_on_ == FIXED
        assert "support" in str(CLASSIFIERS[name]().fit(*many[:2]).chosen_on_)
    fixed = CLASSIFIERS["logistic-regression"]().fit(*many[:2])
    assert (fixed.chosen_, fixed.chosen_on_) == ("C=0.1", FIXED)
    means = CLASSIFIERS["nearest-mean"]().fit(*many[:2])
    assert (means.chosen_, means.chosen_on_) == (None, None)


def test_folds_share_out_every_class() -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(4), [5, 6, 7, 13]))
    folds = folds_of(labels)
    for each in range(4):
        counts = np.bincount(folds[labels == each], minlength=NUM_FOLDS)
        assert counts.max() - counts.min() <= 1
    assert np.ptp(np.bincount(folds)) <= 1


@pytest.mark.slow
def test_only_the_networks_import_torch_and_only_the_classifiers_scikit_learn() -> None:
    code = (
        "import sys, numpy as np\n"
        "import taskgrain.transfer.evaluate, taskgrain.transfer.task\n"
        "assert not any(name.split('.')[0] == 'sklearn' for name in sys.modules)\n"
        "from taskgrain.transfer.probes import CLASSIFIERS\n"
        f"for name in {PLAIN!r}:\n"
        "    x, y = np.random.default_rng(0).normal(size=(12, 3)), np.repeat([0, 1], 6)\n"
        "    CLASSIFIERS[name]().fit(x, y).predict_proba(x)\n"
        "assert not any(name.split('.')[0] == 'torch' for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_standardised_features_have_mean_zero_and_deviation_one() -> None:
    features = np.random.default_rng(0).normal(5, 3, size=(40, 6)).astype(np.float32)
    features[:, 2] = np.float32(0.3)  # dead: its deviation in float64 need not be exactly zero
    standard = Standardiser.of(features)(features)
    assert standard.dtype == np.float64
    assert standard.mean(axis=0) == pytest.approx(0, abs=1e-6)
    assert standard.std(axis=0)[[0, 1, 3, 4, 5]] == pytest.approx(1)
    assert np.abs(standard[:, 2]).max() < 1e-6
    steps = Standardiser.of(features.reshape(8, 5, 6))
    assert np.array_equal(steps.mean, Standardiser.of(features).mean)
