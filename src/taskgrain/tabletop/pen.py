"""A pen that draws a sprite from polygons, ellipses and strokes, then rounds it with light.

Drawing units: u to the right and v down, in the sprite's own scale; colours are RGB, 0 to 255.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import cv2
import numpy as np

from taskgrain.tabletop.film import Pixels, Sprite

Colour = tuple[float, float, float]
Point = tuple[float, float]

INK: Colour = (45, 40, 40)
CREAM: Colour = (245, 238, 220)
SUBPIXEL_BITS = 6  # fractional bits of the integers that OpenCV takes as coordinates


def tone(colour: Colour, factor: float) -> Colour:
    """Darken (factor below 1) or lighten towards white (above 1; 2 is white)."""
    if factor <= 1.0:
        return (colour[0] * factor, colour[1] * factor, colour[2] * factor)
    share = factor - 1.0
    return (
        colour[0] + (255 - colour[0]) * share,
        colour[1] + (255 - colour[1]) * share,
        colour[2] + (255 - colour[2]) * share,
    )


def contrast(colour: Colour) -> Colour:
    """Return the colour of a marking that shows on a colour."""
    return CREAM if sum(colour) < 480 else (120, 90, 80)


class Pen:
    """Draw on a transparent canvas; antialiased, premultiplied."""

    def __init__(self, u: tuple[float, float], v: tuple[float, float], *, unit: float) -> None:
        """Open a canvas over the ranges of u and v, `unit` pixels to a drawing unit."""
        self._unit = unit
        self._u = u[0] - 3 / unit  # three clear pixels all round, for antialiasing
        self._v = v[0] - 3 / unit
        size = (round((v[1] - v[0]) * unit) + 6, round((u[1] - u[0]) * unit) + 6)
        self._canvas: Pixels = np.zeros((*size, 4), np.uint8)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill a polygon."""
        cv2.fillPoly(
            self._canvas, [self._pixels(points)], (*colour, 255), cv2.LINE_AA, SUBPIXEL_BITS
        )

    def ellipse(self, centre: Point, radii: Point, colour: Colour, *, angle: float = 0.0) -> None:
        """Fill an ellipse; the angle in degrees, clockwise."""
        self.polygon(arc(centre, radii, 0, 360, angle=angle), colour)

    def stroke(self, points: Sequence[Point], thickness: float, colour: Colour) -> None:
        """Draw a line with round ends through the points; the thickness in drawing units."""
        width = max(1, round(thickness * self._unit))
        cv2.polylines(
            self._canvas,
            [self._pixels(points)],
            False,
            (*colour, 255),
            width,
            cv2.LINE_AA,
            SUBPIXEL_BITS,
        )

    def sprite(self, anchor: Point, *, light: float = -1.0, relief: float = 0.5) -> Sprite:
        """Shade the drawing as a rounded body, and return its sprite.

        Args:
            anchor: the point that placements name.
            light: -1 where light comes from the left, 1 from the right.
            relief: strength of the shading, 0 for none.
        """
        image = _shaded(self._canvas, light=light, relief=relief) if relief else self._canvas
        x, y = (anchor[0] - self._u) * self._unit, (anchor[1] - self._v) * self._unit
        # Cut to what is drawn: a sprite is warped anew in every frame.
        left, top, width, height = cv2.boundingRect(image[..., 3])
        inked = np.ascontiguousarray(image[top : top + height, left : left + width])
        return Sprite(inked, x - 0.5 - left, y - 0.5 - top, self._unit)

    def _pixels(self, points: Sequence[Point]) -> np.ndarray:
        scaled = (np.asarray(points) - (self._u, self._v)) * self._unit - 0.5
        return np.rint(scaled * 2**SUBPIXEL_BITS).astype(np.int32)


def arc(
    centre: Point, radii: Point, start: float, end: float, *, angle: float = 0.0
) -> list[Point]:
    """List the points of an elliptic arc; degrees, clockwise from the right."""
    return list(_arc_points(centre, radii, start, end, angle))


@functools.cache  # shapes are made of the same few arcs in every scene
def _arc_points(
    centre: Point, radii: Point, start: float, end: float, angle: float
) -> tuple[Point, ...]:
    steps = max(6, int(abs(end - start) / 12))
    turn = np.radians(np.linspace(start, end, steps))
    u, v = radii[0] * np.cos(turn), radii[1] * np.sin(turn)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return tuple(
        zip(
            (centre[0] + u * cos - v * sin).tolist(),
            (centre[1] + u * sin + v * cos).tolist(),
            strict=True,
        )
    )


def _shaded(canvas: Pixels, *, light: float, relief: float) -> Pixels:
    """Light the body from one upper side, as if its height were its blurred outline."""
    alpha = cv2.extractChannel(canvas, 3)
    sigma = 0.09 * min(canvas.shape[:2])
    # The relief is smooth: half the resolution is enough.
    half = cv2.resize(alpha, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    half = half.astype(np.float32)  # OpenCV blurs bytes with five times the effort
    height = cv2.GaussianBlur(half, (0, 0), sigma / 2)
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0)
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1)
    lit = (-light * slope_x * 0.8 + slope_y * 0.6) * np.float32(sigma * 1.1 / 8 / 255)
    gain = 1.0 + relief * np.clip(lit, -0.8, 0.9)
    rim = cv2.GaussianBlur(half, (0, 0), 0.8)
    gain *= 1.0 - 0.7 * (1.0 - rim * np.float32(1 / 255))
    full = cv2.resize(gain, canvas.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    shaded = cv2.multiply(
        canvas, cv2.merge([full, full, full, np.ones_like(full)]), dtype=cv2.CV_8U
    )
    # Premultiplied colour may not exceed its alpha.
    return np.asarray(cv2.min(shaded, cv2.merge([alpha, alpha, alpha, alpha])), np.uint8)
