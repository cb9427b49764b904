from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Literal

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional as F

from taskgrain.config.learning import Encoder
from taskgrain.errors import CheckpointError
from taskgrain.models.build import build_from, recipe_from_json
from taskgrain.models.model import check_encoder
from taskgrain.models.pretrained.encoder import (
    FRAMES_AT_ONCE,
    NetworkEncoder,
    NetworkShape,
    Preparation,
    Trunk,
)
from tests.networks import compact_shape

PREPARATION = Preparation(
    height=12,
    width=10,
    scaled_height=16,
    scaled_width=16,
    keeps_aspect=True,
    mean=(0.5, 0.25, 0.0),
    deviation=(0.25, 0.5, 1.0),
    num_frames=None,
)
SHAPE = NetworkShape("torchvision", "toy", {}, PREPARATION, single_frame=False, lstm_width=0)
PREPARED = asdict(PREPARATION)
VIDEO = torch.randint(
    0, 256, (3, 5, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)


class Toy(nn.Module):
    """Float (..., 3, h, w) to (..., 4), and what it was shown."""

    def __init__(self, *, norm: bool = False) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4) if norm else nn.Identity()
        self.shown: list[Tensor] = []

    def forward(self, frames: Tensor) -> Tensor:
        self.shown.append(frames)
        return self.norm(self.linear(frames.mean(dim=(-2, -1))))


def toy(
    reads: Literal["frames", "clips"] = "frames", shape: NetworkShape = SHAPE, *, norm: bool = False
) -> tuple[NetworkEncoder, Toy]:
    torch.manual_seed(0)
    network = Toy(norm=norm)
    return NetworkEncoder(Trunk(network, 4, reads), shape).eval(), network


def slow_and_obvious(network: Toy, video: Tensor) -> Tensor:
    """One frame after the other, as the makers of a network would say it."""
    clips = []
    for clip in video:
        steps = []
        for frame in clip:
            image = F.interpolate(
                frame.permute(2, 0, 1).float()[None], (12, 10), mode="bilinear", antialias=True
            )[0]
            planes = [
                (image[plane] / 255 - PREPARATION.mean[plane]) / PREPARATION.deviation[plane]
                for plane in range(3)
            ]
            steps.append(network(torch.stack(planes)[None])[0])
        clips.append(torch.stack(steps))
    return torch.stack(clips)


def test_an_image_network_reads_every_frame_scaled_and_normalised_as_published() -> None:
    encoder, network = toy()
    features = encoder(VIDEO)
    assert features.shape == (3, 5, 4)
    assert features.dtype == torch.float32
    assert encoder.width == 4
    torch.testing.assert_close(features, slow_and_obvious(network, VIDEO))
    check_encoder(encoder, VIDEO)


def test_frames_of_the_networks_own_size_are_not_touched() -> None:
    encoder, network = toy()
    encoder(torch.full((1, 2, 12, 10, 3), 255, dtype=torch.uint8))
    seen = network.shown[0][0, :, 0, 0]
    torch.testing.assert_close(seen, torch.tensor([2.0, 1.5, 1.0]))


def test_memory_is_bounded_without_gradients_and_changes_nothing() -> None:
    encoder, network = toy()
    video = VIDEO.repeat(3, 1, 1, 1, 1)
    together = encoder(video)
    assert len(network.shown) == 1  # gradients: everything is kept anyway
    network.shown.clear()
    with torch.inference_mode():
        in_parts = encoder(video)
    assert [len(part) for part in network.shown] == [FRAMES_AT_ONCE] * 2 + [45 - 2 * FRAMES_AT_ONCE]
    torch.testing.assert_close(in_parts, together)


def test_what_a_batch_norm_takes_together_is_not_cut() -> None:
    encoder, network = toy(norm=True)
    network.norm.train()  # as re-estimating its statistics does
    with torch.no_grad():
        encoder(VIDEO.repeat(3, 1, 1, 1, 1))
    assert [len(part) for part in network.shown] == [45]


def test_a_single_frame_is_the_middle_one() -> None:
    encoder, network = toy(shape=replace(SHAPE, single_frame=True))
    features = encoder(VIDEO)
    assert features.shape == (3, 1, 4)
    torch.testing.assert_close(features, slow_and_obvious(network, VIDEO[:, 2:3]))


