"""Open one video file within limits, and give its frames with their times; no other file is read.

Seconds are counted from the first frame.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from taskgrain.errors import ClipError

FRAME_RATE = 12  # frames per second: Something-Something's own, and of images without a rate

# Playlists and concat scripts name other files, so only formats that hold their own frames are
# opened (hazards measured: an ffconcat text named clip.mp4 made FFmpeg read its neighbours).
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,mpegts,mpeg,flv,ogg,asf"

EBML = b"\x1a\x45\xdf\xa3"  # begins every WebM and Matroska file

# A file may end a little before its declared duration; more than both of these is a cut file.
MISSING_SHARE = 0.1
MISSING_FRAMES = 2
STILL_SECONDS = 1.0  # a lone frame in a file that declares no more than this is a picture

# A frame out of order steps back by a few frames; further back, a new timeline begins.
RESTART_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What one clip may cost; the header is believed only as far as the frames keep to it."""

    pixels: int = 4096 * 2304  # of one coded frame
    seconds: float = 7200.0  # of video
    coded_frames: int = 432_000  # 7200 s at 60 frames per second
    wall_seconds: float = 600.0  # of decoding
    kept_bytes: int = 512 << 20  # of the frames given back; beyond it the frame rate is halved

    def check_size(self, path: Path, width: int, height: int) -> None:
        """Raise ClipError if a frame has too many pixels."""
        if width * height > self.pixels:
            raise ClipError(
                f"{path}: frames of {width} x {height} pixels; at most {self.pixels} "
                "pixels are read: scale it down first"
            )

    def check_cost(
        self, path: Path, coded_frames: int, seconds: float, wall_seconds: float
    ) -> None:
        """Raise ClipError if what was decoded up to now is too much."""
        for what, found, limit in (
            ("frames", coded_frames, self.coded_frames),
            ("seconds of video", seconds, self.seconds),
            ("seconds of decoding", wall_seconds, self.wall_seconds),
        ):
            if found > limit:
                raise ClipError(
                    f"{path}: over {limit:.0f} {what}; cut it into clips of a few seconds"
                )


DEFAULT_LIMITS = DecodeLimits()


@contextmanager
def open_video(
    path: Path, *, limits: DecodeLimits, frame_rate: int = FRAME_RATE
) -> Iterator[VideoFile]:
    """Open a video file; `frame_rate` is taken where the file names none.

    Raises:
        ClipError: if it is missing, is no video or breaks a limit; also for what goes wrong
            with the file while it is open.
    """
    if not path.is_file():
        raise ClipError(f"{path}: no such file; expected a video file")
    try:
        with path.open("rb") as file, _open(path, file) as container:
            yield VideoFile(path, container, limits, frame_rate)
    except (av.error.FFmpegError, OSError) as error:
        raise ClipError(f"{path}: cannot be read as video: {reason(error)}") from error


def _open(path: Path, file: BinaryIO) -> InputContainer:
    try:
        start = file.read(len(EBML))
        file.seek(0)
        return av.open(
            file,
            mode="r",
            format="matroska" if start == EBML else None,  # spares a fifth of the opening
            options={"format_whitelist": FORMATS},
            metadata_errors="replace",  # titles of old files are in any encoding
        )
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise ClipError(
            f"{path}: not a video that can be opened ({reason(error)}); "
            "expected WebM, MP4, AVI or another common video file"
        ) from error


