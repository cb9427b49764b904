from __future__ import annotations

from pathlib import Path

import pytest

from taskgrain.errors import ManifestError
from taskgrain.tools.compare.labels import read_groups, read_labels


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_split_the_file_leaves_the_division_open(tmp_path: Path) -> None:
    table = read_labels(write(tmp_path / "y.csv", "b,cut\na,pour\n"))
    assert (table.clip_ids, table.labels, table.sides) == (("b", "a"), ("cut", "pour"), None)


def test_validation_is_scored_unless_there_is_a_test_split(tmp_path: Path) -> None:
    text = "a,cut,train\nb,pour,Support\nc,cut,val\n"
    assert read_labels(write(tmp_path / "y.csv", text)).sides == ("support", "support", "scored")
    text += "d,pour,test\ne,pour,query\n"
    assert read_labels(write(tmp_path / "y.csv", text)).sides == (
        *("support", "support", "left out"),
        *("scored", "scored"),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,cut\nb,cut\n", r"y\.csv: one class, 'cut'; expected at least 2"),
        ("a,cut\na,pour\n", r"y\.csv:2: clip a is there twice"),
        ("a,cut,train\nb,pour,fold 3\n", r"y\.csv:2: split is 'fold 3'; expected support or train"),
        ("a,cut,train\nb,pour,train\n", r"no clip's split is scored or test"),
        ("a,cut,test\nb,pour,test\n", r"no clip's split is support or train"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        read_labels(write(tmp_path / "y.csv", text))


def test_one_row_of_json_without_a_split_is_named(tmp_path: Path) -> None:
    lines = '{"id": "a", "label": "x", "split": "train"}\n{"id": "b", "label": "y"}\n'
    with pytest.raises(ManifestError, match=r":2: no split, where other rows have one"):
        read_labels(write(tmp_path / "y.jsonl", lines))


def test_groups_come_in_the_order_of_the_labels(tmp_path: Path) -> None:
    table = read_labels(write(tmp_path / "y.csv", "b,cut\na,pour\n"))
    groups = write(tmp_path / "g.csv", "recording,clip\nr1,a\nr2,b\nr3,unknown\n")
    assert read_groups(groups, table) == ("r2", "r1")


def test_a_labelled_clip_without_a_group_is_named(tmp_path: Path) -> None:
    table = read_labels(write(tmp_path / "y.csv", "b,cut\na,pour\n"))
    with pytest.raises(ManifestError, match=r"g\.csv: clip b of .*y\.csv has no group here"):
        read_groups(write(tmp_path / "g.csv", "a,r1\n"), table)
