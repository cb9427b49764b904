from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from taskgrain.models.build import compact_shape, paper_shape
from taskgrain.models.encoder import Channel, ChannelShape, num_planes
from taskgrain.saliency.places import Places, places_of, spread

COMPACT, PAPER = compact_shape(), paper_shape(1, 1)


def even_channel(shape: ChannelShape) -> Channel:
    """A channel in which every pixel that a cell looks at counts for it as its place asks."""
    channel = Channel(shape).eval()
    for module in channel.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.ones_(module.weight)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    return channel


@pytest.mark.parametrize(
    ("shape", "num_frames", "size"),
    [
        (COMPACT.spatial, 24, 96),
        (COMPACT.temporal, 48, 96),
        (PAPER.spatial, 3, 96),
        (PAPER.temporal, 15, 96),
    ],
    ids=["compact-spatial", "compact-temporal", "paper-spatial", "paper-temporal"],
)
def test_a_cell_lies_in_the_middle_of_what_it_looks_at(
    shape: ChannelShape, num_frames: int, size: int
) -> None:
    channel = even_channel(shape)
    # Of equal pixels a max pool passes on the first alone; their mean looks at all of them.
    for layer in channel.layers:
        assert isinstance(layer, nn.Sequential)
        pool = layer[-1]
        if isinstance(pool, nn.MaxPool3d):
            assert isinstance(pool.kernel_size, tuple)
            layer[-1] = nn.AvgPool3d(pool.kernel_size)
    planes = num_planes(shape.input)
    frames = torch.ones(1, planes, num_frames, size, size, requires_grad=True)
    step = channel.frame_stride
    seen = channel.layers(frames[:, :, step // 2 :: step] if step > 1 else frames)
    cell = [length // 2 for length in seen.shape[2:]]  # none at the edge
    (slope,) = torch.autograd.grad(seen[0, 0, cell[0], cell[1], cell[2]], frames)
    mass = slope[0].sum(0).double()  # (T, H, W)
    for axis, place in enumerate(places_of(Channel(shape), num_frames)):
        others = [other for other in range(3) if other != axis]
        along = mass.sum(others)
        centre = float((along * torch.arange(len(along))).sum() / along.sum())
        assert centre == pytest.approx(place.first + place.spacing * cell[axis], abs=1e-3)


def test_frames_between_two_cells_take_from_both_and_the_edges_from_the_nearest() -> None:
    weights = Places(first=2.0, spacing=4.0).weights(3, 16)
    assert weights.shape == (16, 3)
    assert np.allclose(weights.sum(axis=1), 1)
    assert weights[2].tolist() == [1, 0, 0]
    assert weights[3].tolist() == [0.75, 0.25, 0]
    assert weights[0].tolist() == [1, 0, 0]
    assert weights[15].tolist() == [0, 0, 1]


@pytest.mark.parametrize("num_frames", [1, 2, 5])
def test_few_frames_have_a_map_too(num_frames: int) -> None:
    channel = Channel(COMPACT.spatial)
    assert places_of(channel, num_frames)[0].first <= num_frames - 1
    maps = np.ones((2, -(-num_frames // 4), 3, 3), np.float32)
    assert spread(maps, channel, (num_frames, 48, 40)).shape == (2, num_frames, 48, 40)


def test_a_map_is_spread_as_one_loop_after_the_other_would() -> None:
    channel = Channel(COMPACT.temporal)
    maps = np.random.default_rng(0).random((1, 4, 3, 3), np.float32)
    found = spread(maps, channel, (16, 48, 48))[0]
    cells = [
        np.clip(np.arange(n) / place.spacing, 0, count - 1)
        for n, place, count in zip((16, 48, 48), places_of(channel, 16), (4, 3, 3), strict=True)
    ]
    for t, y, x in [(0, 0, 0), (5, 20, 31), (15, 47, 47), (10, 3, 40)]:
        expected = 0.0
        at = (cells[0][t], cells[1][y], cells[2][x])
        for cell in np.ndindex(4, 3, 3):
            near = np.prod([max(0.0, 1 - abs(a - c)) for a, c in zip(at, cell, strict=True)])
            expected += float(near * maps[0][cell])
        assert found[t, y, x] == pytest.approx(expected / (4 * 16 * 16), rel=1e-5)
