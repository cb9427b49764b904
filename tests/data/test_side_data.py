from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from taskgrain.data.decode import decode_clip
from taskgrain.data.frame_folder import ORIENTATION
from taskgrain.data.inspect import inspect_clip
from taskgrain.data.limits import errors_of
from taskgrain.errors import ClipError

# EXIF orientation -> where the bright top left quarter of the coded frame is displayed.
SHOWN_AT = {
    **{1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0)},
    **{5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)},
}


def motion_jpeg_with_exif(path: Path, orientation: int) -> Path:
    """Write what cameras do: JPEG images with EXIF in a container, the top left quarter bright."""
    pixels = np.full((32, 64, 3), 40, np.uint8)
    pixels[:16, :32] = 230
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, "JPEG", exif=exif.tobytes(), quality=95)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=12)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuvj420p"
        stream.encode(av.VideoFrame(64, 32, "yuvj420p"))  # opens the encoder, which is not used
        for index in range(6):
            packet = av.Packet(held.getvalue())
            packet.stream, packet.time_base = stream, Fraction(1, 12)
            packet.pts = packet.dts = index
            packet.is_keyframe = True
            container.mux(packet)
    return path


@pytest.mark.parametrize("suffix", [".mov", ".avi", ".mkv"])
@pytest.mark.parametrize("orientation", SHOWN_AT)
def test_motion_jpeg_with_exif_is_read_and_shown_as_its_orientation_says(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    path = motion_jpeg_with_exif(tmp_path / f"clip{suffix}", orientation)
    clip = decode_clip(path, height=32, width=32)
    assert len(clip.frames) == 6
    assert not clip.truncated
    quarters = clip.frames[3].mean(-1).reshape(2, 16, 2, 16).mean((1, 3))
    assert np.unravel_index(quarters.argmax(), (2, 2)) == SHOWN_AT[orientation]
    facts = inspect_clip(path)
    assert (facts.width, facts.height) == ((64, 32) if orientation < 5 else (32, 64))


@pytest.mark.parametrize("error", [ValueError("31 is not a valid Type"), OSError("gone"), KeyError])
def test_whatever_a_clip_raises_is_an_error_of_that_clip(
    error: Exception | type[Exception],
) -> None:
    with (
        pytest.raises(ClipError, match=r"clip\.mov: cannot be decoded"),
        errors_of(Path("clip.mov")),
    ):
        raise error


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_want_of_memory_and_the_wish_to_stop_are_not_blamed_on_a_clip(
    error: type[BaseException],
) -> None:
    with pytest.raises(error), errors_of(Path("clip.mov")):
        raise error
