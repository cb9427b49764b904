from __future__ import annotations

import json
from pathlib import Path

import pytest

from taskgrain.data.manifest import Split
from taskgrain.data.opening import read_dataset, read_manifest
from tests.data.layouts.made import CLASSES, counts, has_note, of_classes, read, touch

HEAD = "label,youtube_id,time_start,time_end,split\n"


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


def rows(number: int, first: str = "") -> str:
    return "".join(f"{first}{k}.mp4,{CLASSES[k % 2]}\n" for k in range(number))


def test_a_table_beside_the_clips_beats_the_names_of_folders(tmp_path: Path) -> None:
    for split, number in (("train", 4), ("test", 2)):
        touch(tmp_path, *(f"{split}/{k}.mp4" for k in range(number)))
        text = "file_name,label\n" + rows(number)
        (tmp_path / split / "metadata.csv").write_text(text)
    reading = read(tmp_path)
    assert counts(reading) == {
        "train": {"wave": 2, "clap": 2},
        "validation": {"wave": 1, "clap": 1},
    }
    held = {record.file: record.category for record in reading.records}
    assert (held["train/0.mp4"], held["test/1.mp4"]) == ("wave", "clap")


def test_one_table_for_folders_of_splits_takes_the_splits_from_them(tmp_path: Path) -> None:
    parts = (("train", 4), ("test", 2))
    touch(tmp_path, *(f"{split}/{k}.mp4" for split, number in parts for k in range(number)))
    text = "".join(rows(number, f"{split}/") for split, number in parts)
    (tmp_path / "metadata.csv").write_text(f"file_name,label\n{text}")
    reading = read(tmp_path)
    assert {k: sum(v.values()) for k, v in counts(reading).items()} == {"train": 4, "validation": 2}
    assert has_note(reading, "no table says the splits")


def test_lines_of_json_beside_the_clips_are_read_too(tmp_path: Path) -> None:
    touch(tmp_path, *(f"train/{k}.mp4" for k in range(4)), *(f"val/{k}.mp4" for k in range(4)))
    for split in ("train", "val"):
        lines = (f'{{"file_name": "{k}.mp4", "label": "{CLASSES[k % 2]}"}}\n' for k in range(4))
        (tmp_path / split / "metadata.jsonl").write_text("".join(lines))
    expected = {"wave": 2, "clap": 2}
    assert counts(read(tmp_path)) == {"train": expected, "validation": expected}


def test_json_lists_of_a_split_each_are_read(tmp_path: Path) -> None:
    touch(tmp_path, *(f"rgb/v{k}.mp4" for k in range(6)), *(f"flow/v{k}.mp4" for k in range(6)))
    for split, chosen in (("train", range(4)), ("test", range(4, 6))):
        listed = [
            {"vid_name": f"v{k}", "label": k % 2, "start_frame": 0, "end_frame": 9} for k in chosen
        ]
        (tmp_path / f"Diving48_V2_{split}.json").write_text(json.dumps(listed))
    assert counts(read(tmp_path)) == {"train": {"0": 2, "1": 2}, "validation": {"0": 1, "1": 1}}


def test_tables_of_the_splits_with_ids_and_named_classes_are_read(tmp_path: Path) -> None:
    parts = (("Train", range(4)), ("Validation", range(4, 6)), ("Test", range(6, 8)))
    for name, chosen in parts:
        touch(tmp_path, *(f"{name}/{k}/00001.jpg" for k in chosen))
        text = "".join(f"{k},{k % 2},{CLASSES[k % 2]},37\n" for k in chosen)
        (tmp_path / f"{name}.csv").write_text(f"video_id,label_id,label,frames\n{text}")
    (tmp_path / "Test.csv").write_text("id,frames\n6,37\n7,37\n")
    reading = read(tmp_path)
    assert counts(reading) == {
        "train": {"wave": 2, "clap": 2},
        "validation": {"wave": 1, "clap": 1},
    }
    assert reading.test_files == ("Test/6", "Test/7")


@pytest.mark.parametrize("column", ["id", "clip", "name", "video_id", "File Name"])
def test_the_column_that_names_clips_is_found_by_the_clips_there_are(
    tmp_path: Path, column: str
) -> None:
    touch(tmp_path, *(f"videos/c{k}.mp4" for k in range(4)))
    text = "".join(
        f"{k},c{k},{CLASSES[k % 2]},{k % 2},{'train' if k < 2 else 'val'}\n" for k in range(4)
    )
    first = "number" if column == "id" else "id"
    (tmp_path / "list.csv").write_text(f"{first},{column},class_name,label,split\n{text}")
    held = {record.file: record.category for record in read(tmp_path).records}
    assert held == {f"videos/c{k}.mp4": CLASSES[k % 2] for k in range(4)}


