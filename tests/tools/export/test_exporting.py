from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from taskgrain.checkpoint import ModelDescription, load_model
from taskgrain.cli.main import main
from taskgrain.data.decode import decode_clip
from taskgrain.data.sampling import FrameSampling, see
from taskgrain.errors import CheckpointError, ConfigError
from taskgrain.labels.caption import CaptionForm
from taskgrain.labels.ssv2 import BRACKETED
from taskgrain.labels.taxonomy import CATEGORY, taxonomy_of
from taskgrain.labels.vocabulary import BOS, EOS, build_vocabulary
from taskgrain.models.build import DecoderShape, add_readouts
from taskgrain.models.weights import save_weights
from taskgrain.predict import Predictor
from taskgrain.tools.export import exporting as export
from taskgrain.tools.export import graphs
from taskgrain.tools.export.exporting import export_model
from tests.making import moving_square, write_video
from tests.networks import build_model, compact_shape

TAXONOMY = taxonomy_of(sorted(BRACKETED)[:20])
VOCABULARY = build_vocabulary(["pushing a small red cup from left to right"])
SHAPE = compact_shape(spatial_widths=(4, 4), temporal_widths=(4, 4), lstm_width=8)
SAMPLING = FrameSampling(8, 36, 36, 32, 32)


def checkpoint(
    folder: Path, level: str | None, form: CaptionForm | None, *, attention: bool = False
) -> Path:
    decoder = DecoderShape(word_width=8, lstm_width=12, num_layers=2, attention=attention)
    vocabulary = None if form is None else VOCABULARY
    description = ModelDescription(
        "tiny", 3, SHAPE, TAXONOMY, level, form, vocabulary, SAMPLING, decoder_shape=decoder
    )
    model = build_model(
        SHAPE,
        num_classes=None if level is None else len(TAXONOMY.names(level)),
        vocabulary_size=None if vocabulary is None else len(vocabulary),
        decoder_shape=decoder,
        seed=4,
    )
    if model.decoder is not None:
        with torch.no_grad():  # so that each word depends on those before: untrained, none would
            model.decoder.words.weight.mul_(5.0)
            model.decoder.out.weight.mul_(10.0)
            for parameter in model.decoder.lstm.parameters():
                parameter.mul_(2.0)
    save_weights(model, folder / "model.safetensors")
    (folder / "model.json").write_text(json.dumps(description.to_json()))
    return folder


