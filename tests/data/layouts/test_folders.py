from __future__ import annotations

import os
from pathlib import Path

import pytest

from taskgrain.data.layouts.layout import LayoutOptions
from taskgrain.data.manifest import Split
from taskgrain.data.opening import read_dataset, read_manifest
from taskgrain.errors import ManifestError
from tests.data.layouts.made import counts, has_note, of_classes, read, touch


def of(root: Path, split: Split) -> list[tuple[str, str]]:
    manifest = read_manifest(root)
    return [(record.category, record.clip_id) for record in manifest.split(split)]


def test_a_folder_of_class_folders_is_a_dataset_as_it_stands(tmp_path: Path) -> None:
    root = touch(
        tmp_path / "my clips",
        *(f"Opening_a-door/IMG {number}.MOV" for number in range(10)),
        *(f"closing/phone 2/{number}/00{frame}.jpg" for number in range(3) for frame in (1, 2)),
        "closing/.DS_Store",
        "closing/notes.txt",
        ".taskgrain/check/x.mp4",
    )
    manifest = read_manifest(root)
    assert manifest.taxonomy.categories == ("Opening_a-door", "closing")
    first = manifest.records[0]
    assert (first.caption, first.placeholders) == ("opening a door", ())
    assert {record.clip_id for record in manifest.records} == {
        *(f"Opening_a-door-IMG_{number}" for number in range(10)),
        *(f"closing-phone_2-{number}" for number in range(3)),
    }
    assert all(record.path.exists() for record in manifest.records)
    counts = {split: len(manifest.split(split)) for split in Split}
    assert counts == {Split.TRAIN: 7, Split.VALIDATION: 6, Split.TEST: 0}


def test_folders_of_splits_are_kept(tmp_path: Path) -> None:
    root = touch(tmp_path, "Train/a/1.mp4", "Train/b/2.mp4", "val/a/1.mp4", "test/3.mp4")
    assert of(root, Split.TRAIN) == [("a", "Train-a-1"), ("b", "Train-b-2")]
    assert of(root, Split.VALIDATION) == [("a", "val-a-1")]
    assert read_manifest(root).test_ids == ("test-3",)
    assert read_manifest(root).test_files == ("test/3.mp4",)


def test_test_folders_with_classes_keep_them_only_on_request(tmp_path: Path) -> None:
    root = touch(tmp_path, "train/a/1.mp4", "train/b/2.mp4", "val/b/2.mp4", "test/a/3.mp4")
    reading = read_dataset(root)
    assert reading.test_ids == ("test-a-3",)
    assert any("1 test clips have labels" in note for note in reading.notes)
    asked = read_dataset(root, options=LayoutOptions(test_answers=True))
    assert [record.category for record in asked.split(Split.TEST)] == ["a"]


def test_classes_called_train_and_test_are_classes_where_there_is_a_third(tmp_path: Path) -> None:
    root = touch(tmp_path, "train/1.mp4", "train/2.mp4", "car/1.mp4", "test/1.mp4")
    assert {record.category for record in read_manifest(root).records} == {"train", "car", "test"}


def test_training_clips_are_divided_where_no_validation_is_there(tmp_path: Path) -> None:
    root = touch(tmp_path, *(f"train/{name}/{n}.mp4" for name in "ab" for n in range(5)))
    reading = read_dataset(root)
    assert len(reading.split(Split.VALIDATION)) == 4
    assert any("do not divide 10 clips" in note for note in reading.notes)


def test_one_folder_above_the_classes_is_looked_through(tmp_path: Path) -> None:
    root = touch(tmp_path, "videos/a/1.mp4", "videos/b/2.mp4")
    assert {record.category for record in read_manifest(root).records} == {"a", "b"}