@pytest.mark.parametrize(
    "text",
    [
        '"path", "label", "split"\n"v/0.mp4", "left, hand", "train"\n"v/1.mp4", "right", "val"\n',
        'path,label,split\rv/0.mp4,"left, hand",train\rv/1.mp4,right,val\r',
        'path,label,split\nv/0.mp4,"left, hand",train,\nv/1.mp4,right,val,\n',
        "\ufeffpath;label;split\r\nv/0.mp4;left, hand;train\r\nv/1.mp4;right;val\r\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_table_is_seen_however_it_is_written(tmp_path: Path, text: str, encoding: str) -> None:
    touch(tmp_path, "v/0.mp4", "v/1.mp4", "w/2.mp4")
    (tmp_path / "list.csv").write_bytes(text.removeprefix("\ufeff").encode(encoding))
    reading = read(tmp_path)
    assert counts(reading) == {"train": {"left, hand": 1}, "validation": {"right": 1}}
    assert has_note(reading, "1 clips are named by no row", "w/2.mp4")


def test_rows_that_say_the_same_again_are_one_and_the_split_counts(tmp_path: Path) -> None:
    files = of_classes("{c}/{k}.mp4")
    touch(tmp_path, *files)
    for name, chosen in (("all", files), ("train", files[:3] + files[4:7]), ("val", files[3::4])):
        text = "".join(f"{file},{file[:4]}\n" for file in chosen)
        (tmp_path / f"{name}.csv").write_text(f"path,label\n{text}")
    reading = read(tmp_path)
    assert counts(reading) == {
        "train": {"wave": 3, "clap": 3},
        "validation": {"wave": 1, "clap": 1},
    }
    assert has_note(reading, "8 rows say again what another row says")


@pytest.mark.parametrize(
    ("second", "kind", "said"),
    [
        ("0.mp4,b,train", "duplicate-id", ':2, as "a"; a clip has one class'),
        ("0.mp4,a,val", "two-splits", "stands already at"),
    ],
)
def test_rows_of_one_clip_that_disagree_are_named(
    tmp_path: Path, second: str, kind: str, said: str
) -> None:
    touch(tmp_path, "0.mp4", "1.mp4")
    text = f"path,label,split\n0.mp4,a,train\n1.mp4,b,val\n{second}\n"
    (tmp_path / "list.csv").write_text(text)
    (problem,) = read_dataset(tmp_path).problems
    assert (problem.kind, problem.where[-2:]) == (kind, ":4")
    assert said in problem.text


@pytest.mark.parametrize("name", ["splits.csv", "splits.json", "rows.json"])
def test_a_table_of_splits_leaves_the_classes_to_the_folders(tmp_path: Path, name: str) -> None:
    files = of_classes("{c}/{k}.mp4")
    touch(tmp_path, *files)
    parts = {"train": [f for f in files if "/3" not in f], "test": [f for f in files if "/3" in f]}
    texts = {
        "splits.csv": "path,split\n"
        + "".join(f"{f},{split}\n" for split, held in parts.items() for f in held),
        "splits.json": json.dumps(parts, indent=1),
        "rows.json": json.dumps({s: [{"path": f} for f in held] for s, held in parts.items()}),
    }
    (tmp_path / name).write_text(texts[name])
    assert counts(read(tmp_path)) == {
        "train": {"wave": 3, "clap": 3},
        "validation": {"wave": 1, "clap": 1},
    }


def test_answers_of_a_model_are_no_annotations(tmp_path: Path) -> None:
    touch(tmp_path, *of_classes("{c}/{k}.mp4"))
    (tmp_path / "predictions.csv").write_text("file,label,score\nwave/0.mp4,clap,0.3\n")
    reading = read(tmp_path)
    assert reading.layout == "folders"
    assert has_note(reading, "files of other tables are not read", "predictions.csv")


def test_parts_of_a_video_are_not_read_and_named(tmp_path: Path) -> None:
    touch(tmp_path, "0.mp4", "1.mp4")
    text = "video,start,end,label,split\n0.mp4,3,5,a,train\n1.mp4,0,2,b,val\n"
    (tmp_path / "list.csv").write_text(text)
    assert has_note(read(tmp_path), "list.csv: start, end are not read")


@pytest.mark.parametrize(
    "header", ["name,id,label", "video,clip_id,label", "name,id,gesture", "name,vid,action"]
)
def test_a_column_of_other_names_is_passed_over(tmp_path: Path, header: str) -> None:
    touch(tmp_path, *(f"videos/c{k}.mp4" for k in range(4)))
    rows = "".join(f"Bob {k},c{k},{CLASSES[k % 2]}\n" for k in range(4))
    (tmp_path / "list.csv").write_text(f"{header}\n{rows}")
    assert {record.file for record in read(tmp_path).records} == {
        f"videos/c{k}.mp4" for k in range(4)
    }


@pytest.mark.parametrize("header", ["path,label,action", "path,class_name,gesture"])
def test_a_class_is_called_by_words_where_numbers_stand_beside_them(
    tmp_path: Path, header: str
) -> None:
    touch(tmp_path, *(f"{k}.mp4" for k in range(4)))
    rows = "".join(f"{k}.mp4,{k % 2},{CLASSES[k % 2]}\n" for k in range(4))
    (tmp_path / "list.csv").write_text(f"{header}\n{rows}")
    assert {record.category for record in read(tmp_path).records} == set(CLASSES)


@pytest.mark.parametrize("written", ["wave/1", "wave/1.avi"])
def test_of_several_clips_of_a_path_the_one_at_that_path_is_meant(
    tmp_path: Path, written: str
) -> None:
    touch(tmp_path, "wave/1.mp4", "more/wave/1.mp4", "clap/1.mp4")
    (tmp_path / "list.csv").write_text(f"path,label\n{written},a\nclap/1.mp4,b\n")
    assert {record.file for record in read(tmp_path).records} == {"wave/1.mp4", "clap/1.mp4"}
