"""The things on the table: each noun is a shape with a top and a bottom, drawn in its own colour.

Every shape stands in the box u in [-wide/2, wide/2], v in [-1/2, 1/2] of its own drawing units.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from taskgrain.tabletop.film import SPRITE_OVERSAMPLING, Sprite
from taskgrain.tabletop.held_back import HELD_BACK_PALETTE, HELD_BACK_SHAPES, Shape
from taskgrain.tabletop.pen import CREAM, INK, Colour, Pen, Point, arc, contrast, tone

PALETTE: dict[str, Colour] = {
    "red": (206, 44, 44),
    "orange": (238, 132, 36),
    "yellow": (240, 204, 58),
    "green": (62, 158, 78),
    "blue": (48, 98, 206),
    "purple": (136, 74, 172),
    "white": (236, 234, 226),
    "black": (52, 52, 58),
}
SPANS: dict[str, float] = {"small": 0.31, "medium": 0.38, "big": 0.46}
"""Size word -> the longer side of a thing at the middle of the table, in frame heights."""


def thing_size(noun: str, size: str) -> tuple[float, float]:
    """Return the width and height of a thing in frame heights, at the middle of the table."""
    wide = wide_of(noun)
    height = SPANS[size] / max(1.0, wide)
    return wide * height, height


def wide_of(noun: str) -> float:
    """Return the width of a thing over its height; held-back nouns have one too."""
    return _shape_of(noun)[1]


def _shape_of(noun: str) -> Shape:
    return HELD_BACK_SHAPES[noun] if noun in HELD_BACK_SHAPES else SHAPES[noun]


def colour_of(name: str) -> Colour:
    """Return the RGB of a colour's name; held-back colours have one too."""
    return HELD_BACK_PALETTE[name] if name in HELD_BACK_PALETTE else PALETTE[name]


def draw_thing(
    noun: str, colour: Colour, *, span: float, light: float, frame_height: int, covers: bool = False
) -> Sprite:
    """Draw a thing with its anchor in the middle.

    Args:
        noun: one of NOUNS, COVERS or HELD_BACK_NOUNS.
        colour: RGB.
        span: longer side, in frame heights.
        light: -1 where light comes from the left, 1 from the right.
        frame_height: of the frame that it is drawn for, pixels.
        covers: whether it is one of COVERS, put over something else.
    """
    wide = wide_of(noun)
    height = span / max(1.0, wide)
    unit = frame_height * SPRITE_OVERSAMPLING * height
    pen = Pen((-wide / 2, wide / 2), (-0.5, 0.5), unit=unit)
    draw = COVER_SHAPES[noun] if covers else _shape_of(noun)[0]
    draw(pen, colour)
    sprite = pen.sprite((0.0, 0.0), light=light)
    # The placement's scale is 1 at the middle of the table, whatever the thing's height.
    return Sprite(sprite.image, sprite.anchor_x, sprite.anchor_y, unit / height)


def _cup(pen: Pen, colour: Colour) -> None:
    pen.stroke(arc((0.28, 0.02), (0.17, 0.24), -80, 100), 0.085, tone(colour, 0.8))
    pen.polygon(
        [(-0.47, -0.36), (0.31, -0.36), (0.22, 0.42), *arc((-0.08, 0.42), (0.3, 0.08), 0, 180)],
        colour,
    )
    pen.polygon([(-0.45, -0.12), (0.29, -0.12), (0.275, 0.0), (-0.435, 0.0)], contrast(colour))
    pen.ellipse((-0.08, -0.37), (0.39, 0.12), tone(colour, 1.25))
    pen.ellipse((-0.08, -0.355), (0.32, 0.085), tone(colour, 0.4))


def _bottle(pen: Pen, colour: Colour) -> None:
    body: list[Point] = [(-0.075, -0.42), (-0.075, -0.22), (-0.2, -0.05), (-0.2, 0.44)]
    foot = arc((0.0, 0.44), (0.2, 0.06), 180, 0)
    pen.polygon(body + foot + [(-u, v) for u, v in reversed(body)], colour)
    pen.polygon([(-0.1, -0.5), (0.1, -0.5), (0.1, -0.37), (-0.1, -0.37)], tone(colour, 0.5))
    pen.polygon([(-0.2, 0.08), (0.2, 0.08), (0.2, 0.32), (-0.2, 0.32)], CREAM)
    pen.ellipse((0.0, 0.2), (0.09, 0.08), tone(colour, 0.8))
    pen.stroke([(-0.12, -0.02), (-0.12, 0.04)], 0.05, tone(colour, 1.6))


