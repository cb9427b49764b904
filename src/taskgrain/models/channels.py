"""One channel of the encoder: a stack of convolutions over the frames of a clip.

Shapes: B clips, T_s frames that the channel is shown, T_c steps that it gives, H W pixels,
D_c width of the channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from taskgrain.models.convolution import TemporalConv3d
from taskgrain.models.inputs import ChannelInput, num_planes

Reduction = Literal["max", "mean"]
KERNEL_PIXELS = 3  # height and width of every kernel


@dataclass(frozen=True, slots=True)
class ConvLayer:
    """A convolution of 3 x 3 pixels with what follows it; triples are (time, height, width).

    A pool of (1, 1, 1) is no pooling.
    """

    width: int
    stride: tuple[int, int, int] = (1, 1, 1)
    padding: tuple[int, int, int] = (1, 1, 1)
    pool: tuple[int, int, int] = (1, 1, 1)


@dataclass(frozen=True, slots=True)
class ChannelShape:
    """All that it takes to rebuild a channel; without layers the channel is absent, its width 0.

    `temporal_kernel` is 1 for the spatial channel (2D) and 3 for the temporal one (3D); the
    channel looks at every `frame_stride`-th frame and is shown `input` of it; `reduction` makes one
    number a plane of the pixels that remain.
    """

    layers: tuple[ConvLayer, ...] = ()
    temporal_kernel: int = 1
    frame_stride: int = 1
    reduction: Reduction = "mean"
    input: ChannelInput = "pixels"

    @property
    def width(self) -> int:
        """D_c, the features a step; 0 when the channel is absent."""
        return self.layers[-1].width if self.layers else 0

    def layers_that_fit(self, height: int, width: int) -> int:
        """Count the layers, first to last, that frames of so many pixels leave something for."""
        sizes: tuple[int, ...] = (height, width)
        for index, layer in enumerate(self.layers):
            sizes = tuple(
                ((size + 2 * padding - KERNEL_PIXELS) // stride + 1) // pool
                for size, stride, padding, pool in zip(
                    sizes, layer.stride[1:], layer.padding[1:], layer.pool[1:], strict=True
                )
            )
            if min(sizes) < 1:
                return index
        return len(self.layers)


class Channel(nn.Module):
    """Convolution -> BatchNorm -> ReLU (-> max pool), several times, then one vector a step."""

    def __init__(self, shape: ChannelShape) -> None:
        super().__init__()
        if not shape.layers:
            raise ValueError("a channel needs at least one layer; leave an absent channel out")
        if shape.reduction not in ("max", "mean"):
            raise ValueError(f"reduction {shape.reduction!r}: expected 'max' or 'mean'")
        self.width = shape.width
        self.frame_stride = shape.frame_stride
        self.reduction = shape.reduction
        self.input = shape.input
        planes = (num_planes(shape.input), *(layer.width for layer in shape.layers))
        self.layers = nn.Sequential(
            *(
                _layer(width_before, layer, temporal_kernel=shape.temporal_kernel)
                for width_before, layer in zip(planes, shape.layers, strict=False)
            )
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Look at the frames.

        Args:
            frames: float (B, P, T_s, H, W), the frames that it is shown, P planes of each (3, or 6
                where two inputs stand beside each other); fastest in channels_last_3d layout.

        Returns:
            float32 (B, T_c, D_c).
        """
        frames = frames.contiguous(memory_format=torch.channels_last_3d)
        maps = self.layers(frames)  # (B, D_c, T_c, h, w)
        pooled = maps.amax((3, 4)) if self.reduction == "max" else maps.mean((3, 4))
        return pooled.transpose(1, 2).float()


def _layer(width_before: int, layer: ConvLayer, *, temporal_kernel: int) -> nn.Sequential:
    convolution = TemporalConv3d if temporal_kernel > 1 else nn.Conv3d
    modules: list[nn.Module] = [
        convolution(
            width_before,
            layer.width,
            (temporal_kernel, KERNEL_PIXELS, KERNEL_PIXELS),
            stride=layer.stride,
            padding=layer.padding,
        ),
        nn.BatchNorm3d(layer.width),
        nn.ReLU(inplace=True),
    ]
    if layer.pool != (1, 1, 1):
        modules.append(nn.MaxPool3d(layer.pool))
    return nn.Sequential(*modules)
