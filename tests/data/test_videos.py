from __future__ import annotations

from pathlib import Path

import pytest

from taskgrain.data.videos import index_videos, is_image_name, is_video_name, split_name


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
