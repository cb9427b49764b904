"""Recordings are held out whole, and every class is spread over the folds."""

from __future__ import annotations

import numpy as np
import pytest

from taskgrain.teaching.folds import (
    NONE,
    TaughtClips,
    clip_folds,
    means_by_recording,
    recording_folds,
)


def clips_of(labels: list[int], recordings: list[int], num_classes: int = 2) -> TaughtClips:
    return TaughtClips(
        np.zeros((len(labels), 1)),
        np.array(labels, dtype=np.int64),
        np.array(recordings, dtype=np.int64),
        num_classes,
    )


@pytest.mark.parametrize("num_folds", [2, 5, 10])
@pytest.mark.parametrize("seed", range(5))
def test_clips_of_a_recording_are_held_out_together(seed: int, num_folds: int) -> None:
    rng = np.random.default_rng(seed)
    recordings = rng.integers(0, 12, size=60)
    clips = clips_of(rng.integers(-1, 4, size=60).tolist(), recordings.tolist(), 4)
    folds = recording_folds(clips, num_folds)
    for recording in np.unique(recordings):
        assert len(np.unique(folds[recordings == recording])) == 1
    assert set(folds.tolist()) == set(range(min(num_folds, len(np.unique(recordings)))))


def test_each_class_is_spread_over_as_many_folds_as_it_has_recordings() -> None:
    # Classes of three recordings each, one class a recording: no fold may take two of a class.
    labels = [label for label in range(6) for _ in range(3) for _ in range(2)]
    recordings = [index // 2 for index in range(len(labels))]
    folds = recording_folds(clips_of(labels, recordings, 6), 3)
    for label in range(6):
        assert len(set(folds[np.array(labels) == label].tolist())) == 3


def test_a_class_of_one_recording_is_split_only_where_that_is_wanted() -> None:
    clips = clips_of([0, 0, 0, 1, 1, 1], [7, 7, 7, 8, 9, 9])
    assert len(set(recording_folds(clips, 3)[:3].tolist())) == 1
    split = recording_folds(clips, 3, splits_lone_classes=True)
    assert len(set(split[:3].tolist())) == 3
    assert split[4] == split[5]  # of a class of two recordings


def test_clips_of_no_class_are_spread_too() -> None:
    clips = clips_of([0, 0, 1, 1, NONE, NONE, NONE], [0, 1, 2, 3, 4, 5, 6])
    folds = recording_folds(clips, 3)
    assert sorted(folds[4:].tolist()) == [0, 1, 2]


def test_folds_of_clips_ignore_recordings() -> None:
    clips = clips_of([0] * 5 + [1] * 5, [0] * 10)
    folds = clip_folds(clips, 5)
    assert sorted(folds[:5].tolist()) == sorted(folds[5:].tolist()) == [0, 1, 2, 3, 4]


def test_means_by_recording_pass_over_clips_that_do_not_count() -> None:
    values = np.array([1.0, np.nan, 0.0, 1.0, np.nan])
    recordings = np.array([5, 5, 2, 2, 9])
    assert means_by_recording(values, recordings).tolist() == [0.5, 1.0]
    assert means_by_recording(np.full(2, np.nan), np.array([1, 2])).tolist() == []


@pytest.mark.parametrize(
    ("labels", "recordings", "num_classes"),
    [([0, 1], [0], 2), ([0, 2], [0, 1], 2), ([0, -2], [0, 1], 2), ([0, 0], [0, 1], 1)],
)
def test_clips_that_do_not_fit_are_refused(
    labels: list[int], recordings: list[int], num_classes: int
) -> None:
    with pytest.raises(ValueError, match="expected"):
        clips_of(labels, recordings, num_classes)
