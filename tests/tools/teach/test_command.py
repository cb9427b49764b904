"""`taskgrain teach` from a folder to answers, as a user gives the commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from taskgrain.cli.main import main
from taskgrain.data.decode import decode_clip
from taskgrain.teaching.model import TaughtModel
from tests.making import write_video
from tests.tools.features.making import checkpoint

ACTIONS = ("fall", "left", "right")
RECORDINGS = 5


def moving(action: str, recording: int, take: int) -> np.ndarray:
    """A square that falls or moves sideways; recordings differ in ground and colour."""
    frames = np.full((12, 32, 32, 3), 20 + 30 * recording, np.uint8)
    for t in range(12):
        step = 2 + t * 18 // 11
        row, column = {"fall": (step, 10), "left": (10, 22 - step), "right": (10, step)}[action]
        frames[t, row : row + 8, column + take : column + take + 8] = (240, 200, 40 * recording)
    return frames


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teach") / "my clips"
    for action in ACTIONS:
        for recording in range(RECORDINGS):
            below = folder / action / f"day {recording}"
            below.mkdir(parents=True)
            for take in range(2):
                write_video(below / f"take{take}.mp4", moving(action, recording, take))
    return folder


@pytest.fixture(scope="module")
def model(clips: Path) -> Path:
    out = clips.parent / "model"
    main(["teach", str(clips), "--out", str(out), "--encoder", "motion-energy", "--quiet"])
    return out


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_what_is_printed_begins_with_the_accuracy_on_new_recordings(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["teach", str(clips), "--out", str(tmp_path / "m"), "--encoder", "motion-energy"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "3 classes, 30 clips, 5 recordings"
    assert lines[1].startswith("right on a clip of a new recording: 100 % (5 recordings: all alike")
    assert all(len(line) <= 100 for line in lines)


def test_the_estimate_is_kept_and_clips_are_answered(
    clips: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = json.loads((model / "estimate.json").read_text(encoding="utf-8"))
    assert stored["classes"] == list(ACTIONS)
    assert stored["linked_by"]["folder"] == 30
    assert [each["encoder"] for each in stored["encoders"]] == ["motion-energy", "pixels"]
    facts = json.loads((model / "model.json").read_text(encoding="utf-8"))
    assert facts["clip_seconds"] == 1.0
    capsys.readouterr()
    main(["describe", str(model), str(clips / "left" / "day 1"), "--json"])
    answers = [json.loads(line)["answer"] for line in capsys.readouterr().out.splitlines()]
    assert [each["ranking"][0]["name"] for each in answers] == ["left", "left"]


def test_arrays_are_answered_as_their_file_is(clips: Path, model: Path) -> None:
    taught = TaughtModel.from_folder(model)
    path = clips / "fall" / "day 3" / "take1.mp4"
    stored = taught.predict_file(path).answer
    size = next(iter(taught.encoder.samplings)).framing
    frames = decode_clip(path, height=size.height, width=size.width, fit=size.fit).frames
    (given,) = taught.predict([frames])
    assert given.answer == stored
    assert taught.predict([]) == []
    assert taught.features([]).shape == (0, 320)


def test_the_same_command_gives_the_same_model_from_its_cache(
    clips: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {name: (model / name).read_bytes() for name in ("model.json", "model.safetensors")}
    main(["teach", str(clips), "--out", str(model), "--encoder", "motion-energy"])
    assert "has the features of 30 of 30 clips already" in capsys.readouterr().err
    assert before == {name: (model / name).read_bytes() for name in before}


def test_a_checkpoint_travels_with_the_model(clips: Path, tmp_path: Path) -> None:
    own = checkpoint(tmp_path / "last")
    out = tmp_path / "model"
    main(["teach", str(clips), "--out", str(out), "--encoder", str(own), "--quiet"])
    shutil.rmtree(own)
    moved = shutil.move(out, tmp_path / "elsewhere")
    answer = TaughtModel.from_folder(moved).predict_file(clips / "left" / "day 0" / "take0.mp4")
    assert {each.name for each in answer.answer.ranking} == set(ACTIONS)
    assert str(tmp_path) not in (Path(moved) / "model.json").read_text(encoding="utf-8")


def test_a_model_is_taught_anew_with_the_encoder_that_it_carries(
    clips: Path, tmp_path: Path
) -> None:
    out = tmp_path / "model"
    for encoder in (checkpoint(tmp_path / "last"), out / "encoder"):
        main(["teach", str(clips), "--out", str(out), "--encoder", str(encoder), "--quiet"])
    assert TaughtModel.from_folder(out).taught.facts.encoder == "encoder"


def test_a_folder_called_as_an_encoder_is_not_taken_for_one(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pixels").mkdir()
    monkeypatch.chdir(tmp_path)
    main(["teach", str(clips), "--out", "model", "--encoder", "pixels", "--quiet"])
    assert TaughtModel.from_folder("model").taught.facts.encoder == "pixels"


def test_clips_that_cannot_be_read_are_named_and_left_out(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "clips"
    shutil.copytree(clips, folder)
    (folder / "left" / "day 1" / "take0.mp4").write_bytes(b"no video")
    main(["teach", str(folder), "--out", str(tmp_path / "m"), "--encoder", "pixels", "--quiet"])
    printed = capsys.readouterr()
    assert "left/day 1/take0" in printed.err
    assert printed.out.splitlines()[0] == "3 classes, 29 clips, 5 recordings"


def test_one_action_is_refused(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clips" / "left").mkdir(parents=True)
    for day in range(3):
        take = clips / "left" / f"day {day}" / "take0.mp4"
        shutil.copy(take, tmp_path / "clips" / "left" / f"{day}.mp4")
    text = refused(["teach", str(tmp_path / "clips"), "--out", str(tmp_path / "m")], capsys)
    assert "expected" in text
    assert not (tmp_path / "m").exists()


def test_a_folder_of_other_files_is_not_written_into(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    text = refused(["teach", str(clips), "--out", str(tmp_path), "--encoder", "pixels"], capsys)
    assert "thesis.txt" in text
    text = refused(["teach", str(clips), "--out", str(clips / "m"), "--encoder", "pixels"], capsys)
    assert "choose a folder outside of it" in text


@pytest.mark.parametrize("option", [["--saliency", "a.webp"], ["--beam-width", "3"]])
def test_options_of_captions_are_refused_for_a_taught_model(
    clips: Path, model: Path, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    clip = clips / "left" / "day 0" / "take0.mp4"
    assert option[0] in refused(["describe", str(model), str(clip), *option], capsys)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("coef", lambda each: each[:, :-1], "expected float64"),
        ("scale", lambda each: each * 0, "scale that is not above 0"),
        ("known", lambda each: each * np.nan, "not a number"),
        ("mean", None, "mean is missing"),
    ],
)
def test_a_damaged_model_is_refused_with_what_is_wrong(
    model: Path,
    clips: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    change: object,
    said: str,
) -> None:
    damaged = tmp_path / "model"
    shutil.copytree(model, damaged)
    arrays = load_file(damaged / "model.safetensors")
    if callable(change):
        arrays[name] = np.ascontiguousarray(change(arrays[name]))
    else:
        del arrays[name]
    save_file(arrays, damaged / "model.safetensors")
    clip = clips / "left" / "day 0" / "take0.mp4"
    text = refused(["describe", str(damaged), str(clip)], capsys)
    assert said in text
    assert "model.safetensors" in text


def test_a_model_of_another_encoder_is_refused(
    model: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "model"
    shutil.copytree(model, other)
    stored = json.loads((other / "model.json").read_text(encoding="utf-8"))
    stored["encoder"] = "pixels"
    (other / "model.json").write_text(json.dumps(stored), encoding="utf-8")
    clip = clips / "left" / "day 0" / "take0.mp4"
    assert "teach it anew" in refused(["describe", str(other), str(clip)], capsys)


def test_features_says_what_opens_a_taught_model(
    model: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = refused(["features", str(model), str(clips), str(tmp_path / "out.npz")], capsys)
    assert "taskgrain teach" in text
    assert "taskgrain.Predictor" in text


def test_a_model_of_another_version_is_refused(
    model: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "model"
    shutil.copytree(model, other)
    stored = json.loads((other / "model.json").read_text(encoding="utf-8"))
    stored["format"] = "taskgrain-taught-999"
    (other / "model.json").write_text(json.dumps(stored), encoding="utf-8")
    text = refused(["describe", str(other), str(clips / "left" / "day 0" / "take0.mp4")], capsys)
    assert "its format is taskgrain-taught-999" in text
    assert "teach it anew" in text
