"""Unknown is told from known as well as it truly is."""

from __future__ import annotations

import numpy as np
import pytest

from taskgrain.teaching.classifier import (
    conformal_threshold,
    fit_linear,
    hold_out,
    known_unlikeness,
    unlikeness,
)
from taskgrain.teaching.folds import NONE, TaughtClips
from taskgrain.teaching.unseen import (
    precision,
    unknown_classes,
    unseen_classes,
    without_class,
)
from tests.teaching.worlds import FeatureWorld


def test_classes_far_apart_are_told_from_unseen_ones() -> None:
    world = FeatureWorld.of(0, num_classes=5, separation=2.0, shift=0.3)
    unseen = unseen_classes(world.clips(6, 2, crossed=True), 0.1)
    assert unseen is not None
    assert unseen.auroc.value > 0.9
    assert unseen.can_tell
    assert unseen.accepted is not None
    assert unseen.accepted.value < 0.5


def test_noise_tells_nothing() -> None:
    world = FeatureWorld.of(1, num_classes=5, separation=0.0, shift=0.3)
    unseen = unseen_classes(world.clips(8, 2, crossed=True), 0.1)
    assert unseen is not None
    assert 0.4 < unseen.auroc.value < 0.6
    assert not unseen.can_tell


@pytest.mark.slow
def test_error_rates_on_unseen_classes_are_near_the_truth() -> None:
    differences = []
    for seed in range(6):
        world = FeatureWorld.of(seed, num_classes=6, separation=0.8, shift=0.6)
        clips = world.clips(8, 2, crossed=True, num_classes=5)
        unseen = unseen_classes(clips, 0.1)
        assert unseen is not None
        assert unseen.rejected is not None
        assert unseen.accepted is not None
        new = world.clips(60, 1, crossed=True)  # class 5 was never seen
        held = hold_out(clips)
        (model,) = fit_linear(clips, [held.penalty])
        unlike = unlikeness(
            model.scores(new.features),
            num_classes=5,
            temperature=held.temperature,
        )
        threshold = conformal_threshold(known_unlikeness(clips, held), 0.1)
        assert threshold is not None
        is_unknown = new.labels == 5
        differences.append(
            (
                unseen.rejected.value - (unlike[~is_unknown] > threshold).mean(),
                unseen.accepted.value - (unlike[is_unknown] <= threshold).mean(),
            )
        )
    assert np.abs(np.mean(differences, axis=0)).max() < 0.15


def test_a_strange_room_does_not_pass_for_a_strange_action() -> None:
    # Classes cannot be told apart, but each has rooms of its own: compared across recordings, its
    # clips would look unknown only because their room is.
    world = FeatureWorld.of(3, num_classes=4, separation=0.0, shift=3.0)
    unseen = unseen_classes(world.clips(8, 2, crossed=True), 0.1)
    assert unseen is not None
    assert abs(unseen.auroc.value - 0.5) < 0.12


def test_a_value_without_a_lower_bound_is_no_reason_to_abstain() -> None:
    world = FeatureWorld.of(0, num_classes=5, separation=2.0, shift=0.3)
    few = unseen_classes(world.clips(4, 3, crossed=True), 0.1)
    assert few is not None
    assert few.auroc.value > 0.9
    assert few.lower_bound is None
    assert not few.can_tell


def test_two_classes_are_too_few_to_play_the_unknown() -> None:
    world = FeatureWorld.of(4, num_classes=2, separation=1.0, shift=0.3)
    assert unseen_classes(world.clips(5, 2, crossed=True), 0.1) is None


def test_clips_of_no_class_are_judged_without_their_recording() -> None:
    world = FeatureWorld.of(5, num_classes=5, separation=1.5, shift=0.3)
    clips = world.clips(6, 2, crossed=True)
    labels = np.where(clips.labels == 4, NONE, clips.labels)
    unseen = unseen_classes(TaughtClips(clips.features, labels, clips.recordings, 4), 0.1)
    assert unseen is not None
    assert unseen.given_none is not None
    assert unseen.given_none.value > 0.9


def test_with_few_clips_there_are_no_error_rates() -> None:
    world = FeatureWorld.of(6, num_classes=3, separation=1.0, shift=0.3)
    unseen = unseen_classes(world.clips(3, 1, crossed=True), 0.05)
    assert unseen is not None
    assert unseen.rejected is None
    assert unseen.accepted is None


def test_the_classes_that_are_left_are_numbered_anew() -> None:
    clips = TaughtClips(np.zeros((4, 1)), np.array([0, 2, 3, NONE]), np.arange(4), 4)
    assert without_class(clips, 1).labels.tolist() == [0, 1, 2, NONE]
    assert without_class(clips, 1).num_classes == 3


@pytest.mark.parametrize(
    ("rate", "found", "accepted", "expected"),
    [(0.5, 0.9, 0.1, 0.9), (0.01, 1.0, 0.01, 0.01 / (0.01 + 0.0099)), (0.1, 0.0, 0.0, 0.0)],
)
def test_precision_follows_the_base_rate(
    rate: float, found: float, accepted: float, expected: float
) -> None:
    assert precision(rate, found=found, accepted=accepted) == pytest.approx(expected)


def test_of_many_classes_ten_play_the_unknown() -> None:
    assert unknown_classes(4) == [0, 1, 2, 3]
    drawn = unknown_classes(50)
    assert len(set(drawn)) == 10
    assert drawn == unknown_classes(50) != list(range(10))
    assert max(drawn) < 50