@pytest.mark.parametrize(
    ("files", "stray"),
    [
        (["Train/a/1.mp4", "Train/b/2.mp4", "Validation/a/1.mp4", "samples/x.mp4"], "samples"),
        (["train/a/1.mp4", "val/a/1.mp4", "test/a/1.mp4", "extra/a/1.mp4"], "extra"),
        (["train/a/1.mp4", "test/1.mp4", "extra/1.mp4"], "extra"),
        (["v/train/a/1.mp4", "v/val/a/1.mp4", "v/extra/b/1.mp4"], "v/extra"),
    ],
)
def test_a_folder_beside_the_splits_is_left_out_and_named(
    tmp_path: Path, files: list[str], stray: str
) -> None:
    reading = read_dataset(touch(tmp_path, *files))
    assert {record.category for record in reading.records} <= {"a", "b"}
    assert not any(record.file.startswith(f"{stray}/") for record in reading.records)
    assert len(reading.records) + len(reading.test_ids) == len(files) - 1
    assert any(f"1 clips lie beside the folders of the splits, in {stray}" in note
               for note in reading.notes)  # fmt: skip


def test_a_class_called_train_with_folders_needs_a_second_split_to_be_one(tmp_path: Path) -> None:
    root = touch(tmp_path, "train/phone/1.mp4", "car/phone/1.mp4")
    assert {record.category for record in read_manifest(root).records} == {"train", "car"}


