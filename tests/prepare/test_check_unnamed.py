from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from taskgrain.prepare.check_unnamed import NamedFiles, find_unnamed, left_out
from taskgrain.prepare.checking import check_dataset
from tests.making import moving_square, write_video


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
    found = [Path(file).name for file in find_unnamed(tmp_path, named).videos]
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


def notes_of(root: Path) -> dict[str, list[tuple[str, str | None]]]:
    report = check_dataset(root, workers=1, quiet=True)
    return {
        kind: [(entry.name, entry.text) for entry in found.entries()]
        for kind, found in report.notes.items()
        if kind in ("left-out", "other-file")
    }


def three_classes(root: Path) -> Path:
    for name in ("wave", "clap", "jump"):
        for number in range(6):
            write_video(root / name / f"{number}.avi", moving_square(6 + number))
    return root


def test_a_class_whose_ending_is_not_known_is_named_as_left_out(tmp_path: Path) -> None:
    root = three_classes(tmp_path / "clips")
    for path in (root / "jump").iterdir():
        path.rename(path.with_suffix(".xyz"))
    found = notes_of(root)
    said = "6 files, jump/0.xyz is AVI by its content: call it *.avi"
    assert found == {"left-out": [("jump/*.xyz", said)]}


def test_folders_of_images_that_are_not_read_are_named_as_left_out(tmp_path: Path) -> None:
    root = three_classes(tmp_path / "clips")
    for clip in range(12):
        folder = root / "run" / f"{clip:02d}"
        folder.mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (16, 16)).save(folder / f"{number}.jp2")
    said = "36 files, run/00/0.jp2 is JPEG 2000 by its content: convert it to a kind that is read"
    assert notes_of(root) == {"left-out": [("run/*.jp2", said)]}


def test_what_is_neither_picture_nor_video_is_counted_apart(tmp_path: Path) -> None:
    root = three_classes(tmp_path / "clips")
    (root / "jump" / "points.npy").write_bytes(b"\x93NUMPY")
    for name in ("README", "notes.txt", "sound.wav"):
        (root / name).write_text("none of these is asked after")
    assert notes_of(root) == {"other-file": [("jump/*.npy", "1 file")]}
    (root / "jump" / "clip").write_bytes((root / "wave" / "0.avi").read_bytes())
    assert [name for name, _ in notes_of(root)["left-out"]] == ["jump/*"]


@pytest.mark.parametrize("most", [3, 30])
def test_folders_are_told_apart_while_they_are_few(tmp_path: Path, most: int) -> None:
    for clip in range(most):
        for name in ("wave", "clap"):
            path = tmp_path / name / f"{clip}" / "a.xyz"
            path.parent.mkdir(parents=True)
            path.touch()
    found = left_out(tmp_path, find_unnamed(tmp_path, NamedFiles([])))
    wheres = [each.where for each in found]
    if most == 3:
        assert wheres == [f"{name}/{clip}/*.xyz" for name in ("clap", "wave") for clip in range(3)]
    else:
        assert wheres == ["clap/*.xyz", "wave/*.xyz"]
        assert {each.text for each in found} == {"30 files"}
