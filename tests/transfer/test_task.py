from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskgrain.errors import ConfigError, ManifestError
from taskgrain.transfer import task as module
from taskgrain.transfer.answers import Subject
from taskgrain.transfer.evaluate import SubjectFeatures, evaluate_episodes
from taskgrain.transfer.features import FeatureSet
from taskgrain.transfer.fitting import NO_ANSWER
from taskgrain.transfer.probes import CLASSIFIERS, Standardiser
from taskgrain.transfer.task import (
    EpisodePlan,
    TargetTask,
    check_episodes,
    class_task,
    episode_clips,
    factor_task,
    sample_episodes,
    support_draws,
)

WHOLE_TASK = TargetTask(
    name="kitchenware",
    class_names=("other", "using fork", "using knife"),
    support_ids=("s0", "s1", "s2"),
    support_labels=np.array([0, 1, 2]),
    query_ids=("q0", "q1", "q2"),
    query_labels=np.array([2, 1, 0]),
    failed=frozenset({"q1"}),
    truncated=frozenset({"s0"}),
)
MOTION = {"s0": "other", "s1": "using", "s2": "using", "q0": "using", "q1": "using", "q2": "other"}
TOOL = {"s0": None, "s1": "fork", "s2": "knife", "q0": "knife", "q1": "fork", "q2": None}


def test_a_factor_of_the_same_clips_is_a_task_of_its_own() -> None:
    motion = factor_task(WHOLE_TASK, factor="motion", value_of=MOTION)
    assert motion.name == "kitchenware/motion"
    assert motion.class_names == ("other", "using")
    assert motion.support_ids == WHOLE_TASK.support_ids
    assert motion.support_labels.tolist() == [0, 1, 1]
    assert motion.query_labels.tolist() == [1, 1, 0]
    assert (motion.failed, motion.truncated) == (WHOLE_TASK.failed, WHOLE_TASK.truncated)


def test_clips_without_the_factor_are_left_out() -> None:
    tools = factor_task(WHOLE_TASK, factor="object", value_of=TOOL)
    assert tools.support_ids == ("s1", "s2")
    assert tools.query_ids == ("q0", "q1")
    assert tools.query_labels.tolist() == [1, 0]


def test_a_clip_that_the_factors_forget_is_named() -> None:
    with pytest.raises(ManifestError, match="target kitchenware: no motion given for clip q2"):
        factor_task(
            WHOLE_TASK, factor="motion", value_of={k: v for k, v in MOTION.items() if k != "q2"}
        )


def test_no_clip_is_both_learned_from_and_scored() -> None:
    with pytest.raises(ManifestError, match="clip a is there twice; scored clips must be unseen"):
        TargetTask("t", ("x",), ("a",), np.array([0]), ("a",), np.array([0]))


def test_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"labels are int64 \(2,\); expected int64 \(1,\)"):
        TargetTask("t", ("x",), ("a",), np.array([0, 0]), ("b",), np.array([0]))
    with pytest.raises(ValueError, match="labels run from 1 to 1; expected 0 to 0"):
        TargetTask("t", ("x",), ("a",), np.array([1]), ("b",), np.array([0]))


def test_what_was_decoded_follows_the_order_of_the_clips() -> None:
    assert WHOLE_TASK.is_decoded.tolist() == [True, False, True]
    assert WHOLE_TASK.has_support.tolist() == [True, True, True]


def test_some_of_the_classes_are_a_task_of_their_own_clips() -> None:
    some = class_task(WHOLE_TASK, name="siblings", classes={"using knife", "other"})
    assert (some.name, some.class_names) == ("kitchenware/siblings", ("other", "using knife"))
    assert (some.support_ids, some.support_labels.tolist()) == (("s0", "s2"), [0, 1])
    assert (some.query_ids, some.query_labels.tolist()) == (("q0", "q2"), [1, 0])
    assert (some.failed, some.truncated) == (WHOLE_TASK.failed, WHOLE_TASK.truncated)


