"""The two-channel encoder: what each frame shows, and how the frames change.

Shapes: B clips, T frames, T' steps, H W pixels, D_s and D_t widths of the two channels, D width.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from taskgrain.models.channels import Channel, ChannelShape
from taskgrain.models.inputs import NUM_PLANES, FrameInputs, Pixels


class Encoder(Protocol):
    """What any encoder must offer: a width, and features (B, T', width) of a uint8 video."""

    width: int

    def __call__(self, video: Tensor) -> Tensor:
        """Encode video: uint8 (B, T, H, W, 3), RGB, as float (B, T', width)."""


class TwoChannelEncoder(nn.Module):
    """A spatial (2D) and a temporal (3D) channel, joined at every step and read by an LSTM.

    Follows the authors' code; see docs/paper.md. A channel of width 0 is absent, and so is the
    last layer (Linear, ReLU, Dropout) when `feature_width` is 0. The normalisation of the
    pixels is part of the weights, so that it travels with them.
    """

    def __init__(
        self,
        *,
        spatial: ChannelShape,
        temporal: ChannelShape,
        lstm_width: int,
        feature_width: int,
        dropout: float,
        pixels: Pixels,
    ) -> None:
        super().__init__()
        if spatial.width + temporal.width == 0:
            raise ValueError("both channels have width 0; expected at least one with layers")
        self.spatial = Channel(spatial) if spatial.width else None
        self.temporal = Channel(temporal) if temporal.width else None
        self.lstm = nn.LSTM(
            spatial.width + temporal.width, lstm_width, batch_first=True, bidirectional=True
        )
        self.out = (
            nn.Sequential(nn.Linear(2 * lstm_width, feature_width), nn.ReLU(), nn.Dropout(dropout))
            if feature_width
            else nn.Identity()
        )
        self.width = feature_width or 2 * lstm_width
        self.inputs = FrameInputs(pixels)

    def forward(self, video: Tensor) -> Tensor:
        """Encode clips; under autocast only the convolutions compute in the lower precision.

        Args:
            video: uint8 (B, T, H, W, 3), RGB.

        Returns:
            float32 (B, T', D): T' is the number of steps of the longer channel.

        Raises:
            ValueError: if the video is not uint8 (B, T, H, W, 3).
        """
        return self.from_channels(self.channel_features(video))

    @property
    def channel_widths(self) -> tuple[int, int]:
        """Give D_s and D_t; 0 for a channel that is absent."""
        spatial, temporal = (
            0 if channel is None else channel.width for channel in (self.spatial, self.temporal)
        )
        return spatial, temporal

    def from_channels(self, seen: Tensor) -> Tensor:
        """Read what the channels see: float32 (B, T', D_s + D_t) -> float32 (B, T', D)."""
        with torch.autocast(seen.device.type, enabled=False):
            steps, _ = self.lstm(seen)  # (B, T', 2 * lstm_width)
            return self.out(steps)

    def channel_features(self, video: Tensor) -> Tensor:
        """Give what the channels see, before the LSTM.

        Args:
            video: uint8 (B, T, H, W, 3), RGB.

        Returns:
            float32 (B, T', D_s + D_t): the spatial channel first. T' is the longer channel's;
            of the shorter one, each step stands where its share of the clip does.

        Raises:
            ValueError: if the video is not uint8 (B, T, H, W, 3).
        """
        levels = _levels(video)
        views = [
            channel(self.inputs(levels, channel.input, frame_stride=channel.frame_stride))
            for channel in (self.spatial, self.temporal)
            if channel is not None
        ]
        num_steps = max(view.shape[1] for view in views)
        return torch.cat([_stretch(view, num_steps) for view in views], dim=2)


def _levels(video: Tensor) -> Tensor:
    """Turn a video into grey levels: float (B, 3, T, H, W), laid out as channels_last_3d."""
    if video.dtype != torch.uint8 or video.ndim != 5 or video.shape[-1] != NUM_PLANES:
        raise ValueError(
            f"video is {video.dtype} {tuple(video.shape)}; expected uint8 (B, T, H, W, 3)"
        )
    return video.permute(0, 4, 1, 2, 3).float()


def _stretch(view: Tensor, num_steps: int) -> Tensor:
    """Spread the T_c steps of float (B, T_c, D_c) evenly over `num_steps`, T_c or more."""
    num_own = view.shape[1]
    if num_own == num_steps:
        return view
    return torch.stack([view[:, i * num_own // num_steps] for i in range(num_steps)], dim=1)
