"""What one clip may cost to decode; errors of decoding become errors of that clip."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from taskgrain.errors import ClipError


# A 109 kB MP4 of 8192 x 4320 pixels took 1.9 GB for its 12 frames: what a header declares bounds
# nothing, so that size, length and cost are each checked again while decoding.
@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What one clip may cost. The header is checked first, and the frames as they are decoded."""

    pixels: int = 4096 * 2304  # of one coded frame
    seconds: float = 7200.0  # of video
    coded_frames: int = 432_000  # 7200 s at 60 frames per second
    packets: int = 8_000_000  # read of a file, of its sound too: 1,000 a second for two hours
    decoded_pixels: float = 5e11  # of all coded frames: 7200 s of 1920 x 1080 at 30 a second
    kept_bytes: int = 512 << 20  # of the frames returned; beyond it the frame rate is halved
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
        for what, spent, limit in (
            ("frames", coded_frames, self.coded_frames),
            ("seconds of video", seconds, self.seconds),
            ("packets", packets, self.packets),
            ("pixels in all its frames", pixels, self.decoded_pixels),
        ):
            if spent > limit:
                raise ClipError(
                    f"{path}: over {limit:.0f} {what}; cut it into clips of a few seconds"
                )


DEFAULT_LIMITS = DecodeLimits()


@contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Turn whatever is raised while a clip is decoded into a ClipError that names it.

    Nothing else belongs in the block: what it writes elsewhere would be blamed on the clip.

    Raises:
        ClipError: of the clip.
        MemoryError: as it comes, for it is the machine's.
    """
    try:
        yield
    except (ClipError, MemoryError):
        raise
    # Broad on purpose: what the decoders raise for odd files is in no list (PyAV raised ValueError
    # for side data that it did not know), and one clip must not stop a run over thousands.
    except Exception as error:
        what = f"{type(error).__name__}: {reason(error)}"
        raise ClipError(f"{path}: cannot be decoded ({what})") from error


def reason(error: Exception) -> str:
    """Return the shortest useful text of an error."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
