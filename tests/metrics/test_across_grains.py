from __future__ import annotations

import numpy as np
import pytest
import torch

from taskgrain.labels.ssv2 import CONTRASTIVE_GROUPS, OFFICIAL_INDEX, VALIDATION_COUNT
from taskgrain.labels.taxonomy import Taxonomy
from taskgrain.metrics.accuracy import (
    GroupErrors,
    HeadAnswers,
    coarser_levels,
    commonest_of,
    confusions,
    contrastive_accuracy,
    group_errors,
    present_groups,
)

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
    counts = torch.tensor([VALIDATION_COUNT[name] for name in categories])
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
