from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from taskgrain.errors import CheckpointError
from taskgrain.models.build import EncoderShape, build_encoder, spatial_channel, temporal_channel
from taskgrain.models.encoder import (
    ChannelInput,
    FrameInputs,
    Pixels,
    measure_changes,
    num_planes,
)
from tests.networks import compact_shape

MEAN, DEVIATION, CENTRED, DIFFERENCE = 100.0, 50.0, 8.0, 4.0
PIXELS = Pixels(MEAN, DEVIATION, CENTRED, DIFFERENCE)


def make_levels(num_frames: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, num_frames, 4, 5), generator=generator).float()


def shape_that_sees(spatial: ChannelInput, temporal: ChannelInput) -> EncoderShape:
    return replace(
        compact_shape(lstm_width=8),
        spatial=spatial_channel((4, 6), "compact", shown=spatial),
        temporal=temporal_channel((4, 6), "compact", shown=temporal),
        pixels=PIXELS,
    )


def written_out(levels: Tensor, kind: ChannelInput) -> Tensor:
    """Compute an input frame by frame, in float64."""
    frames = levels.double().numpy()
    pixels = (frames - MEAN) / DEVIATION
    centred = np.empty_like(frames)
    difference = np.zeros_like(frames)
    for step in range(frames.shape[2]):
        centred[:, :, step] = (frames[:, :, step] - frames.mean(axis=2)) / CENTRED
        if step > 0:
            difference[:, :, step] = (frames[:, :, step] - frames[:, :, step - 1]) / DIFFERENCE
    shown = {
        "pixels": pixels,
        "centred": centred,
        "difference": difference,
        "pixels-and-centred": np.concatenate([pixels, centred], axis=1),
    }
    return torch.from_numpy(shown[kind])


@pytest.mark.parametrize("kind", ["pixels", "centred", "difference", "pixels-and-centred"])
@pytest.mark.parametrize("frame_stride", [1, 4])
def test_every_input_is_what_its_name_says_written_out(
    kind: ChannelInput, frame_stride: int
) -> None:
    levels = make_levels()
    before = levels.clone()
    shown = FrameInputs(PIXELS)(levels, kind, frame_stride=frame_stride)
    seen = slice(None) if frame_stride == 1 else slice(2, None, 4)
    assert torch.allclose(shown.double(), written_out(levels, kind)[:, :, seen], atol=1e-5)
    assert shown.shape[1] == num_planes(kind)
    assert torch.equal(levels, before)


@pytest.mark.parametrize("kind", ["centred", "difference"])
def test_what_stands_still_is_not_seen_of_changes(kind: ChannelInput) -> None:
    levels = make_levels(1).expand(-1, -1, 8, -1, -1)
    assert float(FrameInputs(PIXELS)(levels, kind, frame_stride=1).abs().max()) < 1e-4


@pytest.mark.parametrize("num_frames", [1, 2, 3])
def test_a_clip_shorter_than_the_stride_shows_its_middle_frame(num_frames: int) -> None:
    levels = make_levels(num_frames)
    shown = FrameInputs(PIXELS)(levels, "pixels", frame_stride=4)
    assert shown.shape[2] == 1
    expected = written_out(levels, "pixels")[:, :, [min(2, num_frames - 1)]]
    assert torch.allclose(shown.double(), expected, atol=1e-5)


def test_measured_changes_give_inputs_of_deviation_1() -> None:
    generator = torch.Generator().manual_seed(0)
    still = torch.randint(0, 256, (6, 1, 4, 5, 3), generator=generator)
    noise = torch.randint(-9, 10, (6, 8, 4, 5, 3), generator=generator)
    video = (still + noise).clamp(0, 255).to(torch.uint8)
    changes = measure_changes([video[:4], video[4:]])
    assert changes == measure_changes([video])
    assert changes.centred != changes.difference
    inputs = FrameInputs(Pixels(MEAN, DEVIATION, changes.centred, changes.difference))
    levels = video.permute(0, 4, 1, 2, 3).float()
    for kind in ("centred", "difference"):
        shown = inputs(levels, kind, frame_stride=1)
        assert float(shown.square().mean().sqrt()) == pytest.approx(1, abs=1e-4)


def test_clips_in_which_nothing_moves_are_divided_by_1() -> None:
    changes = measure_changes([torch.full((2, 4, 3, 3, 3), 7, dtype=torch.uint8)])
    assert (changes.centred, changes.difference) == (1.0, 1.0)


def test_changes_of_no_clip_are_refused() -> None:
    with pytest.raises(ValueError, match="no clip"):
        measure_changes([])


def test_an_encoder_that_sees_changes_alone_cannot_tell_two_still_pictures_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (2, 1, 32, 32, 3), dtype=torch.uint8, generator=generator)
    video = pictures.expand(-1, 16, -1, -1, -1)
    shape = shape_that_sees("pixels", "centred")
    alone = build_encoder(replace(shape, spatial=compact_shape(spatial_widths=()).spatial), 0)
    both = build_encoder(shape, 0)
    with torch.no_grad():
        blind, seeing = (each.eval()(video) for each in (alone, both))
    assert torch.allclose(blind[0], blind[1], atol=1e-5)
    assert not torch.allclose(seeing[0], seeing[1], atol=1e-3)


@pytest.mark.parametrize(
    ("spatial", "temporal"), [("pixels-and-centred", "difference"), ("pixels", "centred")]
)
def test_what_an_encoder_sees_survives_json_and_travels_with_its_weights(
    spatial: ChannelInput, temporal: ChannelInput
) -> None:
    shape = shape_that_sees(spatial, temporal)
    kept = EncoderShape.from_json(json.loads(json.dumps(shape.to_json())))
    assert (kept.spatial, kept.temporal) == (shape.spatial, shape.temporal)
    encoder, other = build_encoder(kept, 0), build_encoder(kept, 0)
    encoder.inputs.pixel_scale *= 2
    other.load_state_dict(encoder.state_dict())
    assert float(other.inputs.pixel_scale) == pytest.approx(2 / DEVIATION)
    buffers = dict(encoder.inputs.named_buffers())
    assert ("centred_scale" in buffers) == ("centred" in spatial + temporal)
    assert ("difference_scale" in buffers) == (temporal == "difference")


KEY = "centred_deviation"


@pytest.mark.parametrize(
    "deviation",
    [None, 0.0, -1.0, 1e-46, "wide", 10**400, float("nan"), float("inf")],
)
def test_a_stored_input_without_its_deviation_is_refused(deviation: object) -> None:
    entries = shape_that_sees("pixels", "centred").to_json()
    entries["pixels"] = {**asdict(shape_that_sees("pixels", "centred").pixels), KEY: deviation}
    with pytest.raises(CheckpointError, match=f"pixels.{KEY}: found .*; expected (a|more|less)"):
        EncoderShape.from_json(entries)


def test_a_stored_input_of_an_unknown_kind_is_refused() -> None:
    entries = shape_that_sees("pixels", "centred").to_json()
    spatial = entries["spatial"]
    assert isinstance(spatial, dict)
    entries["spatial"] = {**spatial, "input": "flow"}
    with pytest.raises(CheckpointError, match=r'input: found "flow"; expected .*centred'):
        EncoderShape.from_json(entries)
