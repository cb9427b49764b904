from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from taskgrain.data.decode import decode_clip
from taskgrain.data.sampling import see
from taskgrain.data.streaming import Shown, SlidingWindows
from taskgrain.describing import Describer
from taskgrain.errors import CheckpointError, ConfigError, ResultError
from taskgrain.teaching.folds import NONE, Floats
from taskgrain.teaching.model import TaughtModel
from taskgrain.teaching.windows import (
    Watcher,
    checkpoint_watcher,
    choose_windows,
    taught_watcher,
    watch,
)
from tests.making import write_video
from tests.teaching.filming import CLASSES, film, taught_model
from tests.tools.features.making import SAMPLING, checkpoint


@pytest.fixture(scope="module")
def model() -> TaughtModel:
    return taught_model()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Still to second 3, above to 6, still to 8, below to 11, still to 13."""
    frames = film((NONE, 36), (0, 36), (NONE, 24), (1, 36), (NONE, 24))
    return write_video(tmp_path_factory.mktemp("film") / "film.mp4", frames)


def scores_of(watcher: Watcher, path: Path, windows: SlidingWindows) -> Floats:
    """Watch a video, and return what its windows were scored."""
    parts: list[Floats] = []

    def score(shown: Sequence[Shown]) -> Floats:
        parts.append(watcher.score(shown))
        return parts[-1]

    watch(replace(watcher, score=score), path, windows)
    return np.concatenate(parts)


def test_a_window_is_answered_as_a_clip_of_its_frames(model: TaughtModel, video: Path) -> None:
    (sampling,) = model.encoder.samplings
    size = sampling.framing
    frames = decode_clip(video, height=size.height, width=size.width, fit=size.fit).frames
    windows = SlidingWindows(12, 5)
    found = scores_of(taught_watcher(model), video, windows)
    clips = [frames[5 * number : 5 * number + 12] for number in range(len(found))]
    assert len(clips) == windows.count(len(frames)) == 29
    expected = model.taught.model.scores(model.features(clips))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    labels, probs = model.taught.decide(found)
    for prediction, label, row in zip(model.predict(clips), labels, probs, strict=True):
        assert prediction.answer.label == (None if label == NONE else CLASSES[label])
        assert prediction.answer.ranking[0].probability == pytest.approx(row.max())


def test_what_happens_in_a_video_is_found_with_its_times(model: TaughtModel, video: Path) -> None:
    watcher = taught_watcher(model)
    counts: list[int] = []
    watched = watch(watcher, video, choose_windows(watcher), advance=counts.append)
    assert [each.label for each in watched.events] == list(CLASSES)
    times = [(each.start, each.end) for each in watched.events]
    np.testing.assert_allclose(times, [(3, 6), (8, 11)], atol=0.5)
    assert all(0.5 < each.probability <= each.highest <= 1 for each in watched.events)
    assert sum(counts) == watched.num_windows == (156 - 12) // 3 + 1
    assert (watched.seconds, watched.abstains, watched.problem) == (13.0, True, None)


def test_a_model_that_never_abstains_answers_every_moment(video: Path) -> None:
    watcher = taught_watcher(taught_model(why_not="for the test"))
    watched = watch(watcher, video, choose_windows(watcher))
    assert not watched.abstains
    assert sum(each.end - each.start for each in watched.events) == pytest.approx(13.0)


def test_windows_are_as_long_as_the_clips_that_were_taught(model: TaughtModel) -> None:
    watcher = taught_watcher(model)
    assert choose_windows(watcher) == SlidingWindows(12, 3)
    assert choose_windows(watcher, seconds=2.5) == SlidingWindows(30, 8)
    assert choose_windows(watcher, step_seconds=0.5) == SlidingWindows(12, 6)
    assert choose_windows(watcher, seconds=0.1) == SlidingWindows(1, 1)
    with pytest.raises(ConfigError, match=r"--step 2: windows of 1\.00 s would leave gaps"):
        choose_windows(watcher, step_seconds=2)


def test_a_checkpoint_answers_windows_as_it_describes_clips(tmp_path: Path, video: Path) -> None:
    describer = Describer.from_checkpoint(checkpoint(tmp_path / "last"))
    watcher = checkpoint_watcher(describer)
    windows = choose_windows(watcher, seconds=2.0)
    assert windows == SlidingWindows(24, 6)
    scores = scores_of(watcher, video, windows)
    frames = describer.decode(video).frames
    described = describer.describe([frames[12:36]])[0].categories
    assert described is not None
    _, probs = watcher.decide(scores[2:3])
    of_class = dict(zip(watcher.classes, probs[0], strict=True))
    assert {each.name: pytest.approx(each.probability) for each in described} == of_class
    assert not watcher.abstains


def test_a_checkpoint_s_stride_says_how_long_its_windows_are(tmp_path: Path) -> None:
    describer = Describer.from_checkpoint(checkpoint(tmp_path / "last"))
    with pytest.raises(ConfigError, match=r"give their length in seconds as --window"):
        choose_windows(checkpoint_watcher(describer))
    strided = replace(SAMPLING, stride=3)
    describer.description = replace(describer.description, sampling=strided)
    assert choose_windows(checkpoint_watcher(describer)).num_frames == 24


def test_a_checkpoint_of_captions_alone_is_refused(tmp_path: Path) -> None:
    describer = Describer.from_checkpoint(checkpoint(tmp_path / "last"))
    describer.model.head = None
    with pytest.raises(CheckpointError, match="'tiny' was trained for captions alone"):
        checkpoint_watcher(describer)


def test_scores_that_are_not_finite_stop_the_watching(model: TaughtModel, video: Path) -> None:
    watcher = taught_watcher(model)

    def broken(shown: Sequence[Shown]) -> Floats:
        return np.full_like(watcher.score(shown), np.nan)

    with pytest.raises(ResultError, match=r"film\.mp4: what the model computes of a window"):
        watch(replace(watcher, score=broken), video, choose_windows(watcher))


def test_the_last_windows_are_seen_whole(model: TaughtModel, video: Path) -> None:
    watcher = taught_watcher(model)
    (sampling,) = watcher.samplings
    size = sampling.framing
    frames = decode_clip(video, height=size.height, width=size.width, fit=size.fit).frames
    given: list[Shown] = []

    def score(shown: Sequence[Shown]) -> Floats:
        given.extend(shown)
        return watcher.score(shown)

    watch(replace(watcher, score=score), video, SlidingWindows(12, 12))
    np.testing.assert_array_equal(given[-1][sampling], see(frames[-12:], sampling))
