"""What a channel is shown of a clip: its pixels, or how they differ over time.

Shapes: B clips, T frames, T_s frames that a channel looks at, H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

ChannelInput = Literal["pixels", "centred", "difference", "pixels-and-centred"]
Change = Literal["centred", "difference"]
CHANNEL_INPUTS: tuple[ChannelInput, ...] = (
    "pixels",
    "centred",
    "difference",
    "pixels-and-centred",
)
NUM_PLANES = 3  # red, green, blue


@dataclass(frozen=True, slots=True)
class Pixels:
    """How grey levels (0 to 255) become the network's numbers.

    A pixel becomes (level - mean) / deviation. A centred pixel is its level minus the mean of that
    pixel over the clip's frames, a difference its level minus the one a frame before; each is
    divided by its own deviation, None where no channel is shown it.
    """

    mean: float
    deviation: float
    centred_deviation: float | None = None
    difference_deviation: float | None = None


@dataclass(frozen=True, slots=True)
class ChangeDeviations:
    """How far clips change, in grey levels: the root mean square over all pixels and frames."""

    centred: float
    difference: float


UNMEASURED = ChangeDeviations(1.0, 1.0)
"""Stands where a network's numbers do not matter: its layers are counted or looked at."""


def num_planes(kind: ChannelInput) -> int:
    """Return the planes that a channel's first convolution reads."""
    return 2 * NUM_PLANES if kind == "pixels-and-centred" else NUM_PLANES


def changes_shown(kind: ChannelInput) -> tuple[Change, ...]:
    """Return the ways in which an input shows what changes; each has a deviation of its own."""
    match kind:
        case "pixels":
            return ()
        case "pixels-and-centred":
            return ("centred",)
        case _:
            return (kind,)


class FrameInputs(nn.Module):
    """Turns grey levels into what the channels are shown; its numbers travel with the weights."""

    def __init__(self, pixels: Pixels) -> None:
        super().__init__()
        self.pixel_mean: Tensor
        self.pixel_scale: Tensor
        self.centred_scale: Tensor
        self.difference_scale: Tensor
        self.register_buffer("pixel_mean", torch.tensor(pixels.mean, dtype=torch.float32))
        # A product is much cheaper than a quotient over every pixel of a batch.
        for name, deviation in (
            ("pixel_scale", pixels.deviation),
            ("centred_scale", pixels.centred_deviation),
            ("difference_scale", pixels.difference_deviation),
        ):
            if deviation is not None:
                self.register_buffer(name, torch.tensor(1 / deviation, dtype=torch.float32))

    def forward(self, levels: Tensor, kind: ChannelInput, *, frame_stride: int) -> Tensor:
        """Compute what a channel is shown.

        Args:
            levels: float (B, 3, T, H, W), grey levels 0 to 255, RGB; left as they are.
            kind: of the input.
            frame_stride: the channel looks at the middle frame of each run of so many, so that no
                end of the clip is favoured.

        Returns:
            float (B, 3, T_s, H, W), or (B, 6, T_s, H, W) where two inputs stand beside each other.
        """
        first = min(frame_stride // 2, levels.shape[2] - 1)
        seen = slice(first, None, frame_stride)
        match kind:
            case "pixels":
                return self._pixels(levels[:, :, seen])
            case "centred":
                return self._centred(levels, seen)
            case "difference":
                return self._difference(levels)[:, :, seen]
            case "pixels-and-centred":
                both = [self._pixels(levels[:, :, seen]), self._centred(levels, seen)]
                return torch.cat(both, dim=1)

    def _pixels(self, levels: Tensor) -> Tensor:
        return (levels - self.pixel_mean).mul_(self.pixel_scale)

    def _centred(self, levels: Tensor, seen: slice) -> Tensor:
        return centred(levels, seen).mul_(self.centred_scale)

    def _difference(self, levels: Tensor) -> Tensor:
        return differences(levels).mul_(self.difference_scale)


def centred(levels: Tensor, seen: slice = slice(None)) -> Tensor:
    """Subtract each pixel's mean over the clip.

    Args:
        levels: float (B, 3, T, H, W), grey levels.
        seen: frames that are returned; the mean is over all T.

    Returns:
        float (B, 3, T_s, H, W), grey levels: 0 everywhere where nothing moves.
    """
    # Planes last, as videos lie in memory: the mean is then taken off whole frames at a time.
    frames = levels.permute(0, 2, 3, 4, 1)
    return (frames[:, seen] - frames.mean(dim=1, keepdim=True)).permute(0, 4, 1, 2, 3)


def differences(levels: Tensor) -> Tensor:
    """Subtract from each frame the one before it: float (B, 3, T, H, W) to the same shape.

    The first frame has none before it, and becomes 0.
    """
    return torch.cat(
        [torch.zeros_like(levels[:, :, :1]), levels[:, :, 1:] - levels[:, :, :-1]], dim=2
    )


def measure_changes(videos: Iterable[Tensor]) -> ChangeDeviations:
    """Measure how far clips change, so that what a channel is shown of it has deviation 1.

    Args:
        videos: uint8 (B, T, H, W, 3) each, RGB.

    Returns:
        To four decimals, so that the order of the sums does not matter; 1 where nothing moves.

    Raises:
        ValueError: if there is no clip.
    """
    squares, num_values = torch.zeros(2, dtype=torch.float64), 0
    for video in videos:
        levels = video.permute(0, 4, 1, 2, 3).float()
        for place, change in enumerate((centred(levels), differences(levels))):
            squares[place] += change.square().sum(dtype=torch.float64).cpu()
        num_values += levels.numel()
    if num_values == 0:
        raise ValueError("no clip to measure changes on")
    deviations = [round(float(total / num_values) ** 0.5, 4) for total in squares]
    return ChangeDeviations(*(deviation or 1.0 for deviation in deviations))