def _box(pen: Pen, colour: Colour) -> None:
    pen.polygon([(-0.48, -0.25), (-0.25, -0.47), (0.48, -0.47), (0.27, -0.25)], tone(colour, 1.35))
    pen.polygon([(0.27, -0.25), (0.48, -0.47), (0.48, 0.26), (0.27, 0.48)], tone(colour, 0.62))
    pen.polygon([(-0.48, -0.25), (0.27, -0.25), (0.27, 0.48), (-0.48, 0.48)], colour)
    tape = contrast(colour)
    pen.polygon([(-0.19, -0.25), (0.03, -0.47), (0.14, -0.47), (-0.06, -0.25)], tape)
    pen.polygon([(-0.19, -0.25), (-0.06, -0.25), (-0.06, 0.02), (-0.19, 0.02)], tone(tape, 0.88))


def _ball(pen: Pen, colour: Colour) -> None:
    pen.ellipse((0.0, 0.0), (0.48, 0.48), colour)
    band = contrast(colour)
    pen.polygon(
        [*arc((0.0, -0.62), (0.62, 0.62), 135, 45), *arc((0.0, -0.62), (0.74, 0.74), 52, 128)], band
    )
    pen.polygon([*arc((0.0, -0.08), (0.38, 0.4), 250, 290), (0.0, -0.3)], band)
    pen.ellipse((-0.18, 0.1), (0.1, 0.07), tone(colour, 1.45), angle=-30)


def _book(pen: Pen, colour: Colour) -> None:
    pen.polygon([(-0.3, -0.48), (0.38, -0.42), (0.38, 0.48), (-0.3, 0.42)], CREAM)
    pen.polygon([(-0.38, -0.46), (0.31, -0.46), (0.31, 0.42), (-0.38, 0.42)], colour)
    pen.polygon([(-0.38, -0.46), (-0.25, -0.46), (-0.25, 0.42), (-0.38, 0.42)], tone(colour, 0.6))
    mark = contrast(colour)
    pen.polygon([(-0.15, -0.34), (0.22, -0.34), (0.22, -0.14), (-0.15, -0.14)], mark)
    pen.stroke([(-0.12, 0.26), (0.16, 0.26)], 0.05, mark)


def _banana(pen: Pen, colour: Colour) -> None:
    outer = arc((0.0, -0.42), (0.6, 0.86), 8, 172)
    inner = arc((0.0, -0.5), (0.46, 0.52), 172, 8)
    pen.polygon(outer + inner, colour)
    pen.stroke(arc((0.0, -0.44), (0.54, 0.7), 25, 155), 0.05, tone(colour, 0.78))
    pen.stroke([(0.53, -0.34), (0.57, -0.45)], 0.12, tone(INK, 1.2))
    pen.ellipse((-0.54, -0.3), (0.07, 0.06), tone(INK, 1.2))


def _lamp(pen: Pen, colour: Colour) -> None:
    pen.stroke([(0.0, -0.1), (0.0, 0.42)], 0.08, (150, 140, 125))
    pen.ellipse((0.0, 0.42), (0.24, 0.075), (118, 108, 98))
    pen.polygon([(-0.17, -0.5), (0.17, -0.5), (0.36, 0.06), (-0.36, 0.06)], colour)
    pen.ellipse((0.0, 0.06), (0.36, 0.08), tone(colour, 1.5))
    pen.ellipse((0.0, 0.07), (0.28, 0.05), (255, 246, 205))


def _duck(pen: Pen, colour: Colour) -> None:
    pen.polygon([(-0.58, -0.14), (-0.2, 0.05), (-0.3, 0.35), (-0.5, 0.2)], tone(colour, 0.85))
    pen.ellipse((-0.05, 0.2), (0.44, 0.29), colour)
    pen.ellipse((0.22, -0.22), (0.26, 0.27), colour)
    beak = (245, 150, 40) if colour[2] > 90 or colour[1] < 110 else (200, 60, 40)
    pen.polygon([(0.42, -0.28), (0.6, -0.16), (0.42, -0.07)], beak)
    pen.ellipse((0.28, -0.28), (0.055, 0.065), CREAM if sum(colour) < 200 else INK)
    pen.ellipse((-0.12, 0.16), (0.22, 0.13), tone(colour, 0.78), angle=-15)


def _bear(pen: Pen, colour: Colour) -> None:
    for side in (-1, 1):
        pen.ellipse((0.24 * side, -0.38), (0.12, 0.12), tone(colour, 0.85))
        pen.ellipse((0.27 * side, 0.38), (0.14, 0.12), tone(colour, 0.85))
        pen.ellipse((0.32 * side, 0.08), (0.09, 0.15), tone(colour, 0.85), angle=-25 * side)
    pen.ellipse((0.0, 0.2), (0.29, 0.27), colour)
    pen.ellipse((0.0, -0.2), (0.31, 0.25), colour)
    pen.ellipse((0.0, 0.22), (0.17, 0.18), tone(colour, 1.45))
    pen.ellipse((0.0, -0.12), (0.14, 0.1), tone(colour, 1.6))
    dark = INK if sum(colour) > 200 else CREAM
    for u, v in ((-0.12, -0.26), (0.12, -0.26), (0.0, -0.15)):
        pen.ellipse((u, v), (0.04, 0.04), dark)


