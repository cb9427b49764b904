"""Decode one video file to frames, resampled by timestamps; nothing but that file is ever read.

Shapes: T frames after resampling, H W pixels asked for.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from taskgrain.errors import ClipError

FRAME_RATE = 12  # frames per second after resampling: Something-Something's own rate

# Playlists and concat scripts name other files, so only formats that hold their own frames are
# opened (hazards measured: an ffconcat text named clip.mp4 made FFmpeg read its neighbours).
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,mpegts,mpeg,flv,ogg,asf"

# A file may end a little before its declared duration; more than both of these is a cut file.
MISSING_SHARE = 0.1
MISSING_FRAMES = 2
STILL_SECONDS = 1.0  # a lone frame in a file that declares no more than this is a picture


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What one file may cost; the header is believed only as far as the frames keep to it."""

    pixels: int = 4096 * 2304  # of one coded frame
    seconds: float = 600.0  # of video
    coded_frames: int = 36_000  # 600 s at 60 frames per second
    wall_seconds: float = 120.0  # of decoding


DEFAULT_LIMITS = DecodeLimits()


@dataclass(frozen=True, slots=True)
class DecodedClip:
    """The frames of one clip, and whether the file held all that it declares."""

    frames: NDArray[np.uint8]  # (T, H, W, 3), RGB, T >= 1
    truncated: bool
    problem: str | None  # what is wrong with a truncated file


def decode_clip(
    path: Path,
    *,
    height: int,
    width: int,
    frame_rate: int = FRAME_RATE,
    limits: DecodeLimits = DEFAULT_LIMITS,
) -> DecodedClip:
    """Decode a clip at `frame_rate`, upright, scaled to (height, width); aspect is not kept.

    Each output frame is the coded frame nearest in time to k / frame_rate seconds after the first.

    Raises:
        ClipError: if the file is missing, is no video, breaks a limit or holds no frame.
    """
    if not path.is_file():
        raise ClipError(f"{path}: no such file; expected a video file")
    try:
        with path.open("rb") as file, _open(path, file) as container:
            return _Decoding(path, container, height, width, frame_rate, limits).run()
    except (av.error.FFmpegError, OSError) as error:
        raise ClipError(f"{path}: cannot be read as video: {_reason(error)}") from error


def _open(path: Path, file: object) -> InputContainer:
    try:
        return av.open(
            file,
            mode="r",
            options={"format_whitelist": FORMATS},
            metadata_errors="replace",  # titles of old files are in any encoding
        )
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise ClipError(
            f"{path}: not a video that can be opened ({_reason(error)}); "
            "expected WebM, MP4, AVI or another common video file"
        ) from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


