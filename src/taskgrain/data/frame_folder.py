"""Read a clip that is a folder of images, one a frame.

Shapes: H W pixels of an image.
"""

from __future__ import annotations

import hashlib
import os
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from taskgrain.data.container import FRAME_RATE, irregularity
from taskgrain.data.frame_names import choose_series, gap_in, natural
from taskgrain.data.framing import Framing, Upright
from taskgrain.data.limits import DecodeLimits, reason
from taskgrain.data.videos import is_image_name
from taskgrain.errors import ClipError

IMAGE_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM")
SERIES_FORMATS = ("PNG", "WEBP", "TIFF")  # whose files may hold more than one picture
# What Pillow raises for broken files, by its documentation and by fuzzing.
BROKEN_IMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError),
    *(OverflowError, struct.error, zlib.error),
)
PIECE = 1 << 20  # bytes read at a time
ORIENTATION = 0x0112  # EXIF tag
UPRIGHT = {
    **{1: Upright(), 2: Upright(mirrored=True), 3: Upright(turns=2), 4: Upright(True, 2)},
    **{5: Upright(True, 1), 6: Upright(turns=3), 7: Upright(True, 3), 8: Upright(turns=1)},
}


def image_files(folder: Path) -> list[Path]:
    """List the images of a folder in natural order (2 before 10), without hidden files.

    Raises:
        ClipError: if the folder cannot be read.
    """
    try:
        paths = [path for path in folder.iterdir() if is_image_name(path.name)]
    except OSError as error:
        raise ClipError(f"{folder}: cannot be read: {reason(error)}") from error
    return sorted(paths, key=lambda path: (natural(path.stem), path.name))


class FrameFolder:
    """A folder of images as a clip: each stands for 1 / 12 s, in the order of their names."""

    def __init__(self, path: Path, limits: DecodeLimits) -> None:
        """List the images.

        Raises:
            ClipError: if there is no image, or there are too many, or it is not known which of
                several series are the frames.
        """
        self.path = path
        series = choose_series(image_files(path))
        if series.problem:
            raise ClipError(f"{path}: {series.problem}")
        self.files = series.files
        self.note = series.note
        self._series = series
        self.orientation = 1  # of the first image that could be read
        self._limits = limits
        self._unreadable: list[str] = []
        if not self.files:
            raise ClipError(
                f"{path}: no image in this folder; expected frames as JPEG, PNG or the like"
            )
        limits.check_cost(path, coded_frames=len(self.files), seconds=len(self.files) / FRAME_RATE)

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
        number = num_bytes = pixels = 0
        for path in self.files:
            self._limits.check_cost(self.path, pixels=pixels)
            problem = irregularity(path, most=self._limits.image_bytes)
            if problem:
                self._unreadable.append(f"{path.name}: {problem}")
                continue
            num_bytes += path.stat().st_size
            if num_bytes > self._limits.file_bytes:
                raise ClipError(
                    f"{self.path}: its images are over {self._limits.file_bytes} bytes; cut it "
                    "into clips of a few seconds"
                )
            try:
                image, orientation, size = _read(path, framing, self._limits)
            except BROKEN_IMAGE as error:
                self._unreadable.append(f"{path.name}: {reason(error)}")
                continue
            except Image.DecompressionBombError as error:
                raise ClipError(
                    f"{path}: at most {self._limits.pixels} pixels are read: scale it down first"
                ) from error
            if not number:
                self.orientation = orientation
            pixels += size
            yield image, number / FRAME_RATE, 1 / FRAME_RATE
            number += 1

    def nothing(self) -> ClipError:
        """Make the error of a folder none of whose images could be read."""
        return ClipError(
            f"{self.path}: {self.truncation()}; expected frames as JPEG, PNG or the like"
        )

    def truncation(self) -> str | None:
        """Return what the folder lacks, once its images have been read; None if it is whole."""
        problems = []
        if self._unreadable:
            problems.append(
                f"{len(self._unreadable)} of {len(self.files)} images cannot be read, "
                f"first {self._unreadable[0]}"
            )
        gap = gap_in(self._series)
        if gap:
            problems.append(gap)
        return "; ".join(problems) or None


def _read(
    path: Path, framing: Framing | None, limits: DecodeLimits
) -> tuple[NDArray[np.uint8], int, int]:
    """Read one image, upright, its EXIF orientation, and the pixels of its file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a file does against its format; the size is ours
        with Image.open(path, formats=IMAGE_FORMATS) as image:
            limits.check_size(path, image.width, image.height)
            if image.format in SERIES_FORMATS and getattr(image, "is_animated", False):
                raise ValueError("holds more than one picture; expected a file for each")
            size = image.width * image.height
            # Phones keep pictures as the sensor lay; which side is up stands in EXIF.
            orientation = image.getexif().get(ORIENTATION, 1)
            upright = UPRIGHT.get(orientation, UPRIGHT[1])
            if framing is not None:
                height, width = framing.turned(upright.turns).scaled_size(image.height, image.width)
                # A large JPEG is then decoded at 1/2, 1/4 or 1/8 of its size; other kinds of image
                # pass over this.
                image.draft("RGB", (width, height))
            pixels = _rgb(image)
    known = orientation if orientation in UPRIGHT else 1
    return np.ascontiguousarray(upright.turn(pixels)), known, size


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode == "F":
        raise ValueError("has floating-point pixels, whose white is not known; expected 8 bits")
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip rather than scale
        grey = (np.asarray(image).clip(0, 65_535) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    return np.asarray(image.convert("RGB"))


def folder_bytes(files: list[Path], limits: DecodeLimits) -> Iterator[bytes]:
    """Yield what makes up a clip of images: each name, then its bytes in pieces."""
    for path in files:
        yield os.fsencode(path.name) + b"\0"
        if irregularity(path, most=limits.image_bytes):
            continue  # already counted among those that cannot be read
        with suppress(OSError):
            yield from file_bytes(path)


def file_bytes(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a regular file in pieces, no more than it has when this begins."""
    with path.open("rb") as file:
        left = os.fstat(file.fileno()).st_size
        while left > 0 and (piece := file.read(min(PIECE, left))):
            left -= len(piece)
            yield piece


def digest_of(pieces: Iterable[bytes]) -> str:
    """Return the BLAKE2b hash, 16 bytes in hex, of bytes that come in pieces."""
    digest = hashlib.blake2b(digest_size=16)
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
