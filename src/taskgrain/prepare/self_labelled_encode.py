"""Encode both sides of a pair so that neither the codec nor the file tells them apart.

`data.encode` predicts each frame from those before it: measured on real footage, a shuffled clip
then takes up to 1.5 times the bytes, a frozen one a third, and the error of a frame depends on its
neighbours. Here every frame is coded alone with one quantiser, so that a frame decodes to the same
pixels wherever it stands; what is left between the sizes of the two files is filled up.

Shapes: T frames, H W pixels.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskgrain.data.encode import mux_vp9
from taskgrain.data.files import atomic_path

QUANTISER = 20  # of VP9, 0 (best) to 63: 32 to 35 dB and 2 kB a frame of 128 x 96
BLOCK_BYTES = 1024  # sizes of files are multiples of it

_OPTIONS = {
    "deadline": "realtime",
    "cpu-used": "8",
    "b": "0",
    "crf": str(QUANTISER),
    "qmin": str(QUANTISER),
    "qmax": str(QUANTISER),
    "g": "1",  # key frames only
}
_VOID = b"\xec\x01"  # Matroska's element for nothing, with 7 bytes of length
_VOID_BYTES = len(_VOID) + 7


def write_pair(
    paths: tuple[Path, Path], videos: tuple[NDArray[np.uint8], NDArray[np.uint8]]
) -> None:
    """Write two WebM files of the same number of frames and of bytes.

    Equal frames give equal bytes. Each file appears whole or not at all.

    Args:
        paths: of the files; their folders are made.
        videos: uint8 (T, H, W, 3) each, RGB, of one shape; even height and width.

    Raises:
        ValueError: if the shapes are others.
    """
    first, second = videos
    shape = first.shape
    if shape != second.shape or len(shape) != 4 or shape[3] != 3 or shape[1] % 2 or shape[2] % 2:
        raise ValueError(
            f"videos of shapes {shape} and {second.shape}: expected (T, H, W, 3) twice, H, W even"
        )
    coded = [_encoded(video) for video in videos]
    num_bytes = -(-(max(map(len, coded)) + _VOID_BYTES) // BLOCK_BYTES) * BLOCK_BYTES
    for path, data in zip(paths, coded, strict=True):
        with atomic_path(path, flush=False) as partial:
            partial.write_bytes(data + _void(num_bytes - len(data)))


def _encoded(video: NDArray[np.uint8]) -> bytes:
    """Encode frames with one thread: the bytes of a WebM file."""
    buffer = io.BytesIO()
    mux_vp9(buffer, video, _OPTIONS)
    return buffer.getvalue()


def _void(num_bytes: int) -> bytes:
    """Give an element of so many bytes that every player passes over."""
    return _VOID + (num_bytes - _VOID_BYTES).to_bytes(7, "big") + bytes(num_bytes - _VOID_BYTES)
