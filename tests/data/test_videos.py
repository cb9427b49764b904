from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from taskgrain.data.container import FORMATS, open_video
from taskgrain.data.decode import decode_clip
from taskgrain.data.inspect import inspect_clip
from taskgrain.data.limits import DEFAULT_LIMITS
from taskgrain.data.videos import (
    VIDEO_SUFFIXES,
    absent_files,
    index_videos,
    is_image_name,
    is_video_name,
    kind_of,
    kind_of_bytes,
    printable,
    split_name,
    stored_as,
)
from taskgrain.errors import ClipError
from tests.making import moving_square


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a.MP4", ("a", ".mp4")),
        ("a.b.webm", ("a.b", ".webm")),
        ("a", ("a", "")),
        (".webm", (".webm", "")),
    ],
)
def test_a_name_is_split_at_its_last_dot(name: str, parts: tuple[str, str]) -> None:
    assert split_name(name) == parts


def test_hidden_files_are_neither_videos_nor_images() -> None:
    assert is_video_name("clip.GIF")
    assert is_image_name("1.JPEG")
    assert not is_video_name(".clip.mp4")
    assert not is_image_name("._1.jpg")


def test_the_order_of_the_listing_does_not_matter(tmp_path: Path) -> None:
    for name in ("7.WEBM", "7.webm", "7.mp4", "8.x", "9"):
        (tmp_path / name).touch()
    (tmp_path / "8.x").unlink()
    (tmp_path / "8.x").mkdir()
    assert index_videos(tmp_path) == {"7": "7.WEBM", "8.x": "8.x"}
    assert index_videos(tmp_path / "nowhere") == {}


@pytest.mark.parametrize(
    ("form", "suffixes"),
    [
        ("mp4", {".mp4", ".m4v", ".mov", ".3gp", ".3g2"}),
        ("matroska", {".mkv", ".webm"}),
        ("avi", {".avi"}),
        ("gif", {".gif"}),
        ("mpegts", {".ts", ".mts", ".m2ts"}),
        ("mpeg", {".mpg", ".mpeg", ".vob"}),
        ("flv", {".flv"}),
        ("ogg", {".ogv"}),
        ("asf", {".asf", ".wmv"}),
    ],
)
def test_every_kind_of_file_that_can_be_opened_counts_as_a_video(
    form: str, suffixes: set[str]
) -> None:
    assert form in FORMATS.split(",")
    assert suffixes <= set(VIDEO_SUFFIXES)
    assert len(VIDEO_SUFFIXES) == len(set(VIDEO_SUFFIXES))


