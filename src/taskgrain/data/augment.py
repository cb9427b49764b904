"""Augmentation: what training varies of a clip, drawn from (seed, epoch, clip id) alone.

Shapes: S stored frames, T frames that the model sees, H W pixels that it sees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from taskgrain.data.sampling import (
    FrameSampling,
    Window,
    choose_crop,
    spread_frames,
    strided_frames,
)
from taskgrain.randomness import generator_for

CROP_TRIES = 10  # draws of an area and an aspect that may not fit, before the whole frame is taken

# YIQ of NTSC: the first row is luma (the weights of ITU-R BT.601), hue turns the other two. Both
# of those sum to zero, so that grey stays grey.
_YIQ = np.array(
    [[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], np.float64
)
_RGB = np.linalg.inv(_YIQ)


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How far training clips are varied; the default draws frames and a crop of fixed size."""

    rate_jitter: float = 0.0  # of the frame rate: a factor in 1 - r .. 1 + r; see `draw_view`
    crop_scale: tuple[float, float] | None = None  # share of the frame's area; None: fixed size
    crop_aspect: tuple[float, float] = (3 / 4, 4 / 3)  # width / height, relative to the frame's
    mirror: float = 0.0  # probability, for clips whose label may be mirrored
    brightness: float = 0.0  # a factor in 1 - b .. 1 + b
    contrast: float = 0.0  # a factor about the clip's mean luma
    saturation: float = 0.0  # a factor about each pixel's luma
    hue: float = 0.0  # a turn of at most this share of the colour circle, 0 to 0.5

    @property
    def changes_colour(self) -> bool:
        """Whether any colour is varied."""
        return any((self.brightness, self.contrast, self.saturation, self.hue))


@dataclass(frozen=True, slots=True)
class Colour:
    """One draw of the colour jitter; applied in this order."""

    brightness: float
    contrast: float
    saturation: float
    hue: float  # turns


@dataclass(frozen=True, slots=True)
class View:
    """What training sees of a clip in one epoch."""

    window: Window
    is_mirrored: bool
    colour: Colour | None


@dataclass(frozen=True, slots=True)
class Drawing:
    """Whose draw it is."""

    seed: int
    epoch: int
    clip_id: str


def draw_view(
    num_stored: int, sampling: FrameSampling, augmentation: Augmentation, drawing: Drawing
) -> View:
    """Draw what training sees of a clip of S frames.

    With a stride, `rate_jitter` r multiplies it by a factor in 1 - r .. 1 + r; where frames are
    spread over the clip, which cannot grow, they cover a share of it in 1 - r .. 1.
    """
    rng = generator_for(drawing.seed, drawing.epoch, drawing.clip_id)
    # Its own stream, so that a new kind of augmentation leaves frames and fixed crops as they were.
    extra = generator_for(drawing.seed, drawing.epoch, f"{drawing.clip_id}/augment")
    # What is drawn from `extra`, and in which order, is frozen: another order would be other crops,
    # mirrorings and colours under every seed.
    deviation = augmentation.rate_jitter * extra.uniform(-1, 1)
    if sampling.stride is None:
        share = 1 - abs(deviation)
        frames = spread_frames(num_stored, sampling.num_frames, rng, share=share)
    else:
        step = sampling.stride * (1 + deviation)
        frames = strided_frames(num_stored, sampling.num_frames, step, rng)
    is_mirrored = bool(extra.random() < augmentation.mirror)
    colour = _draw_colour(augmentation, extra) if augmentation.changes_colour else None
    if augmentation.crop_scale is None:
        rows, columns = choose_crop(sampling, rng)
    else:
        rows, columns = _draw_crop(sampling, augmentation, extra)
    return View(Window(frames, rows, columns), is_mirrored, colour)