def _car(pen: Pen, colour: Colour) -> None:
    pen.polygon([(-0.5, 0.0), (-0.32, -0.48), (0.2, -0.48), (0.45, 0.0)], tone(colour, 0.85))
    pen.polygon([(-0.38, -0.04), (-0.26, -0.37), (-0.06, -0.37), (-0.06, -0.04)], (200, 225, 240))
    pen.polygon([(0.02, -0.04), (0.02, -0.37), (0.15, -0.37), (0.31, -0.04)], (200, 225, 240))
    pen.polygon(
        [(-0.77, 0.02), (-0.68, -0.06), (0.5, -0.06), (0.74, 0.06), (0.77, 0.3), (-0.77, 0.3)],
        colour,
    )
    for u in (-0.42, 0.42):
        pen.ellipse((u, 0.29), (0.2, 0.2), (40, 40, 44))
        pen.ellipse((u, 0.29), (0.09, 0.09), (190, 190, 190))
    pen.ellipse((0.7, 0.09), (0.06, 0.06), (255, 240, 170))


def _boot(pen: Pen, colour: Colour) -> None:
    pen.polygon(
        [
            *((-0.36, -0.48), (0.1, -0.48), (0.08, 0.04)),
            *arc((0.1, 0.3), (0.32, 0.24), -90, 20),
            *((0.4, 0.42), (-0.36, 0.42)),
        ],
        colour,
    )
    pen.polygon([(-0.4, -0.5), (0.14, -0.5), (0.14, -0.33), (-0.4, -0.33)], contrast(colour))
    pen.polygon([(-0.38, 0.38), (0.43, 0.38), (0.43, 0.5), (-0.38, 0.5)], tone(INK, 1.15))
    pen.stroke([(-0.1, 0.0), (0.06, 0.1)], 0.05, contrast(colour))


def _plant(pen: Pen, colour: Colour) -> None:
    leaf = (70, 140, 62)
    for turn in (-62, -25, 20, 58):
        radians = math.radians(turn)
        centre = (0.26 * math.sin(radians), 0.0 - 0.26 * math.cos(radians))
        pen.ellipse(centre, (0.085, 0.23), tone(leaf, 0.85 + 0.004 * (turn + 62)), angle=turn)
    pen.polygon([(-0.28, 0.06), (0.28, 0.06), (0.2, 0.5), (-0.2, 0.5)], colour)
    pen.polygon([(-0.34, -0.04), (0.34, -0.04), (0.32, 0.12), (-0.32, 0.12)], tone(colour, 1.2))


def _clock(pen: Pen, colour: Colour) -> None:
    for side in (-1, 1):
        pen.stroke([(0.2 * side, 0.3), (0.3 * side, 0.45)], 0.08, INK)
        pen.ellipse((0.24 * side, -0.38), (0.16, 0.1), tone(colour, 0.75), angle=35 * side)
    pen.ellipse((0.0, 0.04), (0.42, 0.42), colour)
    pen.ellipse((0.0, 0.04), (0.31, 0.31), CREAM)
    pen.stroke([(0.0, -0.17), (0.0, 0.04), (0.14, 0.12)], 0.055, INK)


def _house(pen: Pen, colour: Colour) -> None:
    pen.polygon([(-0.36, -0.1), (0.36, -0.1), (0.36, 0.5), (-0.36, 0.5)], colour)
    roof = tone(colour, 0.5) if sum(colour) > 200 else (150, 60, 50)
    pen.polygon([(-0.48, -0.02), (0.0, -0.5), (0.48, -0.02)], roof)
    pen.polygon([(-0.06, 0.16), (0.14, 0.16), (0.14, 0.5), (-0.06, 0.5)], tone(INK, 1.1))
    pen.polygon([(-0.28, 0.1), (-0.13, 0.1), (-0.13, 0.28), (-0.28, 0.28)], (255, 240, 180))


def _star(pen: Pen, colour: Colour) -> None:
    for scale, shade in ((0.55, 1.0), (0.3, 1.35)):
        points = []
        for corner in range(10):
            radius = scale * (1.0 if corner % 2 == 0 else 0.45)
            turn = math.pi * corner / 5
            points.append((radius * math.sin(turn), 0.05 - radius * math.cos(turn)))
        pen.polygon(points, tone(colour, shade))


