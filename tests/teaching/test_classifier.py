"""The classifier is the ridge that is written out here, and its threshold keeps its promise."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from taskgrain.teaching.classifier import (
    conformal_threshold,
    fit_linear,
    hold_out,
    known_unlikeness,
    unlikeness,
)
from taskgrain.teaching.folds import NONE, TaughtClips, recording_folds
from tests.teaching.worlds import FeatureWorld


@pytest.mark.parametrize(("num_clips", "width"), [(12, 40), (40, 12)])
def test_scores_are_those_of_weighted_ridge_written_out(num_clips: int, width: int) -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(num_clips, width)) * rng.uniform(0.1, 10, width)
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 1, 2, NONE] * 4)[:num_clips]
    labels[-2:] = [2, NONE]
    clips = TaughtClips(features, labels, np.arange(num_clips), 3)
    (model,) = fit_linear(clips, [0.3])

    kinds = np.where(labels == NONE, 3, labels)
    weight = 1.0 / np.bincount(kinds)[kinds] / 4
    mean = weight @ features
    scale = np.sqrt(weight @ (features - mean) ** 2)
    points = np.hstack([(features - mean) / scale, np.ones((num_clips, 1))])
    target = np.where(np.arange(4) == kinds[:, None], 1.0, -1.0)
    penalty = np.diag([0.3 * width] * width + [0.0])  # the intercept is free
    left = points.T @ (num_clips * weight[:, None] * points) + penalty
    solution = np.linalg.solve(left, points.T @ (num_clips * weight[:, None] * target))
    asked = rng.normal(size=(7, width))
    expected = np.hstack([(asked - mean) / scale, np.ones((7, 1))]) @ solution
    np.testing.assert_allclose(model.scores(asked), expected, atol=1e-9)


def test_a_feature_that_never_varies_changes_nothing() -> None:
    world = FeatureWorld.of(0, num_classes=3, separation=1.0, shift=0.5)
    clips = world.clips(4, 2, crossed=True)
    wider = np.hstack([clips.features, np.full((len(clips), 1), 7.3)])
    (plain,) = fit_linear(clips, [1.0])
    (padded,) = fit_linear(
        TaughtClips(wider, clips.labels, clips.recordings, 3), [len(plain.mean) / len(wider[0])]
    )
    np.testing.assert_allclose(padded.scores(wider), plain.scores(clips.features), atol=1e-9)


def test_no_clip_is_answered_by_a_classifier_that_saw_its_recording() -> None:
    # Features are the recording and nothing else: whoever has seen it answers right.
    recordings = np.repeat(np.arange(12), 3)
    labels = recordings % 3
    features = np.eye(12)[recordings]
    held = hold_out(TaughtClips(features, labels, recordings, 3))
    assert held.accuracy <= 0.5
    (model,) = fit_linear(TaughtClips(features, labels, recordings, 3), [0.01])
    assert (model.scores(features).argmax(axis=1) == labels).all()


def test_held_out_clips_are_not_answered_wrong_because_their_class_lacks_one() -> None:
    # Pure noise, every clip a recording: plain ridge would be right less often than chance.
    accuracy = []
    for seed in range(20):
        world = FeatureWorld.of(seed, num_classes=4, separation=0.0, shift=0.0)
        accuracy.append(hold_out(world.clips(5, 1, crossed=False)).accuracy)
    assert 0.2 < np.mean(accuracy) < 0.3


def test_the_temperature_makes_probabilities_as_sure_as_they_are_right() -> None:
    world = FeatureWorld.of(3, num_classes=4, separation=0.3, shift=0.5)
    clips = world.clips(12, 2, crossed=True)
    held = hold_out(clips)
    logits = held.scores / held.temperature
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    assert abs(probs.max(axis=1).mean() - held.accuracy) < 0.1


def test_unlikeness_is_the_odds_against_the_most_probable_class() -> None:
    scores = np.array([[0.5, -0.5, 0.2], [0.1, 0.3, 0.9]])  # of two classes, and of no class
    weights = np.exp(scores / 0.5)
    expected = [
        log((weights[0, 1] + weights[0, 2]) / weights[0, 0]),
        log((weights[1, 0] + weights[1, 2]) / weights[1, 1]),  # no class is no candidate
    ]
    assert unlikeness(scores, num_classes=2, temperature=0.5).tolist() == pytest.approx(expected)


def test_clips_differ_where_their_probabilities_are_one_to_the_last_bit() -> None:
    sure = unlikeness(np.array([[1.0, -1.0], [0.6, -1.0]]), num_classes=2, temperature=1e-3)
    assert sure.tolist() == pytest.approx([-2000.0, -1600.0])


@pytest.mark.parametrize("width", [10, 60])
def test_held_out_scores_are_those_of_classifiers_taught_without_the_fold(width: int) -> None:
    # Both ways: by weights (fewer features than clips), and by scalar products alone.
    world = FeatureWorld.of(6, num_classes=3, separation=0.5, shift=0.5)
    made = world.clips(5, 2, crossed=True)
    clips = TaughtClips(made.features[:, :width], made.labels, made.recordings, 3)
    held = hold_out(clips)
    folds = recording_folds(clips, 5)
    for fold in range(5):
        (model,) = fit_linear(clips.of(folds != fold), [held.penalty])
        expected = model.scores(clips.features[folds == fold])
        np.testing.assert_allclose(held.scores[folds == fold], expected, atol=1e-9)


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3])
def test_new_clips_exceed_the_threshold_as_seldom_as_promised(alpha: float) -> None:
    rng = np.random.default_rng(8)
    exceeding = []
    for _ in range(4000):
        scores = rng.exponential(size=41)
        threshold = conformal_threshold(scores[:40], alpha)
        assert threshold is not None
        exceeding.append(scores[40] > threshold)
    # Exactly 1 - ceil(41 (1 - alpha)) / 41, which lies between alpha - 1 / 41 and alpha.
    assert alpha - 1 / 41 - 0.015 < np.mean(exceeding) < alpha + 0.015


@pytest.mark.parametrize(("alpha", "fewest"), [(0.05, 19), (0.1, 9), (0.25, 3)])
def test_too_few_clips_give_no_threshold(alpha: float, fewest: int) -> None:
    assert conformal_threshold(np.arange(fewest - 1.0), alpha) is None
    assert conformal_threshold(np.arange(fewest + 0.0), alpha) == fewest - 1


def test_clips_of_no_class_set_no_threshold() -> None:
    world = FeatureWorld.of(2, num_classes=3, separation=1.0, shift=0.3)
    clips = world.clips(5, 2, crossed=True)
    labels = np.where(clips.labels == 2, NONE, clips.labels)
    taught = TaughtClips(clips.features, labels, clips.recordings, 2)
    assert len(known_unlikeness(taught, hold_out(taught))) == 20