def pool_task_of(counts: list[int], *, failed: frozenset[str] = frozenset()) -> TargetTask:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    ids = tuple(f"s{index}" for index in range(len(labels)))
    names = tuple(f"class {index}" for index in range(len(counts)))
    return TargetTask("kitchenware", names, ids, labels, ("q",), np.array([0]), failed)


COUNTS = st.lists(st.integers(3, 12), min_size=1, max_size=6)


@given(counts=COUNTS, shots=st.integers(1, 3), num_draws=st.integers(1, 5), seed=st.integers(0, 99))
def test_every_draw_holds_k_different_clips_of_every_class(
    counts: list[int], shots: int, num_draws: int, seed: int
) -> None:
    task = pool_task_of(counts)
    draws = support_draws(task, num_shots=shots, num_draws=num_draws, seed=seed)
    assert draws.shape == (num_draws, len(counts) * shots)
    for draw in draws:
        assert len(set(draw.tolist())) == len(draw)
        assert task.support_labels[draw].tolist() == np.repeat(range(len(counts)), shots).tolist()


@given(counts=COUNTS, seed=st.integers(0, 99))
def test_a_draw_at_one_shot_is_part_of_the_draw_at_three(counts: list[int], seed: int) -> None:
    task = pool_task_of(counts)
    one = support_draws(task, num_shots=1, num_draws=4, seed=seed)
    three = support_draws(task, num_shots=3, num_draws=4, seed=seed)
    for few, many in zip(one, three, strict=True):
        assert set(few.tolist()) < set(many.tolist())


@given(counts=COUNTS, seed=st.integers(0, 99))
def test_a_draw_does_not_depend_on_how_many_there_are(counts: list[int], seed: int) -> None:
    task = pool_task_of(counts)
    few = support_draws(task, num_shots=2, num_draws=2, seed=seed)
    assert np.array_equal(support_draws(task, num_shots=2, num_draws=9, seed=seed)[:2], few)


@given(counts=COUNTS, failures=st.sets(st.integers(0, 17), max_size=2), seed=st.integers(0, 99))
def test_failed_clips_are_never_drawn(counts: list[int], failures: set[int], seed: int) -> None:
    task = pool_task_of(counts, failed=frozenset(f"s{index}" for index in failures))
    for shots in (1, "all"):
        draws = support_draws(task, num_shots=1 if shots == 1 else "all", num_draws=20, seed=seed)
        assert not failures & set(draws.ravel().tolist())


def test_a_failure_changes_only_the_draws_that_held_the_clip() -> None:
    task = pool_task_of([8, 8])
    before = support_draws(task, num_shots=2, num_draws=50, seed=0)
    lost = int(before[0, 0])
    hurt = replace(task, failed=frozenset({task.support_ids[lost]}))
    after = support_draws(hurt, num_shots=2, num_draws=50, seed=0)
    held = (before == lost).any(axis=1)
    assert 0 < held.sum() < 50
    assert np.array_equal(before[~held], after[~held])


def test_all_is_the_whole_pool_once() -> None:
    draws = support_draws(pool_task_of([4, 7]), num_shots="all", num_draws=50, seed=0)
    assert draws.shape == (1, 11)
    assert sorted(draws[0].tolist()) == list(range(11))


def test_every_clip_is_drawn_equally_often() -> None:
    draws = support_draws(pool_task_of([10]), num_shots=2, num_draws=5000, seed=3)
    counts = np.bincount(draws.ravel(), minlength=10)
    assert counts.sum() == 10_000
    assert np.abs(counts - 1000).max() < 5 * np.sqrt(1000 * 0.8)


def test_other_seeds_give_other_draws() -> None:
    task = pool_task_of([9, 9])
    first = support_draws(task, num_shots=3, num_draws=5, seed=0)
    assert not np.array_equal(first, support_draws(task, num_shots=3, num_draws=5, seed=1))


