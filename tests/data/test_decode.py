from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from taskgrain.data.decode import DecodeLimits, Fit, decode_clip, decode_sizes
from taskgrain.data.framing import Framing
from taskgrain.data.inspect import inspect_clip
from taskgrain.errors import ClipError
from tests.making import moving_square, turn_sideways, write_video

FITS: tuple[Fit, ...] = ("stretch", "crop")


@pytest.mark.parametrize("suffix", [".webm", ".mp4", ".avi"])
@pytest.mark.parametrize("num_frames", [1, 2, 24, 37])
def test_a_clip_at_twelve_frames_a_second_keeps_every_frame(
    tmp_path: Path, suffix: str, num_frames: int
) -> None:
    path = write_video(tmp_path / f"clip{suffix}", moving_square(num_frames))
    clip = decode_clip(path, height=32, width=32)
    assert clip.frames.shape == (num_frames, 32, 32, 3)
    assert not clip.truncated


def test_decoding_gives_back_what_was_drawn(tmp_path: Path) -> None:
    drawn = moving_square(12)
    clip = decode_clip(write_video(tmp_path / "clip.webm", drawn), height=32, width=32)
    difference = np.abs(clip.frames.astype(int) - drawn.astype(int)).mean()
    assert difference < 12


@pytest.mark.parametrize("kind", ["sideways", "thinned", "folder"])
def test_several_sizes_are_each_as_decoded_alone(tmp_path: Path, kind: str) -> None:
    limits = DecodeLimits(kept_bytes=24 * 40 * 3 * 10) if kind == "thinned" else DecodeLimits()
    framings = [Framing(8, 12), Framing(24, 40, "crop"), Framing(30, 20)]
    path = tmp_path / "clip.mp4"
    if kind == "folder":
        path = tmp_path / "clip"
        path.mkdir()
        for n, image in enumerate(moving_square(14, size=64)):
            Image.fromarray(image).save(path / f"{n:05}.jpg")
    else:
        write_video(path, moving_square(24, size=64), rate=24 if kind == "sideways" else 12)
    if kind == "sideways":
        turn_sideways(path, 90)
    found = decode_sizes(path, framings, limits=limits)
    for clip, framing in zip(found, framings, strict=True):
        height, width, fit = framing.height, framing.width, framing.fit
        alone = decode_clip(path, height=height, width=width, fit=fit, limits=limits)
        assert np.array_equal(clip.frames, alone.frames)
        assert (clip.frame_rate, clip.problem) == (alone.frame_rate, alone.problem)
    rates = [clip.frame_rate for clip in found]
    assert rates == ([12.0, 3.0, 6.0] if kind == "thinned" else [12.0] * 3)


@pytest.mark.parametrize(("rate", "expected"), [(24, 18), (30, 14), (6, 72)])
def test_other_rates_are_resampled_by_time(tmp_path: Path, rate: int, expected: int) -> None:
    path = write_video(tmp_path / "clip.webm", moving_square(36), rate=rate)
    assert len(decode_clip(path, height=32, width=32).frames) == expected