@pytest.mark.parametrize("files", [["videos/1.mp4", "videos/2.mp4"], ["v/1/1.jpg"]])
def test_one_class_is_too_few(tmp_path: Path, files: list[str]) -> None:
    touch(tmp_path, *files)
    name = files[0].split("/")[0]
    with pytest.raises(ManifestError, match=rf"holds clips \({name}\): one class is not enough"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("files", [["a/1.jpg", "b/1.jpg"], ["1.mp4"]])
def test_clips_without_class_folders_are_no_dataset(tmp_path: Path, files: list[str]) -> None:
    touch(tmp_path, *files)
    with pytest.raises(ManifestError, match="none of the other layouts"):
        read_manifest(tmp_path)


def test_a_clip_beside_the_class_folders_is_left_out_with_a_note(tmp_path: Path) -> None:
    root = touch(tmp_path, "demo.gif", "a/1.mp4", "b/1.mp4")
    reading = read_dataset(root)
    assert len(reading.records) == 2
    assert any("demo.gif" in note for note in reading.notes)


def test_a_picture_beside_a_video_makes_no_folder_of_frames(tmp_path: Path) -> None:
    root = touch(tmp_path, "a/1.mp4", "a/1.jpg", "b/preview.png", "b/2/1.png")
    files = sorted(record.file for record in read_dataset(root).records)
    assert files == ["a/1.mp4", "b/2"]


def test_files_whose_ids_would_be_equal_are_told_apart(tmp_path: Path) -> None:
    root = touch(tmp_path, "a/x.mp4", "a/X.mp4", "a/x.avi", "a b/c.mp4", "a-b/c.mp4", "a_b/c.mp4")
    ids = [record.clip_id for record in read_manifest(root).records]
    assert len({clip_id.casefold() for clip_id in ids}) == len(ids) == 6
    assert "a-b-c" in ids


def test_ids_do_not_depend_on_other_clips(tmp_path: Path) -> None:
    root = touch(tmp_path, "a/1.mp4", "a/2.mp4", "b/1.mp4", "b/2.mp4")
    before = {record.file: record.clip_id for record in read_manifest(root).records}
    touch(tmp_path, "a/0.mp4", "c/1.mp4", "c/2.mp4")
    after = {record.file: record.clip_id for record in read_manifest(root).records}
    assert before.items() <= after.items()


def test_the_draw_depends_on_seed_and_share_and_every_class_is_on_both_sides(
    tmp_path: Path,
) -> None:
    root = touch(
        tmp_path, *(f"{name}/{n}.mp4" for name, k in (("a", 2), ("b", 40)) for n in range(k))
    )

    def drawn(share: float, seed: int) -> set[str]:
        reading = read_dataset(root, options=LayoutOptions(share, seed))
        return {record.clip_id for record in reading.split(Split.VALIDATION)}

    assert drawn(0.2, 0) == drawn(0.2, 0) != drawn(0.2, 1)
    assert drawn(0.1, 0) < drawn(0.5, 0)
    for share in (0.01, 0.2, 0.99):
        counts = [sum(c.startswith(f"{name}-") for c in drawn(share, 0)) for name in "ab"]
        assert counts[0] == 1
        assert counts[1] == min(max(round(40 * share), 1), 39)


@pytest.mark.parametrize(
    ("clips", "scored"), [(1, 0), (2, 1), (5, 2), (10, 5), (20, 5), (30, 6), (100, 20)]
)
def test_small_classes_score_up_to_half_so_that_intervals_can_be_had(
    clips: int, scored: int
) -> None:
    assert LayoutOptions().num_scored(clips) == scored


def test_names_in_decomposed_unicode_are_composed(tmp_path: Path) -> None:
    root = touch(tmp_path, "o\u0308ffnen/1.mp4", "schliessen/1.mp4")
    assert read_manifest(root).taxonomy.categories == ("schliessen", "\u00f6ffnen")


def test_a_class_that_is_no_text_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.mp4")
    try:
        touch(tmp_path, os.fsdecode(b"\xff/1.mp4"))
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    (problem,) = read_dataset(tmp_path).problems
    assert "is not UTF-8 text" in problem.text


def test_links_that_lead_round_in_a_circle_end(tmp_path: Path) -> None:
    root = touch(tmp_path, "a/1.mp4", "b/1.mp4")
    (root / "b" / "again").symlink_to(root)
    assert len(read_manifest(root).records) == 2


def test_a_linked_class_folder_is_followed(tmp_path: Path) -> None:
    root = touch(tmp_path / "d", "a/1.mp4")
    touch(tmp_path / "elsewhere", "2.mp4")
    (root / "b").symlink_to(tmp_path / "elsewhere")
    assert {record.file for record in read_manifest(root).records} == {"a/1.mp4", "b/2.mp4"}


def test_a_template_as_a_folder_name_keeps_its_brackets(tmp_path: Path) -> None:
    root = touch(tmp_path, "Pushing [something]/1.mp4", "Nodding/1.mp4")
    held = {record.template: record for record in read_manifest(root).records}
    push = held["Pushing [something]"]
    assert (push.category, push.placeholders) == ("Pushing something", ("something",))
    assert push.caption == "pushing something"


def test_a_link_to_itself_is_passed_over(tmp_path: Path) -> None:
    root = touch(tmp_path, "a/1.mp4", "b/1.mp4")
    (root / "a" / "loop").symlink_to("loop")
    assert len(read_manifest(root).records) == 2


def test_a_folder_without_words_names_no_category(tmp_path: Path) -> None:
    reading = read_dataset(touch(tmp_path, "a/1.mp4", "[]/1.mp4", "b/1.mp4"))
    assert {record.category for record in reading.records} == {"a", "b"}
    (problem,) = reading.problems
    assert "names no category" in problem.text


SPLIT = {"train": {"wave": 4, "clap": 4}, "validation": {"wave": 2, "clap": 2}}


@pytest.mark.parametrize(
    ("train", "scored"),
    [
        *(("train", "val"), ("Train", "Validation"), ("TRAINING", "dev"), ("train_256", "val_256")),
        *(("videos_train", "videos_val"), ("train set", "valid set"), ("my_train", "my_val")),
        *(("data/train", "data/eval"), ("a/b/c/train", "a/b/c/val")),
    ],
)
def test_splits_are_known_by_any_spelling(tmp_path: Path, train: str, scored: str) -> None:
    files = [*of_classes(train + "/{c}/{k}.mp4"), *of_classes(scored + "/{c}/{k}.mp4", 2)]
    assert counts(read(touch(tmp_path, *files))) == SPLIT


@pytest.mark.parametrize(
    "pattern", ["{s}/{c}/{k}.mp4", "{c}/{s}/{k}.mp4", "x/{s}/videos/{c}/{k}.avi"]
)
def test_test_clips_with_classes_are_scored_where_no_validation_is_there(
    tmp_path: Path, pattern: str
) -> None:
    train, test = (pattern.replace("{s}", name) for name in ("train", "test"))
    touch(tmp_path, *of_classes(train), *of_classes(test, 2))
    reading = read(tmp_path)
    assert counts(reading) == SPLIT
    assert has_note(reading, "their 4 labelled test clips are the ones that are scored")
    drawn = read(tmp_path, LayoutOptions(validation_share=0.25))
    assert counts(drawn) == {"train": {"wave": 3, "clap": 3}, "validation": {"wave": 1, "clap": 1}}
    assert len(drawn.test_ids) == 4


@pytest.mark.parametrize(
    "files",
    [
        *(["train/0.mp4", "test/0.mp4"], ["Train/0/1.jpg", "Val/1/1.jpg", "Test/2/1.jpg"]),
        *(["rgb/0.mp4", "flow/0.mp4"], ["videos/0.mp4", "rawframes/0/1.jpg"]),
        *(["videos_train/0.mp4", "videos_val/1.mp4"], ["0.mp4", "1.mp4"], ["clips/0.mp4"]),
        ["set_480/0.mp4", "set_rgb/0/1.jpg"],
    ],
)
def test_splits_and_modalities_without_classes_are_refused(
    tmp_path: Path, files: list[str]
) -> None:
    with pytest.raises(ManifestError, match="one folder per action"):
        read_manifest(touch(tmp_path, *files))


def test_a_class_called_as_a_split_is_counted_and_named(tmp_path: Path) -> None:
    reading = read(touch(tmp_path, *of_classes("{c}/{k}.mp4"), "train/1.mp4", "train/2.mp4"))
    assert {record.category for record in reading.records} == {"wave", "clap", "train"}
    assert has_note(reading, "the folder train (2 clips) is called as a split is")


@pytest.mark.parametrize("other", ["Wave", "WAVE ", "wave_"])
def test_classes_that_are_written_in_several_ways_are_noted(tmp_path: Path, other: str) -> None:
    reading = read(touch(tmp_path, *of_classes("{c}/{k}.mp4"), f"{other}/1.mp4"))
    assert has_note(reading, "1 classes are written in several ways", "'wave'")


def test_a_table_that_says_no_class_is_named_beside_the_folders(tmp_path: Path) -> None:
    root = touch(tmp_path, *of_classes("{c}/{k}.mp4"), "notes/x.parquet")
    (root / "sizes.csv").write_text("file,frames\nwave/0.mp4,3\n")
    reading = read(root)
    assert reading.layout == "folders"
    assert has_note(reading, "2 files of other tables are not read", "sizes.csv", "x.parquet")


def test_a_refusal_names_each_table_and_what_it_lacks(tmp_path: Path) -> None:
    files = ("Charades_v1_480/A.mp4", "Charades_v1_480/B.mp4", "Charades_v1_rgb/A/1.jpg")
    root = touch(tmp_path, *files)
    header = "id,subject,scene,script,actions,length\n"
    for split in ("train", "test"):
        text = f'{header}A,S,Kitchen,"A person, cooks.",c092 11.90 21.20;c147 0.00 12.60,30\n'
        (root / f"Charades_v1_{split}.csv").write_text(text)
    said = r"Charades_v1_train\.csv: columns are id, subject, .*; none is a class or a caption"
    with pytest.raises(ManifestError, match=said):
        read_manifest(root)


def test_clips_of_one_group_are_never_on_both_sides(tmp_path: Path) -> None:
    takes = [(g, k) for g in range(1, 6) for k in range(1, 5)]
    touch(
        tmp_path, *(f"{c}/v_{c}_g{g:02d}_c{k:02d}.avi" for c in ("wave", "clap") for g, k in takes)
    )
    reading = read(tmp_path)
    sides: dict[Split, set[str]] = {
        split: {record.clip_id.rpartition("_c")[0] for record in reading.split(split)}
        for split in (Split.TRAIN, Split.VALIDATION)
    }
    assert not sides[Split.TRAIN] & sides[Split.VALIDATION]
    assert {split: len(groups) for split, groups in sides.items()} == {
        Split.TRAIN: 6,
        Split.VALIDATION: 4,
    }


def test_without_a_draw_clips_that_the_data_do_not_divide_are_training_clips(
    tmp_path: Path,
) -> None:
    files = [f"{name}/{number}.mp4" for name in ("wave", "clap") for number in range(10)]
    reading = read(touch(tmp_path, *files), LayoutOptions(draws_validation=False))
    assert counts(reading) == {"train": {"wave": 10, "clap": 10}}
    assert not reading.notes