def test_a_single_frame_of_a_network_that_reads_clips_is_refused() -> None:
    with pytest.raises(ValueError, match="a single frame is for an image network"):
        toy("clips", replace(SHAPE, single_frame=True))


@pytest.mark.parametrize(
    ("wanted", "seen"), [(2, [1, 3]), (5, [0, 1, 2, 3, 4]), (10, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4])]
)
def test_a_network_gets_as_many_frames_as_it_takes_spread_over_the_clip(
    wanted: int, seen: list[int]
) -> None:
    shape = replace(SHAPE, preparation=replace(PREPARATION, num_frames=wanted))
    encoder, network = toy("clips", shape)
    features = encoder(VIDEO)
    assert features.shape == (3, wanted, 4)
    torch.testing.assert_close(features, slow_and_obvious(network, VIDEO[:, seen]))


def test_an_lstm_runs_over_the_steps_both_ways() -> None:
    encoder, _ = toy(shape=replace(SHAPE, lstm_width=6))
    assert encoder.width == 12
    features = encoder(VIDEO)
    changed = VIDEO.clone()
    changed[:, -1] = 255 - changed[:, -1]
    moved = (encoder(changed) - features).abs().amax(dim=0)  # (T, 12)
    assert moved.shape == (5, 12)
    assert (moved[:-1, :6] == 0).all()  # forwards, nothing before the last frame knows of it
    assert (moved[:, 6:] > 0).any(dim=1).all()  # backwards, all do


def test_only_uint8_video_is_taken() -> None:
    encoder, _ = toy()
    for wrong in (VIDEO.float(), VIDEO[0], VIDEO[..., :2]):
        with pytest.raises(ValueError, match=r"expected uint8 \(B, T, H, W, 3\)"):
            encoder(wrong)


def test_preprocessing_is_no_weight() -> None:
    encoder, _ = toy()
    assert set(encoder.state_dict()) == {"network.linear.weight", "network.linear.bias"}


def test_a_shape_survives_json_and_either_kind_is_told_apart() -> None:
    own = compact_shape()
    for shape in (
        SHAPE,
        replace(SHAPE, network="huggingface", config={"model_type": "vjepa2", "n": [1, 2]}),
        replace(SHAPE, preparation=replace(PREPARATION, num_frames=16), lstm_width=3),
        own,
    ):
        assert recipe_from_json(json.loads(json.dumps(shape.to_json()))) == shape
    assert build_from(own, 3).state_dict().keys() == build_from(own, 4).state_dict().keys()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"network": "timm"}, "network: found \"timm\"; expected 'torchvision', 'huggingface'"),
        ({"model": ""}, 'model: found ""; expected text of 1 letters or more'),
        ({"config": None}, "config: found null; expected a table"),
        ({"single_frame": 1}, "single_frame: found 1; expected true or false"),
        ({"lstm_width": -1}, "lstm_width: found -1"),
        ({"preparation": {}}, "preparation.height: is missing"),
        ({"preparation": {**PREPARED, "mean": [1, 2]}}, r"preparation.mean\[2\]: is missing"),
        ({"preparation": {**PREPARED, "num_frames": "all"}}, "preparation.num_frames: found"),
    ],
)
def test_a_damaged_shape_is_refused_by_name(change: dict[str, object], said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        recipe_from_json({**SHAPE.to_json(), **change})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"network": "torchvision"}, 'needs "model"'),
        ({"network": "torchvision", "model": "resnet18", "layers": "paper"}, "belongs to the two"),
        ({"network": "torchvision", "model": "resnet18", "lstm_width": 64}, 'needs "recurrent"'),
        ({"network": "huggingface", "model": "a/b", "single_frame": True}, "single_frame"),
        (
            {"network": "torchvision", "model": "a", "single_frame": True, "recurrent": True},
            "without LSTM",
        ),
        ({"single_frame": True}, "belongs to a pretrained network"),
    ],
)
def test_settings_that_would_do_nothing_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Encoder.model_validate(settings)
    for network in ("torchvision", "imagenet"):
        Encoder.model_validate({"network": network, "model": "resnet18", "single_frame": True})
