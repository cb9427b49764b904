"""What one clip may cost to decode."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from taskgrain.errors import ClipError


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What one clip may cost; the header is believed only as far as the frames keep to it."""

    pixels: int = 4096 * 2304  # of one coded frame
    seconds: float = 7200.0  # of video
    coded_frames: int = 432_000  # 7200 s at 60 frames per second
    packets: int = 8_000_000  # read of a file, of its sound too: 1,000 a second for two hours
    decoded_pixels: float = 5e11  # of all coded frames: 7200 s of 1920 x 1080 at 30 a second
    kept_bytes: int = 512 << 20  # of the frames given back; beyond it the frame rate is halved
    file_bytes: int = 32 << 30  # of a video file, or of all images of a folder
    image_bytes: int = 256 << 20  # of one image

    def check_size(self, path: Path, width: int, height: int) -> None:
        """Raise ClipError if a frame has too many pixels."""
        if width * height > self.pixels:
            raise ClipError(
                f"{path}: frames of {width} x {height} pixels; at most {self.pixels} "
                "pixels are read: scale it down first"
            )

    def check_cost(
        self,
        path: Path,
        *,
        coded_frames: int = 0,
        seconds: float = 0.0,
        packets: int = 0,
        pixels: float = 0.0,
    ) -> None:
        """Raise ClipError if what was decoded up to now is too much.

        Only what a file holds is counted, never the time that it takes: a clip is then refused
        or read alike on every machine.
        """
        for what, found, limit in (
            ("frames", coded_frames, self.coded_frames),
            ("seconds of video", seconds, self.seconds),
            ("packets", packets, self.packets),
            ("pixels in all its frames", pixels, self.decoded_pixels),
        ):
            if found > limit:
                raise ClipError(
                    f"{path}: over {limit:.0f} {what}; cut it into clips of a few seconds"
                )


DEFAULT_LIMITS = DecodeLimits()
