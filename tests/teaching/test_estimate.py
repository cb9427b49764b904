"""Estimates are about new recordings, and their intervals hold the truth."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from taskgrain.teaching.classifier import fit_linear, hold_out
from taskgrain.teaching.curve import learning_curve
from taskgrain.teaching.estimate import Estimate, estimate
from taskgrain.teaching.folds import NONE, TaughtClips
from taskgrain.teaching.taught import SeenWith, teach_classifier
from tests.teaching.worlds import FeatureWorld


def estimated(clips: TaughtClips) -> Estimate:
    return estimate({"made": clips}, ["made"])


def truth_of(world: FeatureWorld, clips: TaughtClips) -> float:
    """Answer 1,000 clips of 1,000 / K new recordings by the classifier that all clips teach."""
    (model,) = fit_linear(clips, [hold_out(clips).penalty])
    new = world.clips(1000 // clips.num_classes, 1, crossed=True, num_classes=clips.num_classes)
    return float((model.scores(new.features).argmax(axis=1) == new.labels).mean())


@pytest.mark.slow
@pytest.mark.parametrize("crossed", [True, False])
def test_intervals_over_recordings_hold_the_accuracy_on_a_thousand_further_clips(
    crossed: bool,
) -> None:
    holds = []
    for seed in range(30):
        world = FeatureWorld.of(seed, num_classes=4, separation=0.45, shift=1.0)
        clips = world.clips(8 if crossed else 5, 2, crossed=crossed)
        accuracy = estimated(clips).accuracy
        assert accuracy is not None
        assert accuracy.interval is not None
        holds.append(accuracy.interval.low <= truth_of(world, clips) <= accuracy.interval.high)
    assert np.mean(holds) >= 0.85  # 95 % of 30 is at least 26 in 98 of 100 cases


def test_an_estimate_that_ignored_recordings_would_be_far_too_good() -> None:
    world = FeatureWorld.of(1, num_classes=4, separation=0.35, shift=1.5)
    clips = world.clips(5, 4, crossed=False)
    truth = truth_of(world, clips)
    found = estimated(clips)
    assert found.accuracy is not None
    assert found.accuracy.interval is not None
    assert found.accuracy.interval.low <= truth <= found.accuracy.interval.high
    assert found.same_recordings is not None
    assert found.same_recordings > truth + 0.2  # what single clips held out would promise


def test_windows_of_one_video_never_lie_on_both_sides() -> None:
    # Each clip is there twice, as windows of a video are; labels are noise.
    rng = np.random.default_rng(0)
    features = np.repeat(rng.normal(size=(40, 120)), 2, axis=0)
    labels = np.repeat(rng.permutation(np.repeat(np.arange(4), 10)), 2)
    recordings = np.repeat(np.arange(40), 2)
    honest = estimated(TaughtClips(features, labels, recordings, 4)).accuracy
    assert honest is not None
    assert honest.value < 0.5
    ignoring = estimated(TaughtClips(features, labels, np.arange(80), 4)).accuracy
    assert ignoring is not None
    assert ignoring.value > 0.9


def test_a_class_of_one_recording_has_no_number() -> None:
    world = FeatureWorld.of(2, num_classes=3, separation=1.0, shift=0.5)
    clips = world.clips(3, 2, crossed=False)
    recordings = np.where(clips.labels == 1, 99, clips.recordings)
    found = estimated(TaughtClips(clips.features, clips.labels, recordings, 3))
    assert [each.recall is None for each in found.classes] == [False, True, False]
    assert found.accuracy is not None
    assert found.accuracy.num_recordings == 6
    alone = estimated(TaughtClips(clips.features, clips.labels, clips.labels, 3))
    assert alone.accuracy is None
    assert alone.same_recordings is not None


def test_two_to_four_recordings_give_a_value_without_interval() -> None:
    world = FeatureWorld.of(2, num_classes=3, separation=1.0, shift=0.5)
    found = estimated(world.clips(4, 2, crossed=True))
    assert found.accuracy is not None
    assert found.accuracy.interval is None
    assert all(each.recall is not None and each.recall.interval is None for each in found.classes)


def test_the_better_encoder_wins_and_a_useless_one_is_far_behind() -> None:
    world = FeatureWorld.of(4, num_classes=3, separation=0.8, shift=0.5)
    clips = world.clips(8, 2, crossed=True)
    noise = np.random.default_rng(0).normal(size=clips.features.shape)
    useless = TaughtClips(noise, clips.labels, clips.recordings, 3)
    found = estimate({"useless": useless, "made": clips}, ["useless", "made"])
    assert found.encoders[0].encoder == "made"
    assert found.encoders[0].behind is None
    behind = found.encoders[1].behind
    assert behind is not None
    assert behind.interval is not None
    assert behind.interval.low > 0.2
    assert found.folds_won == {"useless": 0, "made": 8}


def test_a_reference_is_judged_and_never_chosen() -> None:
    world = FeatureWorld.of(4, num_classes=3, separation=0.8, shift=0.5)
    clips = world.clips(6, 2, crossed=True)
    noise = np.random.default_rng(0).normal(size=clips.features.shape)
    useless = TaughtClips(noise, clips.labels, clips.recordings, 3)
    found = estimate({"useless": useless, "made": clips}, ["useless"])
    assert found.encoders[0].encoder == "useless"
    assert found.folds_won == {"useless": 6}
    assert found.accuracy == found.encoders[0].accuracy


def test_choosing_among_noise_does_not_look_better_than_chance() -> None:
    # The winner of six useless encoders looks good on the folds that chose it, and only there.
    values = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        labels, recordings = np.arange(40) % 4, np.arange(40)
        sets = {
            f"noise {number}": TaughtClips(rng.normal(size=(40, 20)), labels, recordings, 4)
            for number in range(6)
        }
        accuracy = estimate(sets, list(sets)).accuracy
        assert accuracy is not None
        values.append(accuracy.value)
    assert 0.18 < np.mean(values) < 0.32


def test_classes_that_are_taken_for_one_another_come_first() -> None:
    world = FeatureWorld.of(6, num_classes=4, separation=1.0, shift=0.2)
    world.means[3] = world.means[1]
    found = estimated(world.clips(8, 2, crossed=True))
    assert found.pairs[0].labels == (1, 3)
    assert found.pairs[0].clips == 32
    assert 8 <= found.pairs[0].mistakes <= 24


def test_the_curve_rises_with_recordings_and_ends_with_all_of_them() -> None:
    world = FeatureWorld.of(7, num_classes=4, separation=0.45, shift=1.0)
    clips = world.clips(9, 2, crossed=True)
    curve = learning_curve(clips, 1.0)
    assert next(point.num_recordings for point in curve.points) == 1
    assert curve.points[-1].num_recordings == 8
    assert curve.points[-1].accuracy.value > curve.points[0].accuracy.value + 0.1


def test_the_gain_of_the_last_recording_is_that_of_leaving_out_each_in_turn() -> None:
    world = FeatureWorld.of(8, num_classes=3, separation=0.4, shift=0.8)
    clips = world.clips(6, 2, crossed=True)

    def right(taught: list[int], recording: int, label: int) -> float:
        """Teach class `label` from some recordings, the others from all but the one asked."""
        is_taught = np.where(
            clips.labels == label,
            np.isin(clips.recordings, taught),
            clips.recordings != recording,
        )
        (model,) = fit_linear(clips.of(is_taught), [1.0])
        asked = clips.features[(clips.recordings == recording) & (clips.labels == label)]
        return float((model.scores(asked).argmax(axis=1) == label).mean())

    for found in learning_curve(clips, 1.0).last:
        gains = []
        for recording in range(6):
            others = [each for each in range(6) if each != recording]
            fewer = [
                right([each for each in others if each != left], recording, found.label)
                for left in others
            ]
            gains.append(right(others, recording, found.label) - np.mean(fewer))
        assert found.gain.value == pytest.approx(np.mean(gains))
    assert any(found.gain.value for found in learning_curve(clips, 1.0).last)


def test_equal_clips_give_equal_numbers() -> None:
    world = FeatureWorld.of(9, num_classes=3, separation=0.5, shift=1.0)
    clips = world.clips(5, 2, crossed=False)
    assert estimated(clips) == estimated(clips)
    assert learning_curve(clips, 1.0) == learning_curve(clips, 1.0)


def test_lessons_of_few_clips_get_numbers_or_none_and_never_end_in_a_traceback() -> None:
    # Every way in which two clips of two actions, and one of none, can share recordings.
    rng = np.random.default_rng(3)
    features = rng.normal(size=(5, 8))
    labels = np.array([0, 0, 1, 1, NONE])
    for recordings in product(range(3), repeat=5):
        clips = TaughtClips(features, labels, np.array(recordings), 2)
        found = estimated(clips)
        taught = teach_classifier(
            clips, ("a", "b"), seen=SeenWith("made", "", 1.0), alpha=0.05, why_not=None
        )
        learning_curve(clips, taught.facts.penalty)
        (answer,) = taught.answer(features[:1])
        assert answer.verdict == "cannot tell"  # of four clips no threshold can be had
        assert (found.accuracy is None) == (
            recordings[0] == recordings[1] and recordings[2] == recordings[3]
        )


def test_clips_that_all_look_alike_are_answered_by_chance() -> None:
    labels = np.repeat(np.arange(3), 6)
    alike = TaughtClips(np.ones((18, 4)), labels, np.arange(18), 3)
    found = estimated(alike).accuracy
    assert found is not None
    assert found.value == pytest.approx(1 / 3, abs=0.2)
