from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from taskgrain.data.decode import DecodeLimits, decode_clip
from taskgrain.data.frame_folder import ORIENTATION, image_files
from taskgrain.data.inspect import inspect_clip
from taskgrain.errors import ClipError

LEVELS = (20, 80, 140, 200)


def write_image(path: Path, level: int, *, size: tuple[int, int] = (24, 16)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level, level, level)).save(path)
    return path


def folder_of(tmp_path: Path, names: list[str]) -> Path:
    folder = tmp_path / "my clip"
    for index, name in enumerate(names):
        write_image(folder / name, LEVELS[index % len(LEVELS)])
    return folder


def levels(folder: Path) -> list[int]:
    return [round(float(frame.mean())) for frame in decode_clip(folder, height=8, width=8).frames]


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "png", "JPG"])
def test_a_folder_of_images_is_a_clip(tmp_path: Path, suffix: str) -> None:
    folder = folder_of(tmp_path, [f"{n:05d}.{suffix}" for n in range(1, 5)])
    clip = decode_clip(folder, height=8, width=12)
    assert clip.frames.shape == (4, 8, 12, 3)
    assert (clip.truncated, clip.problem, clip.frame_rate) == (False, None, 12)
    assert levels(folder) == list(LEVELS)


def test_two_comes_before_ten(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ["img_10.png", "img_2.png", "img_1.png"])
    assert [path.name for path in image_files(folder)] == ["img_1.png", "img_2.png", "img_10.png"]


def test_what_is_hidden_or_no_image_is_left_out(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ["1.png", ".2.png", "3.txt.png"])
    (folder / "notes.txt").write_text("no image")
    (folder / "3.txt.png").rename(folder / "2.png")
    assert levels(folder) == [20, 140]


def test_a_gap_in_the_numbers_is_told(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ["1.png", "2.png", "3.png", "6.png"])
    clip = decode_clip(folder, height=8, width=8)
    assert clip.truncated
    assert len(clip.frames) == 4
    assert clip.problem == "a gap in the numbering: 3.png is followed by 6.png"


def test_numbers_in_regular_steps_are_no_gap(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ["frame_0.png", "frame_33.png", "frame_66.png", "frame_100.png"])
    assert not decode_clip(folder, height=8, width=8).truncated


def test_an_unreadable_image_is_told_and_left_out(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ["1.png", "2.jpg", "3.png", "4.png"])
    whole = (folder / "2.jpg").read_bytes()
    (folder / "2.jpg").write_bytes(whole[: len(whole) // 2])
    clip = decode_clip(folder, height=8, width=8)
    assert clip.truncated
    assert clip.problem is not None
    assert clip.problem.startswith("1 of 4 images cannot be read, first 2.jpg: ")
    assert levels(folder) == [20, 140, 200]


def test_a_folder_without_a_readable_image_is_no_clip(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ClipError, match="no image in this folder"):
        decode_clip(empty, height=8, width=8)
    (empty / "1.png").write_bytes(b"nothing")
    with pytest.raises(ClipError, match="1 of 1 images cannot be read"):
        decode_clip(empty, height=8, width=8)


@pytest.mark.parametrize("size", [(5000, 5000), (20_000, 20_000)])
def test_a_large_image_is_refused_by_its_header(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "clip" / "1.png"
    write_image(path, 0)
    header = path.read_bytes()
    width, height = (side.to_bytes(4, "big") for side in size)
    chunk = b"IHDR" + width + height + header[24:29]

    path.write_bytes(header[:12] + chunk + zlib.crc32(chunk).to_bytes(4, "big") + header[33:])
    with pytest.raises(ClipError, match="pixels are read"):
        decode_clip(path.parent, height=8, width=8)


def test_too_many_images_are_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ["1.png", "2.png", "3.png"])
    with pytest.raises(ClipError, match="over 2 frames"):
        decode_clip(folder, height=8, width=8, limits=DecodeLimits(coded_frames=2))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_the_orientation_of_a_camera_is_honoured(
    tmp_path: Path, orientation: int, suffix: str
) -> None:
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :16], pixels[8:, :16], pixels[8:, 16:] = 80, 160, 240
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[ORIENTATION] = orientation
    path = tmp_path / "clip" / f"1.{suffix}"
    path.parent.mkdir()
    image.save(path, exif=exif)
    with Image.open(path) as read:
        expected = np.asarray(ImageOps.exif_transpose(read).convert("RGB"))
    clip = decode_clip(path.parent, height=expected.shape[0], width=expected.shape[1])
    assert np.array_equal(clip.frames[0], expected)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "I;16"])
