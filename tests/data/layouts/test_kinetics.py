from __future__ import annotations

from pathlib import Path

import pytest

from taskgrain.data.manifest import Split
from taskgrain.data.opening import read_dataset, read_manifest

HEAD = "label,youtube_id,time_start,time_end,split\n"


def touch(root: Path, *files: str) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()


def test_segments_are_found_wherever_they_lie(tmp_path: Path) -> None:
    touch(tmp_path, "train/juggling balls/-abc_000010_000020.mp4", "val/d_ef.mkv")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "train.csv").write_text(
        HEAD + '"juggling balls",-abc,10,20,train\n"catch, then throw",gone,5.0,15.0,train\n'
    )
    (tmp_path / "annotations" / "val.csv").write_text(HEAD + "juggling balls,d_ef,0,10,validate\n")
    (tmp_path / "annotations" / "test.csv").write_text(
        "youtube_id,time_start,time_end,split\nxyz,1,11,test\n"
    )
    manifest = read_manifest(tmp_path)
    assert read_dataset(tmp_path).layout == "kinetics"
    held = [(record.clip_id, record.file, record.split) for record in manifest.records]
    assert held == [
        ("-abc_000010_000020", "train/juggling balls/-abc_000010_000020.mp4", Split.TRAIN),
        ("gone_000005_000015", "videos/gone_000005_000015.mp4", Split.TRAIN),
        ("d_ef_000000_000010", "val/d_ef.mkv", Split.VALIDATION),
    ]
    assert manifest.records[1].category == "catch, then throw"
    assert manifest.test_ids == ("xyz_000001_000011",)


def test_two_segments_of_one_video_are_never_the_whole_video(tmp_path: Path) -> None:
    touch(tmp_path, "videos/abc.mp4")
    (tmp_path / "train.csv").write_text(HEAD + "a,abc,0,10,train\nb,abc,10,20,val\n")
    files = [record.file for record in read_manifest(tmp_path).records]
    assert files == ["videos/abc_000000_000010.mp4", "videos/abc_000010_000020.mp4"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_list_of_paths_and_labels_is_read_with_any_separator(
    tmp_path: Path, separator: str
) -> None:
    touch(tmp_path, "videos/my clip.mp4", "b/c.mp4", "frames/d/1.jpg")
    rows = [
        ("Path", "Label", "Split"),
        ("my clip.mp4", "opening", "train"),
        ("b\\c.mp4", "closing", "train"),
        (str(tmp_path.absolute() / "frames" / "d"), "opening", "val"),
        ("missing.mp4", "closing", "val"),
    ]
    text = "\ufeff\n" + "\n\n".join(separator.join(row) for row in rows)
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    manifest = read_manifest(tmp_path)
    held = [(record.clip_id, record.file) for record in manifest.records]
    assert held == [
        ("videos-my_clip", "videos/my clip.mp4"),
        ("b-c", "b/c.mp4"),
        ("frames-d", "frames/d"),
        ("missing", "missing.mp4"),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a,abc,ten,20,train", "time_start"),
        ("a,abc,nan,20,train", "time_start"),
        ("a,abc,1e300,20,train", "time_start"),
        ("a,abc,-1,20,train", "time_start"),
        ("a,a/../b,0,20,train", "file name"),
        ("a,abc,0,20,holdout", "holdout"),
        (",abc,0,20,train", "label"),
        ("a,abc,0,20,train,more", "6 cells"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "train.csv").write_text(f"{HEAD}a,x,0,1,train\n{line}\nb,y,0,1,val\n")
    (problem,) = read_dataset(tmp_path).problems
    assert problem.where == f"{tmp_path / 'train.csv'}:3"
    assert said in problem.text


@pytest.mark.parametrize(
    "path", ["../other/a.mp4", "/etc/passwd", "C:\\\\a.mp4", "a\0b", "x" * 300]
)
def test_a_path_out_of_the_folder_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "train.csv").write_text(f"path,label\n{path},a\n")
    (problem,) = read_dataset(tmp_path).problems
    assert problem.where == f"{tmp_path / 'train.csv'}:2"


def test_a_path_that_is_not_there_is_never_another_clip_of_that_name(tmp_path: Path) -> None:
    touch(tmp_path, "running/001.mp4", "videos/jumping/002.mp4", "deep/er/003.mp4")
    rows = "walking/001.mp4,walking\nrunning/001.mp4,running\njumping/002.mp4,jumping\n"
    (tmp_path / "train.csv").write_text(f"path,label\n{rows}003.mp4,running\n")
    reading = read_dataset(tmp_path)
    held = {record.file: record.category for record in reading.records}
    assert held == {
        "walking/001.mp4": "walking",
        "running/001.mp4": "running",
        "videos/jumping/002.mp4": "jumping",
        "deep/er/003.mp4": "running",
    }
    assert reading.problems == ()


def test_a_name_of_several_clips_is_ambiguous(tmp_path: Path) -> None:
    touch(tmp_path, "running/001.mp4", "walking/001.mp4")
    (tmp_path / "train.csv").write_text("path,label\n001.mp4,walking\n")
    (problem,) = read_dataset(tmp_path).problems
    assert problem.where == f"{tmp_path / 'train.csv'}:2"
    assert "ambiguous: running/001.mp4 and walking/001.mp4" in problem.text


@pytest.mark.parametrize(
    ("written", "on_disk"),
    [
        ("\u00f6ffnen/\u00fc.mp4", "o\u0308ffnen/u\u0308.mp4"),
        ("o\u0308ffnen/u\u0308.mp4", "\u00f6ffnen/\u00fc.mp4"),
        ("\u00fc.mp4", "o\u0308ffnen/u\u0308.mp4"),
        ("back\\slash.mp4", "back\\slash.mp4"),
        ("back\\slash.mp4", "videos/back\\slash.mp4"),
        ("back\\slash.mp4", "back/slash.mp4"),
    ],
)
def test_a_clip_is_found_as_the_file_system_writes_its_name(
    tmp_path: Path, written: str, on_disk: str
) -> None:
    touch(tmp_path, on_disk, "b/other.mp4")
    text = f"path,label,split\n{written},a,train\nb/other.mp4,b,val\n"
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    first, _ = read_manifest(tmp_path).records
    assert first.file == on_disk
    assert first.path.exists()
