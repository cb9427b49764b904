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
Affines = NDArray[np.float64]  # (..., 2, 3)

BACKDROP_SPAN = 1.9  # frames that the backdrop is wide and high: room for the camera to move
SPRITE_OVERSAMPLING = 2  # sprite pixels to a frame's pixel; bilinear halving is then an area mean
GRAIN_MARGIN = 16  # pixels, by which the grain's tile is shifted from frame to frame


@dataclass(frozen=True, slots=True)
class Sprite:
    """A drawn thing or a shadow, its anchor in pixels, and its scale."""

    image: Pixels  # uint8 (h, w, 4), premultiplied RGBA; of a shadow (h, w), what light it takes
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
        backdrop: uint8 (h, w, 4), RGB and a channel that is not read; it spans BACKDROP_SPAN
            frames around the origin.
        layers: what is seen in front of it; equal depths are drawn in this order.
        camera: the path of the camera over the T frames.
        width: of the frames, pixels.
        height: of the frames, pixels.
        finish: lens and sensor.

    Returns:
        uint8 (T, H, W, 3), RGB.
    """
    view = _view(camera, width=width, height=height)
    ground = _chained(view, _from_backdrop(backdrop))
    pastes = _Pastes(layers, view, width=width, height=height)
    lens, brighter, darker = _lens(width, height, finish), *_grain_tiles(width, height, finish)
    video = np.empty((len(view), height, width, 3), np.uint8)
    # Four channels until all is pasted: OpenCV warps them three times as fast as three.
    canvas = np.empty((height, width, 4), np.uint8)
    for index, frame in enumerate(video):
        cv2.warpAffine(
            backdrop, ground[index], (width, height), dst=canvas, borderMode=cv2.BORDER_REPLICATE
        )
        pastes.onto(canvas, index)
        cv2.cvtColor(canvas, cv2.COLOR_RGBA2RGB, dst=frame)
        cv2.multiply(frame, lens, dst=frame, scale=1 / 128)
        top, left = _grain_shift(index, finish.seed)
        # In two steps: bytes have no numbers below 0.
        cv2.add(frame, brighter[top : top + height, left : left + width], dst=frame)
        cv2.subtract(frame, darker[top : top + height, left : left + width], dst=frame)
    return video


def imprint(backdrop: Pixels, layers: Sequence[Layer]) -> None:
    """Paste what never moves into a backdrop, once for all frames.

    A backdrop as dense as the frames is enough for soft things; others need a denser one.
    """
    height, width = backdrop.shape[:2]
    scale = height / BACKDROP_SPAN
    view = _affines(scale, 0.0, (width - 1) / 2, 0.0, scale, (height - 1) / 2)[None]
    _Pastes(layers, view, width=width, height=height).onto(backdrop, 0)


class _Pastes:
    """Layers with their maps and boxes in every frame.

    They are computed for all layers and frames at once: one by one numpy costs more than pixels.
    """

    def __init__(self, layers: Sequence[Layer], view: Affines, *, width: int, height: int) -> None:
        """Compute where each sprite lies in each frame, and the box of pixels that it reaches.

        `view` is float (T, 2, 3), from screen units to the pixels of a frame.
        """
        self._images = [layer.sprite.image for layer in layers]
        depth, opacity = np.empty((2, len(layers), len(view)))
        matrices = np.empty((len(layers), len(view), 2, 3))
        for number, layer in enumerate(layers):
            depth[number], opacity[number] = layer.depth, layer.opacity
            matrices[number] = _from_sprite(layer)
        matrices = _chained(view, matrices)
        sizes = np.array([image.shape[1::-1] for image in self._images])
        corners = matrices[..., :2] * sizes[:, None, None]  # (L, T, 2, 2): x and y by width, height
        low = matrices[..., 2] + np.minimum(corners, 0.0).sum(axis=-1)
        high = matrices[..., 2] + np.maximum(corners, 0.0).sum(axis=-1)
        first = np.maximum(np.floor(low), 0.0)
        last = np.minimum(np.ceil(high) + 1, (width, height))
        matrices[..., 2] -= first
        seen = (opacity > 0) & (first < last).all(axis=-1)
        self._matrices, self._opacity = matrices, opacity.tolist()
        self._boxes = np.concatenate([first, last], axis=-1).astype(int).tolist()
        order = np.argsort(depth, axis=0, kind="stable")
        self._order = [
            [number for number in numbers if seen[number, index]]
            for index, numbers in enumerate(order.T.tolist())
        ]

    def onto(self, canvas: Pixels, index: int) -> None:
        """Blend the sprites of a frame into a canvas (H, W, 4), by depth, each in its box."""
        for number in self._order[index]:
            left, top, right, bottom = self._boxes[number][index]
            size = (right - left, bottom - top)
            sprite = cv2.warpAffine(self._images[number], self._matrices[number, index], size)
            opacity = self._opacity[number][index]
            if opacity < 1.0:
                sprite = cv2.convertScaleAbs(sprite, alpha=opacity)
            is_shadow = sprite.ndim == 2
            clear = cv2.bitwise_not(sprite if is_shadow else cv2.extractChannel(sprite, 3))
            region = canvas[top:bottom, left:right]
            clear = cv2.merge((clear, clear, clear, clear))
            cv2.multiply(region, clear, dst=region, scale=1 / 255)
            if not is_shadow:
                cv2.add(region, sprite, dst=region)


def _view(camera: CameraPath, *, width: int, height: int) -> Affines:
    """Compute the map from screen units to pixels of each frame: float (T, 2, 3)."""
    zoom = height * camera.zoom
    cos, sin = zoom * np.cos(camera.roll), zoom * np.sin(camera.roll)
    across = width / 2 - 0.5 - cos * camera.x + sin * camera.y
    down = height / 2 - 0.5 - sin * camera.x - cos * camera.y
    return _affines(cos, -sin, across, sin, cos, down)


def _from_backdrop(backdrop: Pixels) -> Affines:
    """Compute the map from pixels of the backdrop to screen units: float (2, 3)."""
    height, width = backdrop.shape[:2]
    scale = BACKDROP_SPAN / height
    return _affines(scale, 0.0, -scale * (width - 1) / 2, 0.0, scale, -scale * (height - 1) / 2)


def _from_sprite(layer: Layer) -> Affines:
    """Compute the map from pixels of a sprite to screen units: float (T, 2, 3) or (2, 3)."""
    sprite, squash = layer.sprite, layer.squash
    scale = layer.scale / sprite.unit
    cos, sin = np.cos(layer.angle) * scale, np.sin(layer.angle) * scale
    across = layer.x - cos * sprite.anchor_x + sin * squash * sprite.anchor_y
    down = layer.y - sin * sprite.anchor_x - cos * squash * sprite.anchor_y
    return _affines(cos, -sin * squash, across, sin, cos * squash, down)


def _affines(*numbers: Floats | float) -> Affines:
    """Stack the six numbers of affine maps, row by row: float (T, 2, 3), of scalars (2, 3)."""
    shape = np.broadcast_shapes(*(np.shape(number) for number in numbers))
    maps = np.empty((*shape, 6))
    for index, number in enumerate(numbers):
        maps[..., index] = number
    return maps.reshape(*shape, 2, 3)


def _chained(outer: Affines, inner: Affines) -> Affines:
    """Apply the inner maps, then the outer: float (..., 2, 3) each."""
    chained = outer[..., :2] @ inner
    chained[..., 2] += outer[..., 2]
    return chained


def _lens(width: int, height: int, finish: Finish) -> Pixels:
    """Compute the gain of each pixel in 1/128: exposure, colour of the light, vignette."""
    x, y = np.linspace(-1, 1, width), np.linspace(-1, 1, height)
    falloff = 1.0 - finish.vignette / 2 * (x * x + (y * y)[:, None])
    colour = np.array([1 + finish.warmth / 2, 1.0, 1 - finish.warmth / 2])
    gain = 128 * finish.brightness * falloff[..., None] * colour
    return np.clip(np.rint(gain), 0, 255).astype(np.uint8)


def _grain_tiles(width: int, height: int, finish: Finish) -> tuple[Pixels, Pixels]:
    """Draw what the grain adds and what it takes, each uint8 (H + margin, W + margin, 3)."""
    generator = np.random.default_rng(finish.seed)
    # Grain is as large in a redrawn, larger frame: it belongs to the film, not to its pixels.
    noise = generator.standard_normal((96 + GRAIN_MARGIN, 128 + GRAIN_MARGIN), dtype=np.float32)
    if height != 96:
        size = (width + GRAIN_MARGIN, height + GRAIN_MARGIN)
        noise = np.asarray(cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC), np.float32)
    levels = np.rint(finish.grain * noise)
    tiles = [np.clip(part, 0, 255).astype(np.uint8) for part in (levels, -levels)]
    brighter, darker = (np.asarray(cv2.merge((tile, tile, tile)), np.uint8) for tile in tiles)
    return brighter, darker


def _grain_shift(index: int, seed: int) -> tuple[int, int]:
    return (index * 7 + seed) % GRAIN_MARGIN, (index * 11 + seed // 16) % GRAIN_MARGIN