def test_a_class_with_too_few_clips_is_named_with_what_it_has() -> None:
    task = pool_task_of([5, 3], failed=frozenset({"s0", "s1", "s2", "s3", "s4"}))
    have = [int((task.support_labels[5:] == index).sum()) for index in (0, 1)]
    with pytest.raises(
        ConfigError,
        match=f"kitchenware: class 'class 0' has {have[0]} usable support clips, 5 want",
    ):
        support_draws(task, num_shots=5, num_draws=1, seed=0)
    with pytest.raises(ConfigError, match="class 'class 1' has 0 usable support clips, 1 wanted"):
        support_draws(pool_task_of([1, 0]), num_shots="all", num_draws=1, seed=0)
    with pytest.raises(ValueError, match="num_draws is 0"):
        support_draws(task, num_shots=1, num_draws=0, seed=0)


PLAN = EpisodePlan(num_ways=3, num_shots=2, num_queries=4, num_episodes=20, seed=0)


def task_of(
    pool: list[int], scored: list[int], *, failed: frozenset[str] = frozenset()
) -> TargetTask:
    generator = np.random.default_rng(0)
    support, query = (
        generator.permutation(np.repeat(np.arange(len(each)), each)) for each in (pool, scored)
    )
    return TargetTask(
        name="kitchenware",
        class_names=tuple(f"class {index}" for index in range(len(pool))),
        support_ids=tuple(f"s{index}" for index in range(len(support))),
        support_labels=support,
        query_ids=tuple(f"q{index}" for index in range(len(query))),
        query_labels=query,
        failed=failed,
    )


TASK = task_of([6, 7, 8, 9, 5], [9, 8, 7, 6, 5])
POOLED = replace(PLAN, pooled=True)


def subject_of(task: TargetTask, *, gap: float) -> SubjectFeatures:
    generator = np.random.default_rng(3)
    labels = np.concatenate([task.support_labels, task.query_labels])
    means = gap * generator.normal(size=(len(task.class_names), 16))
    features = (means[labels] + generator.normal(size=(len(labels), 16))).astype(np.float32)
    clips = FeatureSet(task.support_ids + task.query_ids, features, {})
    subject = Subject("categories", 0, "lstm-mean", None)
    return SubjectFeatures(subject, clips, Standardiser.of(features))