def _draw_crop(
    sampling: FrameSampling, augmentation: Augmentation, rng: np.random.Generator
) -> tuple[slice, slice]:
    """Draw a random resized crop (Inception's): an area and an aspect, then a place."""
    assert augmentation.crop_scale is not None
    height, width = sampling.store_height, sampling.store_width
    low, high = (math.log(aspect) for aspect in augmentation.crop_aspect)
    for _ in range(CROP_TRIES):
        area = rng.uniform(*augmentation.crop_scale)
        aspect = math.exp(rng.uniform(low, high))
        rows = round(height * math.sqrt(area / aspect))
        columns = round(width * math.sqrt(area * aspect))
        if 0 < rows <= height and 0 < columns <= width:
            top = int(rng.integers(height - rows + 1))
            left = int(rng.integers(width - columns + 1))
            return slice(top, top + rows), slice(left, left + columns)
    # The largest crop in the middle whose aspect is in the range, as torchvision falls back to.
    narrowest, widest = augmentation.crop_aspect
    rows = round(height / max(narrowest, 1.0))
    columns = round(width * min(widest, 1.0))
    top, left = (height - rows) // 2, (width - columns) // 2
    return slice(top, top + rows), slice(left, left + columns)


def _draw_colour(augmentation: Augmentation, rng: np.random.Generator) -> Colour:
    brightness, contrast, saturation, hue = rng.uniform(-1, 1, 4)
    return Colour(
        brightness=1 + augmentation.brightness * brightness,
        contrast=1 + augmentation.contrast * contrast,
        saturation=1 + augmentation.saturation * saturation,
        hue=augmentation.hue * hue,
    )


def apply_view(
    video: NDArray[np.uint8], view: View, sampling: FrameSampling, *, mirrors: bool
) -> NDArray[np.uint8]:
    """Finish the pixels of a view: scale the crop, mirror it, change its colours.

    Args:
        video: uint8 (T, h, w, 3), RGB: the view's window, cut out.
        view: as drawn.
        sampling: the size that the model sees.
        mirrors: whether to turn left and right about; the label must be turned with it.

    Returns:
        uint8 (T, H, W, 3), RGB.
    """
    if video.shape[1:3] != (sampling.height, sampling.width):
        shrinks = video.shape[1] > sampling.height and video.shape[2] > sampling.width
        # Area means where it shrinks, as `data.framing`: linear interpolation would skip pixels.
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        size = (sampling.width, sampling.height)
        scaled = [cv2.resize(frame, size, interpolation=interpolation) for frame in video]
        video = np.stack(scaled).astype(np.uint8, copy=False)
    if mirrors:
        video = video[:, :, ::-1]
    if view.colour is not None:
        video = change_colour(video, view.colour)
    return video


# With brightness b, contrast c about the clip's mean luma m, saturation S and hue R,
#
#     x -> R S (c b x + (1 - c) m)
#
# S and R leave grey as it is, so that the offset (1 - c) m passes through them: all is one matrix
# and one offset, clipped once at the end, since what one change overshoots the next may bring back.
def change_colour(video: NDArray[np.uint8], colour: Colour) -> NDArray[np.uint8]:
    """Change the colours of a whole clip alike: uint8 (T, H, W, 3) -> the same.

    The four changes are one affine map of RGB; values saturate at its end alone, not in between.
    """
    luma = _YIQ[0]
    mean = float(video.reshape(-1, 3).mean(axis=0) @ luma) * colour.brightness
    scale = colour.brightness * colour.contrast
    offset = mean * (1 - colour.contrast)
    grey = np.tile(luma, (3, 1))  # every channel becomes the luma
    saturate = colour.saturation * np.eye(3) + (1 - colour.saturation) * grey
    angle = 2 * math.pi * colour.hue
    turn = np.array(
        [
            [1, 0, 0],
            [0, math.cos(angle), -math.sin(angle)],
            [0, math.sin(angle), math.cos(angle)],
        ]
    )
    rotate = _RGB @ turn @ _YIQ
    matrix = np.hstack([scale * (rotate @ saturate), np.full((3, 1), offset)])
    pixels = np.ascontiguousarray(video).reshape(-1, 1, 3)
    return cv2.transform(pixels, matrix).reshape(video.shape).astype(np.uint8, copy=False)