def clips(folder: Path) -> list[Path]:
    frames = moving_square(20, size=48)
    return [
        write_video(folder / "right.webm", frames),
        write_video(folder / "left.mp4", frames[::-1].copy()),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("attention", [False, True])
def test_the_graphs_say_of_real_clips_what_the_checkpoint_says(
    tmp_path: Path, attention: bool
) -> None:
    folder = checkpoint(tmp_path / "a model", CATEGORY, "full", attention=attention)
    videos, out = clips(tmp_path), tmp_path / "for others"
    found = export_model(folder, out, clips=videos)
    assert found.files == ("decoder_start.onnx", "decoder_step.onnx", "encoder.onnx")
    assert found.checked_on == "clips"
    assert found.captions_equal is True
    assert max(found.largest_difference.values()) <= found.tolerance
    assert sorted(path.name for path in out.iterdir()) == sorted([*found.files, "model.json"])

    # With onnxruntime and model.json alone, as whoever takes the graphs would.
    stored = json.loads((out / "model.json").read_text())
    run = {name: onnxruntime.InferenceSession(out / name) for name in stored["onnx"]["files"]}
    described = Predictor.from_checkpoint(folder)
    for video in videos:
        frames = see(decode_clip(video, height=36, width=36).frames, SAMPLING)
        features, log_probs = run["encoder.onnx"].run(None, {"video": frames[None]})
        said = described.describe_file(video)
        assert said.categories is not None
        assert TAXONOMY.categories[int(log_probs[0].argmax())] == said.categories[0].name
        names = [each.name for each in run["decoder_start.onnx"].get_outputs()]
        state = dict(
            zip(names, run["decoder_start.onnx"].run(None, {"features": features}), strict=True)
        )
        token, words = BOS, []
        for _ in range(14):
            logits, state["hidden"], state["cell"] = run["decoder_step.onnx"].run(
                None, {"token": np.array([token]), **state}
            )
            logits[0, [0, BOS]] = -np.inf
            token = int(logits[0].argmax())
            if token == EOS:
                break
            words.append(token)
        assert VOCABULARY.decode([*words, EOS]) == said.caption
        assert len(set(words)) > 1, "a caption of one word would hold whatever the state is"


@pytest.mark.slow
def test_a_checkpoint_without_a_decoder_is_one_graph_checked_on_noise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = checkpoint(tmp_path / "a", CATEGORY, None), tmp_path / "out"
    out.mkdir()
    (out / "decoder_step.onnx").write_bytes(b"of another checkpoint")
    main(["export", str(folder), "--out", str(out), "--json"])
    assert not (out / "decoder_step.onnx").exists()
    found = json.loads(capsys.readouterr().out)
    assert found["files"] == ["encoder.onnx"]
    assert (found["checked_on"], found["captions_equal"]) == ("noise", None)
    session = onnxruntime.InferenceSession(out / "encoder.onnx")
    model, _ = load_model(folder)
    for batch in (1, 3):  # the batch size is free
        video = torch.randint(0, 256, (batch, 8, 32, 32, 3), dtype=torch.uint8)
        with torch.no_grad():
            features = model.encoder(video)
        got = session.run(["features"], {"video": video.numpy()})[0]
        torch.testing.assert_close(torch.from_numpy(got), features, rtol=0, atol=1e-4)


def run_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the graphs answer NaN."""
    run = graphs.run_graph

    def changed(session: object, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor * torch.nan for name, tensor in run(session, inputs).items()}

    monkeypatch.setattr(export, "run_graph", changed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tolerance", "far"), [(0.0, r"features by \d.*allowed is 0"), (1.0, "nan")]
)
def test_graphs_that_differ_are_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tolerance: float, far: str
) -> None:
    folder, out = checkpoint(tmp_path / "a", CATEGORY, None), tmp_path / "out"
    if tolerance:
        run_changed(monkeypatch)
    with pytest.raises(CheckpointError, match=rf"differ from PyTorch: .*{far}.* Nothing"):
        export_model(folder, out, tolerance=tolerance)
    assert not out.exists()


def test_outputs_of_another_shape_are_refused() -> None:
    wanted, found = {"logits": torch.zeros(2, 3)}, {"logits": torch.zeros(2, 1)}
    with pytest.raises(CheckpointError, match=r"logits have shape \(2, 1.*; PyTorch gives \(2, 3"):
        graphs.compare({}, wanted, found)


def test_a_difference_that_is_no_number_stays_whatever_comes_after() -> None:
    wanted, differences = {"logits": torch.zeros(1, 2)}, dict[str, float]()
    for said in (0.25, torch.nan, 0.5):
        graphs.compare(differences, wanted, {"logits": torch.full((1, 2), said)})
    assert np.isnan(differences["logits"])
    differences.clear()
    for said in (0.25, 0.5, 0.125):
        graphs.compare(differences, wanted, {"logits": torch.full((1, 2), said)})
    assert differences == {"logits": 0.5}


@pytest.mark.parametrize("tolerance", [-1.0, np.inf, np.nan])
def test_a_tolerance_that_refuses_nothing_or_all_is_refused(
    tmp_path: Path, tolerance: float
) -> None:
    folder, out = checkpoint(tmp_path / "a", CATEGORY, None), tmp_path / "out"
    with pytest.raises(ConfigError, match=r"tolerance: found .*; expected a number from 0"):
        export_model(folder, out, tolerance=tolerance)
    assert not out.exists()


def test_weights_beside_a_large_graph_are_copied_too(tmp_path: Path) -> None:
    """A graph of more than 2 GB cannot hold its weights: torch writes them as a file of its own."""
    scratch, out = tmp_path / "scratch", tmp_path / "out"
    scratch.mkdir()
    out.mkdir()
    (scratch / "encoder.onnx").write_bytes(b"graph")
    (scratch / "encoder.onnx.data").write_bytes(b"weights")
    (out / "decoder_step.onnx").write_bytes(b"of another checkpoint")
    (out / "decoder_step.onnx.data").write_bytes(b"its weights")
    graphs.put(scratch, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        "encoder.onnx": b"graph",
        "encoder.onnx.data": b"weights",
    }


class Odd(nn.Module):
    """An encoder that no graph can hold: what it does depends on what it sees."""

    width = 4

    def forward(self, video: Tensor) -> Tensor:
        brightness = float(video.float().mean())
        steps = 2 if brightness > 100 else 3
        return torch.zeros(len(video), steps, 4) + brightness


@pytest.mark.slow
def test_a_network_without_an_onnx_form_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    description = ModelDescription("odd", 0, None, TAXONOMY, None, "full", VOCABULARY, SAMPLING)
    model = add_readouts(Odd(), num_classes=None, vocabulary_size=len(VOCABULARY), seed=0)
    save_weights(model, folder / "model.safetensors")
    (folder / "model.json").write_text(json.dumps(description.to_json()))
    with pytest.raises(CheckpointError, match=r"encoder\.onnx: this network has no ONNX form"):
        export_model(folder, tmp_path / "out", encoder=Odd())


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskgrain.tools.export.graphs.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'taskgrain\[export\]'"):
        export_model(tmp_path, tmp_path / "out")
