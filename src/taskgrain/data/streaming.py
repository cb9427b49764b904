"""Read footage of hours in bounded memory, at 12 frames a second as `decode_clip` sees a clip."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from av.video.frame import VideoFrame

from taskgrain.data.container import FRAME_RATE, VideoFile
from taskgrain.data.limits import DecodeLimits

# 12 hours at up to 60 frames a second: one frame and one window are in memory at a time.
LIMITS = DecodeLimits(
    seconds=12 * 3600, coded_frames=12 * 3600 * 60, packets=48_000_000, decoded_pixels=4e12
)


class RegularFrames:
    """The coded frames of a file, each with its times k / 12 s, k in start .. stop - 1.

    A time belongs to the coded frame nearest to it, by the rule of `decode_clip`.
    """

    def __init__(self, video: VideoFile) -> None:
        self._video = video
        self.num_frames = 0  # times that were yielded up to now
        self.end = 0.0  # of the last coded frame, in seconds

    def __iter__(self) -> Iterator[tuple[VideoFrame, int, int]]:
        last: tuple[VideoFrame, float] | None = None
        for frame, at, duration in self._video.timed_frames():
            if last is not None:
                # Up to the middle between both frames; a time on the middle is the later frame's,
                # and rounding must not change that (`data.decode`).
                stop = ceil((last[1] + at) / 2 * FRAME_RATE - 1e-6)
                yield from self._until(last[0], stop)
            last, self.end = (frame, at), at + duration
        if last is not None:
            yield from self._until(last[0], max(1, round(self.end * FRAME_RATE)))

    def _until(self, frame: VideoFrame, stop: int) -> Iterator[tuple[VideoFrame, int, int]]:
        if stop > self.num_frames:
            start, self.num_frames = self.num_frames, stop
            yield frame, start, stop
