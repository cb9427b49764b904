"""Where the cells of a channel's maps lie in the clip, and its maps brought to every pixel.

A cell lies at the centre of what it looks at. The usual resizing of a small map puts the cells
side by side over the frame instead: with strides of 16 pixels that is 8 pixels off.

Shapes: K maps, T_c h w cells of a channel, T frames, H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from taskgrain.models.encoder import Channel


@dataclass(frozen=True, slots=True)
class Places:
    """Where cells lie along one axis of the clip: at `first`, then every `spacing`."""

    first: float  # frames, or pixels
    spacing: float

    def weights(self, num_cells: int, size: int) -> NDArray[np.float64]:
        """Say how much of each cell a frame or a row of pixels takes: float64 (size, num_cells).

        Linear between the two cells that it lies between; the outer cells reach to the edge.
        """
        centres = self.first + self.spacing * np.arange(num_cells)
        at = np.arange(size)
        return np.stack([np.interp(at, centres, one) for one in np.eye(num_cells)], axis=1)


def places_of(channel: Channel, num_frames: int) -> tuple[Places, Places, Places]:
    """Give the places of a channel's cells in time, height and width; zero padding aside."""
    first, spacing = [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]
    for module in channel.layers.modules():
        if isinstance(module, nn.Conv3d):
            size, stride, padding = module.kernel_size, module.stride, module.padding
            assert not isinstance(padding, str)
        elif isinstance(module, nn.MaxPool3d):
            assert isinstance(module.kernel_size, tuple)
            size, stride, padding = module.kernel_size, module.kernel_size, (0, 0, 0)
        else:
            continue
        for axis in range(3):
            first[axis] += ((size[axis] - 1) / 2 - padding[axis]) * spacing[axis]
            spacing[axis] *= stride[axis]
    time, height, width = map(Places, first, spacing)
    # The channel looks at every so manieth frame, the middle one of each run.
    step = channel.frame_stride
    skipped = min(step // 2, num_frames - 1) if step > 1 else 0
    return Places(skipped + step * time.first, step * time.spacing), height, width


def spread(
    maps: NDArray[np.float32], channel: Channel, clip: tuple[int, int, int]
) -> NDArray[np.float32]:
    """Bring maps to the frames and pixels of a clip.

    Args:
        maps: float32 (K, T_c, h, w), the sum over what each cell stands for.
        channel: that they belong to.
        clip: T, H, W.

    Returns:
        float32 (K, T, H, W), a pixel of a frame each: a cell's value is divided by the frames
        and pixels from it to the next, so that channels of other strides compare.
    """
    places = places_of(channel, clip[0])
    by_time, by_row, by_column = (
        place.weights(num_cells, size) / place.spacing
        for place, num_cells, size in zip(places, maps.shape[1:], clip, strict=True)
    )
    rows = np.einsum("kthw,xw->kthx", maps.astype(np.float64), by_column)
    frames = np.einsum("kthx,yh->ktyx", rows, by_row)
    return np.einsum("ktyx,ft->kfyx", frames, by_time).astype(np.float32)
