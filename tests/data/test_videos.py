from __future__ import annotations

from pathlib import Path

import av
import pytest

from taskgrain.data.container import FORMATS, open_video
from taskgrain.data.limits import DEFAULT_LIMITS
from taskgrain.data.videos import (
    VIDEO_SUFFIXES,
    absent_files,
    index_videos,
    is_image_name,
    is_video_name,
    printable,
    split_name,
    stored_as,
)
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
