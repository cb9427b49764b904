"""Bring a frame of any size upright, and to a given size.

Which side of a frame is up, and whether it is mirrored, is what its display matrix says.

Shapes: H W pixels of a frame, h w pixels of the result.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from taskgrain.data.limits import DecodeLimits
from taskgrain.errors import ClipError

# "stretch" scales both sides as they come; "crop" scales until the frame as it is displayed covers
# the size, and cuts the centre out.
Fit = Literal["stretch", "crop"]
AREA = int(Interpolation.AREA)


@dataclass(frozen=True, slots=True)
class Framing:
    """The size that frames are brought to, and how."""

    height: int
    width: int
    fit: Fit = "stretch"

    def turned(self, turns: int) -> Framing:
        """The same for frames that lie on their side: `turns` quarter turns."""
        return Framing(self.width, self.height, self.fit) if turns % 2 else self

    def scaled_size(self, height: float, width: float) -> tuple[int, int]:
        """Return the height and width to which a whole frame of this displayed size is scaled."""
        if self.fit == "stretch":
            return self.height, self.width
        scale = max(self.height / height, self.width / width)
        return max(self.height, round(height * scale)), max(self.width, round(width * scale))


class VideoFramer:
    """Writes the frames of one video file, upright, at a given size."""

    def __init__(
        self, path: Path, framing: Framing, *, pixel_aspect: float, limits: DecodeLimits
    ) -> None:
        self._path = path
        self._framing = framing
        self._pixel_aspect = pixel_aspect
        self._limits = limits
        self._reformatter = VideoReformatter()  # one for all: making one costs more than using it
        self._upright: Upright | None = None
        self._height = self._width = 0  # pixels to which a whole frame is scaled
        self._cut: tuple[slice, slice] | None = None
        self._coded_size = (0, 0)  # of the frame last measured

    def write(self, frame: VideoFrame, out: NDArray[np.uint8]) -> None:
        """Write a frame into `out`: uint8 (h, w, 3), RGB.

        Raises:
            ClipError: if the shape of the frame would cost too much to scale.
        """
        orientation = self._upright
        if orientation is None or (frame.height, frame.width) != self._coded_size:
            orientation = self._measure(frame)
        scaled = self._reformatter.reformat(
            frame, self._width, self._height, "rgb24", interpolation=AREA, threads=1
        )
        pixels = _pixels(scaled)
        if self._cut is not None:
            pixels = pixels[self._cut]
        out[:] = orientation.turn(pixels)

    def _measure(self, frame: VideoFrame) -> Upright:
        """Work out what becomes of frames of this size; the first says which side is up."""
        if self._upright is None:
            self._upright = upright(frame)
        framing = self._framing.turned(self._upright.turns)
        height, width = framing.scaled_size(frame.height, frame.width * self._pixel_aspect)
        if height * width > self._limits.pixels and framing.fit == "crop":
            raise ClipError(
                f"{self._path}: frames of {frame.width} x {frame.height} pixels, too narrow to "
                "be cut; expected a usual shape of frame"
            )
        top, left = (height - framing.height) // 2, (width - framing.width) // 2
        cut = slice(top, top + framing.height), slice(left, left + framing.width)
        self._cut = cut if framing.fit == "crop" else None
        self._height, self._width = height, width
        self._coded_size = (frame.height, frame.width)
        return self._upright


def _pixels(frame: VideoFrame) -> NDArray[np.uint8]:
    """Look at the pixels of an RGB frame: uint8 (H, W, 3), without copying them."""
    plane = VideoPlane(frame, 0)
    line_size, width = plane.line_size, frame.width
    if line_size < 3 * width:  # a picture stored upside down has lines of negative size
        return frame.to_ndarray().astype(np.uint8, copy=False)
    shape, strides = (frame.height, width, 3), (line_size, 3, 1)
    return np.ndarray(shape, np.uint8, memoryview(plane), 0, strides)


def write_image(image: NDArray[np.uint8], framing: Framing, out: NDArray[np.uint8]) -> None:
    """Write an upright image, uint8 (H, W, 3), into `out`: uint8 (h, w, 3)."""
    height, width = image.shape[:2]
    if framing.fit == "crop":
        # Cut before it is scaled: what is cut off need not be scaled.
        scale = max(framing.height / height, framing.width / width)
        rows = min(height, max(1, round(framing.height / scale)))
        columns = min(width, max(1, round(framing.width / scale)))
        top, left = (height - rows) // 2, (width - columns) // 2
        image = image[top : top + rows, left : left + columns]
        height, width = rows, columns
    if (height, width) == (framing.height, framing.width):
        out[:] = image
        return
    shrinks = framing.height <= height and framing.width <= width
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    out[:] = cv2.resize(image, (framing.width, framing.height), interpolation=how)


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
    try:
        matrix = bytes(_KnownSideData(frame)["DISPLAYMATRIX"])
    except KeyError:  # or it lies behind what PyAV does not know; then its turns are all we have
        return Upright(turns=round(frame.rotation / 90) % 4)
    # The display's x is a x + c y and its y is b x + d y, of a pixel at x to the right, y down.
    a, b, _, c, d, *_ = MATRIX.unpack(matrix)
    if a * d == b * c:  # shows nothing
        return Upright()
    mirrored = a * d < b * c
    if mirrored:
        a, b = -a, -b
    # A turn by any angle is taken for the nearest quarter: the larger pair decides.
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
