from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from taskgrain.models.build import Layers, build_encoder, spatial_channel, temporal_channel
from taskgrain.models.encoder import (
    NUM_PLANES,
    Channel,
    ChannelShape,
    ConvLayer,
    Reduction,
    num_planes,
)
from tests.networks import compact_shape, paper_shape


def settled(channel: Channel) -> Channel:
    """Give BatchNorm numbers that it cannot have by chance."""
    generator = torch.Generator().manual_seed(1)
    for module in channel.modules():
        if isinstance(module, nn.BatchNorm3d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean):
                assert tensor is not None
                tensor.copy_(torch.rand(tensor.shape, generator=generator))
            assert module.running_var is not None
            spread = torch.rand(module.running_var.shape, generator=generator)
            module.running_var.copy_(0.5 + spread)
    return channel.eval()


def make_channel(shape: ChannelShape) -> Channel:
    torch.manual_seed(0)
    return settled(Channel(shape))


def make_frames(num_frames: int, pixels: int, planes: int = NUM_PLANES) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, planes, num_frames, pixels, pixels, generator=generator)


def parts_of(layer: nn.Module) -> tuple[nn.Conv3d, nn.BatchNorm3d]:
    assert isinstance(layer, nn.Sequential)
    conv, norm = layer[0], layer[1]
    assert isinstance(conv, nn.Conv3d)
    assert isinstance(norm, nn.BatchNorm3d)
    return conv, norm


def normalised(maps: Tensor, norm: nn.BatchNorm3d) -> Tensor:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    shape = (1, -1, *(1 for _ in maps.shape[2:]))
    scaled = (maps - norm.running_mean.view(shape)) / (
        norm.running_var.view(shape) + norm.eps
    ) ** 0.5
    return scaled * norm.weight.view(shape) + norm.bias.view(shape)


@pytest.mark.parametrize("layers", ["compact", "paper"])
@torch.no_grad()
def test_the_spatial_channel_is_a_2d_network_on_one_frame_after_the_other(layers: Layers) -> None:
    reduction: Reduction = "mean" if layers == "compact" else "max"
    channel = make_channel(spatial_channel((3, 4, 5, 6), layers, reduction=reduction))
    video = make_frames(8, 32)
    seen = video[:, :, 2::4] if layers == "compact" else video
    steps = []
    for maps in seen.unbind(dim=2):  # (B, 3, H, W)
        for number, layer in enumerate(channel.layers):
            conv, norm = parts_of(layer)
            stride, padding = (2, 1) if layers == "compact" else (1, 1 if number < 3 else 0)
            maps = F.conv2d(maps, conv.weight[:, :, 0], conv.bias, stride=stride, padding=padding)
            maps = normalised(maps, norm).clamp(min=0)
            if layers == "paper" and number < 3:
                maps = F.max_pool2d(maps, 2)
        steps.append(maps.mean((2, 3)) if layers == "compact" else maps.amax((2, 3)))
    assert torch.allclose(channel(seen), torch.stack(steps, dim=1), atol=1e-4)


def slow_convolution(maps: Tensor, conv: nn.Conv3d, layer: ConvLayer) -> Tensor:
    """Convolve float (B, C, T, H, W) number by number."""
    assert conv.bias is not None
    pad_time, pad_height, pad_width = layer.padding
    padded = F.pad(maps, (pad_width, pad_width, pad_height, pad_height, pad_time, pad_time))
    kernel = conv.weight.shape[2:]
    sizes = [(padded.shape[axis + 2] - kernel[axis]) // layer.stride[axis] + 1 for axis in range(3)]
    result = torch.zeros(len(maps), layer.width, *sizes)
    for clip, plane in product(range(len(maps)), range(layer.width)):
        for time, row, column in product(*map(range, sizes)):
            first = [
                place * by for place, by in zip((time, row, column), layer.stride, strict=True)
            ]
            window = padded[clip][
                :,
                first[0] : first[0] + kernel[0],
                first[1] : first[1] + kernel[1],
                first[2] : first[2] + kernel[2],
            ]
            total = (window * conv.weight[plane]).sum() + conv.bias[plane]
            result[clip, plane, time, row, column] = total
    return result


@pytest.mark.parametrize("layers", ["compact", "paper"])
@torch.no_grad()
def test_the_temporal_channel_is_a_3d_network_written_out(layers: Layers) -> None:
    shape = temporal_channel((2, 3), layers, reduction="mean" if layers == "compact" else "max")
    channel = make_channel(shape)
    video = make_frames(5, 8)
    maps = video
    for module, layer in zip(channel.layers, shape.layers, strict=True):
        conv, norm = parts_of(module)
        maps = normalised(slow_convolution(maps, conv, layer), norm).clamp(min=0)
        if layers == "paper":
            halves = maps.unflatten(4, (-1, 2)).unflatten(3, (-1, 2))  # (B, C, T, h, 2, w, 2)
            maps = halves.amax((4, 6))
    expected = maps.mean((3, 4)) if layers == "compact" else maps.amax((3, 4))
    assert expected.shape == ((2, 3, 2) if layers == "compact" else (2, 3, 5))
    assert torch.allclose(channel(video), expected.transpose(1, 2), atol=1e-4)


def test_reversing_time_changes_what_the_temporal_channel_sees_and_only_that() -> None:
    encoder = build_encoder(paper_shape(1, 1), 0).eval()
    generator = torch.Generator().manual_seed(0)
    video = torch.randint(0, 256, (1, 4, 80, 80, 3), dtype=torch.uint8, generator=generator)
    with torch.no_grad():
        forward = encoder.channel_features(video)
        backward = encoder.channel_features(video.flip(1)).flip(1)
    assert encoder.spatial is not None
    width = encoder.spatial.width
    assert torch.equal(forward[..., :width], backward[..., :width])
    assert not torch.allclose(forward[..., width:], backward[..., width:], atol=1e-3)


@pytest.mark.parametrize("pixels", [8, 40, 77, 78, 96])
def test_it_is_known_beforehand_which_layers_frames_are_too_small_for(pixels: int) -> None:
    shape = spatial_channel((1, 1, 1, 1, 1, 1), "paper")
    channel, video = make_channel(shape), make_frames(1, pixels)
    fitting = 0
    maps = video
    for layer in channel.layers:
        try:
            maps = layer(maps)
        except RuntimeError:
            break
        fitting += 1
    assert shape.layers_that_fit(pixels, pixels) == fitting
    assert (fitting == 6) == (pixels >= 56)


def test_compact_layers_fit_every_frame() -> None:
    shape = compact_shape(spatial_widths=(1,) * 9, temporal_widths=(1,) * 9)
    for channel in (shape.spatial, shape.temporal):
        assert channel.layers_that_fit(1, 1) == 9
        frames = make_frames(3, 1, num_planes(channel.input))
        assert make_channel(channel)(frames).shape[2] == 1
