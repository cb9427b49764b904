from __future__ import annotations

from pathlib import Path

import pytest

from taskgrain.data.layouts.layout import LayoutOptions
from taskgrain.data.manifest import Split
from taskgrain.data.opening import read_dataset, read_manifest
from taskgrain.errors import ManifestError
from tests.data.layouts.made import CLASSES, counts, has_note, of_classes, read, touch, write


@pytest.mark.parametrize("separator", [" ", ",", ", ", ";", "\t"])
@pytest.mark.parametrize(
    "names", [("train.csv", "val.csv"), ("k_train_list.txt", "k_val_list.txt")]
)
def test_lists_of_path_and_label_are_read_without_a_header(
    tmp_path: Path, separator: str, names: tuple[str, str]
) -> None:
    touch(tmp_path, "videos/1.mp4", "videos/my clip.mp4", "other/3.avi")
    rows = [("1.mp4", "0"), ("my clip.mp4", "1"), ("gone/9.mp4", "1")]
    (tmp_path / names[0]).write_text("".join(f"{separator.join(row)}\r\n" for row in rows))
    (tmp_path / names[1]).write_text(separator.join(("3.avi", "0")))
    reading = read_dataset(tmp_path)
    assert (reading.layout, reading.problems) == ("lists", ())
    held = [(record.file, record.category, record.split) for record in reading.records]
    assert held == [
        ("videos/1.mp4", "0", Split.TRAIN),
        ("videos/my clip.mp4", "1", Split.TRAIN),
        ("gone/9.mp4", "1", Split.TRAIN),
        ("other/3.avi", "0", Split.VALIDATION),
    ]
    assert any(f"{names[0]} has no header" in note for note in reading.notes)


def test_folders_of_frames_may_have_their_number_before_the_label(tmp_path: Path) -> None:
    touch(tmp_path, "videos/a b/1.jpg", "videos/c/1.jpg")
    (tmp_path / "train.txt").write_text("a b 120 3\nc 7\n")
    held = {record.file: record.category for record in read_manifest(tmp_path).records}
    assert held == {"videos/a b": "3", "videos/c": "7"}


def test_lists_beside_class_folders_divide_them(tmp_path: Path) -> None:
    touch(tmp_path, "wave/1.mp4", "wave/2.mp4", "clap/3.mp4", "clap/4.mp4")
    (tmp_path / "train.txt").write_text("wave/1.mp4 0\nclap/3.mp4 1\n")
    (tmp_path / "val.txt").write_text("wave/2.mp4 0\nclap/4.mp4 1\n")
    manifest = read_manifest(tmp_path)
    scored = [record.file for record in manifest.split(Split.VALIDATION)]
    assert scored == ["wave/2.mp4", "clap/4.mp4"]


def test_a_line_that_is_no_path_and_label_is_named(tmp_path: Path) -> None:
    lines = [f"{number}.mp4 0" for number in range(30)]
    (tmp_path / "train.txt").write_text("\n".join([*lines, "31.mp4", "32.mp4 1"]))
    (problem,) = read_dataset(tmp_path).problems
    assert problem.where == f"{tmp_path / 'train.txt'}:31"
    assert "a header" in problem.text


def test_several_lists_of_one_split_are_named_with_the_header_that_is_expected(
    tmp_path: Path,
) -> None:
    touch(tmp_path, "videos/1.mp4")
    for number in (1, 2):
        (tmp_path / f"train_split_{number}.txt").write_text("1.mp4 0\n")
    said = r'train_split_1\.txt, train_split_2\.txt: without .* or the header "path,label,split"'
    with pytest.raises(ManifestError, match=said):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["see 1.mp4 for how a hand waves\n", "1 ApplyEyeMakeup\n", "", "a/1.mp4\n", "1 " * 30_000],
)
def test_other_texts_are_no_lists(tmp_path: Path, text: str) -> None:
    touch(tmp_path, "a/1.mp4", "b/1.mp4")
    (tmp_path / "readme.txt").write_text(text)
    assert read_dataset(tmp_path).layout == "folders"


def test_one_list_of_no_split_is_read_where_no_folders_say_the_classes(tmp_path: Path) -> None:
    touch(tmp_path, "wave/1.mp4", "wave/2.mp4")
    (tmp_path / "all.txt").write_text("1.mp4 0\n2.mp4 1\n")
    assert [record.category for record in read_dataset(tmp_path).records] == ["0", "1"]
    touch(tmp_path, "more/3.mp4")
    assert read_dataset(tmp_path).layout == "folders"


