from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import taskgrain
from taskgrain.describing import Describer
from taskgrain.errors import CheckpointError
from taskgrain.predict import Predictor, teach, teach_clips
from tests.making import write_video
from tests.tools.features.making import checkpoint
from tests.tools.teach.test_command import ACTIONS, RECORDINGS, moving

Clips = list[NDArray[np.uint8]]


def lesson() -> tuple[Clips, list[str | None], list[str]]:
    """Two takes of each action in each recording."""
    keys = [
        (action, recording, take)
        for action in ACTIONS
        for recording in range(RECORDINGS)
        for take in range(2)
    ]
    days = [f"day {recording}" for _, recording, _ in keys]
    return [moving(*key) for key in keys], [action for action, _, _ in keys], days


@pytest.fixture(scope="module")
def taught() -> Predictor:
    return teach_clips(*lesson(), encoder="motion-energy")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return Predictor.from_checkpoint(checkpoint(tmp_path_factory.mktemp("study") / "last"))


def test_what_was_taught_from_arrays_answers_and_says_how_good_it_is(taught: Predictor) -> None:
    new = [moving(action, RECORDINGS, 0) for action in ACTIONS]  # of a recording that is new
    answers = [each.answer for each in taught.predict(new)]
    assert [each.ranking[0].name for each in answers] == list(ACTIONS)
    accuracy = taught.estimate["accuracy"]
    assert isinstance(accuracy, dict)
    assert accuracy["recordings"] == RECORDINGS
    assert accuracy["value"] > 0.9
    assert taught.estimate["clips"] == len(lesson()[0])
    assert taught.estimate["notes"] == []
    assert taught.features(new).shape == (3, 320)


def test_a_model_that_was_written_answers_as_the_one_in_memory(tmp_path: Path) -> None:
    out = tmp_path / "model"
    made = teach_clips(*lesson(), encoder="motion-energy", out=out)
    opened = Predictor.from_checkpoint(out)
    clips = lesson()[0][:4]
    assert opened.predict(clips) == made.predict(clips)
    assert opened.estimate == json.loads(json.dumps(made.estimate))
    assert repr(opened) == repr(made)


def test_a_folder_is_taught_as_by_the_command(tmp_path: Path) -> None:
    for action in ACTIONS[:2]:
        for recording in range(2):
            for take in range(2):
                folder = tmp_path / "clips" / action / f"day {recording}"
                folder.mkdir(parents=True, exist_ok=True)
                write_video(folder / f"{take}.mp4", moving(action, recording, take))
    model = teach(tmp_path / "clips", tmp_path / "model", encoder="motion-energy")
    assert model.estimate["recordings"] == 2
    clip = tmp_path / "clips" / "left" / "day 1" / "0.mp4"
    assert model.predict_file(clip).answer.label == "left"
    again = model.teach(tmp_path / "clips", tmp_path / "again")
    assert again.predict_file(clip).answer == model.predict_file(clip).answer


def test_an_encoder_of_a_study_is_taught_and_carried_along(
    study: Predictor, tmp_path: Path
) -> None:
    made = study.teach_clips(*lesson(), out=tmp_path / "model")
    assert (tmp_path / "model" / "encoder" / "model.safetensors").is_file()
    clips = lesson()[0][:2]
    assert Predictor.from_checkpoint(tmp_path / "model").predict(clips) == made.predict(clips)


def test_nothing_is_claimed_where_recordings_are_not_known() -> None:
    clips, labels, _ = lesson()
    model = teach_clips(clips, labels, encoder="motion-energy")
    assert model.estimate["accuracy"] is None
    assert model.estimate["unseen"] is None
    assert any("recordings=" in note for note in _texts(model.estimate["notes"]))
    (answer,) = model.predict(clips[:1])
    assert answer.answer.verdict == "cannot tell"
    assert answer.answer.label == labels[0]


def test_clips_of_none_of_the_actions_are_taught_as_such() -> None:
    clips, labels, days = lesson()
    still = [np.repeat(clip[:1], 12, axis=0) for clip in clips[:RECORDINGS]]
    others: list[str | None] = [None] * len(still)
    model = teach_clips(
        clips + still,
        labels + others,
        days + [f"day {n}" for n in range(RECORDINGS)],
        encoder="motion-energy",
    )
    assert model.estimate["none"] == RECORDINGS
    assert model.estimate["classes"] == list(ACTIONS)


def test_a_clip_that_is_given_twice_is_noted() -> None:
    clips, labels, days = lesson()
    model = teach_clips(
        [*clips, clips[0]], [*labels, "left"], [*days, "day 9"], encoder="motion-energy"
    )
    notes = _texts(model.estimate["notes"])
    assert "clips 0 and 30 show the same footage, but are said to be of two recordings" in notes
    assert any("their labels are 'fall' and 'left'" in note for note in notes)


def _texts(found: object) -> list[str]:
    assert isinstance(found, list | tuple)
    return [str(each) for each in found]


@pytest.mark.parametrize(
    ("labels", "recordings", "rejected", "found"),
    [
        (["a", "b"], None, 0.05, "labels: found 2 of them"),
        ("aabb", None, 0.05, "labels: found 4"),
        (["a", "a", "b", "b"], [1, 2], 0.05, "recordings: found 2"),
        (["a"] * 4, None, 0.05, "expected two actions or more"),
        (["a", "a", "a", "b"], None, 0.05, "action 'b' has one clip"),
        (["a", "a", 1, 1], None, 0.05, "1 is no action"),
        (["a", "a", "b", "b"], None, 0.0, "rejected clips: found 0.0"),
    ],
)
def test_labels_and_recordings_that_do_not_fit_are_refused(
    labels: Sequence[str | None], recordings: list[int] | None, rejected: float, found: str
) -> None:
    clips = [moving("fall", n, 0) for n in range(4)]
    with pytest.raises(ValueError, match=found):
        teach_clips(clips, labels, recordings, encoder="pixels", rejected=rejected)


def test_each_model_says_what_to_call_instead(
    study: Predictor, taught: Predictor, tmp_path: Path
) -> None:
    for call in (lambda: study.predict([]), lambda: study.estimate):
        with pytest.raises(CheckpointError, match=r"a study's checkpoint.*describe\(clips\)"):
            call()
    with pytest.raises(CheckpointError, match=r"a taught model.*predict\(clips\)"):
        taught.describe([])
    with pytest.raises(CheckpointError, match=r"predict_file\(path\)"):
        taught.describe_file(tmp_path / "clip.mp4")


def test_options_of_a_study_are_refused_for_a_taught_model(tmp_path: Path) -> None:
    teach_clips(*lesson(), encoder="motion-energy", out=tmp_path / "model")
    with pytest.raises(ValueError, match="has no captions"):
        Predictor.from_checkpoint(tmp_path / "model", beam_width=3)


def test_an_encoder_of_ones_own_cannot_be_taught(study: Predictor, tmp_path: Path) -> None:
    of_study = study.describer
    own = replace(of_study.description, shape=None)
    describer = Describer(of_study.model, own, "cpu")
    with pytest.raises(CheckpointError, match="an encoder of your own"):
        Predictor(describer, tmp_path).teach_clips(*lesson())


def test_a_missing_estimate_is_named(tmp_path: Path) -> None:
    teach_clips(*lesson(), encoder="motion-energy", out=tmp_path / "model")
    (tmp_path / "model" / "estimate.json").unlink()
    model = taskgrain.Predictor.from_checkpoint(tmp_path / "model")
    with pytest.raises(CheckpointError, match=r"estimate\.json"):
        _ = model.estimate
