"""Encode frames as a VP9 WebM file, with the same bytes for the same frames."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from taskgrain.data.files import atomic_path

FRAME_RATE = 12  # frames a second, as Something-Something
QUALITY = 36  # VP9's constant rate factor, 0 (best) to 63

# Realtime at its fastest setting: 48 clips/s of 24 to 36 frames at 128 x 96 on one core.
VP9_OPTIONS = {"deadline": "realtime", "cpu-used": "8", "crf": str(QUALITY), "b": "0"}


def write_webm(path: Path, video: NDArray[np.uint8]) -> None:
    """Encode frames with one thread; the file appears whole or not at all.

    Args:
        path: of the file; its folder is made.
        video: uint8 (T, H, W, 3), RGB; even height and width.

    Raises:
        ValueError: if the frames are of another shape.
    """
    if video.ndim != 4 or video.shape[3] != 3 or video.shape[1] % 2 or video.shape[2] % 2:
        raise ValueError(f"video of shape {video.shape}: expected (T, H, W, 3), H and W even")
    with atomic_path(path, flush=False) as partial:
        mux_vp9(str(partial), video, VP9_OPTIONS)


def mux_vp9(file: str | BinaryIO, video: NDArray[np.uint8], options: dict[str, str]) -> None:
    """Encode frames as WebM with one thread: equal frames and options give equal bytes.

    Args:
        file: a path or an open file, to write to.
        video: uint8 (T, H, W, 3), RGB; even height and width.
        options: of FFmpeg's libvpx-vp9.
    """
    # Without the muxer's bitexact flag every file would carry a random identifier.
    with av.open(file, "w", format="webm", container_options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libvpx-vp9", rate=FRAME_RATE, options=options)
        stream.height, stream.width = video.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = Fraction(1, FRAME_RATE)
        for index, frame in enumerate(video):
            planes = np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420), np.uint8)
            # Shared with the array: from_ndarray copies row by row, seven times as slow.
            picture = av.VideoFrame.from_numpy_buffer(planes, format="yuv420p")
            picture.pts, picture.time_base = index, Fraction(1, FRAME_RATE)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