C = ("ApplyEyeMakeup", "Archery")


def make_ucf(root: Path, *, divisions: int = 3) -> None:
    """Four groups of each class; of division n, group n is test and the others are training."""
    groups = range(1, 5)
    touch(root, *(f"UCF-101/{c}/v_{c}_g{g:02d}_c01.avi" for c in C for g in groups))
    folder = root / "ucfTrainTestlist"
    folder.mkdir()
    for n in range(1, divisions + 1):
        train = [(i, c, g) for i, c in enumerate(C, 1) for g in groups if g != n]
        lines = (f"{c}/v_{c}_g{g:02d}_c01.avi {i}\r\n" for i, c, g in train)
        (folder / f"trainlist{n:02d}.txt").write_text("".join(lines))
        (folder / f"testlist{n:02d}.txt").write_text(
            "".join(f"{c}/v_{c}_g{n:02d}_c01.avi\r\n" for c in C)
        )
    (folder / "classInd.txt").write_text("".join(f"{i} {c}\r\n" for i, c in enumerate(C, 1)))


@pytest.mark.parametrize("division", [1, 2, 3])
def test_official_divisions_are_read_one_at_a_time(tmp_path: Path, division: int) -> None:
    make_ucf(tmp_path)
    reading = read(tmp_path, LayoutOptions(division=division))
    scored = {record.file for record in reading.split(Split.VALIDATION)}
    assert scored == {f"UCF-101/{c}/v_{c}_g{division:02d}_c01.avi" for c in C}
    assert counts(reading)["train"] == {"ApplyEyeMakeup": 3, "Archery": 3}
    assert has_note(reading, f"of 3 official divisions number {division} is read")
    assert has_note(reading, "4 lists of other divisions are not read")
    assert has_note(reading, "their 2 labelled test clips are the ones that are scored")


def test_clips_of_an_official_list_that_are_missing_and_others_are_named(tmp_path: Path) -> None:
    make_ucf(tmp_path, divisions=1)
    (tmp_path / "UCF-101" / "Archery" / "v_Archery_g02_c01.avi").unlink()
    touch(tmp_path, "UCF-101/Archery/v_Archery_g09_c01.avi")
    reading = read_dataset(tmp_path)
    missing = [record.file for record in reading.records if not record.path.exists()]
    assert missing == ["Archery/v_Archery_g02_c01.avi"]
    assert has_note(reading, "1 clips are named by no row", "v_Archery_g09_c01.avi")


def test_lists_of_several_divisions_and_forms_give_each_clip_once(tmp_path: Path) -> None:
    files = [f"{c}/v_{c}_g0{k}_c01" for c in C for k in range(4)]
    touch(tmp_path, *(f"videos/{file}.avi" for file in files))
    touch(tmp_path, *(f"rawframes/{file}/img_00001.jpg" for file in files))
    for n, held in ((1, 3), (2, 0)):
        for part in ("train", "val"):
            chosen = [f for f in files if (f.endswith(f"g0{held}_c01")) == (part == "val")]
            for form, end in (("videos", ".avi {i}"), ("rawframes", " 1 {i}")):
                lines = (f"{f}{end.format(i=C.index(f.split('/')[0]))}\n" for f in chosen)
                (tmp_path / f"ucf101_{part}_split_{n}_{form}.txt").write_text("".join(lines))
    reading = read(tmp_path)
    assert counts(reading) == {
        "train": {"ApplyEyeMakeup": 3, "Archery": 3},
        "validation": {"ApplyEyeMakeup": 1, "Archery": 1},
    }
    assert all(record.file.startswith("videos/") for record in reading.records)
    assert all("_g03_" in record.file for record in reading.split(Split.VALIDATION))
    assert has_note(reading, "ucf101_train_split_1_videos.txt")


IDS = ("-3B32lodo2M", "0wR5jVB-WPk", "A0xX_E_000147_000152", "zz_9", "b8", "c7", "d6", "e5")


@pytest.mark.parametrize("folder", ["videos/", "part{h}/", "a/b c{h}/"])
@pytest.mark.parametrize("separator", [" ", ",", "\t"])
def test_names_without_endings_are_found(tmp_path: Path, folder: str, separator: str) -> None:
    touch(tmp_path, *(f"{folder.format(h=k // 4)}{name}.mp4" for k, name in enumerate(IDS)))
    lines = [f"{name}{separator}{k % 2}\n" for k, name in enumerate(IDS)]
    (tmp_path / "train.csv").write_text("".join(lines[:6]))
    (tmp_path / "val.csv").write_text("".join(lines[6:]))
    reading = read(tmp_path)
    assert (reading.layout, len(reading.records)) == ("lists", 8)
    assert counts(reading) == {"train": {"0": 3, "1": 3}, "validation": {"0": 1, "1": 1}}


