from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from taskgrain.metrics.accuracy import Accuracy

SCORES = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [1.0, 3.0, 2.0]])
TARGET = torch.tensor([0, 1, 2, 2])


def random_scores(num_clips: int, num_classes: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    # Few different values, so that there are ties.
    scores = torch.randint(0, 4, (num_clips, num_classes), generator=generator).float()
    return scores, torch.randint(0, num_classes, (num_clips,), generator=generator)


def test_shares_are_those_counted_by_hand() -> None:
    accuracy = Accuracy.of(SCORES, TARGET)
    assert accuracy.top_1 == 2 / 4
    assert accuracy.mean_per_class == pytest.approx((1 + 0 + 1 / 2) / 3)
    assert accuracy.num_clips == 4


@given(st.integers(0, 100), st.integers(0, 12))
def test_counts_of_parts_add_up_to_those_of_the_whole(seed: int, cut: int) -> None:
    scores, target = random_scores(12, 9, seed)
    first = Accuracy.of(scores[:cut], target[:cut])
    assert first + Accuracy.of(scores[cut:], target[cut:]) == Accuracy.of(scores, target)


@given(st.integers(0, 100), st.integers(6, 12))
def test_top_k_is_that_of_a_sorted_list(seed: int, num_classes: int) -> None:
    scores, target = random_scores(10, num_classes, seed)
    num_found = 0
    for row, true in zip(scores.tolist(), target.tolist(), strict=True):
        ranked = sorted(range(num_classes), key=lambda index: (-row[index], index))
        num_found += true in ranked[:5]
    assert Accuracy.of(scores, target).top_k == num_found / 10


def test_with_fewer_than_five_classes_every_clip_is_among_the_first() -> None:
    assert Accuracy.of(SCORES, TARGET).top_k == 1.0


def test_a_head_that_gives_every_class_the_same_is_not_right_everywhere() -> None:
    accuracy = Accuracy.of(torch.zeros(6, 3), torch.tensor([0, 0, 1, 1, 2, 2]))
    assert accuracy.top_1 == pytest.approx(1 / 3)


def test_a_class_without_clips_does_not_count_in_the_mean() -> None:
    assert Accuracy.of(SCORES[:1], TARGET[:1]).mean_per_class == 1.0


def test_accuracy_over_nothing_is_no_number() -> None:
    nothing = Accuracy.of(SCORES[:0], TARGET[:0])
    assert math.isnan(nothing.top_1)
    assert math.isnan(nothing.top_k)
    assert math.isnan(nothing.mean_per_class)


@pytest.mark.parametrize(
    ("scores", "target", "message"),
    [
        (torch.full((1, 3), float("nan")), torch.tensor([0]), "a score is NaN"),
        (torch.zeros(1, 3), torch.tensor([-1]), "expected 0 to 2"),
        (torch.zeros(1, 3), torch.tensor([3]), "expected 0 to 2"),
    ],
)
def test_what_cannot_be_counted_is_refused(scores: Tensor, target: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Accuracy.of(scores, target)


def test_counts_of_different_classes_do_not_add() -> None:
    with pytest.raises(ValueError, match="3 and of 4 classes do not add"):
        Accuracy.missed(TARGET, 3) + Accuracy.missed(TARGET, 4)
