"""What a clip's file declares of its length and size, read without decoding a frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from taskgrain.data.container import FRAME_RATE, VideoFile, irregularity, open_video
from taskgrain.data.frame_folder import BROKEN_IMAGE, IMAGE_FORMATS, FrameFolder
from taskgrain.data.limits import DEFAULT_LIMITS, DecodeLimits, errors_of
from taskgrain.errors import ClipError

# Measured on one thread of an AVX2 CPU (docs/log.md, "Decoding by the headers"). Within a factor of
# two for H.264, H.265, VP8, VP9, AV1 and MPEG-4: coded bytes cost more than pixels.
OPEN_SECONDS = 0.002
SECONDS_PER_MEGAPIXEL = 0.0035
SECONDS_PER_MEGABYTE = 0.2
SECONDS_PER_IMAGE_MEGAPIXEL = 0.0055  # of JPEG images, which are decoded at a part of their size


@dataclass(frozen=True, slots=True)
class ClipHeader:
    """What a clip's file declares; it is believed, and may be wrong."""

    seconds: float  # of video
    megapixels: float  # of all its frames together, as they are coded
    decode_seconds: float  # an estimate, for one thread


def read_header(path: Path, limits: DecodeLimits = DEFAULT_LIMITS) -> ClipHeader | None:
    """Read what a video file or a folder of frames declares.

    Returns:
        None where the clip is absent, cannot be opened or declares no length.
    """
    try:
        with errors_of(path):
            if path.is_dir():
                return _of_folder(path, limits)
            with open_video(path, limits=limits) as video:
                return _of_video(video, path.stat().st_size)
    except ClipError:
        return None


def is_clip(path: Path, limits: DecodeLimits = DEFAULT_LIMITS) -> bool:
    """Whether a file can be opened as a video, or a folder holds frames; no frame is decoded."""
    try:
        with errors_of(path):
            if path.is_dir():
                FrameFolder(path, limits)
            else:
                with open_video(path, limits=limits):
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


def _of_folder(path: Path, limits: DecodeLimits) -> ClipHeader | None:
    files = FrameFolder(path, limits).files
    if irregularity(files[0], most=limits.image_bytes):
        return None
    try:
        with Image.open(files[0], formats=IMAGE_FORMATS) as image:
            megapixels = len(files) * image.width * image.height / 1e6
    except (*BROKEN_IMAGE, Image.DecompressionBombError):
        return None
    cost = SECONDS_PER_IMAGE_MEGAPIXEL * megapixels
    return ClipHeader(len(files) / FRAME_RATE, megapixels, OPEN_SECONDS + cost)
