from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskgrain.errors import ConfigError
from taskgrain.transfer.task import TargetTask, support_draws


def task_of(counts: list[int], *, failed: frozenset[str] = frozenset()) -> TargetTask:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    ids = tuple(f"s{index}" for index in range(len(labels)))
    names = tuple(f"class {index}" for index in range(len(counts)))
    return TargetTask("kitchenware", names, ids, labels, ("q",), np.array([0]), failed)


COUNTS = st.lists(st.integers(3, 12), min_size=1, max_size=6)


@given(counts=COUNTS, shots=st.integers(1, 3), num_draws=st.integers(1, 5), seed=st.integers(0, 99))
def test_every_draw_holds_k_different_clips_of_every_class(
    counts: list[int], shots: int, num_draws: int, seed: int
) -> None:
    task = task_of(counts)
    draws = support_draws(task, num_shots=shots, num_draws=num_draws, seed=seed)
    assert draws.shape == (num_draws, len(counts) * shots)
    for draw in draws:
        assert len(set(draw.tolist())) == len(draw)
        assert task.support_labels[draw].tolist() == np.repeat(range(len(counts)), shots).tolist()


@given(counts=COUNTS, seed=st.integers(0, 99))
def test_a_draw_at_one_shot_is_part_of_the_draw_at_three(counts: list[int], seed: int) -> None:
    task = task_of(counts)
    one = support_draws(task, num_shots=1, num_draws=4, seed=seed)
    three = support_draws(task, num_shots=3, num_draws=4, seed=seed)
    for few, many in zip(one, three, strict=True):
        assert set(few.tolist()) < set(many.tolist())


@given(counts=COUNTS, seed=st.integers(0, 99))
def test_a_draw_does_not_depend_on_how_many_there_are(counts: list[int], seed: int) -> None:
    task = task_of(counts)
    few = support_draws(task, num_shots=2, num_draws=2, seed=seed)
    assert np.array_equal(support_draws(task, num_shots=2, num_draws=9, seed=seed)[:2], few)


@given(counts=COUNTS, failures=st.sets(st.integers(0, 17), max_size=2), seed=st.integers(0, 99))
def test_failed_clips_are_never_drawn(counts: list[int], failures: set[int], seed: int) -> None:
    task = task_of(counts, failed=frozenset(f"s{index}" for index in failures))
    for shots in (1, "all"):
        draws = support_draws(task, num_shots=1 if shots == 1 else "all", num_draws=20, seed=seed)
        assert not failures & set(draws.ravel().tolist())


def test_a_failure_changes_only_the_draws_that_held_the_clip() -> None:
    task = task_of([8, 8])
    before = support_draws(task, num_shots=2, num_draws=50, seed=0)
    lost = int(before[0, 0])
    hurt = replace(task, failed=frozenset({task.support_ids[lost]}))
    after = support_draws(hurt, num_shots=2, num_draws=50, seed=0)
    held = (before == lost).any(axis=1)
    assert 0 < held.sum() < 50
    assert np.array_equal(before[~held], after[~held])


def test_all_is_the_whole_pool_once() -> None:
    draws = support_draws(task_of([4, 7]), num_shots="all", num_draws=50, seed=0)
    assert draws.shape == (1, 11)
    assert sorted(draws[0].tolist()) == list(range(11))


def test_every_clip_is_drawn_equally_often() -> None:
    draws = support_draws(task_of([10]), num_shots=2, num_draws=5000, seed=3)
    counts = np.bincount(draws.ravel(), minlength=10)
    assert counts.sum() == 10_000
    assert np.abs(counts - 1000).max() < 5 * np.sqrt(1000 * 0.8)


def test_other_seeds_give_other_draws() -> None:
    task = task_of([9, 9])
    first = support_draws(task, num_shots=3, num_draws=5, seed=0)
    assert not np.array_equal(first, support_draws(task, num_shots=3, num_draws=5, seed=1))


def test_a_class_with_too_few_clips_is_named_with_what_it_has() -> None:
    task = task_of([5, 3], failed=frozenset({"s0", "s1", "s2", "s3", "s4"}))
    have = [int((task.support_labels[5:] == index).sum()) for index in (0, 1)]
    with pytest.raises(
        ConfigError,
        match=f"kitchenware: class 'class 0' has {have[0]} usable support clips, 5 want",
    ):
        support_draws(task, num_shots=5, num_draws=1, seed=0)
    with pytest.raises(ConfigError, match="class 'class 1' has 0 usable support clips, 1 wanted"):
        support_draws(task_of([1, 0]), num_shots="all", num_draws=1, seed=0)
    with pytest.raises(ValueError, match="num_draws is 0"):
        support_draws(task, num_shots=1, num_draws=0, seed=0)
