"""Sprites laid over a backdrop, frame by frame, as one camera sees them.

Screen units: the frame's height is 1, the origin is its centre, y points down. Angles are
radians, clockwise as seen. H W pixels of a frame, T frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
Affines = NDArray[np.float64]  # (T, 2, 3)

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
class Layer:
    """One sprite's way through the frames: float (T,), or a number that holds in all of them."""

    sprite: Sprite
    x: Floats | float  # of the anchor, screen units
    y: Floats | float
    depth: Floats | float  # a lower depth is drawn earlier
    angle: Floats | float = 0.0
    scale: Floats | float = 1.0
    squash: float = 1.0  # vertical scale over horizontal scale
    opacity: Floats | float = 1.0  # 0 where the sprite is not there


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
    layers: Sequence[Layer],
    camera: CameraPath,
    *,
    width: int,
    height: int,
    finish: Finish,
) -> Pixels:
    """Film layers over a backdrop.

    Args:
        backdrop: uint8 (h, w, 4), opaque RGBA; it spans BACKDROP_SPAN frames around the origin.
        layers: what is seen in front of it; equal depths are drawn in this order.
        camera: the path of the camera over the T frames.
        width: of the frames, pixels.
        height: of the frames, pixels.
        finish: lens and sensor.

    Returns:
        uint8 (T, H, W, 3), RGB.
    """
    num_frames = len(camera.x)
    view = _view(camera, width=width, height=height)
    ground = _chained(view, _from_backdrop(backdrop))
    pastes = [_Paste(layer, view, size=(width, height)) for layer in layers]
    depths = [np.broadcast_to(layer.depth, num_frames) for layer in layers]
    order = np.argsort(np.stack(depths, axis=1), axis=1, kind="stable").tolist()
    lens, grain = _lens(width, height, finish), _grain_tile(width, height, finish)
    video = np.empty((num_frames, height, width, 3), np.uint8)
    # Four channels throughout: OpenCV warps them three times as fast as three.
    frame = np.empty((height, width, 4), np.uint8)
    for index in range(num_frames):
        cv2.warpAffine(
            backdrop, ground[index], (width, height), dst=frame, borderMode=cv2.BORDER_REPLICATE
        )
        for number in order[index]:
            pastes[number].onto(frame, index)
        cv2.multiply(frame, lens, dst=frame, scale=1 / 128)
        top, left = _grain_shift(index, finish.seed)
        tile = grain[top : top + height, left : left + width]
        cv2.addWeighted(frame, 1.0, tile, 1.0, -128.0, dst=frame)
        cv2.cvtColor(frame, cv2.COLOR_RGBA2RGB, dst=video[index])
    return video


def imprint(backdrop: Pixels, layers: Sequence[Layer]) -> None:
    """Paste what never moves into a backdrop, once for all frames; soft things do not suffer."""
    height, width = backdrop.shape[:2]
    scale = height / BACKDROP_SPAN
    _paste_still(backdrop, layers, scale, (width - 1) / 2, (height - 1) / 2)


def united(base: Sprite, layers: Sequence[Layer]) -> Sprite:
    """Paste what never moves onto a sprite, around whose anchor the layers' screen units count."""
    image = base.image.copy()
    _paste_still(image, layers, base.unit, base.anchor_x, base.anchor_y)
    return Sprite(image, base.anchor_x, base.anchor_y, base.unit)


def _paste_still(
    canvas: Pixels, layers: Sequence[Layer], scale: float, centre_x: float, centre_y: float
) -> None:
    view = np.array([[[scale, 0.0, centre_x], [0.0, scale, centre_y]]])
    for layer in layers:
        _Paste(layer, view, size=canvas.shape[1::-1]).onto(canvas, 0)


