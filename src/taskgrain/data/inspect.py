"""What one clip's file declares, and what it holds once it is decoded; no frame is kept.

How long the clip is, how large its frames are, and whether the file is whole.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from taskgrain.data.container import FRAME_RATE, VideoFile, irregularity, open_video
from taskgrain.data.frame_folder import (
    BROKEN_IMAGE,
    IMAGE_FORMATS,
    UPRIGHT,
    FrameFolder,
    digest_of,
    file_bytes,
    folder_bytes,
)
from taskgrain.data.framing import Upright, upright
from taskgrain.data.limits import DEFAULT_LIMITS, DecodeLimits, errors_of
from taskgrain.errors import ClipError

# Containers round times to a millisecond; steadier than this is one rate.
STEADY_SECONDS = 0.0025
STEADY_SHARE = 0.1  # of the usual time between two frames
MOST_TICK = 0.5  # of that time; in a coarser clock a lost frame would look like rounding


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """What a clip holds, as it would be displayed."""

    num_frames: int  # coded frames that can be decoded, at least 1
    seconds: float  # that they span
    declared_seconds: float | None
    frame_rate: float | None  # coded frames per second; None for a single frame
    width: int  # pixels; with the aspect of the pixels, upright
    height: int
    rotation: int  # degrees clockwise by which it is turned, after any mirroring: 0, 90, 180, 270
    is_variable_rate: bool
    truncated: bool
    problem: str | None  # what is wrong with a truncated clip
    sha: str  # BLAKE2b of the file's bytes, in hex; of a folder, of its images' names and bytes
    note: str | None = None  # an oddity of the frames that is no fault


def inspect_clip(path: Path, limits: DecodeLimits = DEFAULT_LIMITS) -> ClipFacts:
    """Decode every frame of a clip, a video file or a folder of images, and keep none.

    Raises:
        ClipError: where `decode_clip` raises it.
    """
    with errors_of(path):
        if path.is_dir():
            return _inspect_folder(path, limits)
        with open_video(path, limits=limits) as video:
            sha = digest_of(file_bytes(path))
            return _inspect_video(video, sha)


def displayed_size(path: Path) -> tuple[int, int]:
    """Return a clip's height and width in pixels as it is displayed; only one frame is decoded.

    Raises:
        ClipError: where `decode_clip` raises it for the first frame.
    """
    with errors_of(path):
        if path.is_dir():
            folder = FrameFolder(path, DEFAULT_LIMITS)
            for image, _, _ in folder.timed_images():
                return image.shape[0], image.shape[1]
            raise folder.nothing()
        with open_video(path, limits=DEFAULT_LIMITS) as video:
            for frame, _, _ in video.timed_frames():
                return _displayed(frame.height, frame.width, upright(frame), video.pixel_aspect)
            raise video.nothing()


def _displayed(
    height: int, width: int, orientation: Upright, pixel_aspect: float
) -> tuple[int, int]:
    """Turn the size of coded frames into the height and width that are displayed."""
    width = max(1, round(width * pixel_aspect))
    return (width, height) if orientation.turns % 2 else (height, width)


def _inspect_video(video: VideoFile, sha: str) -> ClipFacts:
    end = 0.0
    width = height = 0
    orientation = Upright()
    for frame, at, duration in video.timed_frames():
        if not width:
            width, height, orientation = frame.width, frame.height, upright(frame)
        end = at + duration
    starts = video.starts
    if not starts:
        raise video.nothing()
    problem = video.problem()
    height, width = _displayed(height, width, orientation, video.pixel_aspect)
    unit = video.stream.time_base
    frame_rate, is_variable = _rate(starts, tick=float(unit) if unit else 0.0)
    return ClipFacts(
        num_frames=len(starts),
        seconds=end,
        declared_seconds=video.declared_seconds,
        frame_rate=frame_rate,
        width=width,
        height=height,
        rotation=-orientation.turns % 4 * 90,
        is_variable_rate=is_variable,
        truncated=problem is not None,
        problem=problem,
        sha=sha,
        note=video.note(),
    )


def _inspect_folder(path: Path, limits: DecodeLimits) -> ClipFacts:
    folder = FrameFolder(path, limits)
    count = width = height = 0
    for image, _, _ in folder.timed_images():
        if not count:
            height, width = image.shape[:2]
        count += 1
    if not count:
        raise folder.nothing()
    problem = folder.truncation()
    return ClipFacts(
        num_frames=count,
        seconds=count / FRAME_RATE,
        declared_seconds=None,
        frame_rate=float(FRAME_RATE) if count > 1 else None,
        width=width,
        height=height,
        rotation=-UPRIGHT[folder.orientation].turns % 4 * 90,
        is_variable_rate=False,
        truncated=problem is not None,
        problem=problem,
        sha=digest_of(folder_bytes(folder.files, limits)),
        note=folder.note,
    )


def _rate(starts: array[float], *, tick: float) -> tuple[float | None, bool]:
    """Return the frames per second, and whether the time between frames varies.

    Starts are in seconds, and rounded to a `tick` of the file's clock.
    """
    span = starts[-1] - starts[0]
    if len(starts) < 2 or span <= 0:
        return None, False
    gaps = np.diff(np.frombuffer(starts))
    usual = float(np.median(gaps))
    allowed = max(STEADY_SECONDS, STEADY_SHARE * usual)
    steady = bool((np.abs(gaps - usual) <= allowed).all())
    if not steady and tick <= MOST_TICK * usual:
        # 12 frames a second are 8 and 9 hundredths in a GIF: each start is right to a tick.
        even = np.linspace(starts[0], starts[-1], len(starts))
        steady = bool((np.abs(np.frombuffer(starts) - even) <= 1.01 * tick).all())
    return (len(starts) - 1) / span, not steady


# Measured on one thread of an AVX2 CPU (docs/log.md, "Decoding by the headers"). Within a factor of
# two for H.264, H.265, VP8, VP9, AV1 and MPEG-4: coded bytes cost more than pixels.
OPEN_SECONDS = 0.002
SECONDS_PER_MEGAPIXEL = 0.0035
SECONDS_PER_MEGABYTE = 0.2
SECONDS_PER_IMAGE_MEGAPIXEL = 0.0055  # of JPEG images, which are decoded at a part of their size


@dataclass(frozen=True, slots=True)
class ClipHeader:
    """What a clip's file declares. It is not checked, and may be wrong."""

    seconds: float  # of video
    megapixels: float  # of all its frames together, as they are coded
    decode_seconds: float  # an estimate, for one thread


