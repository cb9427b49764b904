from __future__ import annotations

from pathlib import Path, PurePath

import pytest

from taskgrain.data.layouts.names import arrange, kind_of, split_named, split_of_file, variant_of
from taskgrain.data.manifest import Split
from tests.data.layouts.made import counts, has_note, of_classes, read, touch


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *((name, Split.TRAIN) for name in ("train", "Train", "TRAINING", "trainval", "train_256")),
        *((name, Split.TRAIN) for name in ("videos_train", "rawframes_train", "training set")),
        *((name, Split.VALIDATION) for name in ("val", "Validation", "valid", "dev", "val_256")),
        *((name, Split.TEST) for name in ("test", "Testing", "test-set", "test1", "clips.test")),
        *((name, None) for name in ("train station", "driving test", "wave", "split1", "valley")),
        *((name, None) for name in ("train_test_split", "testify", "trains", "3", "")),
    ],
)
def test_a_folder_is_called_after_a_split_whatever_stands_beside_it(
    name: str, split: Split | None
) -> None:
    assert split_named(name) is split


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *(("trainlist01.txt", Split.TRAIN), ("testlist01.txt", Split.TEST)),
        *(("kinetics-400_val.csv", Split.VALIDATION), ("Diving48_V2_train.json", Split.TRAIN)),
        *(("ucf101_val_split_2_rawframes.txt", Split.VALIDATION), ("train_test.csv", None)),
        *(("metadata.csv", None), ("training_list.txt", Split.TRAIN)),
    ],
)
def test_the_name_of_a_list_says_its_split_among_other_words(
    name: str, split: Split | None
) -> None:
    assert split_of_file(PurePath(name)) is split


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        *((name, "videos") for name in ("videos", "Video", "clips")),
        *((name, "frames") for name in ("rawframes", "frames", "images", "JPEGs")),
        *((name, "flow") for name in ("flow", "flow_x", "tvl1_flow", "optical_flow")),
        *((name, None) for name in ("flowing water", "x", "deep", "imagine")),
        *(("depth", "depth"), ("rgb", "rgb"), ("ir", "infrared")),
    ],
)
def test_a_folder_is_called_after_a_modality(name: str, modality: str | None) -> None:
    kind = kind_of(name)
    assert (None if kind.rest else kind.modality) == modality


def test_lists_of_one_division_are_called_alike_but_for_the_split() -> None:
    assert variant_of("trainlist01") == variant_of("testlist1") != variant_of("testlist02")
    assert variant_of("ucf101_train_split_1_videos") == variant_of("ucf101_val_split_1_videos")
    assert variant_of("train") == variant_of("val") == ()


BOTH = {"clap": 2, "wave": 2}


@pytest.mark.parametrize(
    ("shown", "other", "word"),
    [
        ("videos/{c}/{k}.avi", "rawframes/{c}/{k}/img_00001.jpg", "frames 8"),
        ("videos/{c}/{k}.avi", "frames_224/{c}/{k}/img_00001.jpg", "frames 8"),
        ("rgb/{c}/{k}/1.jpg", "flow/{c}/{k}/1.jpg", "flow 8"),
        ("rgb/{c}/{k}.mp4", "optical_flow/x/{c}/{k}.mp4", "flow 8"),
        ("{c}/{k}/rgb/1.jpg", "{c}/{k}/flow/1.jpg", "flow 8"),
        ("{c}/{k}/color/1.png", "{c}/{k}/depth/1.png", "depth 8"),
        ("{c}/rgb/{k}.mp4", "{c}/depth/{k}.mp4", "depth 8"),
        ("{c}/{k}_rgb.avi", "{c}/{k}_depth.avi", "depth 8"),
        ("{c}/{k}.avi", "{c}/{k}.ir.avi", "infrared 8"),
        ("{c}/{k}.mp4", "{c}/{k}/img_1.jpg", "frames 8"),
        ("{c}/{k}.mp4", "flow/{c}/{k}.mp4", "flow 8"),
        ("{c}/{k}.mp4", "rawframes/{c}/{k}/1.jpg", "frames 8"),
        ("mine/videos/{c}/{k}.mp4", "mine/images/{c}/{k}/1.jpg", "frames 8"),
        ("sports_v1_480/{c}/{k}.mp4", "sports_v1_flow/{c}/{k}.mp4", "flow 8"),
        ("data_480/{c}/{k}.mp4", "data_rgb/{c}/{k}/1.jpg", "frames 8"),
    ],
)
def test_each_clip_counts_once_whatever_forms_of_it_lie_there(
    tmp_path: Path, shown: str, other: str, word: str
) -> None:
    reading = read(touch(tmp_path, *of_classes(shown), *of_classes(other)))
    assert counts(reading) == {"train": BOTH, "validation": BOTH}
    kept = {record.file for record in reading.records}
    images = (".jpg", ".png")
    expected = {f.rpartition("/")[0] if f.endswith(images) else f for f in of_classes(shown)}
    assert kept == expected
    assert has_note(reading, "8 files and folders", word)


