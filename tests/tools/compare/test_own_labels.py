from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from taskgrain.errors import ManifestError, ResultError
from taskgrain.tools.compare.labels import LabelTable
from taskgrain.tools.compare.own_labels import read_table
from taskgrain.tools.compare.sources import parse_sources
from taskgrain.transfer.archive import write_arrays
from tests.making import moving_square, write_video

ONES = np.ones((4, 2), np.float32)


def save(path: Path, clips: str, **facts: list[str]) -> str:
    arrays = {name: np.array(texts) for name, texts in facts.items()}
    write_arrays(path, {"clip": np.array(list(clips)), "features": ONES[: len(clips)], **arrays})
    return str(path)


def table(*files: str, labels: Path | None = None) -> LabelTable:
    return read_table(labels, parse_sources(files))


def test_a_file_brings_labels_recordings_and_split(tmp_path: Path) -> None:
    found = table(
        save(
            tmp_path / "mine.npz",
            "abcd",
            label=["x", "y", "", "y"],
            recording=["1", "1", "2", "3"],
            split=["train", "train", "", "test"],
        )
    )
    assert found.name == "mine"
    assert found.clip_ids == ("a", "b", "d")  # c has no label
    assert found.labels == ("x", "y", "y")
    assert found.sides == ("support", "support", "scored")
    assert found.recordings == ("1", "1", "3")


def test_files_are_joined_and_may_not_contradict_each_other(tmp_path: Path) -> None:
    one = save(tmp_path / "one.npz", "ab", label=["x", "y"], recording=["1", "2"])
    two = save(tmp_path / "two.npz", "bc", label=["y", "x"], recording=["p", "p"])
    found = table(one, two)
    assert dict(zip(found.clip_ids, found.labels, strict=True)) == {"a": "x", "b": "y", "c": "x"}
    assert found.recordings is not None
    # Two calls b and c one recording; its name in the other file does not matter.
    assert found.recordings[1] == found.recordings[2] != found.recordings[0]
    bad = save(tmp_path / "bad.npz", "ab", label=["x", "x"])
    with pytest.raises(ManifestError, match=r"bad\.npz: the label of clip b is 'x', in .*one.npz"):
        table(one, bad)


def test_a_split_that_not_all_labelled_clips_have_is_no_split(tmp_path: Path) -> None:
    one = save(tmp_path / "one.npz", "ab", label=["x", "y"], split=["train", "test"])
    two = save(tmp_path / "two.npz", "c", label=["x"])
    assert table(one, two).sides is None
    assert table(one).sides == ("support", "scored")


def test_an_array_without_ids_may_have_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", features=ONES, label=np.array([0, 1, 0, 1]))
    found = table(str(tmp_path / "f.npz"))
    assert (found.clip_ids, found.labels) == (("0", "1", "2", "3"), ("0", "1", "0", "1"))


@pytest.mark.parametrize(
    ("facts", "error", "message"),
    [
        ({}, ManifestError, r"f\.npz: no labels in it .*; give --labels FILE, a table clip,label"),
        ({"label": ["x"] * 4}, ManifestError, r"f\.npz: one class, 'x'"),
        ({"label": ["x", "y"]}, ResultError, r"f\.npz: label is \(2,\) for 4 features"),
    ],
)
def test_what_is_missing_is_named(
    tmp_path: Path, facts: dict[str, list[str]], error: type[Exception], message: str
) -> None:
    file = save(tmp_path / "f.npz", "abcd", **facts)
    with pytest.raises(error, match=message):
        table(file)


def test_a_table_of_labels_goes_before_those_of_a_file_and_keeps_its_recordings(
    tmp_path: Path,
) -> None:
    file = save(tmp_path / "f.npz", "abcd", label=["x", "y"] * 2, recording=["1", "1", "2", "2"])
    (tmp_path / "y.csv").write_text("clip,label\na,u\nc,v\n", encoding="utf-8")
    found = table(file, labels=tmp_path / "y.csv")
    assert (found.clip_ids, found.labels) == (("a", "c"), ("u", "v"))
    assert found.recordings == ("1", "2")


@pytest.fixture
def actions(tmp_path: Path) -> Path:
    for number, name in enumerate(("jump/a.mp4", "jump/b.mp4", "wave/ann/1.mp4", "wave/ann/2.mp4")):
        write_video(tmp_path / "actions" / name, moving_square(4 + number))
    return tmp_path / "actions"


@pytest.mark.parametrize(
    "names",
    [
        ("jump/a", "jump/b", "wave/ann/1", "wave/ann/2"),
        ("jump-a", "jump-b", "wave-ann-1", "wave-ann-2"),  # the dataset's own ids
        ("jump/a.mp4", "jump/b.mp4", "wave/ann/1.mp4", "wave/ann/2.mp4"),
    ],
)
def test_a_dataset_is_a_table_by_whatever_its_clips_are_called(
    actions: Path, tmp_path: Path, names: tuple[str, ...]
) -> None:
    np.savez(tmp_path / "f.npz", clip=np.array(names), features=ONES)
    found = table(str(tmp_path / "f.npz"), labels=actions)
    assert found.name == "actions"
    assert dict(zip(found.clip_ids, found.labels, strict=True)) == dict(
        zip(names, ("jump", "jump", "wave", "wave"), strict=True)
    )
    assert found.recordings is not None
    assert len(set(found.recordings)) == 3
    assert found.sides is None  # nobody divided these clips


def test_a_dataset_brings_its_split_and_leaves_out_what_its_ledger_excludes(
    tiny_dataset: Path, tmp_path: Path
) -> None:
    line = {"clip": "3", "state": "excluded", "problem": "shows a face"}
    (tiny_dataset / "ledger.jsonl").write_text(json.dumps(line))
    file = save(tmp_path / "f.npz", "0126")
    found = table(file, labels=tiny_dataset)
    assert found.clip_ids == tuple("0124567")
    assert found.sides == ("support",) * 5 + ("scored",) * 2
