"""The hand and its forearm: drawn once in each posture, pointing at what it touches.

Drawing units: the fingertips are at the origin, the elbow lies in the direction of +u. One unit is
HAND_LENGTH frame heights: the fingertips' distance to the wrist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from taskgrain.tabletop.film import SPRITE_OVERSAMPLING, Sprite
from taskgrain.tabletop.pen import Colour, Pen, Point, tone

HAND_LENGTH = 0.30  # frame heights, fingertips to wrist
ARM_REACH = 4.6  # drawing units that the sprite is long: the arm always leaves the frame

Posture = Literal["flat", "grip", "open", "point"]


@dataclass(frozen=True, slots=True)
class Skin:
    """What the hand looks like."""

    skin: Colour
    sleeve: Colour
    bare: float  # length of the bare forearm, drawing units
    striped: bool


def draw_hand(posture: Posture, look: Skin, *, from_right: bool, frame_height: int) -> Sprite:
    """Draw a hand in a posture; the anchor is where it touches.

    The sprite points left (the arm goes right). Where the arm comes from the left instead, the
    placement turns it by half a circle, and the sprite is mirrored so that the thumb stays below.
    """
    unit = frame_height * SPRITE_OVERSAMPLING * HAND_LENGTH
    pen = Pen((-0.35, ARM_REACH), (-0.62, 0.72), unit=unit)
    _arm(pen, look)
    if posture == "flat":
        _flat(pen, look.skin)
    elif posture == "point":
        _point(pen, look.skin)
    else:
        _pinch(pen, look.skin, gap=0.30 if posture == "grip" else 0.52)
    sprite = pen.sprite((0.0, 0.0), light=-1.0, relief=0.45)
    image, anchor_y = sprite.image, sprite.anchor_y
    if not from_right:
        image = np.ascontiguousarray(image[::-1])
        anchor_y = image.shape[0] - 1 - anchor_y
    return Sprite(image, sprite.anchor_x, anchor_y, unit / HAND_LENGTH)


def _arm(pen: Pen, look: Skin) -> None:
    wrist = 1.0
    cuff = wrist + look.bare
    pen.polygon(
        [(wrist - 0.12, -0.2), (cuff + 0.3, -0.27), (cuff + 0.3, 0.29), (wrist - 0.12, 0.23)],
        look.skin,
    )
    pen.polygon([(cuff, -0.33), (ARM_REACH, -0.5), (ARM_REACH, 0.56), (cuff, 0.36)], look.sleeve)
    pen.stroke([(cuff + 0.02, -0.31), (cuff + 0.02, 0.34)], 0.12, tone(look.sleeve, 0.75))
    if look.striped:
        for u in np.arange(cuff + 0.35, ARM_REACH, 0.42).tolist():
            pen.stroke([(u, -0.36), (u, 0.4)], 0.12, tone(look.sleeve, 1.35))


def _finger(pen: Pen, points: list[Point], thickness: float, skin: Colour) -> None:
    pen.stroke(points, thickness + 0.035, tone(skin, 0.66))
    pen.stroke(points, thickness, skin)
    tip, second = points[0], points[1]
    nail = (0.88 * tip[0] + 0.12 * second[0], 0.88 * tip[1] + 0.12 * second[1])
    pen.ellipse(nail, (0.05, 0.035), tone(skin, 1.45))


def _palm(pen: Pen, skin: Colour) -> None:
    pen.polygon(
        [(0.42, -0.27), (0.75, -0.3), (1.06, -0.2), (1.06, 0.22), (0.75, 0.28), (0.46, 0.2)], skin
    )


def _flat(pen: Pen, skin: Colour) -> None:
    _finger(pen, [(0.3, 0.42), (0.55, 0.3), (0.8, 0.16)], 0.15, skin)
    _palm(pen, skin)
    for v, tip in ((-0.24, 0.14), (-0.09, 0.04), (0.06, 0.05), (0.2, 0.16)):
        _finger(pen, [(tip, v * 0.9), (0.56, v)], 0.135, skin)


def _point(pen: Pen, skin: Colour) -> None:
    _palm(pen, skin)
    for v in (0.2, 0.07):
        _finger(pen, [(0.5, v + 0.03), (0.36, v), (0.62, v - 0.04)], 0.14, skin)
    _finger(pen, [(0.52, 0.36), (0.42, 0.24), (0.78, 0.16)], 0.14, skin)
    _finger(pen, [(0.34, -0.07), (0.38, -0.08), (0.62, -0.08)], 0.14, skin)
    _finger(pen, [(0.02, -0.16), (0.3, -0.2), (0.64, -0.2)], 0.125, skin)


def _pinch(pen: Pen, skin: Colour, *, gap: float) -> None:
    """Fingers above, thumb below; between them is room for a thing's edge."""
    _palm(pen, skin)
    _finger(pen, [(0.02, gap), (0.28, gap + 0.1), (0.74, 0.16)], 0.15, skin)
    for bend, tip in ((0.14, -0.02), (0.04, -0.1), (-0.08, -0.14)):
        top = -gap - bend * 0.6
        _finger(
            pen, [(tip, -gap * 0.55 + bend), (0.2, top + 0.02), (0.58, -0.18 + bend)], 0.13, skin
        )
