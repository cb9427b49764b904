from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from taskgrain.labels.ssv2 import CONTRASTIVE_GROUPS, OFFICIAL_INDEX
from taskgrain.labels.taxonomy import Taxonomy
from taskgrain.metrics.accuracy import (
    Accuracy,
    GroupErrors,
    HeadAnswers,
    coarser_levels,
    commonest_of,
    confusions,
    contrastive_accuracy,
    group_errors,
    present_groups,
)
from tests.making import ssv2_counts

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


TAXONOMY = Taxonomy(
    ("a", "b", "c", "d"),
    {
        "half": ("x", "x", "y", "y"),
        "verb": ("p", "q", "q", "r"),  # does not nest in half, nor half in it
        "some": ("u", "u", "v", None),
        "all": ("one", "one", "one", "one"),
        "other-half": ("2", "2", "1", "1"),
    },
)


def answers(
    probs: list[list[float]], target: list[int], missing: tuple[int, ...] = ()
) -> HeadAnswers:
    said = torch.ones(len(target), dtype=torch.bool)
    said[list(missing)] = False
    scores = torch.tensor(probs).log().masked_fill(~said[:, None], 0.0)
    return HeadAnswers(scores, torch.tensor(target), said)


def test_the_probabilities_of_a_group_add_up() -> None:
    head = answers([[0.4, 0.0, 0.3, 0.3], [0.1, 0.5, 0.2, 0.2]], [2, 0])
    halves = head.at(TAXONOMY.index_of("half"), 2)
    assert torch.allclose(halves.scores, torch.tensor([[0.4, 0.6], [0.6, 0.4]]))
    assert head.accuracy.top_1 == 0.0
    assert halves.accuracy.top_1 == 1.0  # though a, of the other half, was likeliest


def test_a_level_scores_only_what_it_names() -> None:
    head = answers([[0.1, 0.1, 0.2, 0.6], [0.1, 0.1, 0.2, 0.6], [0.3, 0.3, 0.2, 0.2]], [2, 3, 2])
    some = head.at(TAXONOMY.index_of("some"), 2)
    assert some.target.tolist() == [1, 1]  # the clip of d is left out
    assert some.predicted.tolist() == [0, 0]  # without d the sums are .2 and .2, then .6 and .2
    assert some.scores.shape == (2, 2)


def test_a_head_is_scored_at_every_level_that_follows_from_its_own() -> None:
    found = coarser_levels(TAXONOMY, "category")
    assert list(found) == ["half", "verb", "some", "other-half"]  # one name tells nothing
    assert found["some"].tolist() == [0, 0, 1, -1]
    halves = coarser_levels(TAXONOMY, "half")
    assert {level: index.tolist() for level, index in halves.items()} == {"other-half": [1, 0]}
    assert coarser_levels(TAXONOMY, "verb") == {}
    # d has no name at "some": whether its classes nest is asked of a, b and c alone.
    some = coarser_levels(TAXONOMY, "some")
    assert {level: index.tolist() for level, index in some.items()} == {
        "half": [0, 1],
        "other-half": [1, 0],
    }


def test_what_was_not_answered_is_wrong_everywhere() -> None:
    head = answers([[0.9, 0.1, 0.0, 0.0]] * 2, [0, 0], missing=(1,))
    assert head.accuracy.top_1 == head.accuracy.top_k == 0.5
    assert head.accuracy.num_clips == 2
    assert head.at(TAXONOMY.index_of("half"), 2).accuracy.top_1 == 0.5
    assert contrastive_accuracy(head, [[[0], [1]]]) == 0.5
    assert group_errors(head, TAXONOMY.index_of("half")) == GroupErrors(within=0.0, between=0.5)
    assert confusions(head) == {(0, -1): 1, (0, 0): 1}


def test_errors_lie_within_a_group_or_between_groups() -> None:
    eye = torch.eye(4).clamp(min=0.01).tolist()
    head = answers([eye[0], eye[1], eye[2], eye[3]], [0, 0, 0, 0])
    errors = group_errors(head, TAXONOMY.index_of("half"))
    assert errors == GroupErrors(within=0.25, between=0.5)
    assert errors.within + errors.between + head.accuracy.top_1 == 1.0
    assert confusions(head) == {(0, 0): 1, (0, 1): 1, (0, 2): 1, (0, 3): 1}


def test_contrastive_scores_are_restricted_to_their_group() -> None:
    # Each clip is taken for a category outside its group; within it the first two are right.
    head = answers(
        [[0.2, 0.1, 0.0, 0.7], [0.1, 0.3, 0.2, 0.4], [0.3, 0.2, 0.1, 0.4], [0.1, 0.1, 0.1, 0.7]],
        [0, 1, 1, 3],
    )
    assert contrastive_accuracy(head, [[[0], [1]]]) == pytest.approx(2 / 3)
    assert contrastive_accuracy(head, [[[0], [1]], [[2], [3]]]) == pytest.approx((2 / 3 + 1) / 2)
    assert contrastive_accuracy(head, [[[0, 1], [2]]]) == 1.0  # either category of a merged class
    assert np.isnan(contrastive_accuracy(head, [[[2]]]))


def test_the_contrastive_score_of_the_commonest_class_is_the_owners() -> None:
    # Always the most probable class of the validation set: 64.93, as the data's owner has it.
    categories = list(OFFICIAL_INDEX)
    clips = ssv2_counts("validation")
    counts = torch.tensor([clips[name] for name in categories])
    target = torch.arange(len(categories)).repeat_interleave(counts)
    scores = counts.double().expand(len(target), -1)
    always = HeadAnswers(scores, target, torch.ones(len(target), dtype=torch.bool))
    groups = present_groups([group.classes for group in CONTRASTIVE_GROUPS], categories)
    assert len(groups) == 69
    assert contrastive_accuracy(always, groups) == pytest.approx(0.6493, abs=5e-5)


def test_of_a_contrastive_group_what_a_dataset_has_is_kept() -> None:
    groups: list[list[tuple[str, ...]]] = [
        [("a", "b"), ("c",)],
        [("a",), ("z",)],
        [("b", "z"), ("d",), ("y",)],
    ]
    assert present_groups(groups, ("a", "b", "c", "d")) == [[[0, 1], [2]], [[1], [3]]]


def test_the_commonest_category_of_a_class_is_the_first_of_equals() -> None:
    classes = np.array([0, 1, 0, 1, -1])
    assert commonest_of(classes, np.array([3, 2, 4, 2, 9]), 2).tolist() == [2, 1]
