"""What lies behind the action: a wall out of focus, a table in perspective, and its edge.

Drawn once a scene, on a canvas of BACKDROP_SPAN frames; screen units as in `film`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from taskgrain.tabletop.film import BACKDROP_SPAN, Floats, Pixels
from taskgrain.tabletop.pen import Colour, tone

Texture = NDArray[np.float32]  # (h, w), gain around 1
Number = TypeVar("Number", float, Floats)

CANVAS_DENSITY = 1.0  # canvas pixels to a frame's pixel: the background may be soft
FAR_MARGIN = 0.05  # screen units between the table's far edge and depth 0
NEAR_Y = 0.45  # screen units: depth 1
WALL_SIZE = (120, 160)  # rows and columns of the small canvas of the wall
TEXTURE_SIZE = 256  # rows and columns of the table's texture
SLANT = 0.14  # how much wider the table is at depth 1 than at depth 0

TABLE_COLOURS: tuple[Colour, ...] = (
    (186, 140, 92),
    (128, 88, 58),
    (214, 190, 152),
    (152, 152, 156),
    (96, 106, 118),
    (142, 156, 134),
    (212, 206, 194),
    (166, 112, 88),
)
WALL_COLOURS: tuple[Colour, ...] = (
    (198, 190, 176),
    (150, 166, 176),
    (176, 150, 138),
    (124, 138, 122),
    (210, 206, 210),
    (110, 104, 120),
    (190, 178, 140),
)


@dataclass(frozen=True, slots=True)
class Room:
    """The factors of the place; the edge is the table's side that the camera sees."""

    horizon: float  # screen y of the table's far edge
    edge_side: int  # -1 left, 1 right
    edge: float  # screen x of the edge at depth 1/2, towards its side
    table: str  # one of TABLE_TEXTURES
    table_colour: int  # index into TABLE_COLOURS
    wall: str  # one of WALLS
    wall_colour: int  # index into WALL_COLOURS
    texture_seed: int


def ground_y(room: Room, depth: Number) -> Number:
    """Compute the screen y of the table at a depth: 0 far, 1 near."""
    far = room.horizon + FAR_MARGIN
    return far + (NEAR_Y - far) * depth


def edge_x(room: Room, depth: Number) -> Number:
    """Compute the screen x of the table's visible side edge at a depth."""
    return room.edge_side * (room.edge + SLANT * (depth - 0.5))


def depth_scale(depth: Number) -> Number:
    """Compute the size of a thing at a depth, 1 at the usual place of the action."""
    return 0.805 + 0.3 * depth


def draw_room(room: Room, *, width: int, height: int) -> Pixels:
    """Draw wall and table for frames of a size; uint8 (h, w, 4), opaque RGBA."""
    rows = round(height * BACKDROP_SPAN * CANVAS_DENSITY)
    columns = round(width * BACKDROP_SPAN * CANVAS_DENSITY)
    generator = np.random.default_rng(room.texture_seed)
    canvas = _wall(room, generator, rows=rows, columns=columns)
    scale = rows / BACKDROP_SPAN
    to_pixels = np.array([[scale, 0, columns / 2], [0, scale, rows / 2]])
    _table(canvas, room, generator, to_pixels)
    return canvas


def smooth_noise(generator: Generator, shape: tuple[int, int], cells: tuple[int, int]) -> Texture:
    """Draw noise of unit spread that varies over a number of cells, (down, across)."""
    coarse = generator.standard_normal(cells, dtype=np.float32)
    noise = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(noise, np.float32)


