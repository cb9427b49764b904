from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from taskgrain.data.framing import Fit
from taskgrain.describing import CLIPS_AT_ONCE
from taskgrain.encoders import Wanted, open_reader
from taskgrain.errors import CheckpointError
from taskgrain.models.weights import find_checkpoint
from taskgrain.predict import Predictor
from taskgrain.tools.features.clips import list_clips
from taskgrain.tools.features.writing import Extraction, write_clip_features
from taskgrain.transfer.features import read_features
from tests.making import moving_square
from tests.tools.features.making import checkpoint

CAMERA = np.random.default_rng(0).integers(0, 256, (20, 48, 64, 3), dtype=np.uint8)
STORED = CAMERA[:, :36, :36]


@pytest.fixture
def predictor(tmp_path: Path) -> Predictor:
    return Predictor.from_checkpoint(checkpoint(tmp_path / "last"))


@pytest.mark.parametrize(
    ("clip", "said"),
    [
        (CAMERA, r"clip 1: frames are 48 x 64 pixels .*stored in, 36 x 36; resize=True scales"),
        (CAMERA[:, :20, :20], r"clip 1: frames are 20 x 20 pixels"),
        (STORED[:0], r"clip 1: has no pixels .* expected at least one frame"),
        (CAMERA[:, :0], r"clip 1: has no pixels"),
        (STORED.astype(np.float32), r"clip 1: is float32 of shape \(20, 36, 36, 3\); expected"),
        (STORED[0], r"clip 1: is uint8 of shape \(36, 36, 3\); expected"),
        (STORED[..., :1], r"clip 1: is uint8 of shape \(20, 36, 36, 1\); expected"),
        (np.zeros((20, 36, 36, 4), np.uint8), r"shape \(20, 36, 36, 4\); expected"),
        (list(STORED), r"clip 1: is a builtins.list; expected .*numpy.stack\(frames\)"),
        (torch.from_numpy(STORED.copy()), r"clip 1: is a torch.Tensor; .*\.numpy\(\)"),
        (None, r"clip 1: is a builtins.NoneType; expected a numpy array"),
    ],
)
def test_what_is_no_stored_clip_is_refused_with_what_was_found(
    predictor: Predictor, clip: object, said: str
) -> None:
    clips: list[NDArray[np.uint8]] = [STORED, clip]  # type: ignore[list-item]
    with pytest.raises(ValueError, match=said):
        predictor.describe(clips)
    with pytest.raises(ValueError, match=said):
        predictor.features(clips)


def test_one_clip_in_the_place_of_several_is_refused(predictor: Predictor) -> None:
    with pytest.raises(ValueError, match=r"one array of shape \(20, 36, 36, 3\).*give \[clip\]"):
        predictor.describe(STORED)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a"], "names: found 1 of them; expected one for each of 2 clips"),
        ("ab", "names is 'ab'; expected a list of texts, one for each clip"),
        ({"a", "b"}, "names is {.*}; expected a list of texts"),
        ([1, 2], r"names is \[1, 2\]; expected a list of texts"),
    ],
)
def test_names_that_do_not_fit_are_refused(predictor: Predictor, names: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        predictor.describe([STORED, STORED], names)
    for top in (0, 1.5, "3"):
        with pytest.raises(ValueError, match=f"top is {top!r}; expected a whole number, at least"):
            predictor.describe([STORED], top=top)  # type: ignore[arg-type]


def test_clips_that_are_no_list_are_refused(predictor: Predictor) -> None:
    for clips in ((clip for clip in [STORED]), None):
        with pytest.raises(ValueError, match=r"clips is a \S+; expected a list: give list"):
            predictor.describe(clips)  # type: ignore[arg-type]


def test_no_clips_give_no_answers(predictor: Predictor) -> None:
    assert predictor.describe([], []) == []
    assert predictor.describe([], resize=True) == []
    assert predictor.features([]).shape == (0, 16)
    assert predictor.features([]).dtype == np.float32


def test_clips_without_names_are_counted(predictor: Predictor) -> None:
    assert [said.clip for said in predictor.describe([STORED, STORED])] == ["clip 0", "clip 1"]


@pytest.mark.parametrize("fit", ["stretch", "crop"])
@pytest.mark.parametrize("size", [(48, 64), (20, 30), (90, 36)])
def test_frames_of_any_size_are_scaled_as_decoding_scales_them(
    tmp_path: Path, fit: Fit, size: tuple[int, int]
) -> None:
    folder = checkpoint(tmp_path / "last")
    path = folder / "model.json"
    stored = json.loads(path.read_text())
    stored["sampling"]["fit"] = fit
    path.write_text(json.dumps(stored))
    predictor = Predictor.from_checkpoint(folder)
    frames = np.random.default_rng(1).integers(0, 256, (12, *size, 3), dtype=np.uint8)
    (tmp_path / "frames").mkdir()
    for n, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / "frames" / f"{n:05}.png")
    name = str(tmp_path / "frames")
    assert predictor.describe([frames], [name], resize=True) == [predictor.describe_file(name)]


