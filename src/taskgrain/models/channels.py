"""One channel of the encoder: a stack of convolutions over the frames of a clip.

Shapes: B clips, T frames, T_c steps that the channel gives, H W pixels, D_c width of the channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

Reduction = Literal["max", "mean"]
NUM_PLANES = 3  # red, green, blue
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
    channel looks at every `frame_stride`-th frame; `reduction` makes one number a plane of the
    pixels that remain.
    """

    layers: tuple[ConvLayer, ...] = ()
    temporal_kernel: int = 1
    frame_stride: int = 1
    reduction: Reduction = "mean"

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
        planes = (NUM_PLANES, *(layer.width for layer in shape.layers))
        self.layers = nn.Sequential(
            *(
                _layer(num_planes, layer, temporal_kernel=shape.temporal_kernel)
                for num_planes, layer in zip(planes, shape.layers, strict=False)
            )
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Look at the frames.

        Args:
            frames: float (B, 3, T, H, W), normalised; fastest in channels_last_3d layout.

        Returns:
            float32 (B, T_c, D_c).
        """
        if self.frame_stride > 1:
            # The middle frame of each run, so that no end of the clip is favoured.
            first = min(self.frame_stride // 2, frames.shape[2] - 1)
            frames = frames[:, :, first :: self.frame_stride]
        frames = frames.contiguous(memory_format=torch.channels_last_3d)
        maps = self.layers(frames)  # (B, D_c, T_c, h, w)
        pooled = maps.amax((3, 4)) if self.reduction == "max" else maps.mean((3, 4))
        return pooled.transpose(1, 2).float()


def _layer(num_planes: int, layer: ConvLayer, *, temporal_kernel: int) -> nn.Sequential:
    modules: list[nn.Module] = [
        nn.Conv3d(
            num_planes,
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
