from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from taskgrain.errors import ConfigError, ResultError
from taskgrain.results import Shots
from taskgrain.statistics.tests import is_alarm, permuted_label_interval
from taskgrain.transfer.answers import Subject
from taskgrain.transfer.evaluate import ProbePlan, SubjectFeatures, evaluate
from taskgrain.transfer.features import FeatureSet
from taskgrain.transfer.fitting import NO_ANSWER
from taskgrain.transfer.probes import CLASSIFIERS, ProbeName, Standardiser
from taskgrain.transfer.task import TargetTask, support_draws

POOL, SCORED = 12, 20  # support and query clips of each class
CLASSES = ("fork", "knife", "spoon", "tongs")
BOTH: tuple[ProbeName, ...] = ("nearest-mean", "logistic-regression")
PLAN = ProbePlan(probes=BOTH, shots=(1, 5, "all"), num_draws=6, seed=0)


@pytest.fixture
def task() -> TargetTask:
    support, query = np.repeat(np.arange(4), POOL), np.repeat(np.arange(4), SCORED)
    return TargetTask(
        name="kitchenware",
        class_names=CLASSES,
        support_ids=tuple(f"s{index}" for index in range(len(support))),
        support_labels=support,
        query_ids=tuple(f"q{index}" for index in range(len(query))),
        query_labels=query,
    )


def subject_of(task: TargetTask, *, gap: float, seed: int = 0) -> SubjectFeatures:
    generator = np.random.default_rng(seed)
    labels = np.concatenate([task.support_labels, task.query_labels])
    means = gap * generator.normal(size=(len(task.class_names), 16))
    features = (means[labels] + generator.normal(size=(len(labels), 16))).astype(np.float32)
    return SubjectFeatures(
        Subject("categories", seed, "lstm-mean", None),
        features=FeatureSet(task.support_ids + task.query_ids, features, {}),
        standardiser=Standardiser.of(3 * features + 1),
    )


def test_separable_features_are_always_right(task: TargetTask) -> None:
    evaluation = evaluate(subject_of(task, gap=20), task, plan=PLAN)
    assert len(evaluation.answers) == 6
    for answers in evaluation.answers:
        assert evaluation.correct(answers).all()


def test_every_probe_and_number_of_shots_is_answered_for_every_clip(task: TargetTask) -> None:
    evaluation = evaluate(subject_of(task, gap=0.5), task, plan=PLAN)
    assert [(each.probe, each.shots) for each in evaluation.answers] == [
        (probe, shots) for shots in PLAN.shots for probe in BOTH
    ]
    shapes = [each.predicted.shape for each in evaluation.answers]
    assert shapes == [(6, 80)] * 4 + [(1, 80)] * 2
    assert evaluation.clip_ids == task.query_ids
    assert all((each.predicted != NO_ANSWER).all() for each in evaluation.answers)
    assert evaluation.answers[1].chosen == "C=0.1"
    assert evaluation.answers[1].chosen_on == "fixed in advance"


@pytest.mark.parametrize("shots", [1, 2, 3, 5, "all"])
def test_the_answers_are_those_of_a_slow_obvious_evaluation(task: TargetTask, shots: Shots) -> None:
    task = replace(task, failed=frozenset({"s3", "s14", "q0", "q77"}))
    subject = subject_of(task, gap=0.5)
    evaluation = evaluate(subject, task, plan=replace(PLAN, shots=(shots,)))
    row_of = dict(zip(subject.features.clip_ids, subject.features.features, strict=True))
    draws = support_draws(task, num_shots=shots, num_draws=6, seed=0)
    probe_of = {str(name): probe for name, probe in CLASSIFIERS.items()}
    assert len(evaluation.answers) == 2
    for answers in evaluation.answers:
        for index, draw in enumerate(draws):
            ids = [task.support_ids[each] for each in draw]
            support = np.array([row_of[each] for each in ids], dtype=np.float64)
            mean, scale = support.mean(axis=0), support.std(axis=0)
            if shots in (1, 2):  # the source's scale
                mean, scale = subject.standardiser.mean, subject.standardiser.scale
            truth = np.array([task.support_labels[int(each[1:])] for each in ids])
            assert answers.probe is not None
            probe = probe_of[answers.probe]().fit((support - mean) / scale, truth)
            for clip, predicted in zip(task.query_ids, answers.predicted[index], strict=True):
                if clip in task.failed:
                    assert predicted == NO_ANSWER
                else:
                    (expected,) = probe.predict(((row_of[clip] - mean) / scale)[None])
                    assert predicted == expected


