"""Things and colours that the source world never shows, so that a target can test new ones.

Every shape stands in the box u in [-wide/2, wide/2], v in [-1/2, 1/2] of its own drawing units, as
those of `shapes` do.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from taskgrain.tabletop.pen import CREAM, INK, Colour, Pen, arc, contrast, tone

Shape = tuple[Callable[[Pen, Colour], None], float]
"""How a thing is drawn, and its width over its height."""

HELD_BACK_PALETTE: dict[str, Colour] = {
    "pink": (244, 140, 188),
    "brown": (140, 84, 40),
    "turquoise": (54, 196, 190),
}


def _fish(pen: Pen, colour: Colour) -> None:
    pen.polygon([(-0.36, 0.0), (-0.74, -0.36), (-0.62, 0.0), (-0.74, 0.36)], tone(colour, 0.8))
    pen.polygon([(-0.12, -0.3), (0.02, -0.5), (0.34, -0.3)], tone(colour, 0.8))
    pen.polygon([(-0.02, 0.3), (0.02, 0.5), (0.26, 0.32)], tone(colour, 0.8))
    pen.ellipse((0.14, 0.0), (0.58, 0.38), colour)
    pen.polygon(
        [*arc((0.14, 0.0), (0.58, 0.38), 215, 240), *arc((0.14, 0.0), (0.58, 0.38), 120, 145)],
        contrast(colour),
    )
    pen.ellipse((0.46, -0.09), (0.085, 0.085), CREAM)
    pen.ellipse((0.48, -0.09), (0.045, 0.045), INK)
    pen.stroke(arc((0.24, 0.02), (0.12, 0.24), -60, 60), 0.05, tone(colour, 0.65))


def _chair(pen: Pen, colour: Colour) -> None:
    for u in (-0.2, 0.34):  # the legs at the back
        pen.polygon(
            [(u - 0.06, 0.1), (u + 0.06, 0.1), (u + 0.06, 0.38), (u - 0.06, 0.38)],
            tone(colour, 0.55),
        )
    for u in (-0.35, 0.2):
        pen.polygon(
            [(u - 0.065, 0.15), (u + 0.065, 0.15), (u + 0.065, 0.5), (u - 0.065, 0.5)],
            tone(colour, 0.85),
        )
    pen.polygon([(-0.26, -0.02), (0.41, -0.02), (0.27, 0.2), (-0.42, 0.2)], tone(colour, 1.15))
    pen.polygon([(-0.27, -0.5), (0.41, -0.5), (0.41, -0.26), (-0.27, -0.26)], colour)
    for u in (-0.22, 0.07, 0.36):
        pen.polygon([(u - 0.05, -0.3), (u + 0.05, -0.3), (u + 0.05, 0.0), (u - 0.05, 0.0)], colour)
    pen.polygon([(-0.2, 0.02), (0.3, 0.02), (0.2, 0.13), (-0.3, 0.13)], contrast(colour))


def _heart(pen: Pen, colour: Colour) -> None:
    turns = [2 * math.pi * step / 40 for step in range(40)]
    for scale, shade in ((1.0, 1.0), (0.62, 1.3)):
        pen.polygon(
            [
                (
                    scale * 0.0335 * 16 * math.sin(turn) ** 3,
                    scale
                    * (
                        -0.0345
                        * (
                            13 * math.cos(turn)
                            - 5 * math.cos(2 * turn)
                            - 2 * math.cos(3 * turn)
                            - math.cos(4 * turn)
                        )
                        - 0.09
                    ),
                )
                for turn in turns
            ],
            tone(colour, shade),
        )


def _cactus(pen: Pen, colour: Colour) -> None:
    pen.stroke([(0.0, 0.14), (-0.3, 0.14), (-0.3, -0.12)], 0.2, tone(colour, 0.85))
    pen.stroke([(0.0, 0.04), (0.3, 0.04), (0.3, -0.26)], 0.2, tone(colour, 0.85))
    pen.stroke([(0.0, -0.33), (0.0, 0.4)], 0.34, colour)
    pen.polygon([(-0.17, 0.3), (0.17, 0.3), (0.17, 0.5), (-0.17, 0.5)], colour)
    for u in (-0.07, 0.07):
        pen.stroke([(u, -0.34), (u, 0.44)], 0.03, tone(colour, 0.6))
    pen.ellipse((0.0, -0.42), (0.1, 0.07), contrast(colour))


def _snail(pen: Pen, colour: Colour) -> None:
    skin: Colour = (214, 190, 140)
    pen.polygon(
        [
            (-0.64, 0.5),
            (-0.36, 0.26),
            (0.28, 0.26),
            (0.4, -0.12),
            (0.6, -0.12),
            (0.64, 0.16),
            (0.5, 0.5),
        ],
        skin,
    )
    for u in (0.44, 0.58):
        pen.stroke([(u, -0.1), (u + 0.04, -0.36)], 0.05, skin)
        pen.ellipse((u + 0.04, -0.38), (0.055, 0.055), INK)
    pen.ellipse((-0.12, -0.06), (0.45, 0.43), colour)
    winding = [
        (
            -0.12 + (0.36 - 0.009 * step) * math.cos(0.42 * step),
            -0.06 + (0.34 - 0.0085 * step) * math.sin(0.42 * step),
        )
        for step in range(36)
    ]
    pen.stroke(winding, 0.06, contrast(colour))


def _crown(pen: Pen, colour: Colour) -> None:
    pen.polygon(
        [
            *((-0.52, 0.46), (-0.58, -0.3), (-0.28, 0.06), (0.0, -0.42)),
            *((0.28, 0.06), (0.58, -0.3), (0.52, 0.46)),
        ],
        colour,
    )
    pen.polygon([(-0.53, 0.26), (0.53, 0.26), (0.52, 0.5), (-0.52, 0.5)], tone(colour, 0.65))
    for u, v in ((-0.56, -0.34), (0.0, -0.43), (0.56, -0.34)):
        pen.ellipse((u, v), (0.07, 0.07), tone(colour, 1.35))
    for u in (-0.34, 0.0, 0.34):
        pen.ellipse((u, 0.38), (0.075, 0.075), contrast(tone(colour, 0.65)))


def _butterfly(pen: Pen, colour: Colour) -> None:
    for side in (-1, 1):
        pen.ellipse((0.29 * side, 0.24), (0.25, 0.2), tone(colour, 0.75), angle=35 * side)
        pen.ellipse((0.33 * side, -0.16), (0.36, 0.24), colour, angle=-38 * side)
        pen.ellipse((0.38 * side, -0.2), (0.15, 0.1), contrast(colour), angle=-38 * side)
        pen.stroke([(0.0, -0.26), (0.11 * side, -0.46)], 0.035, INK)
    pen.stroke([(0.0, -0.24), (0.0, 0.4)], 0.11, INK)


def _kite(pen: Pen, colour: Colour) -> None:
    pen.stroke([(0.0, 0.2), (0.08, 0.32), (-0.06, 0.4), (0.06, 0.47)], 0.035, INK)
    for u, v in ((0.04, 0.3), (-0.02, 0.41)):
        pen.polygon(
            [
                (u - 0.12, v - 0.06),
                (u + 0.12, v + 0.06),
                (u + 0.12, v - 0.06),
                (u - 0.12, v + 0.06),
            ],
            tone(colour, 0.6),
        )
    top, bottom, left, right = (0.0, -0.5), (0.0, 0.26), (-0.4, -0.17), (0.4, -0.17)
    pen.polygon([top, right, bottom, left], colour)
    pen.polygon([top, right, (0.0, -0.17)], tone(colour, 1.4))
    pen.polygon([bottom, left, (0.0, -0.17)], tone(colour, 0.65))
    pen.stroke([(0.0, -0.48), bottom], 0.03, INK)
    pen.stroke([left, right], 0.03, INK)


HELD_BACK_SHAPES: dict[str, Shape] = {
    "fish": (_fish, 1.46),
    "chair": (_chair, 0.84),
    "heart": (_heart, 1.08),
    "cactus": (_cactus, 0.86),
    "snail": (_snail, 1.3),
    "crown": (_crown, 1.26),
    "butterfly": (_butterfly, 1.3),
    "kite": (_kite, 0.86),
}
HELD_BACK_NOUNS = tuple(HELD_BACK_SHAPES)
