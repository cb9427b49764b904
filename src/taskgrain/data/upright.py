"""Which side of a frame is up, and whether it is mirrored: what its display matrix says.

Shapes: H W pixels of a frame.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from av.buffer import Buffer
from av.video.frame import VideoFrame
from numpy.typing import NDArray

MATRIX = struct.Struct("=9i")  # a display matrix: 16.16 fixed point, the last column 2.30


@dataclass(frozen=True, slots=True)
class Upright:
    """What brings a frame upright: a mirror first, left to right, then quarter turns."""

    mirrored: bool = False
    turns: int = 0  # counter-clockwise, 0 to 3

    def turn(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Give a view of the pixels, uint8 (H, W, 3), as they are displayed."""
        if self.mirrored:
            pixels = pixels[:, ::-1]
        return np.rot90(pixels, self.turns) if self.turns else pixels


def upright(frame: VideoFrame) -> Upright:
    """Read off a frame how it is to be turned and mirrored, to the nearest quarter turn."""
    # The types that come with PyAV know motion vectors as the only side data.
    side: Buffer | None = frame.side_data.get("DISPLAYMATRIX")  # type: ignore[assignment]
    if side is None:
        return Upright()
    data = bytes(side)
    # The display's x is a x + c y and its y is b x + d y, of a pixel at x to the right, y down.
    a, b, _, c, d, *_ = MATRIX.unpack(data)
    if a * d == b * c:  # shows nothing
        return Upright()
    mirrored = a * d < b * c
    if mirrored:
        a, b = -a, -b
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Upright(mirrored, 0 if a + d > 0 else 2)
    return Upright(mirrored, 3 if b - c > 0 else 1)
