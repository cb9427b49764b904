"""The two-channel encoder: what each frame shows, and how the frames change.

A frame's grey levels become what each channel is shown (`FrameInputs`); a channel is a stack of
convolutions over them (`Channel`); an LSTM reads both step by step (`TwoChannelEncoder`). All that
it takes to build one is an `EncoderShape`, which is stored beside the weights.

Shapes: B clips, T frames, T' steps, H W pixels, D width; of a channel: T_s frames that it is shown,
T_c steps that it returns, P planes of a frame, D_c width (D_s and D_t of the two channels).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from taskgrain.config.checked import AboveZero, Count, FromOne, Number, read_as
from taskgrain.errors import CheckpointError
from taskgrain.models.convolution import TemporalConv3d

# What each input, and each reduction, taught the sources of their own labels: docs/log.md, "The
# recipe".
ChannelInput = Literal["pixels", "centred", "difference", "pixels-and-centred"]
Change = Literal["centred", "difference"]
Reduction = Literal["max", "mean"]
NUM_PLANES = 3  # red, green, blue
KERNEL_PIXELS = 3  # height and width of every kernel
Shape = TypeVar("Shape")


@dataclass(frozen=True, slots=True)
class Pixels:
    """How grey levels (0 to 255) become the network's numbers.

    A pixel becomes (level - mean) / deviation. A centred pixel is its level minus the mean of that
    pixel over the clip's frames, a difference its level minus the one a frame before; each is
    divided by its own deviation, None where no channel is shown it.
    """

    mean: Number
    deviation: AboveZero
    centred_deviation: AboveZero | None = None
    difference_deviation: AboveZero | None = None


@dataclass(frozen=True, slots=True)
class ConvLayer:
    """A convolution of 3 x 3 pixels with what follows it; triples are (time, height, width).

    A pool of (1, 1, 1) is no pooling.
    """

    width: Count
    stride: tuple[FromOne, FromOne, FromOne] = (1, 1, 1)
    padding: tuple[Count, Count, Count] = (1, 1, 1)
    pool: tuple[FromOne, FromOne, FromOne] = (1, 1, 1)


@dataclass(frozen=True, slots=True)
class ChannelShape:
    """All that it takes to rebuild a channel; without layers the channel is absent, its width 0.

    `temporal_kernel` is 1 for the spatial channel (2D) and 3 for the temporal one (3D); the
    channel looks at every `frame_stride`-th frame and is shown `input` of it; `reduction` makes one
    number a plane of the pixels that remain.
    """

    layers: tuple[ConvLayer, ...] = ()
    temporal_kernel: Count = 1
    frame_stride: FromOne = 1
    reduction: Reduction = "mean"
    input: ChannelInput = "pixels"

    @property
    def width(self) -> int:
        """D_c, the features a step; 0 when the channel is absent."""
        return self.layers[-1].width if self.layers else 0

    def layers_that_fit(self, height: int, width: int) -> int:
        """Count the layers, first to last, to which frames of this size leave any pixel."""
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


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """All that it takes to rebuild a `TwoChannelEncoder`, its weights apart."""

    spatial: ChannelShape
    temporal: ChannelShape
    lstm_width: Count  # per direction
    feature_width: Count  # of the last layer; 0 leaves it out
    dropout: Number  # share of the last layer's features, 0 to 1
    pixels: Pixels

    def to_json(self) -> dict[str, object]:
        """Return what `json.dumps` takes and `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, entries: Mapping[str, object]) -> EncoderShape:
        """Read what `to_json` returned; a deviation is kept where a channel is shown that change.

        Raises:
            CheckpointError: if an entry is missing or is not what it should be.
        """
        shape = shape_from_json(cls, entries)
        changes = {
            kind for each in (shape.spatial, shape.temporal) for kind in changes_shown(each.input)
        }
        deviation_of = {
            "centred": shape.pixels.centred_deviation,
            "difference": shape.pixels.difference_deviation,
        }
        for kind, deviation in deviation_of.items():
            if kind in changes and deviation is None:
                raise CheckpointError(
                    f"stored shape: pixels.{kind}_deviation: found null; expected more than 0, for "
                    f"a channel is shown {kind} frames"
                )
        centred, difference = (
            deviation if kind in changes else None for kind, deviation in deviation_of.items()
        )
        pixels = replace(shape.pixels, centred_deviation=centred, difference_deviation=difference)
        return replace(shape, pixels=pixels)


def shape_from_json(kind: type[Shape], entries: Mapping[str, object]) -> Shape:
    """Read the stored shape of a network, or raise CheckpointError naming what does not fit."""
    try:
        return read_as(kind, entries)
    except ValueError as error:
        raise CheckpointError(f"stored shape: {error}") from None


class TwoChannelEncoder(nn.Module):
    """A spatial (2D) and a temporal (3D) channel, joined at every step and read by an LSTM.

    Follows the authors' code; see docs/paper.md. A channel of width 0 is absent, and so is the
    last layer (Linear, ReLU, Dropout) when `feature_width` is 0. The normalisation of the
    pixels is part of the weights, so that it travels with them.
    """

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        spatial, temporal = shape.spatial, shape.temporal
        if spatial.width + temporal.width == 0:
            raise ValueError("both channels have width 0; expected at least one with layers")
        self.spatial = Channel(spatial) if spatial.width else None
        self.temporal = Channel(temporal) if temporal.width else None
        self.lstm = nn.LSTM(
            spatial.width + temporal.width, shape.lstm_width, batch_first=True, bidirectional=True
        )
        self.out = (
            nn.Sequential(
                nn.Linear(2 * shape.lstm_width, shape.feature_width),
                nn.ReLU(),
                nn.Dropout(shape.dropout),
            )
            if shape.feature_width
            else nn.Identity()
        )
        self.width = shape.feature_width or 2 * shape.lstm_width
        self.inputs = FrameInputs(shape.pixels)

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
        """Return D_s and D_t; 0 for a channel that is absent."""
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
        """Compute what the channels see, before the LSTM.

        Args:
            video: uint8 (B, T, H, W, 3), RGB.

        Returns:
            float32 (B, T', D_s + D_t): the spatial channel first. T' is the longer channel's; the
            shorter one's steps are repeated evenly to T'.

        Raises:
            ValueError: if the video is not uint8 (B, T, H, W, 3).
        """
        check_video(video)
        levels = _levels(video)
        views = [
            channel(self.inputs(levels, channel.input, frame_stride=channel.frame_stride))
            for channel in (self.spatial, self.temporal)
            if channel is not None
        ]
        num_steps = max(view.shape[1] for view in views)
        return torch.cat([_stretch(view, num_steps) for view in views], dim=2)


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
        """Encode the frames of clips with one channel.

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
            frame_stride: the channel looks at the middle one of each `frame_stride` frames, so
                that no end of the clip is favoured.

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


@dataclass(frozen=True, slots=True)
class ChangeDeviations:
    """How far clips change, in grey levels: the root mean square over all pixels and frames."""

    centred: float
    difference: float


UNMEASURED = ChangeDeviations(1.0, 1.0)
"""A placeholder for networks that are built only to be counted or inspected."""


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


def measure_changes(videos: Iterable[Tensor]) -> ChangeDeviations:
    """Measure how far clips change, so that what a channel is shown of it has deviation 1.

    Args:
        videos: uint8 (B, T, H, W, 3) each, RGB.

    Returns:
        To four decimals, so that the order of the sums does not matter; 1 where nothing moves.

    Raises:
        ValueError: if there is no clip.
    """
    # float64, and rounded in the end: every cell measures anew, and has to come to the same number.
    squares, num_values = torch.zeros(2, dtype=torch.float64), 0
    for video in videos:
        levels = _levels(video)
        for index, change in enumerate((centred(levels), differences(levels))):
            squares[index] += change.square().sum(dtype=torch.float64).cpu()
        num_values += levels.numel()
    if num_values == 0:
        raise ValueError("no clip to measure changes on")
    deviations = [round(float(total / num_values) ** 0.5, 4) for total in squares]
    return ChangeDeviations(*(deviation or 1.0 for deviation in deviations))


def check_video(video: Tensor) -> None:
    """Raise ValueError if a video is not uint8 (B, T, H, W, 3)."""
    if video.dtype != torch.uint8 or video.ndim != 5 or video.shape[-1] != NUM_PLANES:
        raise ValueError(
            f"video is {video.dtype} {tuple(video.shape)}; expected uint8 (B, T, H, W, 3)"
        )


def _levels(video: Tensor) -> Tensor:
    """Turn a video into grey levels: float (B, 3, T, H, W), laid out as channels_last_3d."""
    return video.permute(0, 4, 1, 2, 3).float()


def _stretch(view: Tensor, num_steps: int) -> Tensor:
    """Spread the T_c steps of float (B, T_c, D_c) evenly over `num_steps`, T_c or more."""
    num_own = view.shape[1]
    if num_own == num_steps:
        return view
    # Over the whole clip: when the first steps were repeated instead, the 2D channel's later frames
    # never stood beside those of the 3D channel (seven steps beside eight, of 30 frames).
    return torch.stack([view[:, i * num_own // num_steps] for i in range(num_steps)], dim=1)