@dataclass(slots=True)
class _Decoding:
    path: Path
    container: InputContainer
    height: int
    width: int
    frame_rate: int
    limits: DecodeLimits

    def run(self) -> DecodedClip:
        stream = self._video_stream()
        frames: list[NDArray[np.uint8]] = []
        scaler = VideoReformatter()  # one for all: making one costs more than using it
        end = 0.0
        broken: str | None = None
        timed = self._timed_frames(stream)
        try:
            for coded, times, end in _nearest_frames(timed, self.frame_rate):  # noqa: B007
                if times:
                    image = self._scale(coded, scaler)
                    frames.extend(image for _ in range(times))
        except av.error.FFmpegError as error:
            broken = _reason(error)
        if not frames:
            why = f" ({broken})" if broken else ""
            raise ClipError(f"{self.path}: no frame could be decoded{why}; expected a whole video")
        problem = self._truncation(stream, len(frames), end, broken)
        return DecodedClip(np.stack(frames), problem is not None, problem)

    def _video_stream(self) -> VideoStream:
        streams = [
            stream
            for stream in self.container.streams.video
            if not stream.disposition & av.stream.Disposition.attached_pic
        ]
        if not streams:
            raise ClipError(f"{self.path}: holds no video stream; expected a video file")
        stream = streams[0]
        stream.thread_type = "NONE"  # clips are small: processes help, threads do not
        stream.codec_context.options = {"max_pixels": str(self.limits.pixels)}
        self._check_size(stream.codec_context.width, stream.codec_context.height)
        declared = self._declared_seconds(stream)
        if declared is not None and declared > self.limits.seconds:
            raise ClipError(
                f"{self.path}: declares {declared:.0f} s of video; at most "
                f"{self.limits.seconds:.0f} s are read: cut it into clips of a few seconds"
            )
        return stream

    def _check_size(self, width: int, height: int) -> None:
        if width * height > self.limits.pixels:
            raise ClipError(
                f"{self.path}: frames of {width} x {height} pixels; at most {self.limits.pixels} "
                "pixels are read: scale it down first"
            )

    def _timed_frames(self, stream: VideoStream) -> Iterator[tuple[VideoFrame, float, float]]:
        """Yield each coded frame with its start and its duration, in seconds, never backwards."""
        rate = stream.average_rate or stream.guessed_rate or Fraction(self.frame_rate)
        usual = float(1 / rate) if rate else 1.0 / self.frame_rate
        started = time.monotonic()
        first: float | None = None
        latest = -usual
        for number, frame in enumerate(self.container.decode(stream), start=1):
            self._check_size(frame.width, frame.height)
            raw = frame.time
            if first is None:
                first = raw if raw is not None else 0.0
            at = latest + usual if raw is None else raw - first
            at = max(at, latest)
            duration = _duration(frame, usual)
            self._check_cost(number, at + duration, time.monotonic() - started)
            latest = at
            yield frame, at, duration

    def _check_cost(self, coded_frames: int, seconds: float, wall_seconds: float) -> None:
        for what, found, limit in (
            ("frames", coded_frames, self.limits.coded_frames),
            ("seconds of video", seconds, self.limits.seconds),
            ("seconds of decoding", wall_seconds, self.limits.wall_seconds),
        ):
            if found > limit:
                raise ClipError(
                    f"{self.path}: over {limit:.0f} {what}; cut it into clips of a few seconds"
                )

    def _scale(self, frame: VideoFrame, scaler: VideoReformatter) -> NDArray[np.uint8]:
        turns = round(frame.rotation / 90) % 4  # counter-clockwise quarter turns to upright
        height, width = (self.width, self.height) if turns % 2 else (self.height, self.width)
        scaled = scaler.reformat(
            frame,
            width=width,
            height=height,
            format="rgb24",
            interpolation=Interpolation.AREA,
            threads=1,
        )
        return np.ascontiguousarray(np.rot90(scaled.to_ndarray(), turns))

    def _declared_seconds(self, stream: VideoStream) -> float | None:
        if self.container.format.name == "avi" and stream.frames and stream.average_rate:
            # FFmpeg shortens the duration of a cut AVI to what is there; the header's count stays.
            return float(stream.frames / stream.average_rate)
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        tag = _tag_seconds(stream.metadata.get("DURATION", ""))
        if tag is not None:
            return tag
        # With sound in the file, the container's duration may be the sound's.
        alone = len(self.container.streams) == 1
        duration = self.container.duration if alone else None
        return duration / av.time_base if duration else None

    def _truncation(
        self, stream: VideoStream, num_frames: int, end: float, broken: str | None
    ) -> str | None:
        declared = self._declared_seconds(stream)
        if broken:
            return f"breaks off after {num_frames} frames: {broken}"
        still = num_frames == 1 and stream.frames <= 1 and (declared or 0) <= STILL_SECONDS
        if declared is None or still:  # a still picture has no span to compare
            return None
        missing = declared - end
        allowed = max(MISSING_SHARE * declared, MISSING_FRAMES / self.frame_rate)
        if missing <= allowed:
            return None
        return f"truncated: {end:.2f} s of the declared {declared:.2f} s"


def _duration(frame: VideoFrame, usual: float) -> float:
    """Seconds that a frame stands; at the stream's usual rate where the file does not say."""
    if frame.duration and frame.time_base:
        return float(frame.duration * frame.time_base)
    return usual


def _nearest_frames(
    timed: Iterator[tuple[VideoFrame, float, float]], frame_rate: int
) -> Iterator[tuple[VideoFrame, int, float]]:
    """Say how often each coded frame is repeated on the regular grid, and the time reached.

    Grid point k / frame_rate belongs to the coded frame nearest to it; the last frame keeps the
    points that its own duration covers, and the first frame at least one.
    """
    emitted = 0
    before: tuple[VideoFrame, float, float] | None = None
    for current in timed:
        if before is not None:
            middle = (before[1] + current[1]) / 2
            upto = max(emitted, int(np.ceil(middle * frame_rate - 1e-6)))
            yield before[0], upto - emitted, before[1] + before[2]
            emitted = upto
        before = current
    if before is not None:
        end = before[1] + before[2]
        upto = max(emitted, 1, round(end * frame_rate))
        yield before[0], upto - emitted, end


def _tag_seconds(tag: str) -> float | None:
    """Read Matroska's per-stream DURATION tag, "00:00:03.250000000"."""
    parts = tag.split(":")
    try:
        hours, minutes, seconds = (float(part) for part in parts)
    except ValueError:
        return None
    total = 3600 * hours + 60 * minutes + seconds
    return total or None
