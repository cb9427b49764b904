from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from taskgrain.names import CLIP_METRICS
from taskgrain.results import Shots
from taskgrain.statistics.intervals import ClipBootstrap
from taskgrain.transfer.answers import Answers, Evaluation, HitTable, PairedTable, Subject

LABELS: NDArray[np.int64] = np.random.default_rng(0).permutation(np.repeat(np.arange(4), 11))
CELLS: tuple[tuple[Shots, int], ...] = ((1, 7), (5, 300), ("all", 1))  # shots and draws


def evaluation_of(seed: int) -> Evaluation:
    generator = np.random.default_rng(seed)
    answers = tuple(
        Answers(
            "ridge", shots, generator.integers(-1, 4, (draws, len(LABELS)), np.int16), None, None
        )
        for shots, draws in CELLS
    )
    names = tuple(f"q{index}" for index in range(len(LABELS)))
    return Evaluation(
        Subject("s", seed, "lstm-mean", None),
        "t",
        ("a", "b", "c", "d"),
        names,
        LABELS,
        0,
        0,
        answers,
    )


@pytest.mark.parametrize("num_seeds", [1, 2, 9])  # from eight on numpy adds in another order
def test_a_pair_from_counts_has_the_bits_of_float_scores(num_seeds: int) -> None:
    first = [evaluation_of(seed) for seed in range(num_seeds)]
    second = [evaluation_of(100 + seed) for seed in range(num_seeds)]
    table = PairedTable.of(first, second, first[0].answers)
    a, b = (
        np.array(
            [[each.scores(each.answers[kind]) for each in group] for kind in range(len(CELLS))]
        )
        for group in (first, second)
    )
    whole = np.concatenate([a - b, (a - b).mean(axis=1, keepdims=True)], axis=1)
    whole = whole.reshape(-1, len(LABELS))
    assert table.shape == whole.shape
    assert np.array_equal(np.stack([table.of_set(row) for row in range(len(whole))]), whole)
    for clips in (np.arange(len(LABELS)), np.array([7]), np.array([3, 30, 4])):
        assert np.array_equal(table.of_clips(clips), whole[:, clips])
    for kind in range(len(CELLS)):
        assert np.array_equal(table.scores(kind), (a[kind], b[kind]))
    bootstrap = ClipBootstrap(LABELS, seed=0)
    for metric in CLIP_METRICS:
        assert bootstrap.intervals(table, metric=metric) == bootstrap.intervals(
            whole, metric=metric
        )


def test_one_evaluation_from_counts_has_the_bits_of_float_scores() -> None:
    evaluation = evaluation_of(0)
    table = HitTable.of(evaluation, evaluation.answers)
    whole = np.stack([evaluation.scores(each) for each in evaluation.answers])
    assert table.shape == whole.shape
    assert np.array_equal(np.stack([table.of_set(row) for row in range(3)]), whole)
    assert np.array_equal(table.of_clips(np.array([5, 2])), whole[:, [5, 2]])
