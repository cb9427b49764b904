from __future__ import annotations

import os
from pathlib import Path

from taskgrain.prepare.check_unnamed import NamedFiles, unnamed_videos


def test_videos_that_no_row_names_are_found_below_every_folder(tmp_path: Path) -> None:
    for file in (
        *("videos/1.webm", "videos/2.MP4", "videos/.3.webm", "videos/notes.txt"),
        *("extra/deep/4.mkv", ".hidden/5.webm", "frames/6/00001.jpg", "frames/6/odd.mp4"),
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "videos" / "loop").symlink_to(tmp_path)
    (tmp_path / "videos" / "itself").symlink_to("itself")
    named = NamedFiles(["videos/1.webm", "frames/6"])
    found = [Path(file).name for file in unnamed_videos(tmp_path, named)]
    assert {"2.MP4", "4.mkv"} <= set(found)
    assert not set(found) & {".3.webm", "5.webm", "notes.txt"}


def test_named_files_are_those_and_no_others() -> None:
    odd = os.fsdecode(b"\xff.mp4")
    named = NamedFiles(["a.mp4", "b/c.webm", odd])
    assert "a.mp4" in named
    assert "b/c.webm" in named
    assert odd in named
    assert "c.webm" not in named
    assert "a.mp4" not in NamedFiles([])