def test_a_list_may_name_another_kind_of_video_than_lies_there(tmp_path: Path) -> None:
    touch(tmp_path, *of_classes("videos/{c}/{k}.mp4"))
    write(
        tmp_path,
        {
            "train.txt": "".join(f"{f}.avi 0\n" for f in of_classes("{c}/{k}", 3)),
            "val.txt": "wave/3.avi 0\nclap/3.avi 1\n",
        },
    )
    assert len(read(tmp_path).records) == 8


@pytest.mark.parametrize("folder", ["", "splits/", "ucfTrainTestlist/"])
@pytest.mark.parametrize("end", ["", ".mp4"])
def test_lists_of_paths_alone_leave_the_classes_to_the_folders(
    tmp_path: Path, folder: str, end: str
) -> None:
    touch(tmp_path, *of_classes("videos/{c}/{k}.mp4"))
    write(
        tmp_path,
        {
            f"{folder}train.txt": "".join(f"{f}{end}\n" for f in of_classes("{c}/{k}", 3)),
            f"{folder}test.txt": f"wave/3{end}\nclap/3{end}\n",
        },
    )
    expected = {"train": {"wave": 3, "clap": 3}, "validation": {"wave": 1, "clap": 1}}
    assert counts(read(tmp_path)) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classInd.txt", "1 wave\n2 clap\n"),
        ("label_map.txt", "wave\nclap\n"),
        ("classes.txt", "wave 0\nclap 1\n"),
        ("categories.txt", "0,wave\n1,clap\n"),
    ],
)
def test_a_list_of_classes_names_the_numbers(tmp_path: Path, name: str, text: str) -> None:
    touch(tmp_path, *(f"videos/{k}.mp4" for k in range(4)))
    write(
        tmp_path, {"train.txt": "0.mp4 0\n1.mp4 1\n", "val.txt": "2.mp4 0\n3.mp4 1\n", name: text}
    )
    reading = read(tmp_path)
    assert counts(reading)["validation"] == {"wave": 1, "clap": 1}
    assert {record.file: record.category for record in reading.records}["videos/0.mp4"] == "wave"
    assert has_note(reading, name)


def test_commas_and_quotes_in_a_path_belong_to_it(tmp_path: Path) -> None:
    touch(tmp_path, *(f"videos/a, b{k}.mp4" for k in range(4)))
    write(
        tmp_path,
        {"train.txt": 'a, b0.mp4 0\n"a, b1.mp4" 1\n', "val.txt": "a, b2.mp4,0\na, b3.mp4\t1\n"},
    )
    assert {record.file[-5]: record.category for record in read(tmp_path).records} == {
        **{"0": "0", "1": "1", "2": "0", "3": "1"},
    }


def test_a_list_of_one_split_alone_is_named_where_the_folders_are_read(tmp_path: Path) -> None:
    touch(tmp_path, *of_classes("{c}/{k}.mp4"))
    (tmp_path / "testlist.txt").write_text("wave/3.mp4\nclap/3.mp4\n")
    reading = read(tmp_path)
    assert reading.layout == "folders"
    assert has_note(reading, "files of other tables are not read", "testlist.txt")


def test_the_number_of_the_class_may_stand_first(tmp_path: Path) -> None:
    touch(tmp_path, *of_classes("v/{c}/{k}.mp4"))
    lines = [f"{CLASSES.index(f[:4])} {f}" for f in of_classes("{c}/{k}.mp4")]
    train, val = [x for x in lines if "/3" not in x], [x for x in lines if "/3" in x]
    write(tmp_path, {"train.txt": "\n".join(train), "val.txt": "\n".join(val)})
    expected = {"train": {"wave": 3, "clap": 3}, "validation": {"wave": 1, "clap": 1}}
    assert counts(read(tmp_path)) == expected


def test_several_numbers_after_a_video_are_named(tmp_path: Path) -> None:
    touch(tmp_path, *of_classes("{c}/{k}.mp4"))
    write(tmp_path, {"train.txt": "wave/0.mp4 0 3\nclap/0.mp4 1\n", "val.txt": "wave/1.mp4 0\n"})
    (problem,) = read_dataset(tmp_path).problems
    assert (problem.where[-2:], problem.text[:15]) == (":1", "several numbers")