def test_a_cut_file_is_reported_as_truncated(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (60, 48, 48, 3), dtype=np.uint8)
    whole = write_video(tmp_path / "clip.webm", noise).read_bytes()
    path = tmp_path / "cut.webm"
    path.write_bytes(whole[: len(whole) // 2])
    clip = decode_clip(path, height=32, width=32)
    assert clip.truncated
    assert 1 <= len(clip.frames) < 50
    assert clip.problem is not None


@pytest.mark.parametrize("suffix", [".webm", ".mp4", ".avi"])
def test_a_file_cut_anywhere_is_flagged_or_refused(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 48, 48, 3), dtype=np.uint8)
    whole = write_video(tmp_path / f"whole{suffix}", noise).read_bytes()
    flagged = 0
    for tenth in range(9):
        path = tmp_path / f"cut-{tenth}{suffix}"
        path.write_bytes(whole[: len(whole) * tenth // 10])
        try:
            flagged += decode_clip(path, height=32, width=32).truncated
        except ClipError:
            flagged += 1
    assert flagged == 9


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile neighbour.webm\n",
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:1,\nneighbour.webm\n#EXT-X-ENDLIST\n",
        "not a video at all",
    ],
)
def test_a_text_that_names_other_files_is_refused(tmp_path: Path, text: str) -> None:
    write_video(tmp_path / "neighbour.webm", moving_square(12))
    path = tmp_path / "clip.mp4"
    path.write_text(text)
    with pytest.raises(ClipError, match="not a video that can be opened"):
        decode_clip(path, height=32, width=32)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match=r"gone\.webm: no such file"):
        decode_clip(tmp_path / "gone.webm", height=32, width=32)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("pipe", "not a regular file"),
        ("device", "not a regular file"),
        ("empty", "an empty file"),
        ("kernel", "an empty file"),
        ("dangling", "a link that leads to no file"),
        ("large", "at most 1000000 are read"),
    ],
)
def test_only_a_regular_file_of_bounded_size_is_opened(
    tmp_path: Path, kind: str, said: str
) -> None:
    path = tmp_path / "clip.mp4"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind in ("empty", "large"):
        with path.open("wb") as file:
            file.truncate(1 << 40 if kind == "large" else 0)  # a hole without blocks
    else:
        target = {"device": "/dev/zero", "kernel": "/proc/self/environ", "dangling": "gone"}[kind]
        path.symlink_to(target)
    limits = DecodeLimits(file_bytes=1_000_000)
    for look in (
        lambda: decode_clip(path, height=8, width=8, limits=limits),
        lambda: inspect_clip(path, limits),
    ):
        with pytest.raises(ClipError, match=said):
            look()


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (DecodeLimits(pixels=31 * 32), "pixels"),
        (DecodeLimits(seconds=1), "at most 1 s"),
        (DecodeLimits(coded_frames=5), "over 5 frames"),
    ],
)
def test_a_file_that_costs_too_much_is_refused(
    tmp_path: Path, limits: DecodeLimits, said: str
) -> None:
    path = write_video(tmp_path / "clip.webm", moving_square(36))
    with pytest.raises(ClipError, match=said):
        decode_clip(path, height=32, width=32, limits=limits)


@pytest.mark.parametrize("clockwise", [0, 90, 180, 270])
def test_a_clip_recorded_sideways_is_turned_upright(tmp_path: Path, clockwise: int) -> None:
    frames = np.full((6, 32, 64, 3), 40, np.uint8)
    frames[:, :16, :32] = 230  # the top left quarter is bright
    path = turn_sideways(write_video(tmp_path / "clip.mp4", frames), clockwise)
    expected = np.rot90(frames[3].mean(-1), -clockwise // 90)
    height, width = expected.shape
    for fit in FITS:
        shown = decode_clip(path, height=height, width=width, fit=fit).frames[3].mean(-1)
        assert np.abs(shown - expected).mean() < 10
    facts = inspect_clip(path)
    assert (facts.rotation, facts.width, facts.height) == (clockwise, width, height)


def test_a_sideways_clip_is_cut_as_it_is_displayed(tmp_path: Path) -> None:
    frames = np.full((6, 32, 64, 3), 40, np.uint8)
    frames[:, :, 24:40] = 230  # upright, a bar across the middle of a tall frame
    path = turn_sideways(write_video(tmp_path / "clip.mp4", frames), 90)
    shown = decode_clip(path, height=16, width=32, fit="crop").frames[3].mean(-1)
    assert shown.min() > 180


# a, b, c, d of the display matrix, and what it makes of a picture.
MIRRORS = {
    "left to right": ((-1, 0, 0, 1), lambda frame: frame[:, ::-1]),
    "upside down": ((1, 0, 0, -1), lambda frame: frame[::-1]),
    "transposed": ((0, 1, 1, 0), lambda frame: frame.T),
    "transverse": ((0, -1, -1, 0), lambda frame: frame[::-1, ::-1].T),
}


@pytest.mark.parametrize("mirror", MIRRORS)
def test_a_mirrored_clip_is_shown_as_players_do(tmp_path: Path, mirror: str) -> None:
    frames = np.full((6, 32, 64, 3), 40, np.uint8)
    frames[:, :16, :32] = 230  # the top left quarter is bright
    (a, b, c, d), mirrored = MIRRORS[mirror]
    upright = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    matrix = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path = write_video(tmp_path / "clip.mp4", frames)
    header, track = path.read_bytes().split(b"tkhd", 1)
    path.write_bytes(header + b"tkhd" + track.replace(upright, matrix, 1))
    expected = mirrored(frames[3].mean(-1))
    height, width = expected.shape
    for fit in FITS:
        shown = decode_clip(path, height=height, width=width, fit=fit).frames[3].mean(-1)
        assert np.abs(shown - expected).mean() < 10
    facts = inspect_clip(path)
    assert (facts.width, facts.height) == (width, height)
