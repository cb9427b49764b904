"""Which side of a frame is up, and whether it is mirrored: what its display matrix says.

Shapes: H W pixels of a frame.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.frame import VideoFrame
from numpy.typing import NDArray

MATRIX = struct.Struct("=9i")  # a display matrix: 16.16 fixed point, the last column 2.30


@dataclass(frozen=True, slots=True)
class Upright:
    """What brings a frame upright: a mirror first, left to right, then quarter turns."""

    mirrored: bool = False
    turns: int = 0  # counter-clockwise, 0 to 3

    def turn(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a view of the pixels, uint8 (H, W, 3), as they are displayed."""
        if self.mirrored:
            pixels = pixels[:, ::-1]
        return np.rot90(pixels, self.turns) if self.turns else pixels


def upright(frame: VideoFrame) -> Upright:
    """Read off a frame how it is to be turned and mirrored, to the nearest quarter turn."""
    data = _display_matrix(frame)
    if data is None:  # or it lies behind what PyAV does not know; then its turns are all we have
        return Upright(turns=round(frame.rotation / 90) % 4)
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


class _KnownSideData(SideDataContainer):
    """The side data of a frame, up to the first kind that PyAV does not know.

    Its own mapping raises ValueError at such a kind: EXIF of motion JPEG, the views of spatial
    video. FFmpeg puts the display matrix before either.
    """

    def __init__(self, frame: VideoFrame) -> None:
        with suppress(ValueError):
            super().__init__(frame)  # type: ignore[call-arg]  # missing in PyAV's types


def _display_matrix(frame: VideoFrame) -> bytes | None:
    """Read the 36 bytes of a frame's display matrix; None where none is found."""
    try:
        return bytes(_KnownSideData(frame)["DISPLAYMATRIX"])
    except KeyError:
        return None
