from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from taskgrain.checkpoint import load_model
from taskgrain.data.sampling import FrameSampling
from taskgrain.encoders import Wanted, open_reader
from taskgrain.errors import CheckpointError, ConfigError
from taskgrain.models.pretrained import opening
from taskgrain.models.pretrained.encoder import NetworkShape, Preparation
from taskgrain.models.pretrained.opening import WantedNetwork
from taskgrain.transfer.extract import motion_energy, raw_pixels
from tests.tools.features.making import SAMPLING, checkpoint

VIDEO = torch.randint(
    0, 256, (2, 8, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)


@torch.inference_mode()
def test_a_checkpoint_is_read_as_it_was_trained_to_see(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "last")
    reader = open_reader(Wanted(str(folder)))
    assert reader.sampling == SAMPLING
    encoder = load_model(folder)[0].encoder
    assert torch.equal(reader.read(VIDEO)["output"], encoder(VIDEO))
    assert (reader.facts["source"], reader.facts["seed"]) == ("tiny", 3)
    json.dumps(reader.facts)


@torch.inference_mode()
def test_channels_are_read_with_their_widths(tmp_path: Path) -> None:
    reader = open_reader(Wanted(str(checkpoint(tmp_path / "last")), "spatial-mean"))
    assert reader.read(VIDEO)["channels"].shape == (2, 2, 10)
    assert reader.facts["channel_widths"] == [6, 4]


def test_facts_tell_other_weights_apart(tmp_path: Path) -> None:
    hashes = {
        open_reader(Wanted(str(checkpoint(tmp_path / str(seed), seed=seed)))).facts["weights"]
        for seed in (1, 2)
    }
    assert len(hashes) == 2


@pytest.mark.parametrize(
    ("name", "function"), [("pixels", raw_pixels), ("motion-energy", motion_energy)]
)
def test_some_features_need_no_network(name: str, function: object) -> None:
    reader = open_reader(Wanted(name, num_frames=5))
    assert reader.sampling == FrameSampling(5, 56, 56, 48, 48)
    assert reader.readout is None
    assert callable(function)
    assert torch.equal(reader.read(VIDEO)["output"], function(VIDEO))


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Wanted("nowhere"), "neither a checkpoint folder nor one of pixels, motion-energy"),
        (Wanted("torchvision:"), "no name"),
        (Wanted("timm:resnet18"), "torchvision:NAME, huggingface:NAME"),
        (Wanted("pixels", "lstm-last"), "pixels has one vector a clip"),
        (Wanted("motion-energy", num_frames=1), "nothing moves in a single frame"),
        (Wanted("pixels", weights="download"), "--download is for torchvision:NAME"),
        (Wanted("pixels", weights="random"), "--random-weights is for torchvision:NAME"),
        (Wanted("pixels", device="cuda:77"), "no device 'cuda:77'"),
        (Wanted("pixels", device="mps"), "no device 'mps' to compute on here; expected one of cpu"),
        (Wanted("CHECKPOINT", num_frames=4), "a checkpoint takes as many as it was trained"),
        (Wanted("CHECKPOINT", weights="random"), "--random-weights is for"),
        (Wanted("CHECKPOINT", "temporal-mean"), "has no such channel"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, wanted: Wanted, said: str) -> None:
    folder = checkpoint(tmp_path / "CHECKPOINT", temporal=())
    encoder = str(folder) if wanted.encoder == "CHECKPOINT" else wanted.encoder
    with pytest.raises(ConfigError, match=said):
        open_reader(
            Wanted(encoder, wanted.readout, wanted.num_frames, wanted.weights, 0, wanted.device)
        )


def test_a_folder_that_is_no_checkpoint_says_what_one_is(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="expected a checkpoint folder"):
        open_reader(Wanted(str(tmp_path)))


class Toy(torch.nn.Module):
    width = 3

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        return video.float().mean(dim=(2, 3))  # (B, T, 3)


def elsewhere(num_frames: int | None, *, keeps_aspect: bool) -> NetworkShape:
    preparation = Preparation(
        112, 112, 128, 171, keeps_aspect, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), num_frames
    )
    return NetworkShape("huggingface", "/home/me/tiny", {}, preparation, False, 0)


@pytest.mark.parametrize(
    ("takes", "asked", "frames"), [(None, None, 16), (None, 7, 7), (4, None, 4), (4, 4, 4)]
)
@pytest.mark.parametrize("keeps_aspect", [True, False])
def test_a_network_from_elsewhere_is_shown_what_its_makers_show_it(
    monkeypatch: pytest.MonkeyPatch,
    takes: int | None,
    asked: int | None,
    frames: int,
    keeps_aspect: bool,
) -> None:
    asked_for: list[tuple[WantedNetwork, int]] = []

    def open_toy(wanted: WantedNetwork, seed: int) -> tuple[torch.nn.Module, NetworkShape]:
        asked_for.append((wanted, seed))
        return Toy(), elsewhere(takes, keeps_aspect=keeps_aspect)

    monkeypatch.setattr("taskgrain.encoders.open_encoder", open_toy)
    name = "huggingface:/home/me/tiny"
    reader = open_reader(Wanted(name, num_frames=asked, weights="random", seed=9))
    assert asked_for == [(WantedNetwork("huggingface", "/home/me/tiny", "random"), 9)]
    expected = FrameSampling(frames, 128, 171, 112, 112, fit="crop" if keeps_aspect else "stretch")
    assert reader.sampling == expected
    assert reader.facts["random_weights"] == 9
    assert "/home/me" not in json.dumps(reader.facts)  # equal features in another home


def test_the_imagenet_network_is_shown_what_its_makers_show_it() -> None:
    reader = open_reader(Wanted("imagenet:efficientnet-lite0", num_frames=2, weights="random"))
    assert reader.sampling == FrameSampling(2, 256, 256, 224, 224, fit="crop")
    with torch.inference_mode():
        assert reader.read(VIDEO[:1, :2])["output"].shape == (1, 2, 1280)


def test_frames_that_a_network_does_not_take_and_channels_it_has_not_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "taskgrain.encoders.open_encoder",
        lambda wanted, seed: (Toy(), elsewhere(4, keeps_aspect=True)),
    )
    with pytest.raises(ConfigError, match="--frames 8: huggingface:a/b takes 4"):
        open_reader(Wanted("huggingface:a/b", num_frames=8))
    with pytest.raises(ConfigError, match="has no channels before an LSTM"):
        open_reader(Wanted("huggingface:a/b", "channels-mean"))


def test_nothing_is_fetched_unless_asked() -> None:
    assert Wanted("torchvision:resnet18").weights == "cached"
    assert opening.WantedNetwork("torchvision", "resnet18").weights == "cached"
