"""Read footage of hours in bounded memory, at 12 frames a second as `decode_clip` sees a clip.

Shapes: L frames of a window, T frames and H W pixels of it that a model sees.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from taskgrain.data.container import FRAME_RATE, open_video
from taskgrain.data.frame_folder import FrameFolder
from taskgrain.data.framing import VideoFramer, write_image
from taskgrain.data.limits import DecodeLimits, errors_of
from taskgrain.data.sampling import FrameSampling, central_window

# 12 hours at up to 60 frames a second: one frame and one window are in memory at a time.
LIMITS = DecodeLimits(
    seconds=12 * 3600, coded_frames=12 * 3600 * 60, packets=48_000_000, decoded_pixels=4e12
)

Coded = TypeVar("Coded")  # a frame of a video file, or an image
Shown = Mapping[FrameSampling, NDArray[np.uint8]]
"""What models are shown of a window: uint8 (T, H, W, 3) for each sampling."""


class RegularFrames(Generic[Coded]):
    """The coded frames of a file, each with its times k / 12 s, k in start .. stop - 1.

    A time belongs to the coded frame nearest to it, by the rule of `decode_clip`.
    """

    def __init__(self, timed: Iterable[tuple[Coded, float, float]]) -> None:
        """Take coded frames with start and duration, as `VideoFile.timed_frames` yields them."""
        self._timed = timed
        self.num_frames = 0  # times that were yielded up to now
        self.end = 0.0  # of the last coded frame, in seconds

    def __iter__(self) -> Iterator[tuple[Coded, int, int]]:
        last: tuple[Coded, float] | None = None
        for frame, at, duration in self._timed:
            if last is not None:
                # Up to the middle between both frames; a time on the middle is the later frame's,
                # and rounding must not change that (`data.decode`).
                stop = ceil((last[1] + at) / 2 * FRAME_RATE - 1e-6)
                yield from self._until(last[0], stop)
            last, self.end = (frame, at), at + duration
        if last is not None:
            yield from self._until(last[0], max(1, round(self.end * FRAME_RATE)))

    def _until(self, frame: Coded, stop: int) -> Iterator[tuple[Coded, int, int]]:
        if stop > self.num_frames:
            start, self.num_frames = self.num_frames, stop
            yield frame, start, stop


@dataclass(frozen=True, slots=True)
class SlidingWindows:
    """Windows of equal length at equal distances, in frames at 12 a second.

    Raises:
        ValueError: if windows have no frame, or leave gaps between them.
    """

    num_frames: int  # L
    step: int  # from the start of a window to the next, 1 .. L

    def __post_init__(self) -> None:
        if not 1 <= self.step <= self.num_frames:
            raise ValueError(
                f"windows of {self.num_frames} frames, {self.step} apart; expected a step of 1 or "
                "more, and of at most the window"
            )

    def count(self, num_frames: int) -> int:
        """Return how many windows a video of so many frames has; one where it is shorter."""
        if num_frames <= self.num_frames:
            return min(1, num_frames)
        return 1 + (num_frames - self.num_frames) // self.step


def expected_windows(path: Path, windows: SlidingWindows) -> int | None:
    """Return how many windows a video declares, by its header alone; None where it declares none.

    Raises:
        ClipError: if it cannot be opened.
    """
    with errors_of(path):
        if path.is_dir():
            return windows.count(len(FrameFolder(path, LIMITS).files))
        with open_video(path, limits=LIMITS) as video:
            seconds = video.declared_seconds
    return None if not seconds else windows.count(max(1, round(seconds * FRAME_RATE)))


class WindowStream:
    """The windows of one video, in order, as models see a clip of the same frames.

    The video is decoded once. The frames of one window are held, in each size that is asked for,
    however long the video is. A video that is shorter than a window is one window.
    """

    def __init__(
        self, path: Path, windows: SlidingWindows, samplings: Collection[FrameSampling]
    ) -> None:
        """Nothing is opened before the windows are asked for.

        Args:
            path: of a video file, or of a folder of images, one a frame.
            windows: where windows lie.
            samplings: what is shown of each.
        """
        self._path = path
        self._windows = windows
        self._samplings = tuple(samplings)
        self._framings = tuple({each.framing for each in samplings})
        self.num_frames = 0  # of the video at 12 a second, up to now
        self.problem: str | None = None  # what the video lacks of what it declares, in the end

    def __iter__(self) -> Iterator[Shown]:
        """Yield what is shown of each window; the arrays are the caller's.

        Raises:
            ClipError: if the video cannot be decoded, or passes a limit.
        """
        length, step = self._windows.num_frames, self._windows.step
        rings = [  # frame k of the video lies in place k modulo L
            np.empty((length, each.height, each.width, 3), np.uint8) for each in self._framings
        ]
        start = 0  # of the next window
        with errors_of(self._path):
            for images, first, stop in self._images():
                for number in range(first, stop):
                    for ring, image in zip(rings, images, strict=True):
                        ring[number % length] = image
                    if number + 1 == start + length:
                        yield self._shown(rings, start, length)
                        start += step
                self.num_frames = stop
        if start == 0:
            yield self._shown(rings, 0, self.num_frames)

    def _shown(self, rings: list[NDArray[np.uint8]], start: int, num_frames: int) -> Shown:
        """Cut what evaluation sees out of the window that begins at a frame."""
        ring_of = dict(zip(self._framings, rings, strict=True))
        shown = {}
        for sampling in self._samplings:
            window = central_window(num_frames, sampling)
            places = (start + window.frames) % self._windows.num_frames
            shown[sampling] = ring_of[sampling.framing][places][:, window.rows, window.columns]
        return shown

    def _images(self) -> Iterator[tuple[list[NDArray[np.uint8]], int, int]]:
        """Yield frames in each size, overwritten by the next, with the times they stand for."""
        images = [np.empty((each.height, each.width, 3), np.uint8) for each in self._framings]
        if self._path.is_dir():
            yield from self._folder_images(images)
            return
        with open_video(self._path, limits=LIMITS) as video:
            aspect = video.pixel_aspect
            framers = [
                VideoFramer(self._path, each, pixel_aspect=aspect, limits=LIMITS)
                for each in self._framings
            ]
            frames = RegularFrames(video.timed_frames())
            for coded, start, stop in frames:
                for framer, image in zip(framers, images, strict=True):
                    framer.write(coded, image)
                yield images, start, stop
            if not frames.num_frames:
                raise video.nothing()
            self.problem = video.problem()

    def _folder_images(
        self, images: list[NDArray[np.uint8]]
    ) -> Iterator[tuple[list[NDArray[np.uint8]], int, int]]:
        # JPEG images are decoded at the scale that a size asks for: for each size anew.
        folders = [FrameFolder(self._path, LIMITS) for _ in self._framings]
        streams = [
            RegularFrames(folder.timed_images(framing))
            for folder, framing in zip(folders, self._framings, strict=True)
        ]
        for together in zip(*streams, strict=True):
            for (found, _, _), framing, image in zip(together, self._framings, images, strict=True):
                write_image(found, framing, image)
            yield images, together[0][1], together[0][2]
        if not streams[0].num_frames:
            raise folders[0].nothing()
        self.problem = folders[0].truncation()