def reason(error: Exception) -> str:
    """Say in a few words what went wrong."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


class VideoFile:
    """An open video file: its stream, what it declares, and its frames."""

    def __init__(
        self, path: Path, container: InputContainer, limits: DecodeLimits, frame_rate: int
    ) -> None:
        """Choose the stream: the first that is no cover picture.

        Raises:
            ClipError: if there is none, or it declares more than the limits allow.
        """
        self.path = path
        self._container = container
        self._limits = limits
        self._frame_rate = frame_rate
        streams = [
            stream
            for stream in container.streams.video
            if not stream.disposition & av.stream.Disposition.attached_pic
        ]
        if not streams:
            raise ClipError(f"{path}: holds no video stream; expected a video file")
        self.stream = streams[0]
        codec = self.stream.codec_context
        if codec is None:
            raise ClipError(
                f"{path}: its video is of a kind that cannot be decoded; expected VP9, H.264 or "
                "another common codec"
            )
        self.stream.thread_type = "NONE"  # clips are small: processes help, threads do not
        codec.options = {"max_pixels": str(limits.pixels)}
        limits.check_size(path, codec.width, codec.height)
        self.declared_seconds = _declared_seconds(container, self.stream)
        declared = self.declared_seconds
        if declared is not None and declared > limits.seconds:
            raise ClipError(
                f"{path}: declares {declared:.0f} s of video; at most "
                f"{limits.seconds:.0f} s are read: cut it into clips of a few seconds"
            )
        aspect = self.stream.sample_aspect_ratio
        self.pixel_aspect = float(aspect) if aspect else 1.0  # width of a pixel over its height

    def timed_frames(self) -> Iterator[tuple[VideoFrame, float, float]]:
        """Yield each coded frame with its start and its duration, in seconds, never backwards.

        Raises:
            ClipError: when a limit is passed.
            FFmpegError: where the file breaks off.
        """
        limits, path = self._limits, self.path
        rate = self.stream.average_rate or self.stream.guessed_rate
        usual = float(1 / rate) if rate else 1.0 / self._frame_rate
        unit = self.stream.time_base
        ticks, per_second = (unit.numerator, unit.denominator) if unit else (0, 1)
        started = time.monotonic()
        origin: float | None = None
        latest = -usual
        for number, frame in enumerate(self._container.decode(self.stream), start=1):
            if frame.width * frame.height > limits.pixels:
                limits.check_size(path, frame.width, frame.height)
            raw = frame.time
            if origin is None:
                origin = raw if raw is not None else 0.0
            at = latest + usual if raw is None else raw - origin
            if at < latest:
                if at < latest - RESTART_SECONDS:
                    origin += at - (latest + usual)
                    at = latest + usual
                else:
                    at = latest
            duration = frame.duration * ticks / per_second or usual
            wall_seconds = time.monotonic() - started
            if (
                number > limits.coded_frames
                or at + duration > limits.seconds
                or wall_seconds > limits.wall_seconds
            ):
                limits.check_cost(path, number, at + duration, wall_seconds)
            latest = at
            yield frame, at, duration

    def truncation(self, num_frames: int, end: float, broken: str | None) -> str | None:
        """Say what a file lacks of what it declares; None if it is whole.

        Args:
            num_frames: that it gave.
            end: of the last one, in seconds.
            broken: the decoder's complaint, where it gave up.
        """
        if broken:
            return f"breaks off after {num_frames} frames: {broken}"
        declared = self.declared_seconds
        still = num_frames == 1 and self.stream.frames <= 1 and (declared or 0) <= STILL_SECONDS
        if declared is None or still:  # a still picture has no span to compare
            return None
        missing = declared - end
        allowed = max(MISSING_SHARE * declared, MISSING_FRAMES / self._frame_rate)
        if missing <= allowed:
            return None
        return f"truncated: {end:.2f} s of the declared {declared:.2f} s"


def quarter_turns(frame: VideoFrame) -> int:
    """Count the quarter turns, counter-clockwise, that bring a frame upright: 0 to 3."""
    return round(frame.rotation / 90) % 4


def _declared_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    if container.format.name == "avi" and stream.frames and stream.average_rate:
        # FFmpeg shortens the duration of a cut AVI to what is there; the header's count stays.
        return float(stream.frames / stream.average_rate)
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    tag = _tag_seconds(stream.metadata.get("DURATION", ""))
    if tag is not None:
        return tag
    # With sound in the file, the container's duration may be the sound's.
    alone = len(container.streams) == 1
    duration = container.duration if alone else None
    return duration / av.time_base if duration else None


def _tag_seconds(tag: str) -> float | None:
    """Read Matroska's per-stream DURATION tag, "00:00:03.250000000"."""
    parts = tag.split(":")
    try:
        hours, minutes, seconds = (float(part) for part in parts)
    except ValueError:
        return None
    total = 3600 * hours + 60 * minutes + seconds
    return total or None