def _cone(pen: Pen, colour: Colour) -> None:
    pen.polygon([(-0.42, 0.36), (0.42, 0.36), (0.42, 0.5), (-0.42, 0.5)], tone(colour, 0.7))
    pen.polygon([(-0.05, -0.5), (0.05, -0.5), (0.3, 0.38), (-0.3, 0.38)], colour)
    band = contrast(colour)
    pen.polygon([(-0.14, -0.17), (0.14, -0.17), (0.205, 0.06), (-0.205, 0.06)], band)


def _teapot(pen: Pen, colour: Colour) -> None:
    pen.stroke(arc((-0.38, 0.08), (0.2, 0.22), 70, 290), 0.09, tone(colour, 0.8))
    pen.polygon([(0.25, 0.28), (0.25, 0.04), (0.52, -0.25), (0.66, -0.25)], tone(colour, 0.85))
    pen.ellipse((0.0, 0.12), (0.43, 0.36), colour)
    pen.ellipse((0.0, -0.22), (0.22, 0.09), tone(colour, 1.3))
    pen.ellipse((0.0, -0.37), (0.08, 0.1), tone(colour, 0.6))
    pen.stroke(arc((0.0, 0.02), (0.38, 0.26), 30, 150), 0.06, contrast(colour))


def _bucket(pen: Pen, colour: Colour) -> None:
    pen.stroke(arc((0.0, -0.26), (0.37, 0.23), 180, 360), 0.05, (130, 130, 135))
    pen.polygon(
        [(-0.42, -0.24), (0.42, -0.24), (0.29, 0.44), *arc((0, 0.43), (0.29, 0.07), 0, 180)], colour
    )
    pen.polygon([(-0.37, 0.0), (0.37, 0.0), (0.34, 0.14), (-0.34, 0.14)], tone(colour, 0.65))
    pen.ellipse((0.0, -0.25), (0.42, 0.11), tone(colour, 1.3))
    pen.ellipse((0.0, -0.235), (0.35, 0.075), tone(colour, 0.42))


def _upturned_bucket(pen: Pen, colour: Colour) -> None:
    pen.polygon(
        [(-0.29, -0.44), (0.29, -0.44), (0.42, 0.42), *arc((0, 0.42), (0.42, 0.08), 0, 180)], colour
    )
    pen.polygon([(-0.33, -0.14), (0.33, -0.14), (0.36, 0.0), (-0.36, 0.0)], tone(colour, 0.65))
    pen.ellipse((0.0, -0.44), (0.29, 0.06), tone(colour, 1.3))


def _hat(pen: Pen, colour: Colour) -> None:
    pen.ellipse((0.0, 0.33), (0.62, 0.17), tone(colour, 0.85))
    crown: list[Point] = [(-0.34, 0.32), (-0.37, -0.42)]
    pen.polygon([*crown, (0.37, -0.42), (0.34, 0.32)], colour)
    pen.ellipse((0.0, -0.41), (0.37, 0.085), tone(colour, 1.3))
    pen.polygon([(-0.345, 0.12), (0.345, 0.12), (0.34, 0.31), (-0.34, 0.31)], contrast(colour))


def _cloth(pen: Pen, colour: Colour) -> None:
    hem = [(-0.5 + 0.1 * i, 0.44 + (0.06 if i % 2 else -0.03)) for i in range(11)]
    pen.polygon([*arc((0.0, -0.2), (0.36, 0.3), 180, 360), *reversed(hem)], colour)
    for u in (-0.26, -0.05, 0.2):
        pen.stroke([(0.6 * u, -0.25), (1.25 * u, 0.36)], 0.06, tone(colour, 0.74))
    for u in (-0.36, 0.08):
        pen.stroke([(0.6 * u, -0.1), (1.1 * u, 0.38)], 0.05, tone(colour, 1.3))


SHAPES: dict[str, Shape] = {
    "cup": (_cup, 0.94),
    "bottle": (_bottle, 0.42),
    "box": (_box, 1.0),
    "ball": (_ball, 1.0),
    "book": (_book, 0.8),
    "banana": (_banana, 1.26),
    "lamp": (_lamp, 0.74),
    "duck": (_duck, 1.2),
    "bear": (_bear, 0.84),
    "car": (_car, 1.56),
    "boot": (_boot, 0.9),
    "plant": (_plant, 0.8),
    "clock": (_clock, 0.88),
    "house": (_house, 0.98),
    "star": (_star, 1.1),
    "cone": (_cone, 0.86),
    "teapot": (_teapot, 1.32),
    "bucket": (_bucket, 0.88),
    "hat": (_hat, 1.26),
    "cloth": (_cloth, 1.04),
}

COVER_SHAPES: dict[str, Callable[[Pen, Colour], None]] = {
    "cloth": _cloth,
    "bucket": _upturned_bucket,
    "box": _box,
}
COVERS = tuple(COVER_SHAPES)
NOUNS = tuple(noun for noun in SHAPES if noun != "cloth")