@pytest.mark.parametrize("suffix", [".3gp", ".mpg", ".ts", ".flv", ".wmv"])
def test_files_of_rarer_kinds_are_opened(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"1{suffix}"
    form = {".wmv": "asf"}.get(suffix)
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream("mpeg2video" if suffix in (".mpg", ".ts") else "libx264", 25)
        assert isinstance(stream, av.VideoStream)
        stream.height = stream.width = 32
        stream.pix_fmt = "yuv420p"
        for image in moving_square(12):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    with open_video(path, limits=DEFAULT_LIMITS):
        assert index_videos(tmp_path) == {"1": path.name}


@pytest.mark.parametrize(("clip_id", "name"), [("\u00f6", "o\u0308"), ("o\u0308", "\u00f6")])
def test_an_id_is_found_in_another_unicode_form(clip_id: str, name: str) -> None:
    videos = {name: f"{name}.mp4", "a": "a.mp4"}
    assert stored_as(videos, clip_id) == f"{name}.mp4"
    assert stored_as({**videos, clip_id: "exact"}, clip_id) == "exact"
    assert stored_as(videos, "\u00e4") is None


def test_what_is_no_text_is_escaped_and_all_else_stays() -> None:
    assert printable("\udcff\u00f6.mp4") == "\\udcff\u00f6.mp4"


def test_absent_files_are_those_that_cannot_be_reached(tmp_path: Path) -> None:
    for name in ("a/1.webm", "a/2.webm", "3.webm", "b/frames/00001.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "link.webm").symlink_to(tmp_path / "3.webm")
    (tmp_path / "a" / "nowhere.webm").symlink_to(tmp_path / "gone.webm")
    files = ["a/nowhere.webm", "a/1.webm", "a/4.webm", "3.webm", "b/frames", "c/5.webm"]
    files += ["a/link.webm", "b", "a/2.webm"]
    expected = [file for file in files if not (tmp_path / file).exists()]
    assert expected == ["a/nowhere.webm", "a/4.webm", "c/5.webm"]
    assert absent_files(tmp_path, files) == expected


# Ending -> the format and codec that it stands for, and a size that the codec takes.
VIDEOS = {
    ".divx": ("avi", "mpeg4", (32, 32)),
    ".m2v": ("mpeg2video", "mpeg2video", (32, 32)),
    ".mxf": ("mxf", "mpeg2video", (720, 576)),
    ".dv": ("dv", "dvvideo", (720, 576)),
    ".ivf": ("ivf", "libvpx", (32, 32)),
    ".h264": ("h264", "libx264", (32, 32)),
    ".ts": ("mpegts", "libx264", (32, 32)),
    ".mts": ("mpegts", "libx264", (32, 32)),
    ".3gp": ("3gp", "libx264", (32, 32)),
    ".wmv": ("asf", "wmv2", (32, 32)),
    ".flv": ("flv", "flv1", (32, 32)),
    ".mpg": ("mpeg", "mpeg2video", (32, 32)),
    ".vob": ("vob", "mpeg2video", (32, 32)),
    ".ogv": ("ogg", "libvpx", (32, 32)),
    ".mkv": ("matroska", "libx264", (32, 32)),
    ".gif": ("gif", "gif", (32, 32)),
}


def write_kind(path: Path, kind: str, codec: str, size: tuple[int, int]) -> Path:
    """Write 20 frames at 25 a second, each brighter than the one before."""
    pixels = "rgb8" if codec == "gif" else "yuv420p"
    with av.open(str(path), "w", format=kind) as container:
        stream = container.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        (stream.width, stream.height), stream.pix_fmt = size, pixels
        stream.codec_context.bit_rate = 4_000_000
        for index in range(20):
            image = np.full((*size[::-1], 3), 20 + 10 * index, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(stream.encode(frame.reformat(format=pixels)))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("suffix", VIDEOS)
def test_every_ending_of_a_video_is_read_with_all_its_frames(tmp_path: Path, suffix: str) -> None:
    path = write_kind(tmp_path / f"clip{suffix}", *VIDEOS[suffix])
    assert is_video_name(path.name)
    clip, facts = decode_clip(path, height=16, width=16), inspect_clip(path)
    assert (facts.num_frames, len(clip.frames), clip.problem) == (20, 10, None)
    levels = clip.frames.mean((1, 2, 3))
    assert levels[0] < 50
    assert levels[-1] > 170
    assert (np.diff(levels) > 0).all()


@pytest.mark.parametrize("suffix", VIDEOS)
def test_a_video_is_known_by_its_content(tmp_path: Path, suffix: str) -> None:
    path = write_kind(tmp_path / "clip", *VIDEOS[suffix])
    kind = kind_of(path)
    if suffix in (".dv", ".h264"):  # begin with nothing of their own
        assert kind is None
        return
    assert kind is not None
    renamed = path.rename(tmp_path / f"renamed{kind[1]}")
    assert is_video_name(renamed.name)
    assert inspect_clip(renamed).num_frames == 20


@pytest.mark.parametrize("suffix", [".bmp", ".webp", ".tif", ".tiff", ".jfif", ".ppm"])
def test_every_ending_of_an_image_is_read(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    kind = {".jfif": "JPEG"}.get(suffix)
    for index in range(5):
        image = Image.new("RGB", (24, 16), (40 * index,) * 3)
        image.save(folder / f"{index}{suffix}", kind)
        assert is_image_name(f"{index}{suffix}")
    clip = decode_clip(folder, height=8, width=8)
    assert clip.problem is None
    assert clip.frames.mean((1, 2, 3)).round().tolist() == pytest.approx(range(0, 200, 40), abs=2)
    if suffix != ".ppm":
        assert kind_of(folder / f"0{suffix}") is not None


@pytest.mark.parametrize("suffix", [".tif", ".webp", ".png"])
def test_a_file_of_several_pictures_is_not_one_frame(tmp_path: Path, suffix: str) -> None:
    images = [Image.new("RGB", (16, 16), (80 * index,) * 3) for index in range(3)]
    (tmp_path / "clip").mkdir()
    images[0].save(tmp_path / "clip" / f"1{suffix}", save_all=True, append_images=images[1:])
    images[0].save(tmp_path / "clip" / f"2{suffix}")
    clip = decode_clip(tmp_path / "clip", height=8, width=8)
    assert len(clip.frames) == 1
    assert "holds more than one picture" in (clip.problem or "")


def test_an_image_without_a_white_is_told(tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    Image.fromarray(np.full((16, 16), 0.5, np.float32)).save(tmp_path / "clip" / "1.tif")
    Image.new("RGB", (16, 16)).save(tmp_path / "clip" / "2.tif")
    clip = decode_clip(tmp_path / "clip", height=8, width=8)
    assert "floating-point" in (clip.problem or "")


@pytest.mark.parametrize(
    "start",
    [
        *(b"", b"OggS\x00\x02" + bytes(20) + b"\x01vorbis", b"RIFF\x00\x00\x00\x00WAVEfmt "),
        *(b"\x00\x00\x00\x20ftypM4A \x00", b"#EXTM3U\n", b"ffconcat version 1.0\n", b"BM is text"),
        *(b"ID3\x04", b"PK\x03\x04", b"G" + b"o" * 600),
    ],
)
def test_sound_and_text_are_no_kind_of_footage(start: bytes) -> None:
    assert kind_of_bytes(start) is None


@pytest.mark.parametrize("suffix", [".m2v", ".mxf", ".dv", ".ivf", ".h264", ".265", ".ogm", ".ts"])
@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile neighbour.divx\n",
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:1,\nneighbour.divx\n#EXT-X-ENDLIST\n",
        "<?xml version='1.0'?><MPD><BaseURL>neighbour.divx</BaseURL></MPD>",
    ],
)
def test_a_text_that_names_other_files_is_refused_under_every_ending(
    tmp_path: Path, suffix: str, text: str
) -> None:
    write_kind(tmp_path / "neighbour.divx", *VIDEOS[".divx"])
    path = tmp_path / f"clip{suffix}"
    path.write_text(text)
    with pytest.raises(ClipError):
        decode_clip(path, height=8, width=8)
