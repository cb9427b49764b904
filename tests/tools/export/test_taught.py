from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from taskgrain.cli.main import main
from taskgrain.data.decode import decode_clip
from taskgrain.data.sampling import FrameSampling, see
from taskgrain.encoders import PLAIN
from taskgrain.errors import CheckpointError
from taskgrain.predict import Predictor, teach_clips
from taskgrain.teaching import seeing
from taskgrain.tools.export import taught as export
from taskgrain.tools.export.exporting import export_model
from tests.making import write_video
from tests.test_predict_taught import lesson
from tests.tools.features.making import checkpoint
from tests.tools.teach.test_command import ACTIONS, RECORDINGS, moving

JOINED = "imagenet"  # in these tests two readers that need no network


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeing, "JOINED", {JOINED: ("motion-energy", "pixels")})


def taught(folder: Path, encoder: str) -> Predictor:
    if encoder == "checkpoint":
        encoder = str(checkpoint(folder / "last"))
    return teach_clips(*lesson(), encoder=encoder, out=folder / "model")


def new_clips(folder: Path) -> list[Path]:
    """Clips of a new recording, and of no action."""
    still = np.repeat(moving("left", 1, 0)[:1], 12, axis=0)
    clips = [moving(action, RECORDINGS, 0) for action in ACTIONS] + [still]
    return [write_video(folder / f"{n}.mp4", clip) for n, clip in enumerate(clips)]


@pytest.mark.slow
@pytest.mark.usefixtures("joined")
@pytest.mark.parametrize("encoder", [*PLAIN, JOINED, "checkpoint"])
def test_the_graphs_answer_decoded_clips_as_the_model_does(tmp_path: Path, encoder: str) -> None:
    predictor, videos, out = taught(tmp_path, encoder), new_clips(tmp_path), tmp_path / "for others"
    found = export_model(tmp_path / "model", out, clips=videos)
    assert found.files == ("classifier.onnx", "encoder.onnx")
    assert found.answers_equal is True
    assert set(found.largest_difference) == {"features", "probs", "unlikeness", "typical"}

    # With onnxruntime and model.json alone, as whoever takes the graphs would.
    stored = json.loads((out / "model.json").read_text())
    run = {name: onnxruntime.InferenceSession(out / name) for name in stored["onnx"]["files"]}
    for video in videos:
        given = {}
        for each in stored["onnx"]["inputs"]:
            sampling = FrameSampling(**each["sampling"])
            decoded = decode_clip(
                video, height=sampling.store_height, width=sampling.store_width, fit=sampling.fit
            )
            given[each["input"]] = see(decoded.frames, sampling)[None]
        (features,) = run["encoder.onnx"].run(None, given)
        probs, unlikeness, typical, is_none = run["classifier.onnx"].run(
            None, {"features": features}
        )
        answer = predictor.predict_file(video).answer
        best = stored["classes"][int(probs[0].argmax())]
        assert (None if is_none[0] else best) == answer.label
        assert best == answer.ranking[0].name
        assert probs[0].max() == pytest.approx(answer.ranking[0].probability, abs=1e-3)
        assert typical[0] == pytest.approx(answer.typical, abs=0.1)
        threshold = stored["onnx"]["threshold"]
        assert is_none[0] == (threshold is not None and unlikeness[0] > threshold)


@pytest.mark.slow
def test_the_command_exports_a_taught_model_in_the_place_of_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taught(tmp_path, "motion-energy")
    out = tmp_path / "out"
    out.mkdir()
    (out / "decoder_step.onnx").write_bytes(b"of a study's checkpoint")
    main(["export", str(tmp_path / "model"), "--out", str(out)])
    printed = capsys.readouterr().out
    assert "classifier.onnx, encoder.onnx, model.json" in printed
    assert "answers          equal" in printed
    assert not (out / "decoder_step.onnx").exists()
    session = onnxruntime.InferenceSession(out / "encoder.onnx")
    video = np.zeros((3, 16, 48, 48, 3), np.uint8)  # the batch size is free
    assert session.run(None, {"video": video})[0].shape == (3, 320)


@pytest.mark.slow
def test_graphs_that_answer_otherwise_are_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught(tmp_path, "motion-energy")
    monkeypatch.setattr(export, "_labels", lambda outputs, classes: ["wave"])
    with pytest.raises(CheckpointError, match="answer otherwise than PyTorch"):
        export_model(tmp_path / "model", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_everything_without_a_network_has_a_graph() -> None:
    assert set(export.PLAIN_GRAPHS) == set(PLAIN)


@pytest.mark.parametrize("size", [(48, 56), (50, 45)])
@pytest.mark.parametrize("name", list(PLAIN))
def test_what_has_no_network_is_averaged_over_the_same_areas(
    name: str, size: tuple[int, int]
) -> None:
    sampling = FrameSampling(13, 64, 64, *size)
    video = torch.randint(0, 256, (2, 13, *size, 3), dtype=torch.uint8)
    found = export.PLAIN_GRAPHS[name](sampling)(video)
    torch.testing.assert_close(found, PLAIN[name](video), rtol=0, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_steps_are_summarised_as_for_teaching(steps: int) -> None:
    class Steps(nn.Module):
        def forward(self, video: Tensor) -> Tensor:
            return video

    given = torch.randn(3, steps, 5)
    found = export._Summarised(Steps())(given)
    np.testing.assert_allclose(found.numpy(), seeing.summarise_steps(given.numpy()), atol=1e-6)