def _wall(room: Room, generator: Generator, *, rows: int, columns: int) -> Pixels:
    """Draw the wall and the floor below it on a small canvas: they are out of focus."""
    gain = WALLS[room.wall](generator, *WALL_SIZE)
    gain *= np.linspace(1.08, 0.82, WALL_SIZE[0], dtype=np.float32)[:, None]
    colour = WALL_COLOURS[room.wall_colour]
    painted = _paint(np.asarray(cv2.GaussianBlur(gain, (0, 0), 1.6), np.float32), colour)
    floor = round((0.5 + (room.horizon + 0.13) / BACKDROP_SPAN) * WALL_SIZE[0])
    painted[floor:, :, :3] = np.array(tone(colour, 0.42), np.uint8)
    wall = cv2.resize(painted, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(wall, np.uint8)


def _table(canvas: Pixels, room: Room, generator: Generator, to_pixels: Floats) -> None:
    """Lay the table over the wall: its top, the thickness of its side, the light on its end."""
    colour = TABLE_COLOURS[room.table_colour]
    side, far_y, near_y = room.edge_side, room.horizon, ground_y(room, 2.0)
    far, near = [edge_x(room, -0.09), far_y], [edge_x(room, 2.0), near_y]
    thickness = side * 0.045
    rim = [far, [far[0] + thickness, far_y + 0.03], [near[0] + 2 * thickness, near_y], near]
    cv2.fillPoly(canvas, [_fixed(rim, to_pixels)], tone(colour, 0.45), cv2.LINE_AA, 4)
    mask: Pixels = np.zeros(canvas.shape[:2], np.uint8)
    top = [[-side * 3, far_y], far, near, [-side * 3, near_y]]
    cv2.fillPoly(mask, [_fixed(top, to_pixels)], 255, cv2.LINE_AA, 4)
    above = max(0, math.floor(_pixels([far], to_pixels)[0, 1]) - 1)  # rows without table
    surface = _surface(room, generator, to_pixels, above, canvas.shape[:2])
    _blend(canvas[above:], surface, mask[above:])
    end = [_fixed([[-side * 3, far_y], far], to_pixels)]
    cv2.polylines(canvas, end, False, tone(colour, 1.3), 1, cv2.LINE_AA, 4)


def _surface(
    room: Room, generator: Generator, to_pixels: Floats, above: int, shape: tuple[int, ...]
) -> Pixels:
    """Draw the table's texture in perspective, over a canvas (h, w) without its rows above."""
    gain = TABLE_TEXTURES[room.table](generator, TEXTURE_SIZE, TEXTURE_SIZE)
    gain *= np.linspace(0.92, 1.12, TEXTURE_SIZE, dtype=np.float32)[:, None]  # darker far away
    texture = _paint(gain, TABLE_COLOURS[room.table_colour])
    last = TEXTURE_SIZE - 1
    # The square texture lies on the table; its far side is the horizon, 2.4 frames wide.
    corners = [[-1.2, room.horizon], [1.2, room.horizon], [2.3, 1.0], [-2.3, 1.0]]
    plane = cv2.getPerspectiveTransform(
        _pixels(corners, to_pixels).astype(np.float32),
        np.array([[0, 0], [last, 0], [last, last], [0, last]], np.float32),
    )
    # Both far and near side are level: a row of the texture is one of the picture.
    x, y = np.arange(shape[1]), np.arange(above, shape[0])[:, None]
    distance = plane[2, 1] * y + plane[2, 2]
    left = ((plane[0, 1] * y + plane[0, 2]) / distance).astype(np.float32)
    across = left + (plane[0, 0] / distance).astype(np.float32) * x.astype(np.float32)
    along = np.empty_like(across)
    along[:] = (plane[1, 1] * y + plane[1, 2]) / distance
    surface = cv2.remap(texture, across, along, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(surface, np.uint8)


def _paint(gain: Texture, colour: Colour) -> Pixels:
    return in_four_channels([gain * np.float32(part) for part in colour])


def in_four_channels(planes: Sequence[Texture]) -> Pixels:
    """Round three float (h, w) planes, 0 or more, down to grey levels.

    Returns:
        uint8 (h, w, 4), the fourth channel 255.
    """
    levels = [cv2.convertScaleAbs(plane, beta=-0.5) for plane in planes]
    return np.asarray(cv2.merge([*levels, np.full_like(levels[0], 255)]), np.uint8)


def _pixels(points: Sequence[Sequence[float]], to_pixels: Floats) -> Floats:
    return np.asarray(points) @ to_pixels[:, :2].T + to_pixels[:, 2]


def _fixed(points: Sequence[Sequence[float]], to_pixels: Floats) -> NDArray[np.int32]:
    return np.rint(_pixels(points, to_pixels) * 16).astype(np.int32)  # 4 fractional bits


def _blend(canvas: Pixels, paint: Pixels, mask: Pixels) -> None:
    share = cv2.merge((mask, mask, mask, mask))
    over = cv2.multiply(paint, share, scale=1 / 255)
    under = cv2.multiply(canvas, cv2.bitwise_not(share), scale=1 / 255)
    cv2.add(over, under, dst=canvas)


def _wood(generator: Generator, rows: int, columns: int) -> Texture:
    grain = smooth_noise(generator, (rows, columns), (64, 4))
    gain = 1.0 + 0.07 * grain + 0.05 * smooth_noise(generator, (rows, columns), (8, 3))
    plank = rows // 8
    for index, row in enumerate(range(0, rows, plank)):
        gain[row : row + plank] *= 1.0 + 0.06 * np.float32(generator.standard_normal())
        gain[row : row + 2] *= 0.72 if index else 1.0
    return gain.astype(np.float32)


def _plain(generator: Generator, rows: int, columns: int) -> Texture:
    return 1.0 + 0.035 * smooth_noise(generator, (rows, columns), (6, 6))


def _marble(generator: Generator, rows: int, columns: int) -> Texture:
    veins = np.abs(smooth_noise(generator, (rows, columns), (7, 9)))
    cloud = smooth_noise(generator, (rows, columns), (24, 24))
    # numpy's float32 functions differ from processor to processor.
    lines = np.exp(-9.0 * veins.astype(np.float64))
    return (1.08 - 0.22 * lines + 0.03 * cloud).astype(np.float32)


def _weave(generator: Generator, rows: int, columns: int) -> Texture:
    across, down = np.sin(np.arange(columns) * 0.8), np.sin(np.arange(rows) * 0.8)
    threads = (across * down[:, None]).astype(np.float32)
    return 1.0 + 0.07 * threads + 0.04 * smooth_noise(generator, (rows, columns), (5, 5))


def _speckle(generator: Generator, rows: int, columns: int) -> Texture:
    return 1.0 + 0.07 * smooth_noise(generator, (rows, columns), (90, 90))


def _stripes(generator: Generator, rows: int, columns: int) -> Texture:
    period = float(generator.uniform(9, 22))
    x = np.arange(columns, dtype=np.float32)
    band = np.where((x // period) % 2 == 0, 1.06, 0.9).astype(np.float32)
    return np.repeat(band[None, :], rows, axis=0)


def _bricks(generator: Generator, rows: int, columns: int) -> Texture:
    gain = 1.0 + 0.04 * smooth_noise(generator, (rows, columns), (30, 20))
    for line, row in enumerate(range(0, rows, 9)):
        gain[row : row + 1] *= 1.22
        for column in range(11 * (line % 2), columns, 22):
            gain[row : row + 9, column : column + 1] *= 1.22
            gain[row : row + 9, column : column + 22] *= 1 + 0.07 * generator.standard_normal()
    return gain.astype(np.float32)


def _shelf(generator: Generator, rows: int, columns: int) -> Texture:
    gain = np.full((rows, columns), 0.8, np.float32)
    column = 0
    while column < columns:
        width = int(generator.integers(4, 11))
        top = int(generator.integers(4, 20))
        for shelf in range(0, rows, 34):
            gain[shelf + top % 34 : shelf + 30, column : column + width] = generator.uniform(
                0.6, 1.3
            )
        column += width
    return gain


def _window(generator: Generator, rows: int, columns: int) -> Texture:
    gain = np.full((rows, columns), 0.92, np.float32)
    left = int(generator.integers(20, columns - 70))
    gain[8:58, left : left + 52] = 1.3
    gain[8:58, left + 25 : left + 28] = 0.95
    gain[32:35, left : left + 52] = 0.95
    return gain


TABLE_TEXTURES: dict[str, Callable[[Generator, int, int], Texture]] = {
    "wood": _wood,
    "plain": _plain,
    "marble": _marble,
    "weave": _weave,
    "speckle": _speckle,
}
WALLS: dict[str, Callable[[Generator, int, int], Texture]] = {
    "plain": _plain,
    "stripes": _stripes,
    "bricks": _bricks,
    "shelf": _shelf,
    "window": _window,
}
