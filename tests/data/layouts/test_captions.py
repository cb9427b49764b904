from __future__ import annotations

import json
from pathlib import Path

import pytest

from taskgrain.data.manifest import Split
from taskgrain.data.opening import read_dataset, read_manifest


def test_several_rows_of_one_clip_are_several_captions(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "7.mp4").touch()
    (tmp_path / "captions.csv").write_text(
        'id,caption\n7,a man opens a door\n8,she waves\n7,"a door, opened"\n7,a man opens a door\n'
    )
    reading = read_dataset(tmp_path)
    assert (reading.layout, reading.problems) == ("captions", ())
    held = {record.clip_id: record for record in reading.records}
    assert held["7"].captions == ("a man opens a door", "a door, opened")
    assert held["7"].file == "videos/7.mp4"
    assert held["7"].category == "uncategorised"
    assert {record.split for record in reading.records} == {Split.TRAIN, Split.VALIDATION}


def test_json_lines_carry_templates_lists_and_splits(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {
            "file": "clips/a b.mp4",
            "captions": ["pushing a red cup", "a cup moves"],
            "template": "Pushing [something]",
            "split": "train",
        },
        {"file": "clips/c.mp4", "caption": "Nodding", "category": "nodding", "split": "val"},
        {
            "file": "clips/d.mp4",
            "caption": "someone shoves it",
            "template": "Pushing [something]",
            "placeholders": ["it"],
            "split": "train",
        },
        {
            "file": "clips/e.mp4",
            "caption": "someone shoves it",
            "template": "Pushing [something]",
            "split": "train",
        },
        {"file": "clips/f.mp4", "split": "test"},
    ]
    (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    manifest = read_manifest(tmp_path)
    first, parsed_not, given, last = (
        manifest.records[0],
        manifest.records[2],
        manifest.records[1],
        manifest.records[3],
    )
    assert (first.clip_id, first.placeholders) == ("clips-a_b", ("a red cup",))
    assert first.captions == ("pushing a red cup", "a cup moves")
    assert (given.placeholders, parsed_not.placeholders) == (("it",), ("something",))
    assert (last.category, last.split) == ("nodding", Split.VALIDATION)
    assert manifest.test_ids == ("clips-f",)


@pytest.mark.parametrize(
    ("line", "kind", "said"),
    [
        ('{"id": "1", "caption": "x", "split": "val"}', "two-splits", "another split"),
        ('{"id": "1", "caption": "x", "category": "b", "split": "train"}', "malformed", "category"),
        ('{"id": "2", "split": "train"}', "malformed", "no caption"),
        ('{"id": "2", "caption": 7}', "malformed", "no caption"),
        ('{"id": "2", "caption": ["x", null]}', "malformed", "no caption"),
        ('{"caption": "x"}', "malformed", "no clip"),
        ('{"id": "2", "caption": "\\ud83d"}', "malformed", "UTF-8"),
        (
            '{"id": "2", "caption": "x", "template": "a [b]", "placeholders": []}',
            "malformed",
            "1 b",
        ),
        ('{"id": "2", "caption": "x", "split": "later"}', "malformed", "later"),
        ("{", "malformed", "not JSON"),
        ("3", "malformed", "object"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, line: str, kind: str, said: str) -> None:
    good = '{"id": "1", "caption": "x", "category": "a", "split": "train"}'
    (tmp_path / "c.jsonl").write_text(f"{good}\n\n{line}\n")
    (problem,) = read_dataset(tmp_path).problems
    assert (problem.kind, problem.where) == (kind, f"{tmp_path / 'c.jsonl'}:3")
    assert said in problem.text


def test_a_quote_that_is_never_closed_is_named_and_swallows_nothing_silently(
    tmp_path: Path,
) -> None:
    text = 'id,caption\n1,x\n2,"a cat\n3,y\n4,z\n'
    (tmp_path / "captions.csv").write_text(text)
    reading = read_dataset(tmp_path)
    assert [record.clip_id for record in reading.records] == ["1"]
    (problem,) = reading.problems
    assert problem.where == f"{tmp_path / 'captions.csv'}:3"


def test_a_file_named_after_a_split_gives_it_to_its_rows(tmp_path: Path) -> None:
    (tmp_path / "captions_train.csv").write_text("id,caption\n1,x\n2,y\n")
    (tmp_path / "captions_val.csv").write_text("id,caption\n3,z\n")
    manifest = read_manifest(tmp_path)
    assert [record.clip_id for record in manifest.split(Split.VALIDATION)] == ["3"]


def test_rows_of_a_header_alone_are_no_dataset(tmp_path: Path) -> None:
    (tmp_path / "captions.csv").write_text("id,caption\n")
    (problem,) = read_dataset(tmp_path).problems
    assert "holds no clip" in problem.text


def test_an_id_is_first_looked_for_in_videos(tmp_path: Path) -> None:
    for file in ("thumbs_small/0.mp4", "videos/0.mp4", "videos/0.webm", "x/1.mp4", "y/1.mp4"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "captions.csv").write_text("id,caption\n0,a man waves\n1,she waves\n")
    reading = read_dataset(tmp_path)
    assert [record.file for record in reading.records] == ["videos/0.webm"]
    (problem,) = reading.problems
    assert problem.where == f"{tmp_path / 'captions.csv'}:3"
    assert "ambiguous: x/1.mp4 and y/1.mp4" in problem.text
