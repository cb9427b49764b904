from __future__ import annotations

import json
from pathlib import Path

import pytest

from taskgrain.data.layouts.layout import LayoutOptions
from taskgrain.data.manifest import Split
from taskgrain.data.opening import read_dataset, read_manifest
from tests.making import PULL, PUSH, row


def packed(root: Path, name: str, folder: str, prefix: str) -> Path:
    """The files as the makers of both data sets name them."""
    below = root / folder
    below.mkdir(parents=True, exist_ok=True)
    parts = {
        "labels": "Swiping Left\nSliding Two Fingers Up\n",
        "train": "34870;Swiping Left\r\n56557;Sliding Two Fingers Up\r\n",
        "validation": "9223;Swiping Left\n",
        "test": "1420\n",
    }
    for part, text in parts.items():
        (below / f"{prefix}{part}.csv").write_text(text)
    for clip_id in ("34870", "56557", "9223", "1420"):
        (root / f"20bn-{name}" / clip_id).mkdir(parents=True)
        (root / f"20bn-{name}" / clip_id / "00001.jpg").touch()
    return root


@pytest.mark.parametrize(
    ("name", "layout"),
    [("jester-v1", "jester"), ("something-something-v1", "something-something-v1")],
)
@pytest.mark.parametrize("place", ["", "labels", "plain"])
def test_categories_and_folders_of_frames_are_read(
    tmp_path: Path, name: str, layout: str, place: str
) -> None:
    if place == "plain":
        root = packed(tmp_path, name, "labels", "")
    else:
        root = packed(tmp_path, name, place, f"{name}-")
    manifest = read_manifest(root)
    assert read_dataset(root).layout == layout
    assert manifest.taxonomy.categories == ("Sliding Two Fingers Up", "Swiping Left")
    first = manifest.records[0]
    assert (first.clip_id, first.placeholders, first.caption) == ("34870", (), "swiping left")
    assert first.path == root / f"20bn-{name}" / "34870"
    assert [record.clip_id for record in manifest.split(Split.VALIDATION)] == ["9223"]
    assert manifest.test_ids == ("1420",)


def test_bad_lines_are_named_and_an_unknown_category_has_a_neighbour(tmp_path: Path) -> None:
    root = packed(tmp_path, "jester-v1", "", "jester-v1-")
    text = "1;Swiping Left\n2\n3;Swipping Left\n\n1;Swiping Left\na/b;Swiping Left\n"
    (root / "jester-v1-train.csv").write_text(text)
    problems = read_dataset(root).problems
    found = {(p.kind, p.where.rpartition(":")[2]) for p in problems}
    assert found == {
        ("malformed", "2"),
        ("unknown-category", "3"),
        ("duplicate-id", "5"),
        ("malformed", "6"),
    }
    assert any("did you mean 'Swiping Left'" in problem.text for problem in problems)


def test_without_its_files_the_layout_says_what_it_expects(tmp_path: Path) -> None:
    (problem,) = read_dataset(tmp_path, layout="jester").problems
    assert "jester-v1-train.csv" in str(problem)


@pytest.mark.parametrize("separator", [";", ",", "\t"])
@pytest.mark.parametrize("header", ["", "id{s}label\r\n", "video_id{s}label\r"])
def test_headers_and_separators_of_shared_copies_are_no_rows(
    tmp_path: Path, separator: str, header: str
) -> None:
    (tmp_path / "20bn-jester-v1").mkdir()
    names = ("Swiping Left", "Up; then, down")
    text = header.format(s=separator)
    text += "\r\n".join(f"{k}{separator}{name}" for k, name in enumerate(names))
    (tmp_path / "jester-v1-train.csv").write_bytes(text.encode())
    (tmp_path / "jester-v1-validation.csv").write_bytes(b"9;Swiping Left\n")
    (tmp_path / "jester-v1-labels.csv").write_text("\n".join(names))
    reading = read_dataset(tmp_path)
    assert reading.layout == "jester"
    assert reading.problems == ()
    assert tuple(record.category for record in reading.split(Split.TRAIN)) == names


VIDEOS = "20bn-something-something-v2"


def packed_v2(root: Path, folder: str, prefix: str) -> Path:
    """The files as the makers of the data set name them."""
    below = root / folder
    below.mkdir(parents=True, exist_ok=True)
    parts: dict[str, object] = {
        "train": [row("1"), row("2", PULL)],
        "validation": [row("3")],
        "test": [{"id": "4"}, {"id": "5"}],
        "labels": {name.replace("[", "").replace("]", ""): "0" for name in (PUSH, PULL)},
    }
    for name, part in parts.items():
        (below / f"{prefix}{name}.json").write_text(json.dumps(part))
    (root / VIDEOS).mkdir(exist_ok=True)
    (root / VIDEOS / "1.webm").touch()
    return root


@pytest.mark.parametrize(
    ("folder", "prefix"),
    [
        ("labels", ""),
        ("", "something-something-v2-"),
        ("annotations", "something-something-v2-"),
        ("", ""),
    ],
)
def test_the_makers_files_are_read_where_they_lie(tmp_path: Path, folder: str, prefix: str) -> None:
    reading = read_dataset(packed_v2(tmp_path, folder, prefix))
    assert (reading.layout, reading.problems) == ("something-something-v2", ())
    assert [record.clip_id for record in reading.records] == ["1", "2", "3"]
    assert reading.records[0].path == tmp_path / VIDEOS / "1.webm"
    assert reading.test_ids == ("4", "5")
    assert "action-group" in reading.taxonomy().levels


def test_test_clips_keep_their_labels_only_on_request(tmp_path: Path) -> None:
    root = packed_v2(tmp_path, "labels", "")
    answers = "4;Pulling something from left to right\n"
    (root / "labels" / "test-answers.csv").write_text(answers)
    assert read_manifest(root).split(Split.TEST) == ()
    manifest = read_manifest(root, options=LayoutOptions(test_answers=True))
    (record,) = manifest.split(Split.TEST)
    assert record.category == "Pulling something from left to right"
    assert record.caption == "pulling something from left to right"
    assert (manifest.test_ids, manifest.test_files) == (("5",), (f"{VIDEOS}/5.webm",))


def test_an_answer_to_no_question_is_a_problem(tmp_path: Path) -> None:
    root = packed_v2(tmp_path, "labels", "")
    answers = "4;Nodding\n9;Nodding\n4;Nodding\n5\n"
    (root / "labels" / "test-answers.csv").write_text(answers)
    reading = read_dataset(root, options=LayoutOptions(test_answers=True))
    lines = [problem.where.rpartition(":")[2] for problem in reading.problems]
    assert lines == ["2", "3", "4"]


def test_a_malformed_row_is_named_by_its_own_file(tmp_path: Path) -> None:
    root = packed_v2(tmp_path, "labels", "")
    (root / "labels" / "train.json").write_text('[\n{"id": "1"}]')
    (problem,) = read_dataset(root).problems
    assert problem.where == f"{root / 'labels' / 'train.json'}:2"


def test_without_any_of_its_files_the_layout_says_what_it_expects(tmp_path: Path) -> None:
    (problem,) = read_dataset(tmp_path, layout="something-something-v2").problems
    assert "labels/train.json" in str(problem)


def test_a_train_json_of_our_own_goes_before_one_in_labels(tmp_path: Path) -> None:
    root = packed_v2(tmp_path, "labels", "")
    (root / VIDEOS).rename(root / "videos")
    for name in ("train", "validation"):
        (root / f"{name}.json").write_text(json.dumps([row(name)]))
    assert read_dataset(root).layout == "taskgrain"