@given(seed=st.integers(0, 99), ways=st.integers(2, 5), shots=st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_an_episode_has_k_clips_and_q_others_of_w_different_classes(
    seed: int, ways: int, shots: int
) -> None:
    plan = EpisodePlan(num_ways=ways, num_shots=shots, num_queries=5, num_episodes=4, seed=seed)
    drawn = sample_episodes(TASK, plan=plan)
    assert drawn.classes.shape == (4, ways)
    for classes, support, query in zip(drawn.classes, drawn.support, drawn.query, strict=True):
        assert len(set(classes.tolist())) == ways
        assert len(set(support.tolist())) == ways * shots
        assert len(set(query.tolist())) == ways * 5
        assert TASK.support_labels[support].tolist() == np.repeat(classes, shots).tolist()
        assert TASK.query_labels[query].tolist() == np.repeat(classes, 5).tolist()


def test_an_episode_depends_on_the_seed_and_its_number_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = sample_episodes(TASK, plan=PLAN)
    few = sample_episodes(TASK, plan=replace(PLAN, num_episodes=3))
    assert np.array_equal(many.support[:3], few.support)
    assert np.array_equal(many.query[:3], few.query)
    monkeypatch.setattr(module, "BLOCK_NUMBERS", 1)
    assert np.array_equal(sample_episodes(TASK, plan=PLAN).support, many.support)
    other = sample_episodes(TASK, plan=replace(PLAN, seed=1))
    assert not np.array_equal(other.support, many.support)


def test_the_support_at_one_shot_is_part_of_that_at_five() -> None:
    one = sample_episodes(TASK, plan=replace(PLAN, num_shots=1))
    five = sample_episodes(TASK, plan=replace(PLAN, num_shots=5))
    assert np.array_equal(one.classes, five.classes)
    assert np.array_equal(one.query, five.query)
    assert np.array_equal(one.support, five.support.reshape(20, 3, 5)[:, :, 0])


def test_failed_support_clips_are_not_drawn_and_change_only_episodes_that_held_them() -> None:
    before = sample_episodes(TASK, plan=PLAN)
    lost = int(before.support[0, 0])
    after = sample_episodes(replace(TASK, failed=frozenset({f"s{lost}"})), plan=PLAN)
    held = (before.support == lost).any(axis=1)
    assert 0 < held.sum() < 20
    assert not (after.support == lost).any()
    assert np.array_equal(before.support[~held], after.support[~held])
    assert np.array_equal(before.query, after.query)


def test_classes_and_clips_are_drawn_equally_often() -> None:
    drawn = sample_episodes(TASK, plan=replace(PLAN, num_episodes=2000))
    counts = np.bincount(drawn.classes.ravel(), minlength=5)
    assert np.abs(counts - 1200).max() < 5 * np.sqrt(2000 * 0.6 * 0.4)
    clips = np.bincount(drawn.support.ravel(), minlength=35)
    expected = 1200 * 2 / np.array([6, 7, 8, 9, 5])[TASK.support_labels]
    assert np.abs(clips - expected).max() < 5 * np.sqrt(expected.max())


def test_the_answers_are_those_of_a_slow_obvious_loop() -> None:
    task = replace(TASK, failed=frozenset({"s3", "q0", "q5", "q20"}))
    subject = subject_of(task, gap=0.5)
    row_of = dict(zip(subject.features.clip_ids, subject.features.features, strict=True))
    for shots in (1, 2, 3):
        plan = replace(PLAN, num_shots=shots)
        found = evaluate_episodes(subject, task, plan=plan, probe="logistic-regression")
        drawn = sample_episodes(task, plan=plan)
        truth = np.repeat(np.arange(3), 4)
        right = []
        for support, query in zip(drawn.support, drawn.query, strict=True):
            learned = np.stack([row_of[f"s{index}"] for index in support])
            scale = Standardiser.of(learned) if shots == 3 else subject.standardiser
            probe = CLASSIFIERS["logistic-regression"]()
            probe.fit(scale(learned), np.repeat(np.arange(3), shots))
            asked = np.stack([row_of[f"q{index}"] for index in query])
            predicted = probe.predict(scale(asked))
            lost = [f"q{index}" in task.failed for index in query]
            right.append(np.where(lost, NO_ANSWER, predicted))
        (answers,) = found.answers
        assert np.array_equal(answers.predicted, np.stack(right))
        expected = (np.stack(right) == truth).mean(axis=1)
        assert found.accuracies(answers) == pytest.approx(expected)
        assert (answers.chosen, answers.chosen_on) == ("C=0.1", "fixed in advance")
    assert (answers.predicted == NO_ANSWER).any()


def test_separable_classes_are_always_right_and_the_same_bits_come_twice() -> None:
    subject = subject_of(TASK, gap=20)
    first, second = (
        evaluate_episodes(subject, TASK, plan=PLAN, probe="nearest-mean") for _ in range(2)
    )
    assert first.accuracies(first.answers[0]).tolist() == [1.0] * 20
    predicted = [each.answers[0].predicted.tobytes() for each in (first, second)]
    assert predicted[0] == predicted[1]


def test_too_few_classes_with_clips_enough_are_named() -> None:
    with pytest.raises(
        ConfigError,
        match=r"kitchenware: 2 classes have 8 usable support clips and 4 scored clips, 3 wanted; "
        r"'class 4' has 5 and 5, 'class 0' has 6 and 9, 'class 1' has 7 and 8; ask for fewer",
    ):
        sample_episodes(TASK, plan=replace(PLAN, num_shots=8))
    with pytest.raises(ConfigError, match=r"5 classes have 2 .* 6 wanted; ask for fewer ways"):
        sample_episodes(TASK, plan=replace(PLAN, num_ways=6))


@given(seed=st.integers(0, 99), shots=st.integers(1, 6), queries=st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_pooled_episodes_draw_both_sides_from_all_clips_and_never_one_clip_twice(
    seed: int, shots: int, queries: int
) -> None:
    plan = replace(POOLED, num_shots=shots, num_queries=queries, seed=seed)
    drawn = sample_episodes(TASK, plan=plan)
    clips = episode_clips(TASK, pooled=True)[0]
    assert clips.clip_ids == TASK.support_ids + TASK.query_ids
    for classes, support, query in zip(drawn.classes, drawn.support, drawn.query, strict=True):
        assert len({*support.tolist(), *query.tolist()}) == 3 * (shots + queries)
        assert clips.labels[support].tolist() == np.repeat(classes, shots).tolist()
        assert clips.labels[query].tolist() == np.repeat(classes, queries).tolist()


def test_pooled_clips_are_support_and_query_equally_often() -> None:
    drawn = sample_episodes(TASK, plan=replace(POOLED, num_episodes=3000))
    for taken, count in ((drawn.support, 2), (drawn.query, 4)):
        clips = np.bincount(taken.ravel(), minlength=70)
        labels = episode_clips(TASK, pooled=True)[0].labels
        expected = 3000 * 0.6 * count / np.bincount(labels)[labels]
        assert np.abs(clips - expected).max() < 5 * np.sqrt(expected.max())


def test_pooled_queries_are_mostly_the_same_at_any_number_of_shots() -> None:
    one = sample_episodes(TASK, plan=replace(POOLED, num_shots=1))
    five = sample_episodes(TASK, plan=replace(POOLED, num_shots=5))
    assert np.array_equal(one.classes, five.classes)
    assert np.array_equal(one.query, five.query)  # 10 clips of the smallest class are enough
    assert np.array_equal(one.support, five.support.reshape(20, 3, 5)[:, :, 0])


def test_failed_clips_are_pooled_queries_but_no_support() -> None:
    lost = frozenset({"s0", "s1", "s2", "q0", "q1", "q2"})
    task = replace(TASK, failed=lost)
    plan = replace(POOLED, num_episodes=200)
    drawn = sample_episodes(task, plan=plan)
    ids = np.array(task.support_ids + task.query_ids)
    assert not lost.intersection(ids[drawn.support].ravel().tolist())
    assert lost <= set(ids[drawn.query].ravel().tolist())
    found = evaluate_episodes(subject_of(task, gap=20), task, plan=plan, probe="nearest-mean")
    failed = np.isin(ids[drawn.query], sorted(lost))
    (answers,) = found.answers
    assert np.array_equal(answers.predicted == NO_ANSWER, failed)
    assert found.correct(answers)[~failed].all()
    assert (len(found.clip_ids), found.failed, found.truncated) == (70, 6, 0)


def test_pooled_support_is_no_query_even_where_hardly_a_clip_was_decoded() -> None:
    clips = np.flatnonzero(episode_clips(TASK, pooled=True)[0].labels == 0)  # 15 of class 0
    ids = TASK.support_ids + TASK.query_ids
    task = replace(TASK, failed=frozenset(ids[index] for index in clips[3:]))
    drawn = sample_episodes(task, plan=replace(POOLED, num_episodes=100))
    both = np.concatenate([drawn.support, drawn.query], axis=1)
    assert all(len(set(row)) == 3 * (2 + 4) for row in both.tolist())


def test_pooled_answers_are_those_of_a_slow_obvious_loop() -> None:
    subject = subject_of(TASK, gap=0.5)
    row_of = dict(zip(subject.features.clip_ids, subject.features.features, strict=True))
    ids = TASK.support_ids + TASK.query_ids
    found = evaluate_episodes(subject, TASK, plan=POOLED, probe="nearest-mean")
    drawn = sample_episodes(TASK, plan=POOLED)
    answered = found.answers[0].predicted
    for support, query, predicted in zip(drawn.support, drawn.query, answered, strict=True):
        learned = np.stack([row_of[ids[index]] for index in support]).astype(np.float64)
        probe = CLASSIFIERS["nearest-mean"]().fit(
            subject.standardiser(learned), np.repeat([0, 1, 2], 2)
        )
        asked = np.stack([row_of[ids[index]] for index in query])
        assert probe.predict(subject.standardiser(asked)).tolist() == predicted.tolist()


def test_a_pooled_class_needs_clips_for_both_sides() -> None:
    plan = replace(POOLED, num_ways=2, num_shots=2, num_queries=3)
    task = task_of([2, 3, 1], [3, 1, 9])
    assert check_episodes(task, plan=plan).tolist() == [True, False, True]
    with pytest.raises(
        ConfigError,
        match=r"kitchenware: 2 classes have 2 clips that were decoded and 5 in all, 3 wanted; "
        r"'class 1' has 4 and 4; ask for fewer",
    ):
        sample_episodes(task, plan=replace(plan, num_ways=3))


def test_plans_and_features_without_meaning_are_refused() -> None:
    with pytest.raises(ValueError, match="num_ways is 1"):
        replace(PLAN, num_ways=1)
    with pytest.raises(ValueError, match="num_shots is 0"):
        replace(PLAN, num_shots=0)
    subject = subject_of(TASK, gap=1)
    with pytest.raises(ValueError, match="probe attentive reads steps"):
        evaluate_episodes(subject, TASK, plan=PLAN, probe="attentive")
    steps = subject.features.features[:, None].repeat(2, axis=1)
    spread = replace(subject, features=FeatureSet(subject.features.clip_ids, steps, {}))
    with pytest.raises(ValueError, match="needs the source's step_standardiser"):
        evaluate_episodes(spread, TASK, plan=PLAN, probe="attentive")


def test_a_probe_that_reads_no_steps_gets_their_mean_or_all_of_them_side_by_side() -> None:
    subject = subject_of(TASK, gap=0.5)
    ids, values = subject.features.clip_ids, subject.features.features
    steps = np.stack([values + 1, values - 1], axis=1)
    spread = replace(subject, features=FeatureSet(ids, steps, {}))
    of_mean, of_steps = (
        evaluate_episodes(each, TASK, plan=PLAN, probe="ridge").answers[0]
        for each in (subject, spread)
    )
    assert np.array_equal(of_mean.predicted, of_steps.predicted)
    side_by_side = np.concatenate([steps[:, 0], steps[:, 1]], axis=1)
    scale = Standardiser.of(side_by_side)
    joined, plain = (
        evaluate_episodes(each, TASK, plan=PLAN, probe="nearest-mean").answers[0]
        for each in (
            replace(spread, joins_steps=True, standardiser=scale),
            replace(subject, features=FeatureSet(ids, side_by_side, {}), standardiser=scale),
        )
    )
    assert np.array_equal(joined.predicted, plain.predicted)
    assert not np.array_equal(joined.predicted, of_mean.predicted)


def test_episodes_of_a_probe_that_fails_say_why() -> None:
    subject = subject_of(TASK, gap=1)
    tiny = replace(subject, standardiser=Standardiser(np.zeros(16), np.full(16, 1e-320)))
    found = evaluate_episodes(tiny, TASK, plan=PLAN, probe="ridge")
    (answers,) = found.answers
    assert "probe ridge: standardised features are not finite" in str(answers.problem)
    assert (answers.predicted == NO_ANSWER).all()
    assert answers.predicted.shape == (20, 12)
    with pytest.raises(AssertionError, match="has no score"):
        _ = found.accuracies(answers)
