"""Sprites laid over a backdrop, frame by frame, as one camera sees them.

Screen units: the frame's height is 1, the origin is its centre, y points down. Angles are
radians, clockwise as seen. H W pixels of a frame, T frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
Affine = tuple[float, float, float, float, float, float]  # (2, 3), row by row

BACKDROP_SPAN = 1.9  # the backdrop is so many frames wide and high: room for the camera to move
SPRITE_OVERSAMPLING = 2  # sprite pixels to a frame's pixel; bilinear halving is then an area mean
GRAIN_MARGIN = 16  # pixels, by which the grain's tile is shifted from frame to frame


@dataclass(frozen=True, slots=True)
class Sprite:
    """A drawn thing: premultiplied uint8 (h, w, 4) RGBA, its anchor in pixels, and its scale."""

    image: Pixels
    anchor_x: float
    anchor_y: float
    unit: float  # sprite pixels to one screen unit


@dataclass(frozen=True, slots=True)
class Placement:
    """One sprite in one frame: where its anchor is; a lower depth is drawn earlier."""

    sprite: Sprite
    x: float
    y: float
    depth: float
    angle: float = 0.0
    scale: float = 1.0
    squash: float = 1.0  # vertical scale over horizontal scale
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class CameraPath:
    """The camera in each frame: float (T,) each; centre in screen units, roll in radians."""

    x: Floats
    y: Floats
    zoom: Floats
    roll: Floats


@dataclass(frozen=True, slots=True)
class Finish:
    """What the lens and the sensor add."""

    vignette: float  # darkening of the corners, 0 to 1
    grain: float  # standard deviation in grey levels
    brightness: float  # gain of the exposure
    warmth: float  # red gain less blue gain
    seed: int


def expose(
    backdrop: Pixels,
    frames: Sequence[Sequence[Placement]],
    camera: CameraPath,
    *,
    width: int,
    height: int,
    finish: Finish,
) -> Pixels:
    """Film the placements of every frame over a backdrop.

    Args:
        backdrop: uint8 (h, w, 3), RGB; it spans BACKDROP_SPAN frames around the origin.
        frames: T lists of placements.
        camera: the path of the camera over the same T frames.
        width: of the frames, pixels.
        height: of the frames, pixels.
        finish: lens and sensor.

    Returns:
        uint8 (T, H, W, 3), RGB.
    """
    video = np.empty((len(frames), height, width, 3), np.uint8)
    lens = _lens(width, height, finish)
    grain = _grain_tile(width, height, finish)
    for index, placements in enumerate(frames):
        view = _view(camera, index, width=width, height=height)
        matrix = np.reshape(_chained(view, _from_backdrop(backdrop)), (2, 3))
        frame = video[index]
        cv2.warpAffine(
            backdrop, matrix, (width, height), dst=frame, borderMode=cv2.BORDER_REPLICATE
        )
        for placement in sorted(placements, key=lambda placed: placed.depth):
            _paste(frame, placement, view)
        cv2.multiply(frame, lens, dst=frame, scale=1 / 128)
        top, left = _grain_shift(index, finish.seed)
        tile = grain[top : top + height, left : left + width]
        cv2.addWeighted(frame, 1.0, tile, 1.0, -128.0, dst=frame)
    return video


def imprint(backdrop: Pixels, placements: Sequence[Placement]) -> None:
    """Paint what never moves into a backdrop, once for all frames; soft things do not suffer."""
    height, width = backdrop.shape[:2]
    scale = height / BACKDROP_SPAN
    view = (scale, 0.0, (width - 1) / 2, 0.0, scale, (height - 1) / 2)
    for placement in placements:
        _paste(backdrop, placement, view)


def _view(camera: CameraPath, index: int, *, width: int, height: int) -> Affine:
    """Give the map from screen units to pixels of a frame."""
    zoom = height * float(camera.zoom[index])
    roll, x, y = float(camera.roll[index]), float(camera.x[index]), float(camera.y[index])
    cos, sin = zoom * math.cos(roll), zoom * math.sin(roll)
    return (
        cos,
        -sin,
        width / 2 - 0.5 - cos * x + sin * y,
        sin,
        cos,
        height / 2 - 0.5 - sin * x - cos * y,
    )


def _from_backdrop(backdrop: Pixels) -> Affine:
    """Give the map from pixels of the backdrop to screen units."""
    height, width = backdrop.shape[:2]
    scale = BACKDROP_SPAN / height
    return scale, 0.0, -scale * (width - 1) / 2, 0.0, scale, -scale * (height - 1) / 2


def _from_sprite(placement: Placement) -> Affine:
    """Give the map from pixels of a sprite to screen units."""
    sprite, squash = placement.sprite, placement.squash
    scale = placement.scale / sprite.unit
    cos, sin = math.cos(placement.angle) * scale, math.sin(placement.angle) * scale
    return (
        cos,
        -sin * squash,
        placement.x - cos * sprite.anchor_x + sin * squash * sprite.anchor_y,
        sin,
        cos * squash,
        placement.y - sin * sprite.anchor_x - cos * squash * sprite.anchor_y,
    )


def _chained(outer: Affine, inner: Affine) -> Affine:
    """Apply the inner map, then the outer. By hand: numpy costs more than the six numbers."""
    a, b, c, d, e, f = outer
    g, h, i, j, k, m = inner
    return (
        a * g + b * j,
        a * h + b * k,
        a * i + b * m + c,
        d * g + e * j,
        d * h + e * k,
        d * i + e * m + f,
    )


def _paste(frame: Pixels, placement: Placement, view: Affine) -> None:
    """Blend one sprite into the frame, touching only the pixels that it can reach."""
    image = placement.sprite.image
    a, b, c, d, e, f = _chained(view, _from_sprite(placement))
    h, w = image.shape[:2]
    left = max(0, math.floor(c + min(0.0, a * w) + min(0.0, b * h)))
    top = max(0, math.floor(f + min(0.0, d * w) + min(0.0, e * h)))
    right = min(frame.shape[1], math.ceil(c + max(0.0, a * w) + max(0.0, b * h)) + 1)
    bottom = min(frame.shape[0], math.ceil(f + max(0.0, d * w) + max(0.0, e * h)) + 1)
    if left >= right or top >= bottom:
        return
    matrix = np.array(((a, b, c - left), (d, e, f - top)))
    layer = cv2.warpAffine(image, matrix, (right - left, bottom - top))
    if placement.opacity < 1.0:
        layer = cv2.convertScaleAbs(layer, alpha=placement.opacity)
    red, green, blue, alpha = cv2.split(layer)
    clear = cv2.bitwise_not(alpha)
    region = frame[top:bottom, left:right]
    below = cv2.multiply(region, cv2.merge((clear, clear, clear)), scale=1 / 255)
    cv2.add(below, cv2.merge((red, green, blue)), dst=region)


def _lens(width: int, height: int, finish: Finish) -> Pixels:
    """Give the gain of each pixel in 1/128: exposure, colour of the light, vignette."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    falloff = 1.0 - finish.vignette * (x * x + y * y) / 2
    colour = np.array([1 + finish.warmth / 2, 1.0, 1 - finish.warmth / 2])
    gain = finish.brightness * falloff[..., None] * colour
    return np.clip(np.rint(gain * 128), 0, 255).astype(np.uint8)


def _grain_tile(width: int, height: int, finish: Finish) -> Pixels:
    generator = np.random.default_rng(finish.seed)
    # Grain is as large in a redrawn, larger frame: it belongs to the film, not to its pixels.
    noise = generator.standard_normal((96 + GRAIN_MARGIN, 128 + GRAIN_MARGIN), dtype=np.float32)
    if height != 96:
        size = (width + GRAIN_MARGIN, height + GRAIN_MARGIN)
        noise = np.asarray(cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC), np.float32)
    tile = np.clip(np.rint(128 + finish.grain * noise), 0, 255).astype(np.uint8)
    return cv2.cvtColor(tile, cv2.COLOR_GRAY2RGB)


def _grain_shift(index: int, seed: int) -> tuple[int, int]:
    return (index * 7 + seed) % GRAIN_MARGIN, (index * 11 + seed // 16) % GRAIN_MARGIN