def test_images_of_every_mode_are_read(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "clip" / ("1.jpg" if mode == "CMYK" else "1.png")
    path.parent.mkdir()
    if mode == "I;16":
        Image.fromarray(np.full((16, 16), 255 << 8, np.uint16)).save(path)
    else:
        Image.new("RGB", (16, 16), (255, 255, 255)).convert(mode).save(path)
    assert decode_clip(path.parent, height=8, width=8).frames.min() > 250


def test_cutting_keeps_the_aspect_and_the_centre(tmp_path: Path) -> None:
    pixels = np.full((32, 64, 3), 40, np.uint8)
    pixels[:, 16:48] = 200
    path = tmp_path / "clip" / "1.png"
    path.parent.mkdir()
    Image.fromarray(pixels).save(path)
    assert decode_clip(path.parent, height=24, width=24, fit="crop").frames.min() == 200
    assert decode_clip(path.parent, height=24, width=24).frames.min() == 40


def test_a_photograph_is_decoded_at_a_fraction_of_its_size(tmp_path: Path) -> None:
    slope = np.linspace(0, 255, 2000)[None, :, None] * np.ones((1500, 1, 3))
    path = tmp_path / "clip" / "1.jpg"
    path.parent.mkdir()
    Image.fromarray(slope.astype(np.uint8)).save(path, quality=95)
    shown = decode_clip(path.parent, height=60, width=80).frames[0].astype(float)
    expected = np.linspace(0, 255, 80)
    assert np.abs(shown[30, :, 0] - expected).max() < 5


@pytest.mark.parametrize("kind", ["device", "pipe", "dangling", "folder", "kernel", "large"])
def test_what_is_no_regular_file_is_told_and_not_read(tmp_path: Path, kind: str) -> None:
    folder = folder_of(tmp_path, ["1.png", "2.png", "4.png"])
    path = folder / "3.png"
    limits = DecodeLimits(image_bytes=10_000)
    if kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "dangling":
        path.symlink_to(folder / "gone.png")
    elif kind == "folder":
        path.mkdir()
    elif kind == "kernel":
        path.symlink_to("/proc/self/environ")
    else:
        with path.open("wb") as file:
            file.truncate(1 << 40)  # a hole without blocks
    clip, facts = (
        decode_clip(folder, height=8, width=8, limits=limits),
        inspect_clip(folder, limits),
    )
    assert clip.problem == facts.problem
    assert (clip.problem or "").startswith("1 of 4 images cannot be read, first 3.png: ")
    assert (len(clip.frames), facts.num_frames) == (3, 3)


def test_a_folder_of_too_many_bytes_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ["1.png", "2.png", "3.png"])
    with pytest.raises(ClipError, match="its images are over 100 bytes"):
        decode_clip(folder, height=8, width=8, limits=DecodeLimits(file_bytes=100))


def beside(tmp_path: Path, series: Sequence[str], *, num: int = 4) -> Path:
    folder = tmp_path / "clip"
    for index, name in enumerate(series):
        for number in range(1, num + 1):
            write_image(folder / name.replace("#", f"{number:05d}"), LEVELS[index])
    return folder


@pytest.mark.parametrize(
    "series",
    [
        ["img_#.jpg", "flow_x_#.jpg", "flow_y_#.jpg"],
        ["image_#.png", "depth_#.png"],
        ["#.jpg", "flow_x_#.jpg", "x_#.jpg"],
        ["rgb_#.jpg", "other_#.jpg"],
        ["FRAME#.PNG", "flow_frame#.png", "u#.png"],
    ],
)
@pytest.mark.parametrize("num", [1, 4])
def test_of_several_series_the_frames_are_taken(
    tmp_path: Path, series: list[str], num: int
) -> None:
    folder = beside(tmp_path, series, num=num)
    (folder / series[-1].replace("#", f"{num:05d}")).unlink()  # flow lies between two frames
    clip, facts = decode_clip(folder, height=8, width=8), inspect_clip(folder)
    assert levels(folder) == [LEVELS[0]] * num
    assert (clip.problem, facts.num_frames) == (None, num)
    assert clip.note == facts.note
    if num > 1 or len(series) > 2:
        assert "beside the frames are passed over" in (clip.note or "")


def test_series_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    folder = beside(tmp_path, ["left_#.png", "right_#.png"])
    for look in (inspect_clip, lambda path: decode_clip(path, height=8, width=8)):
        with pytest.raises(ClipError, match="left_# and right_#, and none is known"):
            look(folder)


@pytest.mark.parametrize(
    "names",
    [
        ["a.png", "b.png", "c.png"],
        ["a1.png", "b1.png", "c1.png"],
        ["begin_1.png", "begin_2.png", "end_3.png", "end_4.png"],
        ["1a.png", "1b.png", "2a.png", "2b.png"],
        ["001_320.png", "002_320.png", "003_320.png"],
        ["001_0.00.png", "002_0.05.png", "003_0.10.png", "004_0.15.png"],
    ],
)
def test_other_names_are_one_clip(tmp_path: Path, names: list[str]) -> None:
    clip = decode_clip(folder_of(tmp_path, names), height=8, width=8)
    assert (len(clip.frames), clip.problem, clip.note) == (len(names), None, None)


@pytest.mark.parametrize("name", ["{}_320.png", "cam2_{}_end7.png", "v1_{}.png", "{}_0.5s.png"])
def test_a_gap_is_found_in_the_number_that_rises(tmp_path: Path, name: str) -> None:
    names = [name.format(f"{number:03d}") for number in (1, 2, 3, 6, 7)]
    clip = decode_clip(folder_of(tmp_path, names), height=8, width=8)
    assert clip.problem == f"a gap in the numbering: {names[2]} is followed by {names[3]}"
