from __future__ import annotations

from pathlib import Path

import pytest

from taskgrain.data.manifest import Split
from taskgrain.data.opening import read_dataset, read_manifest
from taskgrain.errors import ManifestError


def touch(root: Path, *files: str) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()


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
    touch(tmp_path, "videos/1.mp4", "videos/2.mp4")
    (tmp_path / "all.txt").write_text("1.mp4 0\n2.mp4 1\n")
    assert [record.category for record in read_dataset(tmp_path).records] == ["0", "1"]
    touch(tmp_path, "more/3.mp4")
    assert read_dataset(tmp_path).layout == "folders"