def test_a_failed_clip_lowers_the_accuracy_by_exactly_its_share(task: TargetTask) -> None:
    plan = replace(PLAN, shots=(5,))
    subject = subject_of(task, gap=0.5)
    whole = evaluate(subject, task, plan=plan)
    hurt = evaluate(subject, replace(task, failed=frozenset({"q7"})), plan=plan)
    assert (whole.failed, hurt.failed) == (0, 1)
    for before, after in zip(whole.answers, hurt.answers, strict=True):
        share = whole.scores(before)[7] / 80
        assert share > 0
        assert hurt.scores(after).mean() == pytest.approx(whole.scores(before).mean() - share)
        assert not hurt.correct(after)[:, 7].any()


def test_failed_clips_need_no_features_and_others_do(task: TargetTask) -> None:
    subject = subject_of(task, gap=0.5)
    kept = [clip for clip in subject.features.clip_ids if clip not in {"s2", "q7"}]
    features = FeatureSet(tuple(kept), subject.features.of(kept), {})
    fewer = replace(subject, features=features)
    failing = replace(task, failed=frozenset({"s2", "q7"}))
    evaluation = evaluate(fewer, failing, plan=PLAN)
    assert evaluation.failed == 1
    with pytest.raises(ResultError, match="no features of clip s2"):
        evaluate(fewer, task, plan=PLAN)


def test_every_source_is_fitted_on_the_same_clips(task: TargetTask) -> None:
    # The features are the clip's own number: which support clips were drawn shows in the answers.
    shifts = (0.0, 1000.0)
    found = []
    for shift in shifts:
        number = np.arange(len(task.support_ids) + len(task.query_ids), dtype=np.float32)
        features = FeatureSet(task.support_ids + task.query_ids, number[:, None] + shift, {})
        subject = replace(subject_of(task, gap=0), features=features)
        found.append(evaluate(subject, task, plan=replace(PLAN, shots=(5,))))
    for first, second in zip(found[0].answers, found[1].answers, strict=True):
        assert np.array_equal(first.predicted, second.predicted)


def test_the_same_evaluation_has_the_same_bits(task: TargetTask) -> None:
    first, second = (evaluate(subject_of(task, gap=0.5), task, plan=PLAN) for _ in range(2))
    for one, other in zip(first.answers, second.answers, strict=True):
        assert one.predicted.tobytes() == other.predicted.tobytes()


def test_permuted_labels_give_chance_whatever_the_features(task: TargetTask) -> None:
    plan = ProbePlan(probes=BOTH, shots=(1, 5), num_draws=100, seed=1)
    evaluation = evaluate(subject_of(task, gap=5), task, plan=plan, labelling="permuted")
    assert evaluation.subject.control == "permuted-labels"
    assert len(evaluation.answers) == 4
    for answers in evaluation.answers:
        accuracies = evaluation.correct(answers).mean(axis=1)
        found = permuted_label_interval(accuracies.tolist(), chance=0.25)
        assert found.low <= 0.25 <= found.high
        assert found.p is not None
        assert not is_alarm(found.p, family=4)


def test_an_evaluation_that_sees_the_true_labels_raises_the_alarm(task: TargetTask) -> None:
    plan = ProbePlan(probes=("nearest-mean",), shots=(1,), num_draws=50, seed=1)
    evaluation = evaluate(subject_of(task, gap=0.3), task, plan=plan)
    (answers,) = evaluation.answers
    accuracies = evaluation.correct(answers).mean(axis=1).tolist()
    found = permuted_label_interval(accuracies, chance=0.25)
    assert found.p is not None
    assert is_alarm(found.p, family=24)


def test_the_whole_pool_has_no_permuted_control(task: TargetTask) -> None:
    evaluation = evaluate(subject_of(task, gap=1), task, plan=PLAN, labelling="permuted")
    assert {answers.shots for answers in evaluation.answers} == {1, 5}


def test_too_few_support_clips_are_refused_before_any_fit(task: TargetTask) -> None:
    with pytest.raises(ConfigError, match="class 'fork' has 12 usable support clips, 13 wanted"):
        evaluate(subject_of(task, gap=1), task, plan=replace(PLAN, shots=(13,)))


