"""Tools, dishes and foods, in either look, and the cloths of the far one.

A tool's tip is at the origin of its drawing units and its handle lies in the direction of +u, one
unit being TOOL_LENGTH; dishes and foods are drawn around their middle, in frame heights.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator

from taskgrain.tabletop.backdrop import in_four_channels, smooth_noise
from taskgrain.tabletop.film import BACKDROP_SPAN, SPRITE_OVERSAMPLING, Floats, Pixels, Sprite
from taskgrain.tabletop.kitchen.far import GROUNDS, SECOND_GROUNDS, FarScene
from taskgrain.tabletop.pen import Colour, Pen, arc, tone

TOOL_LENGTH = 0.6  # frame heights
SHADOW_DARKNESS = 0.4  # share of the light that a shadow takes
GRIP = 0.85  # share of the length, from the tip, at which the hand holds a tool
FAINT = 127  # alpha, of 255, below which a pixel is no part of a thing
CLOTH_DENSITY = 2  # canvas pixels to a frame's pixel: dish and food, imprinted, stay sharp
STEEL: Colour = (196, 202, 210)


def draw_tool(
    tool: str, handle: Colour, *, light: float, from_right: bool, frame_height: int
) -> Sprite:
    """Draw the tool; the anchor is its tip."""
    unit = frame_height * SPRITE_OVERSAMPLING * TOOL_LENGTH
    pen = Pen((-0.06, 1.45), (-0.26, 0.26), unit=unit)
    TOOL_SHAPES[tool](pen, handle)
    sprite = pen.sprite((0.0, 0.0), light=light, relief=0.6)
    image, anchor_y = sprite.image, sprite.anchor_y
    if not from_right:
        image = np.ascontiguousarray(image[::-1])
        anchor_y = image.shape[0] - 1 - anchor_y
    return Sprite(image, sprite.anchor_x, anchor_y, unit / TOOL_LENGTH)


def shadow_of(sprite: Sprite) -> Sprite:
    """Make the soft shadow of a sprite."""
    sigma = 0.02 * sprite.unit
    margin = round(2.5 * sigma)
    outline = cv2.copyMakeBorder(
        sprite.image[..., 3], margin, margin, margin, margin, cv2.BORDER_CONSTANT
    )
    soft = cv2.GaussianBlur(outline, (0, 0), sigma)
    image = np.asarray(cv2.convertScaleAbs(soft, alpha=SHADOW_DARKNESS), np.uint8)
    return Sprite(image, sprite.anchor_x + margin, sprite.anchor_y + margin, sprite.unit)


def draw_food(food: str, *, scale: float, light: float, frame_height: int) -> Sprite:
    """Draw a piece of food; the anchor is its middle."""
    unit = frame_height * SPRITE_OVERSAMPLING * scale
    pen = Pen((-0.15, 0.15), (-0.15, 0.15), unit=unit)
    FOOD_SHAPES[food](pen)
    sprite = pen.sprite((0.0, 0.0), light=light, relief=0.6)
    return Sprite(sprite.image, sprite.anchor_x, sprite.anchor_y, unit / scale)


def foot_of(sprite: Sprite) -> float:
    """Measure how far below its anchor a sprite reaches, screen units."""
    rows = np.flatnonzero(sprite.image[..., 3].max(axis=1) > FAINT)
    return (float(rows[-1]) - sprite.anchor_y) / sprite.unit


def draw_dish(dish: str, *, shade: float, light: float, frame_height: int) -> Sprite:
    """Draw a dish; the anchor is its middle."""
    unit = float(frame_height * SPRITE_OVERSAMPLING)
    pen = Pen((-0.62, 0.62), (-0.32, 0.32), unit=unit)
    DISH_SHAPES[dish](pen, shade)
    return pen.sprite((0.0, 0.0), light=light, relief=0.35)


def draw_cloth(scene: FarScene, *, width: int, height: int) -> Pixels:
    """Draw what everything lies on, seen from above; uint8 (h, w, 4), opaque RGBA."""
    table = scene.table
    rows, columns = round(height * BACKDROP_SPAN), round(width * BACKDROP_SPAN)
    period = height * table.cell
    x, y = np.arange(columns) / period, np.arange(rows) / period
    generator = np.random.default_rng(table.texture_seed)
    share = np.float32(PATTERN_SHARES[table.pattern](x[None, :], y[:, None]))
    noise = smooth_noise(generator, (rows, columns), (40, 50))
    gain = np.float32(1.0) + np.float32(0.025) * noise
    over, under = share * gain, (np.float32(1.0) - share) * gain
    ground, second = GROUNDS[table.ground], SECOND_GROUNDS[table.second_ground]
    planes = [
        under * np.float32(one) + over * np.float32(other)
        for one, other in zip(ground, second, strict=True)
    ]
    canvas = in_four_channels(planes)
    size = (columns * CLOTH_DENSITY, rows * CLOTH_DENSITY)
    return np.asarray(cv2.resize(canvas, size), np.uint8)


# Patterns take x (1, w) and y (h, 1) in periods and return the second colour's share (h, w).
# In float64: numpy's float32 functions differ from processor to processor.


def _checks(x: Floats, y: Floats) -> Floats:
    return 0.5 * (np.mod(x, 2) < 1) + 0.5 * (np.mod(y, 2) < 1)


def _tiles(x: Floats, y: Floats) -> Floats:
    return np.where((np.mod(x, 2) < 0.12) | (np.mod(y, 2) < 0.12), 1.0, 0.0)


def _steel(x: Floats, y: Floats) -> Floats:
    return 0.12 + 0.1 * np.sin(y * 9) + 0.08 * np.sin(y * 3.3) + 0.0 * x


def _dots(x: Floats, y: Floats) -> Floats:
    across, down = np.mod(x, 1.5) - 0.75, np.mod(y, 1.5) - 0.75
    return np.clip((0.36 - np.sqrt(across**2 + down**2)) * 12, 0, 1)


def _slate(x: Floats, y: Floats) -> Floats:
    wave = np.sin(y * 2.1)
    # The sine of x * 1.7 + wave, from sines of rows and columns.
    return 0.08 * (np.sin(x * 1.7) * np.cos(wave) + np.cos(x * 1.7) * np.sin(wave)) + 0.1


def _mat(x: Floats, y: Floats) -> Floats:
    return np.where(np.mod(x + y, 1.2) < 0.4, 0.35, 0.0)


PATTERN_SHARES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "checks": _checks,
    "tiles": _tiles,
    "steel": _steel,
    "dots": _dots,
    "slate": _slate,
    "mat": _mat,
}


def _handle(pen: Pen, colour: Colour, start: float) -> None:
    pen.stroke([(start, 0.0), (1.36, 0.0)], 0.13, tone(colour, 0.7))
    pen.stroke([(start, -0.01), (1.36, -0.01)], 0.095, colour)


def _fork(pen: Pen, colour: Colour) -> None:
    pen.stroke([(0.42, 0.0), (0.8, 0.0)], 0.065, tone(STEEL, 0.85))
    for v in (-0.165, -0.055, 0.055, 0.165):
        pen.stroke([(0.0, v), (0.32, v)], 0.045, tone(STEEL, 0.95))
    pen.polygon([(0.27, -0.187), (0.27, 0.187), *arc((0.3, 0.0), (0.16, 0.187), 90, -90)], STEEL)
    _handle(pen, colour, 0.72)


def _spoon(pen: Pen, colour: Colour) -> None:
    pen.stroke([(0.36, 0.0), (0.8, 0.0)], 0.065, tone(STEEL, 0.85))
    pen.ellipse((0.21, 0.0), (0.24, 0.175), STEEL)
    pen.ellipse((0.2, 0.012), (0.185, 0.125), tone(STEEL, 0.68))
    pen.ellipse((0.15, -0.04), (0.07, 0.04), tone(STEEL, 1.7))
    _handle(pen, colour, 0.72)


def _knife(pen: Pen, colour: Colour) -> None:
    pen.polygon([(-0.02, 0.1), (0.16, -0.14), (0.7, -0.14), (0.7, 0.1)], STEEL)
    pen.polygon([(-0.02, 0.1), (0.05, 0.05), (0.7, 0.05), (0.7, 0.1)], tone(STEEL, 1.6))
    pen.polygon([(0.66, -0.15), (0.74, -0.15), (0.74, 0.11), (0.66, 0.11)], tone(STEEL, 0.6))
    _handle(pen, colour, 0.76)


def _tongs(pen: Pen, colour: Colour) -> None:
    for side in (-1, 1):
        arm = [(0.12, 0.15 * side), (0.5, 0.18 * side), (1.3, 0.03 * side)]
        pen.stroke(arm, 0.075, tone(STEEL, 0.66))
        pen.stroke(arm, 0.045, STEEL)
        pen.stroke([(0.03, 0.1 * side), (0.16, 0.16 * side)], 0.1, colour)
    pen.ellipse((1.32, 0.0), (0.07, 0.07), tone(STEEL, 0.6))


TOOL_SHAPES: dict[str, Callable[[Pen, Colour], None]] = {
    "fork": _fork,
    "spoon": _spoon,
    "knife": _knife,
    "tongs": _tongs,
}


def _tomato(pen: Pen) -> None:
    pen.ellipse((0.0, 0.0), (0.1, 0.1), (204, 50, 42))
    pen.ellipse((0.0, 0.0), (0.082, 0.082), (232, 104, 84))
    for turn in range(5):
        angle = turn * 2 * math.pi / 5
        centre = (0.048 * math.cos(angle), 0.048 * math.sin(angle))
        pen.ellipse(centre, (0.026, 0.018), (196, 44, 36), angle=math.degrees(angle))


def _cheese(pen: Pen) -> None:
    pen.polygon([(-0.11, 0.07), (0.09, -0.09), (0.12, 0.07)], (246, 204, 84))
    pen.polygon([(-0.11, 0.07), (0.12, 0.07), (0.12, 0.11), (-0.11, 0.11)], (222, 168, 50))
    for centre in ((0.02, 0.03), (0.07, -0.02), (-0.04, 0.05)):
        pen.ellipse(centre, (0.018, 0.014), (206, 154, 44))


def _sausage(pen: Pen) -> None:
    pen.stroke(arc((0.0, -0.1), (0.12, 0.12), 150, 30), 0.085, (140, 68, 44))
    pen.stroke(arc((0.0, -0.11), (0.12, 0.12), 140, 40), 0.03, (186, 104, 70))
    for u in (-0.05, 0.0, 0.05):
        pen.stroke([(u, -0.01), (u + 0.02, 0.05)], 0.012, (84, 40, 28))


def _broccoli(pen: Pen) -> None:
    pen.stroke([(0.0, 0.02), (0.02, 0.11)], 0.05, (170, 196, 110))
    for u, v in ((-0.06, -0.01), (0.06, 0.0), (0.0, -0.06), (-0.03, -0.05), (0.045, -0.055)):
        pen.ellipse((u, v), (0.052, 0.047), (58, 122 + round(400 * abs(u)), 48))


def _dumpling(pen: Pen) -> None:
    pen.polygon(arc((0.0, 0.05), (0.12, 0.13), 180, 360), (240, 226, 196))
    for turn in range(200, 350, 28):
        u, v = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        pen.stroke(
            [(0.08 * u, 0.05 + 0.08 * v), (0.115 * u, 0.05 + 0.125 * v)], 0.014, (206, 182, 140)
        )


def _toast(pen: Pen) -> None:
    for scale, colour in ((1.0, (166, 104, 52)), (0.82, (234, 192, 126))):
        pen.polygon(
            [(u * scale, v * scale) for u, v in ((-0.1, -0.04), (-0.08, 0.11), (0.08, 0.11))]
            + [(0.1 * scale, -0.04 * scale)]
            + arc((0.0, -0.05 * scale), (0.11 * scale, 0.06 * scale), 360, 180),
            colour,
        )


FOOD_SHAPES: dict[str, Callable[[Pen], None]] = {
    "tomato": _tomato,
    "cheese": _cheese,
    "sausage": _sausage,
    "broccoli": _broccoli,
    "dumpling": _dumpling,
    "toast": _toast,
}


def _plate(pen: Pen, shade: float) -> None:
    pen.ellipse((0.0, 0.0), (0.44, 0.3), tone((238, 238, 234), shade))
    pen.ellipse((0.0, 0.01), (0.33, 0.215), tone((216, 216, 214), shade))
    pen.ellipse((0.0, 0.02), (0.32, 0.2), tone((230, 230, 227), shade))


def _board(pen: Pen, shade: float) -> None:
    for inset, colour in ((0.0, (150, 104, 62)), (0.025, (196, 148, 96))):
        u, v = 0.46 - inset, 0.27 - inset
        corners = [(-u, -v), (u, -v), (u, v), (-u, v)]
        pen.polygon(corners, tone(colour, shade))
        pen.stroke([*corners, corners[0]], 0.04, tone(colour, shade))
    for v in (-0.14, -0.02, 0.1):
        pen.stroke([(-0.42, v), (0.42, v + 0.02)], 0.008, tone((170, 122, 74), shade))


def _pan(pen: Pen, shade: float) -> None:
    pen.ellipse((0.0, 0.0), (0.43, 0.3), tone((74, 76, 82), shade))
    pen.ellipse((0.0, 0.015), (0.37, 0.245), tone((46, 47, 52), shade))


def _tray(pen: Pen, shade: float) -> None:
    pen.polygon(
        [(-0.52, -0.27), (0.52, -0.27), (0.48, 0.27), (-0.48, 0.27)], tone((150, 156, 162), shade)
    )
    pen.polygon(
        [(-0.47, -0.23), (0.47, -0.23), (0.44, 0.22), (-0.44, 0.22)], tone((186, 192, 198), shade)
    )


DISH_SHAPES: dict[str, Callable[[Pen, float], None]] = {
    "plate": _plate,
    "board": _board,
    "pan": _pan,
    "tray": _tray,
}


def scattered(generator: Generator, number: int) -> list[tuple[float, float, float]]:
    """Draw places on a dish away from its middle: x, y and angle of each."""
    spots = []
    for turn in generator.uniform(0, 2 * math.pi, number):
        spots.append((0.27 * math.cos(turn), 0.15 * math.sin(turn), float(turn)))
    return spots
