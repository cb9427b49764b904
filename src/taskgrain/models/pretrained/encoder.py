"""A pretrained network behind our contract: uint8 video in, features of each step out.

A `NetworkShape` is all that it takes to rebuild it without a file; it is stored as JSON.

Shapes: B clips, T frames, T' steps, H W pixels given, h w pixels that the network sees, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Literal, get_args

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from taskgrain.config.checked import Count, Number
from taskgrain.data.sampling import spread_frames
from taskgrain.models.encoder import NUM_PLANES, check_video

Library = Literal["torchvision", "huggingface", "imagenet"]
LIBRARIES: tuple[Library, ...] = get_args(Library)
Planes = tuple[Number, Number, Number]


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a network was trained to be shown: its own published preprocessing."""

    height: Count  # H that the network sees, pixels
    width: Count  # W
    scaled_height: Count  # to which a clip is scaled before the H x W in its middle are cut out
    scaled_width: Count
    keeps_aspect: bool  # whether it is scaled so without being stretched
    mean: Planes  # of the three planes, where 0 is black and 1 is white
    deviation: Planes
    num_frames: Count | None  # T that the network takes; None for any number


@dataclass(frozen=True, slots=True)
class NetworkShape:
    """All that it takes to rebuild a `NetworkEncoder`, its weights apart."""

    network: Library  # whose it is
    model: Annotated[str, Field(min_length=1)]  # its name, or a Hugging Face model's folder
    config: Mapping[str, object]  # Hugging Face's own, as JSON; the others have none
    preparation: Preparation
    single_frame: bool  # whether it sees the middle frame alone
    lstm_width: Count  # of an LSTM over its steps, in each direction; 0 leaves it out

    def to_json(self) -> dict[str, object]:
        """Return what `json.dumps` takes and `shape_from_json` reads."""
        return asdict(self)


def planes_of(value: object) -> Planes:
    """Check three numbers, for the red, green and blue plane.

    Raises:
        ValueError: if the value is no list of three numbers.
    """
    if (
        not isinstance(value, list | tuple)
        or len(value) != NUM_PLANES
        or not all(isinstance(each, int | float) for each in value)
    ):
        raise ValueError(f"is {value!r}; expected three numbers")
    red, green, blue = (float(each) for each in value)
    return red, green, blue


WHITE = 255.0  # grey level that counts as 1
# What is computed together without gradients: VGG16 keeps 26 MB of a frame in one layer.
FRAMES_AT_ONCE = 16
CLIPS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Trunk:
    """A network without its head, as `NetworkEncoder` calls it."""

    network: nn.Module  # float (N, 3, h, w) -> (N, D), or float (B, T, 3, h, w) -> (B, T', D)
    width: int  # D
    reads: Literal["frames", "clips"]


class NetworkEncoder(nn.Module):
    """Show a network what it was trained to see; an LSTM over its steps where one is wanted.

    Clips are scaled to the network's own size (bilinear, antialiased) and normalised as its
    publishers say. A network that takes a fixed number of frames gets that number, spread over the
    clip; of a shorter clip some come twice.
    """

    def __init__(self, trunk: Trunk, shape: NetworkShape) -> None:
        super().__init__()
        if shape.single_frame and trunk.reads != "frames":
            raise ValueError(f"{shape.model} reads clips; a single frame is for an image network")
        self.network = trunk.network
        self._reads = trunk.reads
        self._preparation = shape.preparation
        self._single_frame = shape.single_frame
        self.lstm = (
            nn.LSTM(trunk.width, shape.lstm_width, batch_first=True, bidirectional=True)
            if shape.lstm_width
            else None
        )
        self.width = 2 * shape.lstm_width or trunk.width
        # (level / 255 - mean) / deviation as one product and one difference. The shape has the
        # numbers; they are no weights.
        deviation = torch.tensor(shape.preparation.deviation).view(NUM_PLANES, 1, 1)
        mean = torch.tensor(shape.preparation.mean).view(NUM_PLANES, 1, 1)
        self._scale: Tensor
        self._offset: Tensor
        self.register_buffer("_scale", 1 / (WHITE * deviation), persistent=False)
        self.register_buffer("_offset", mean / deviation, persistent=False)

    def forward(self, video: Tensor) -> Tensor:
        """Encode clips; under autocast the network computes in the lower precision.

        Args:
            video: uint8 (B, T, H, W, 3), RGB.

        Returns:
            float32 (B, T', D): T' is T for an image network, 1 for a single frame, and what the
            network leaves of a clip otherwise.

        Raises:
            ValueError: if the video is not uint8 (B, T, H, W, 3).
        """
        check_video(video)
        video = self._chosen_frames(video)
        if self._reads == "frames":
            frames = video.flatten(0, 1)  # (B * T, H, W, 3)
            steps = self._in_parts(lambda part: self.network(self._prepare(part)), frames)
            steps = steps.unflatten(0, video.shape[:2])  # (B, T, D)
        else:
            steps = self._in_parts(self._read_clips, video)
        if self.lstm is None:
            return steps
        with torch.autocast(steps.device.type, enabled=False):
            return self.lstm(steps)[0]

    def _chosen_frames(self, video: Tensor) -> Tensor:
        num_frames = video.shape[1]
        if self._single_frame:
            return video[:, num_frames // 2].unsqueeze(1)
        wanted = self._preparation.num_frames
        if wanted is None or wanted == num_frames:
            return video
        return video[:, torch.from_numpy(spread_frames(num_frames, wanted, None)).to(video.device)]

    def _in_parts(self, read: Callable[[Tensor], Tensor], items: Tensor) -> Tensor:
        """Read as many items at once as memory allows.

        All of them where a BatchNorm takes them together, or where gradients keep them anyway.
        """
        is_normalising = any(module.training for module in self.network.modules())
        if is_normalising or torch.is_grad_enabled():
            return read(items).float()
        size = FRAMES_AT_ONCE if self._reads == "frames" else CLIPS_AT_ONCE
        return torch.cat([read(part).float() for part in items.split(size)])

    def _read_clips(self, video: Tensor) -> Tensor:
        frames = self._prepare(video.flatten(0, 1))
        return self.network(frames.unflatten(0, video.shape[:2]))  # (B, T', D)

    def _prepare(self, frames: Tensor) -> Tensor:
        """Turn uint8 (N, H, W, 3) into what the network sees: float (N, 3, h, w)."""
        planes = frames.permute(0, 3, 1, 2).float()
        size = (self._preparation.height, self._preparation.width)
        if planes.shape[2:] != size:
            planes = F.interpolate(
                planes, size=size, mode="bilinear", antialias=True, align_corners=False
            )
        return planes.mul_(self._scale).sub_(self._offset)
