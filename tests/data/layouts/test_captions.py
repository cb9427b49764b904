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


@pytest.mark.parametrize("columns", ["id,file", "id,video_id", "id,video", "clip_id,path"])
def test_an_id_that_numbers_the_rows_is_no_clip(tmp_path: Path, columns: str) -> None:
    for k in range(8):
        (tmp_path / "videos").mkdir(exist_ok=True)
        (tmp_path / "videos" / f"video{k}.mp4").touch()
    end = "" if columns.endswith("video_id") else ".mp4"
    rows = (f"{2 * k + j},video{k}{end},text {k} {j}\n" for k in range(8) for j in range(2))
    (tmp_path / "captions.csv").write_text(f"{columns},caption\n{''.join(rows)}")
    reading = read_dataset(tmp_path)
    assert reading.problems == ()
    assert {record.file: record.captions for record in reading.records} == {
        f"videos/video{k}.mp4": (f"text {k} 0", f"text {k} 1") for k in range(8)
    }


def test_ids_that_start_again_in_each_table_are_no_clips(tmp_path: Path) -> None:
    for name in ("t0", "t1", "v0"):
        (tmp_path / f"{name}.mp4").touch()
    (tmp_path / "train.csv").write_text("id,file,caption\n0,t0.mp4,a\n1,t1.mp4,b\n")
    (tmp_path / "val.csv").write_text("id,file,caption\n0,v0.mp4,c\n")
    reading = read_dataset(tmp_path)
    assert reading.problems == ()
    assert [(record.file, record.split) for record in reading.records] == [
        ("t0.mp4", Split.TRAIN),
        ("t1.mp4", Split.TRAIN),
        ("v0.mp4", Split.VALIDATION),
    ]
    assert any("number rows and not clips" in note for note in reading.notes)


def test_an_id_beside_each_file_is_the_clips(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "b.mp4").touch()
    (tmp_path / "c.csv").write_text("id,file,caption\n7,a.mp4,x\n8,b.mp4,y\n7,a.mp4,z\n")
    assert {r.clip_id: r.captions for r in read_dataset(tmp_path).records} == {
        **{"7": ("x", "z"), "8": ("y",)},
    }


def test_a_text_is_a_caption_where_no_column_is_a_class(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    for k in range(4):
        (tmp_path / "train" / f"{k}.mp4").touch()
    rows = "".join(f"{k}.mp4,text {k}\n" for k in range(4))
    (tmp_path / "train" / "metadata.csv").write_text(f"file_name,text\n{rows}")
    reading = read_dataset(tmp_path)
    assert (reading.layout, reading.problems) == ("captions", ())
    assert {r.file: r.caption for r in reading.records}["train/3.mp4"] == "text 3"