def test_a_clip_in_frames_alone_stays_beside_videos_of_others(tmp_path: Path) -> None:
    files = ["videos/wave/1.mp4", "rawframes/wave/1/1.jpg", "rawframes/clap/2/1.jpg"]
    reading = read(touch(tmp_path, *files))
    assert {record.file for record in reading.records} == {"videos/wave/1.mp4", "rawframes/clap/2"}


def test_splits_by_modality_are_splits(tmp_path: Path) -> None:
    files = [
        *of_classes("videos_train/{c}/{k}.mp4"),
        *of_classes("rawframes_train/{c}/{k}/1.jpg"),
        *of_classes("videos_val/{c}/{k}.mp4", 2),
        *of_classes("rawframes_val/{c}/{k}/1.jpg", 2),
    ]
    reading = read(touch(tmp_path, *files))
    assert counts(reading) == {"train": {"clap": 4, "wave": 4}, "validation": BOTH}


def test_of_flow_alone_one_direction_is_the_clips(tmp_path: Path) -> None:
    files = [*of_classes("flow_x/{c}/{k}/1.jpg"), *of_classes("flow_y/{c}/{k}/1.jpg")]
    reading = read(touch(tmp_path, *files))
    assert counts(reading) == {"train": BOTH, "validation": BOTH}
    assert all(record.file.startswith("flow_x/") for record in reading.records)


@pytest.mark.parametrize("name", ["flow", "images", "Depth", "videos", "rawframes"])
def test_a_modality_beside_classes_is_no_class_and_is_named(tmp_path: Path, name: str) -> None:
    reading = read(touch(tmp_path, *of_classes("{c}/{k}.mp4"), f"{name}/1.mp4"))
    assert counts(reading) == {"train": BOTH, "validation": BOTH}
    assert has_note(reading, "1 ", "left out", f"{name}/1.mp4")


@pytest.mark.parametrize("name", ["jump_mask.mp4", "deep_depth.mp4", "go_flow.mp4"])
def test_the_end_of_a_name_says_a_modality_only_beside_another_form(name: str) -> None:
    alone = arrange([f"wave/{name}", "clap/1.mp4"])
    assert [clip.file for clip in alone.clips] == [f"wave/{name}", "clap/1.mp4"]
    both = arrange([f"wave/{name}", f"wave/{name.rpartition('_')[0]}.mp4"])
    assert [clip.file for clip in both.clips] == [f"wave/{name.rpartition('_')[0]}.mp4"]


def test_folders_of_frames_that_are_numbered_are_clips_of_their_own(tmp_path: Path) -> None:
    touch(tmp_path, *of_classes("{c}/clip_{k}/1.jpg"), *of_classes("{c}/video{k}/1.jpg"))
    assert len(read(tmp_path).records) == 16