class _Paste:
    """The blending of one layer, its maps and boxes computed for all frames at once.

    Frame by frame numpy would cost more than the pixels do.
    """

    def __init__(self, layer: Layer, view: Affines, *, size: tuple[int, ...]) -> None:
        """Compute the map from the sprite to each frame, and the box of pixels that it reaches.

        Args:
            layer: what to paste.
            view: float (T, 2, 3), from screen units to pixels.
            size: width and height of a frame, pixels.
        """
        self._image = layer.sprite.image
        matrices = _chained(view, _from_sprite(layer))
        height, width = self._image.shape[:2]
        across, down, start = matrices[..., 0] * width, matrices[..., 1] * height, matrices[..., 2]
        low = start + np.minimum(across, 0.0) + np.minimum(down, 0.0)
        high = start + np.maximum(across, 0.0) + np.maximum(down, 0.0)
        first = np.maximum(np.floor(low).astype(np.int64), 0)
        last = np.minimum(np.ceil(high).astype(np.int64) + 1, size[:2])
        self._boxes = np.concatenate([first, last], axis=1).tolist()
        matrices[..., 2] -= first
        self._matrices = list(matrices)
        self._opacity = np.broadcast_to(layer.opacity, len(view)).tolist()

    def onto(self, frame: Pixels, index: int) -> None:
        """Blend the sprite into a frame (H, W, 4), touching only what it can reach."""
        left, top, right, bottom = self._boxes[index]
        opacity = self._opacity[index]
        if left >= right or top >= bottom or opacity <= 0.0:
            return
        sprite = cv2.warpAffine(self._image, self._matrices[index], (right - left, bottom - top))
        if opacity < 1.0:
            sprite = cv2.convertScaleAbs(sprite, alpha=opacity)
        clear = cv2.bitwise_not(cv2.extractChannel(sprite, 3))
        region = frame[top:bottom, left:right]
        cv2.multiply(region, cv2.merge((clear, clear, clear, clear)), dst=region, scale=1 / 255)
        cv2.add(region, sprite, dst=region)


def _view(camera: CameraPath, *, width: int, height: int) -> Affines:
    """Compute the map from screen units to pixels of each frame: float (T, 2, 3)."""
    zoom = height * camera.zoom
    cos, sin = zoom * np.cos(camera.roll), zoom * np.sin(camera.roll)
    return _affines(
        (cos, -sin, width / 2 - 0.5 - cos * camera.x + sin * camera.y),
        (sin, cos, height / 2 - 0.5 - sin * camera.x - cos * camera.y),
    )


def _from_backdrop(backdrop: Pixels) -> Affines:
    """Compute the map from pixels of the backdrop to screen units: float (1, 2, 3)."""
    height, width = backdrop.shape[:2]
    scale = BACKDROP_SPAN / height
    return _affines((scale, 0.0, -scale * (width - 1) / 2), (0.0, scale, -scale * (height - 1) / 2))


def _from_sprite(layer: Layer) -> Affines:
    """Compute the map from pixels of a sprite to screen units: float (T, 2, 3), or (1, 2, 3)."""
    sprite, squash = layer.sprite, layer.squash
    scale = layer.scale / sprite.unit
    cos, sin = np.cos(layer.angle) * scale, np.sin(layer.angle) * scale
    x, y = sprite.anchor_x, sprite.anchor_y
    return _affines(
        (cos, -sin * squash, layer.x - cos * x + sin * squash * y),
        (sin, cos * squash, layer.y - sin * x - cos * squash * y),
    )


def _affines(*rows: tuple[Floats | float, Floats | float, Floats | float]) -> Affines:
    """Stack the six numbers of affine maps, each float (T,) or a scalar: float (T or 1, 2, 3)."""
    numbers = np.broadcast_arrays(np.zeros(1), *rows[0], *rows[1])[1:]
    return np.stack(numbers, axis=-1).reshape(-1, 2, 3)


def _chained(outer: Affines, inner: Affines) -> Affines:
    """Apply the inner maps, then the outer: float (T, 2, 3), either of them also (1, 2, 3)."""
    chained = outer[..., :2] @ inner
    chained[..., 2] += outer[..., 2]
    return chained


def _lens(width: int, height: int, finish: Finish) -> Pixels:
    """Compute the gain of each pixel in 1/128: exposure, colour of the light, vignette."""
    x, y = np.linspace(-1, 1, width), np.linspace(-1, 1, height)
    falloff = 1.0 - finish.vignette / 2 * (x * x + (y * y)[:, None])
    colour = np.array([1 + finish.warmth / 2, 1.0, 1 - finish.warmth / 2, 1.0])
    gain = 128 * finish.brightness * falloff[..., None] * colour
    return np.clip(np.rint(gain), 0, 255).astype(np.uint8)


def _grain_tile(width: int, height: int, finish: Finish) -> Pixels:
    generator = np.random.default_rng(finish.seed)
    # Grain is as large in a redrawn, larger frame: it belongs to the film, not to its pixels.
    noise = generator.standard_normal((96 + GRAIN_MARGIN, 128 + GRAIN_MARGIN), dtype=np.float32)
    if height != 96:
        size = (width + GRAIN_MARGIN, height + GRAIN_MARGIN)
        noise = np.asarray(cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC), np.float32)
    tile = np.clip(np.rint(128 + finish.grain * noise), 0, 255).astype(np.uint8)
    return cv2.cvtColor(tile, cv2.COLOR_GRAY2RGBA)


def _grain_shift(index: int, seed: int) -> tuple[int, int]:
    return (index * 7 + seed) % GRAIN_MARGIN, (index * 11 + seed // 16) % GRAIN_MARGIN
