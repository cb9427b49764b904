"""Read a clip that is a folder of images, one a frame.

Shapes: H W pixels of an image.
"""

from __future__ import annotations

import os
import re
import struct
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from taskgrain.data.container import FRAME_RATE, DecodeLimits, reason
from taskgrain.data.framing import Framing
from taskgrain.errors import ClipError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
IMAGE_FORMATS = ("JPEG", "PNG")
# What Pillow raises for broken files, by its documentation and by fuzzing.
BROKEN_IMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError),
    *(OverflowError, struct.error, zlib.error),
)
PIECE = 1 << 20  # bytes read at a time
ORIENTATION = 0x0112  # EXIF tag
# Orientation -> mirrored left to right first, then counter-clockwise quarter turns.
UPRIGHT = {
    **{1: (False, 0), 2: (True, 0), 3: (False, 2), 4: (True, 2)},
    **{5: (True, 1), 6: (False, 3), 7: (True, 3), 8: (False, 1)},
}


def image_files(folder: Path) -> list[Path]:
    """List the images of a folder in natural order (2 before 10), without hidden files.

    Raises:
        ClipError: if the folder cannot be read.
    """
    try:
        paths = [
            path
            for path in folder.iterdir()
            if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
        ]
    except OSError as error:
        raise ClipError(f"{folder}: cannot be read: {reason(error)}") from error
    return sorted(paths, key=lambda path: (_natural(path.stem), path.name))


def _natural(stem: str) -> list[str | int]:
    parts = re.split(r"(\d+)", stem)  # text and number in turn, so that like meets like
    return [int(part) if index % 2 else part for index, part in enumerate(parts)]


class FrameFolder:
    """A folder of images as a clip: each stands for 1 / 12 s, in the order of their names."""

    def __init__(self, path: Path, limits: DecodeLimits) -> None:
        """List the images.

        Raises:
            ClipError: if there is none, or there are too many.
        """
        self.path = path
        self.files = image_files(path)
        self.orientation = 1  # of the first image that could be read
        self._limits = limits
        self._unreadable: list[str] = []
        if not self.files:
            raise ClipError(f"{path}: no image in this folder; expected frames as JPEG or PNG")
        limits.check_cost(path, len(self.files), len(self.files) / FRAME_RATE, 0.0)

    def timed_images(
        self, framing: Framing | None = None
    ) -> Iterator[tuple[NDArray[np.uint8], float, float]]:
        """Yield each readable image with its start and its duration, in seconds.

        Args:
            framing: what the images will be brought to: a large JPEG is then decoded at a
                fraction of its size.

        Yields:
            uint8 (H, W, 3), RGB, upright.

        Raises:
            ClipError: if an image is too large, or a limit is passed.
        """
        started = time.monotonic()
        number = 0
        for path in self.files:
            self._limits.check_cost(self.path, number, 0.0, time.monotonic() - started)
            try:
                image, orientation = _read(path, framing, self._limits)
            except BROKEN_IMAGE as error:
                self._unreadable.append(f"{path.name}: {reason(error)}")
                continue
            except Image.DecompressionBombError as error:
                raise ClipError(
                    f"{path}: at most {self._limits.pixels} pixels are read: scale it down first"
                ) from error
            if not number:
                self.orientation = orientation
            yield image, number / FRAME_RATE, 1 / FRAME_RATE
            number += 1

    def truncation(self) -> str | None:
        """Say what the folder lacks, once its images have been read; None if it is whole."""
        problems = []
        if self._unreadable:
            problems.append(
                f"{len(self._unreadable)} of {len(self.files)} images cannot be read, "
                f"first {self._unreadable[0]}"
            )
        gap = _gap(self.files)
        if gap:
            problems.append(gap)
        return "; ".join(problems) or None


def _read(
    path: Path, framing: Framing | None, limits: DecodeLimits
) -> tuple[NDArray[np.uint8], int]:
    """Read one image, upright, and its EXIF orientation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a file does against its format; the size is ours
        with Image.open(path, formats=IMAGE_FORMATS) as image:
            limits.check_size(path, image.width, image.height)
            orientation = image.getexif().get(ORIENTATION, 1)
            mirrored, turns = UPRIGHT.get(orientation, UPRIGHT[1])
            if framing is not None:
                height, width = framing.turned(turns).scaled_size(image.height, image.width)
                image.draft("RGB", (width, height))
            pixels = _rgb(image)
    if mirrored:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(np.rot90(pixels, turns)), orientation if turns or mirrored else 1


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip rather than scale
        grey = (np.asarray(image).clip(0, 65_535) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    return np.asarray(image.convert("RGB"))


def _gap(files: list[Path]) -> str | None:
    """Find the first place where the numbers of the images jump by more than they usually do."""
    numbers = [re.findall(r"\d+", path.stem) for path in files]
    if len(files) < 3 or not all(numbers):
        return None
    steps = [int(after[-1]) - int(before[-1]) for before, after in pairwise(numbers)]
    usual = Counter(steps).most_common(1)[0][0]
    for step, (before, after) in zip(steps, pairwise(files), strict=True):
        if step >= 2 * usual > 0:
            return f"a gap in the numbering: {before.name} is followed by {after.name}"
    return None


def folder_bytes(files: list[Path]) -> Iterator[bytes]:
    """Yield what makes up a clip of images: each name, then its bytes in pieces."""
    for path in files:
        yield os.fsencode(path.name) + b"\0"
        with suppress(OSError):  # already counted among those that cannot be read
            yield from file_bytes(path)


def file_bytes(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file in pieces."""
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