def test_frames_of_the_stored_size_are_left_as_they_are(predictor: Predictor) -> None:
    assert predictor.describe([STORED], resize=True) == predictor.describe([STORED])


def test_many_clips_are_read_some_at_a_time_and_stay_in_order(predictor: Predictor) -> None:
    rng = np.random.default_rng(2)
    lengths = rng.integers(1, 30, CLIPS_AT_ONCE + 3)
    clips = [rng.integers(0, 256, (n, 36, 36, 3), dtype=np.uint8) for n in lengths]
    seen: list[int] = []
    watching = predictor.describer.model.encoder.register_forward_hook(
        lambda module, given, found: seen.append(len(found))
    )
    together = predictor.features(clips)
    assert seen == [CLIPS_AT_ONCE, 3]
    said = predictor.describe(clips)
    watching.remove()
    assert [each.clip for each in said] == [f"clip {n}" for n in range(len(clips))]
    for index in (0, CLIPS_AT_ONCE, len(clips) - 1):
        alone = predictor.features([clips[index]])
        np.testing.assert_allclose(together[[index]], alone, rtol=1e-4, atol=1e-6)
        assert predictor.describe([clips[index]])[0].categories is not None


def test_features_are_those_that_a_file_of_features_holds(
    tiny_dataset: Path, tmp_path: Path
) -> None:
    folder, out = checkpoint(tmp_path / "last"), tmp_path / "f.npz"
    clips = list_clips(tiny_dataset)
    write_clip_features(
        open_reader(Wanted(str(folder))),
        Extraction("last", str(tiny_dataset), clips, batch_size=8),
        out,
        tell=lambda line: None,
        advance=lambda number: None,
    )
    predictor = Predictor.from_checkpoint(folder)
    found = predictor.features(
        [predictor.describer.decode(clip.path).frames for clip in clips.clips]
    )
    np.testing.assert_array_equal(found, read_features(out).features)


def test_what_a_program_holds_says_what_it_is(predictor: Predictor) -> None:
    assert repr(predictor) == (
        "<Predictor: source 'tiny', seed 3; answers category; sees 8 frames of 32 x 32 pixels; "
        "on cpu>"
    )
    assert repr(predictor.describer.description).startswith(
        "<ModelDescription: source 'tiny', seed 3; "
    )
    assert repr(predictor.describer.description.taxonomy).startswith("<Taxonomy of 2 categories")


def test_a_run_of_one_training_stands_for_its_last_checkpoint(tmp_path: Path) -> None:
    run = tmp_path / "run"
    training = run / "checkpoints" / "tiny-seed-3"
    for name in ("best", "last"):
        checkpoint(training / name)
    for folder in (run, run / "checkpoints", training, training / "last", str(run)):
        assert find_checkpoint(folder) == training / "last"
        assert "'tiny'" in repr(Predictor.from_checkpoint(folder))
    assert find_checkpoint(training / "best") == training / "best"
    checkpoint(run / "checkpoints" / "tiny-seed-3.passes-40" / "last")  # is scored, not tested
    assert find_checkpoint(run) == training / "last"


def test_a_run_of_several_trainings_names_their_checkpoints(tmp_path: Path) -> None:
    run = tmp_path / "run"
    names = ("joint-seed-0", "joint-seed-1")
    for name in names:
        checkpoint(run / "checkpoints" / name / "last")
    (run / "checkpoints" / "random-encoder-seed-0").mkdir()
    with pytest.raises(CheckpointError, match="no checkpoint, but it holds 2; give one") as caught:
        Predictor.from_checkpoint(run)
    said = str(caught.value).splitlines()
    assert said[1:] == [str(run / "checkpoints" / name / "last") for name in names]


def test_loading_leaves_random_numbers_alone_and_is_the_same_each_time(
    tmp_path: Path,
) -> None:
    folder = checkpoint(tmp_path / "last", seed=5)
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first, second = (Predictor.from_checkpoint(folder) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), state)
    clip = moving_square(20, size=36)
    np.testing.assert_array_equal(first.features([clip]), second.features([clip]))
