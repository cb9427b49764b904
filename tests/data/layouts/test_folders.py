from __future__ import annotations

import os
from pathlib import Path

import pytest

from taskgrain.data.layouts import LayoutOptions
from taskgrain.data.manifest import Split
from taskgrain.data.opening import read_dataset, read_manifest
from taskgrain.errors import ManifestError


def touch(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


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


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    root = touch(tmp_path, "a/1.mp4", "b/1.mp4", "b/closed/1.mp4")
    (root / "b" / "closed").chmod(0)
    with pytest.raises(ManifestError, match=r"closed: cannot be read"):
        read_manifest(root)


def test_a_folder_without_words_names_no_category(tmp_path: Path) -> None:
    reading = read_dataset(touch(tmp_path, "a/1.mp4", "[]/1.mp4", "b/1.mp4"))
    assert {record.category for record in reading.records} == {"a", "b"}
    (problem,) = reading.problems
    assert "names no category" in problem.text
