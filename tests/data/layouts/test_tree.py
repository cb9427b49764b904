from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from taskgrain.data.layouts.tree import find_clips, walk
from tests.data.layouts.made import counts, has_note, of_classes, read, touch

BOTH = {"clap": 2, "wave": 2}


@pytest.mark.parametrize(
    "waste",
    [
        *("wave/@eaDir/0.mp4/SYNOVIDEO_VIDEO_SCREENSHOT.jpg", "#recycle/wave/9.mp4"),
        *("$RECYCLE.BIN/S-1-5/9.mp4", "System Volume Information/9.mp4", "lost+found/9.mp4"),
        *("__MACOSX/wave/9.mp4", "RECYCLER/9.avi", "clap/Thumbs/1.jpg", "found.000/9.mp4"),
        *("LOST.DIR/9.mp4", "wave/9.trickplay/320/1.jpg", "@Recycle/wave/9.mp4"),
    ],
)
def test_what_disks_and_systems_keep_is_no_clip_and_is_named(tmp_path: Path, waste: str) -> None:
    reading = read(touch(tmp_path, *of_classes("{c}/{k}.mp4"), waste))
    assert counts(reading) == {"train": BOTH, "validation": BOTH}
    name = waste.split("/")[0] if waste[0].isupper() else waste.split("/")[-3:][0]
    assert has_note(reading, "1 folders that disks and systems keep", name)


def test_thumbnails_within_a_folder_of_frames_leave_it_a_clip(tmp_path: Path) -> None:
    files = [f"{file}/@eaDir/1.jpg/THUMB_XL.jpg" for file in of_classes("{c}/{k}")]
    reading = read(touch(tmp_path, *of_classes("{c}/{k}/1.jpg"), *files))
    assert {record.file for record in reading.records} == set(of_classes("{c}/{k}"))
    assert has_note(reading, "8 folders that disks and systems keep")


def test_hidden_videos_and_folders_are_counted(tmp_path: Path) -> None:
    hidden = ("wave/._0.mp4", ".Trash-1000/files/9.mp4", "clap/.thumbnails/0.jpg")
    reading = read(touch(tmp_path, *of_classes("{c}/{k}.mp4"), *hidden, ".taskgrain/check/x.mp4"))
    assert counts(reading) == {"train": BOTH, "validation": BOTH}
    assert has_note(reading, "3 hidden folders and videos", ".Trash-1000", "._0.mp4")


def test_images_beside_folders_are_no_clip_and_are_counted(tmp_path: Path) -> None:
    touch(tmp_path, *of_classes("{c}/{k}.mp4"), "wave/more/x/1.jpg", "wave/more/1.jpg")
    assert has_note(read(tmp_path), "1 folders hold images", "wave/more: 1")


def test_sidecars_of_clips_are_no_tables(tmp_path: Path) -> None:
    touch(tmp_path, *of_classes("{c}/{k}.mp4"), *of_classes("{c}/{k}.json"), "wave/all.csv")
    assert walk(tmp_path).tables == ["wave/all.csv"]


PRIVILEGES = "-dac_override,-dac_read_search"
READ = """
import sys
from pathlib import Path
from taskgrain.data.opening import read_dataset
reading = read_dataset(Path(sys.argv[1]))
print(len(reading.records), list(reading.closed))
print(*reading.notes, sep="\\n")
"""


@pytest.mark.parametrize(("name", "closed"), [("lost+found", []), ("wave/more", ["wave/more"])])
def test_one_folder_that_cannot_be_read_leaves_the_rest_and_is_named(
    tmp_path: Path, name: str, closed: list[str]
) -> None:
    root = touch(tmp_path / "data", *of_classes("{c}/{k}.mp4"), f"{name}/9.mp4")
    command = [sys.executable, "-c", READ, str(root)]
    if os.geteuid() == 0:  # who may read everything
        if shutil.which("setpriv") is None:
            pytest.skip("no setpriv")
        command = ["setpriv", "--bounding-set", PRIVILEGES, "--inh-caps", PRIVILEGES, *command]
    (root / name).chmod(0)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    (root / name).chmod(0o755)
    first, *notes = done.stdout.splitlines()
    assert first == f"8 {closed}", done.stderr
    assert any("could not be read" in note and name in note for note in notes)


def test_clips_are_found_in_the_order_of_names(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.mp4", "b/1.mp4", "a/f/1.png", "0.gif", "c/notes.txt")
    assert find_clips(tmp_path) == ["0.gif", "a/f", "b/1.mp4", "b/2.mp4"]
