from __future__ import annotations

from pathlib import PurePath

import pytest

from taskgrain.data.layouts.names import kind_of, split_named, split_of_file, variant_of
from taskgrain.data.manifest import Split


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
