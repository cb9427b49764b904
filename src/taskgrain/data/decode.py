"""Decode one clip to frames, resampled by timestamps; encode frames as a video file.

A clip is a video file, or a folder of images. Nothing but that clip is ever read. Equal frames are
encoded to equal bytes.

Shapes: T frames after resampling, H W pixels of the frames that are returned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from taskgrain.data.container import FRAME_RATE, open_video
from taskgrain.data.files import atomic_path
from taskgrain.data.frame_folder import FrameFolder
from taskgrain.data.framing import Fit, Framing, VideoFramer, write_image
from taskgrain.data.limits import DEFAULT_LIMITS, DecodeLimits, errors_of

__all__ = [
    "DEFAULT_LIMITS",
    "FRAME_RATE",
    "DecodeLimits",
    "DecodedClip",
    "Fit",
    "decode_clip",
    "decode_sizes",
]

Coded = TypeVar("Coded")  # a frame of a video file, or an image
EXPECTED_SHARE = 8  # a header's length is believed up to 1/8 of the bytes that may be kept


@dataclass(frozen=True, slots=True)
class DecodedClip:
    """The frames of one clip, and whether the file held all that it declares."""

    frames: NDArray[np.uint8]  # (T, H, W, 3), RGB, T >= 1
    truncated: bool
    problem: str | None  # what is wrong with a truncated file
    frame_rate: float = FRAME_RATE  # of `frames`; halved where a long clip had to be thinned
    note: str | None = None  # an oddity of the frames that is no fault


def decode_clip(
    path: Path,
    *,
    height: int,
    width: int,
    frame_rate: int = FRAME_RATE,
    fit: Fit = "stretch",
    limits: DecodeLimits = DEFAULT_LIMITS,
) -> DecodedClip:
    """Decode a clip at `frame_rate`, upright, at (height, width).

    Each output frame is the coded frame nearest in time to k / frame_rate seconds after the
    first. An image of a folder stands for 1 / 12 s. Where the frames would be more than
    `limits.kept_bytes`, every second one is dropped and the frame rate halved, as often as needed.
    Transparency is ignored.

    Args:
        path: of a video file, or of a folder of images, one a frame.
        height: of the returned frames, pixels.
        width: of the returned frames, pixels.
        frame_rate: frames a second.
        fit: whether the frame is stretched, or scaled by its displayed aspect and cut.
        limits: what the clip may cost.

    Raises:
        ClipError: if the clip is missing, is no video, breaks a limit or holds no frame.
    """
    framing = Framing(height, width, fit)
    return decode_sizes(path, [framing], frame_rate=frame_rate, limits=limits)[0]


def decode_sizes(
    path: Path,
    framings: Sequence[Framing],
    *,
    frame_rate: int = FRAME_RATE,
    limits: DecodeLimits = DEFAULT_LIMITS,
) -> list[DecodedClip]:
    """Decode a clip once, and bring its frames to each of several sizes.

    Each result equals that of `decode_clip` at that size, its frame rate included:
    `limits.kept_bytes` applies to each size alone.

    Raises:
        ClipError: as `decode_clip`.
    """
    with errors_of(path):
        if path.is_dir():
            # JPEG images are decoded at the scale that a size asks for: for each size anew.
            return [_decode_folder(path, framing, frame_rate, limits) for framing in framings]
        return _decode_video(path, framings, frame_rate, limits)


def _decode_video(
    path: Path, framings: Sequence[Framing], frame_rate: int, limits: DecodeLimits
) -> list[DecodedClip]:
    with open_video(path, limits=limits, frame_rate=frame_rate) as video:
        aspect, declared = video.pixel_aspect, video.declared_seconds or 0.0
        grids = []
        for framing in framings:
            write = VideoFramer(path, framing, pixel_aspect=aspect, limits=limits).write
            grids.append(_Grid(write, framing, frame_rate, limits, expected=declared))
        for frame, at, duration in video.timed_frames():
            for grid in grids:
                grid.add(frame, at, duration)
        sizes = [grid.finish() for grid in grids]
        if not all(map(len, sizes)):
            raise video.nothing()
        problem, note = video.problem(), video.note()
    return [
        DecodedClip(frames, problem is not None, problem, grid.frame_rate, note)
        for frames, grid in zip(sizes, grids, strict=True)
    ]


def _decode_folder(
    path: Path, framing: Framing, frame_rate: int, limits: DecodeLimits
) -> DecodedClip:
    folder = FrameFolder(path, limits)

    def write(image: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
        write_image(image, framing, out)

    seconds = len(folder.files) / FRAME_RATE
    grid = _Grid(write, framing, frame_rate, limits, expected=seconds)
    for image, at, duration in folder.timed_images(framing):
        grid.add(image, at, duration)
    frames = grid.finish()
    if not len(frames):
        raise folder.nothing()
    problem = folder.truncation()
    return DecodedClip(frames, problem is not None, problem, grid.frame_rate, folder.note)


class _Grid(Generic[Coded]):
    """Frames at regular times, filled from coded frames at irregular times.

    The time k / frame_rate belongs to the coded frame nearest to it; the last coded frame keeps
    the times that its own duration covers, and the first at least one.
    """

    def __init__(
        self,
        write: Callable[[Coded, NDArray[np.uint8]], None],
        framing: Framing,
        frame_rate: int,
        limits: DecodeLimits,
        *,
        expected: float,
    ) -> None:
        """Make room for the `expected` seconds: memory of just the right size is soon reused."""
        self.end = 0.0  # of the last coded frame, in seconds
        self._write = write
        self._rate = frame_rate
        self._step = 1  # every n-th time step is kept
        self._count = 0  # frames kept
        frame_bytes = framing.height * framing.width * 3
        self._most = max(1, limits.kept_bytes // frame_bytes)
        # Only a part of the limit is taken on trust: a damaged header may declare hours.
        room = min(max(1, round(expected * frame_rate)), 1 + self._most // EXPECTED_SHARE)
        self._frames = np.empty((room, framing.height, framing.width, 3), np.uint8)
        self._last: Coded | None = None
        self._last_at = 0.0

    @property
    def frame_rate(self) -> float:
        """Frames a second that are kept."""
        return self._rate / self._step

    def add(self, coded: Coded, at: float, duration: float) -> None:
        """Add the next coded frame, which is shown for `duration` seconds from `at` on."""
        if self._last is not None:
            # The frame before keeps the steps up to the middle between the two: no step is further
            # than half a gap from its frame. 1e-6: a step on the middle is the later frame's, and
            # rounding must not change that.
            middle = (self._last_at + at) / 2
            self._fill(self._last, ceil(middle * self._rate - 1e-6))
        self._last, self._last_at = coded, at
        self.end = at + duration

    def finish(self) -> NDArray[np.uint8]:
        """Return the frames: uint8 (T, H, W, 3); T is 0 where there was no coded frame."""
        if self._last is not None:
            self._fill(self._last, max(1, round(self.end * self._rate)))
        self._resize(self._count)
        return self._frames

    def _fill(self, coded: Coded, until: int) -> None:
        """Write a coded frame to every time step k / frame_rate, k < until, that is still empty."""
        upto = -(-until // self._step)
        if upto <= self._count:
            return
        # Halved as often as needed, the steps stay even and cover a clip of any length.
        while upto > self._most:
            self._thin()
            upto = -(-upto // 2)
        if upto <= self._count:
            return
        if upto > len(self._frames):
            # By half again: a clip longer than declared is moved a few times, not at each frame.
            self._resize(min(self._most, max(upto, len(self._frames) * 3 // 2 + 8)))
        frame = self._frames[self._count]
        self._write(coded, frame)
        if upto > self._count + 1:
            self._frames[self._count + 1 : upto] = frame
        self._count = upto

    def _thin(self) -> None:
        self._step *= 2
        self._count = -(-self._count // 2)
        for index in range(1, self._count):  # one by one: numpy would copy all of them first
            self._frames[index] = self._frames[2 * index]

    def _resize(self, num_frames: int) -> None:
        """Change the room in place, so that a long clip is never held twice."""
        if num_frames != len(self._frames):
            self._frames.resize((num_frames, *self._frames.shape[1:]), refcheck=False)


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