def with_steps(subject: SubjectFeatures, num_steps: int = 4) -> SubjectFeatures:
    """Spread each feature over steps that average to it."""
    features = subject.features
    noise = np.random.default_rng(1).normal(size=(len(features.clip_ids), num_steps, 16))
    noise -= noise.mean(axis=1, keepdims=True)
    steps = (features.features[:, None] + noise).astype(np.float32)
    return replace(
        subject,
        features=FeatureSet(features.clip_ids, steps, {}),
        step_standardiser=Standardiser.of(steps),
    )


def test_probes_that_do_not_read_steps_are_given_their_mean(task: TargetTask) -> None:
    subject = subject_of(task, gap=5)
    whole, steps = (evaluate(each, task, plan=PLAN) for each in (subject, with_steps(subject)))
    for one, other in zip(whole.answers, steps.answers, strict=True):
        assert np.mean(one.predicted == other.predicted) > 0.995  # the mean is rounded


@pytest.mark.slow
@pytest.mark.parametrize("probe", ["recurrent", "attentive"])
def test_probes_that_read_steps_are_given_all_of_them(task: TargetTask, probe: ProbeName) -> None:
    # Every clip has the same mean: only single steps tell its class.
    subject = subject_of(task, gap=0)
    labels = np.concatenate([task.support_labels, task.query_labels])
    steps = np.zeros((len(labels), 4, 4), dtype=np.float32)
    for clip, label in enumerate(labels):
        steps[clip, 1, label] = 4.0
        steps[clip, 2, label] = -4.0
    steps += 0.3 * np.random.default_rng(0).normal(size=steps.shape).astype(np.float32)
    told = replace(
        subject,
        features=FeatureSet(subject.features.clip_ids, steps, {}),
        step_standardiser=Standardiser.of(steps),
    )
    plan = ProbePlan(probes=(probe,), shots=(1, 5), num_draws=2, seed=0)
    evaluation = evaluate(told, task, plan=plan)
    _, five = evaluation.answers
    assert evaluation.scores(five).mean() > 0.9
    assert five.chosen_on == "fixed in advance"
    with pytest.raises(ValueError, match="at 1 shots needs the source's step_standardiser"):
        evaluate(replace(told, step_standardiser=None), task, plan=plan)
    with pytest.raises(ValueError, match=f"probe {probe} reads steps"):
        evaluate(subject, task, plan=plan)


def test_every_probe_answers_above_chance_and_says_what_it_chose(task: TargetTask) -> None:
    names: tuple[ProbeName, ...] = ("k-nn", "ridge", "rbf-ridge", "logistic-regression-cv")
    plan = ProbePlan(probes=names, shots=(1, 5), num_draws=4, seed=0)
    evaluation = evaluate(subject_of(task, gap=1), task, plan=plan)
    for answers in evaluation.answers:
        assert evaluation.scores(answers).mean() > 0.5
        assert answers.chosen is not None
        assert (answers.chosen_on == "fixed in advance") == (answers.shots == 1)


def test_a_target_of_one_class_is_refused(task: TargetTask) -> None:
    lone = replace(
        task,
        class_names=("fork",),
        support_labels=np.zeros_like(task.support_labels),
        query_labels=np.zeros_like(task.query_labels),
    )
    with pytest.raises(ConfigError, match="target kitchenware: one class, fork; a probe needs"):
        evaluate(subject_of(task, gap=1), lone, plan=PLAN)


def test_a_probe_that_fails_at_one_number_of_shots_says_why_and_the_others_answer(
    task: TargetTask,
) -> None:
    subject = subject_of(task, gap=20)
    tiny = replace(subject, standardiser=Standardiser(np.zeros(16), np.full(16, 1e-320)))
    evaluation = evaluate(tiny, task, plan=PLAN)
    failed = [each for each in evaluation.answers if each.problem is not None]
    assert [(each.probe, each.shots) for each in failed] == [(probe, 1) for probe in BOTH]
    for each in failed:
        assert f"probe {each.probe}: standardised features are not finite" in str(each.problem)
        assert (each.predicted == NO_ANSWER).all()
        assert each.predicted.shape == (6, 80)
        assert (each.chosen, each.chosen_on) == (None, None)
    whole = evaluate(subject, task, plan=PLAN)
    for ours, expected in zip(evaluation.answers[2:], whole.answers[2:], strict=True):
        assert np.array_equal(ours.predicted, expected.predicted)


def test_missing_features_are_no_failure_of_a_probe(task: TargetTask) -> None:
    subject = subject_of(task, gap=1)
    held = FeatureSet(subject.features.clip_ids[1:], subject.features.features[1:], {})
    with pytest.raises(ResultError, match="no features of clip s0"):
        evaluate(replace(subject, features=held), task, plan=PLAN)