def read_header(path: Path) -> ClipHeader | None:
    """Read what a video file or a folder of frames declares.

    Returns:
        None where the clip is absent, cannot be opened or declares no length.
    """
    try:
        with errors_of(path):
            if path.is_dir():
                return _of_folder(path)
            with open_video(path, limits=DEFAULT_LIMITS) as video:
                return _of_video(video, path.stat().st_size)
    except ClipError:
        return None


def is_clip(path: Path) -> bool:
    """Whether a file can be opened as a video, or a folder holds frames; no frame is decoded."""
    try:
        with errors_of(path):
            if path.is_dir():
                FrameFolder(path, DEFAULT_LIMITS)
            else:
                with open_video(path, limits=DEFAULT_LIMITS):
                    pass
    except ClipError:
        return False
    return True


def _of_video(video: VideoFile, num_bytes: int) -> ClipHeader | None:
    seconds, codec = video.declared_seconds, video.stream.codec_context
    if seconds is None:
        seconds = video.file_seconds
    if not seconds:
        return None
    rate = float(video.stream.average_rate or video.stream.guessed_rate or FRAME_RATE)
    frames = video.stream.frames or seconds * rate
    megapixels = frames * codec.width * codec.height / 1e6
    cost = SECONDS_PER_MEGAPIXEL * megapixels + SECONDS_PER_MEGABYTE * num_bytes / 1e6
    return ClipHeader(seconds, megapixels, OPEN_SECONDS + cost)


def _of_folder(path: Path) -> ClipHeader | None:
    files = FrameFolder(path, DEFAULT_LIMITS).files
    if irregularity(files[0], most=DEFAULT_LIMITS.image_bytes):
        return None
    try:
        with Image.open(files[0], formats=IMAGE_FORMATS) as image:
            megapixels = len(files) * image.width * image.height / 1e6
    except (*BROKEN_IMAGE, Image.DecompressionBombError):
        return None
    cost = SECONDS_PER_IMAGE_MEGAPIXEL * megapixels
    return ClipHeader(len(files) / FRAME_RATE, megapixels, OPEN_SECONDS + cost)
