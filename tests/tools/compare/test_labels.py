from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskgrain.errors import ManifestError
from taskgrain.tools.compare.labels import (
    CLIP,
    GROUP,
    LABEL,
    SPLIT,
    check_once,
    read_groups,
    read_labels,
    read_rows,
)


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


WANTED = (CLIP, LABEL, SPLIT)


def cells(path: Path, text: str) -> list[tuple[str | None, ...]]:
    path.write_bytes(text.encode("utf-8"))
    return [row.cells for row in read_rows(path, WANTED)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain.csv", "a,cut\nb,pour\n"),
        ("header.csv", "clip,label\na,cut\nb,pour\n"),
        ("other names.csv", "fps,Class,ID\n12,cut,a\n30,pour,b\n"),
        ("windows.csv", "\ufeffclip;category\r\n a ; cut\r\n\r\nb;pour\r\n"),
        ("tabs.tsv", "id\tlabel\na\tcut\nb\tpour\n"),
        ("quoted.csv", '"clip","label"\n"a","cut"\n"b","pour"'),
        ("lines.jsonl", '{"id": "a", "label": "cut"}\n\n{"label": "pour", "clip": "b", "x": []}\n'),
    ],
)
def test_every_spelling_says_the_same(tmp_path: Path, name: str, text: str) -> None:
    assert cells(tmp_path / name, text) == [("a", "cut", None), ("b", "pour", None)]


def test_a_third_column_is_the_split(tmp_path: Path) -> None:
    expected = [("1", "0", "train"), ("2", "1", "test")]
    assert cells(tmp_path / "a.csv", "1,0,train\n2,1,test\n") == expected
    lines = [{"id": 1, "class": 0, "split": "train"}, {"id": 2, "class": 1, "split": "test"}]
    assert cells(tmp_path / "a.jsonl", "\n".join(map(json.dumps, lines))) == expected


def test_a_quoted_cell_may_hold_the_separator_and_a_line_break(tmp_path: Path) -> None:
    assert cells(tmp_path / "a.csv", 'a,"cut, twice"\nb,"po\nur"\nc,x\n') == [
        ("a", "cut, twice", None),
        ("b", "po\nur", None),
        ("c", "x", None),
    ]


def test_a_clip_may_be_called_label(tmp_path: Path) -> None:
    assert cells(tmp_path / "a.csv", "label,cut\nb,pour\n")[0] == ("label", "cut", None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip,target\na,cut\n", r"a\.csv:1: columns are clip, target; none is called 'label' or"),
        ("video,label\na,cut\n", r"a\.csv:1: columns are video, label; none is called 'clip' or"),
        ("id,clip,label\n1,a,cut\n", r"columns id, clip mean the same; keep one of them"),
        ("a\nb\n", r"a\.csv:1: 1 columns; expected clip,label\[,split\], or a header"),
        ("a,b,c,d\n", r"4 columns; expected clip,label\[,split\]"),
        ("a,cut\nb\nc,d,e\n", r"a\.csv:2: 1 cells, 2 in the first line(.|\n)*a\.csv:3: 3 cells"),
        ("a,cut\n,pour\nc,\n", r"a\.csv:2: clip is empty\n.*a\.csv:3: label is empty"),
        ("", r"a\.csv: holds no row; expected clip,label"),
        ("clip,label\n", r"holds no row"),
        ('a,"cut\nb,pour\n', r"a\.csv:1: not CSV"),
    ],
)
def test_what_is_no_such_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        cells(tmp_path / "a.csv", text)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r":2: not JSON"),
        ("[1]", r":2: expected an object with clip,label"),
        ('{"id": "b"}', r":2: has no 'label' or 'category' or 'class'"),
        ('{"id": 1.5, "label": "x"}', r":2: id is '1\.5'; expected text or a whole number"),
        ('{"id": "b", "label": null}', r":2: label is 'None'"),
        ('{"id": "b", "clip": "b", "label": "x"}', r":2: id and clip mean the same"),
        ('{"id": "\\ud800", "label": "x"}', r":2: id is"),
        ('{"id": "b", "label": " "}', r":2: label is empty"),
    ],
)
def test_a_line_of_json_that_is_no_row_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        cells(tmp_path / "a.jsonl", f'{{"id": "a", "label": "cut"}}\n{line}\n')


def test_all_problems_are_told_at_once_up_to_ten(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as raised:
        cells(tmp_path / "a.csv", "a,cut\n" + "b\n" * 14)
    assert str(raised.value).count("\n") == 10
    assert str(raised.value).endswith("... and 4 more")


def test_a_clip_has_one_row(tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_text("a,1\nb,2\na,1\n", encoding="utf-8")
    with pytest.raises(ManifestError, match=r"g\.csv:3: clip a is there twice, first at .*:1"):
        check_once(read_rows(tmp_path / "g.csv", (CLIP, GROUP)))


@settings(max_examples=40, deadline=None)
@given(content=st.binary(max_size=60), ending=st.sampled_from(["csv", "tsv", "jsonl"]))
def test_any_bytes_are_rows_or_a_named_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, ending: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any.{ending}"
    path.write_bytes(content)
    try:
        rows = read_rows(path, WANTED)
    except ManifestError:
        return
    assert rows
    assert all(row.cells[0] and row.cells[1] for row in rows)


LIFT = "Lifting up one end of something, then letting it drop down"
ROLL = "Letting something roll up a slanted surface, so it rolls back down"


@pytest.mark.parametrize("names", [(LIFT, ROLL, "Moving something up"), (LIFT, ROLL)])
@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_labels_that_hold_commas_stay_whole_under_another_separator(
    tmp_path: Path, names: tuple[str, ...], separator: str
) -> None:
    text = "".join(f"{100 + k}{separator}{names[k % len(names)]}\n" for k in range(6))
    found = cells(tmp_path / "y.csv", text)
    assert found == [(str(100 + k), names[k % len(names)], None) for k in range(6)]


def test_quotes_after_a_space_and_cells_past_the_end_are_read_as_meant(tmp_path: Path) -> None:
    text = 'clip, label,\rc0, "reach, then grasp",\rc1, wave,\r'
    found = cells(tmp_path / "y.csv", text)
    assert found == [("c0", "reach, then grasp", None), ("c1", "wave", None)]


def test_spaces_separate_where_nothing_else_does(tmp_path: Path) -> None:
    assert cells(tmp_path / "y.txt", "c0 0\nc1  1\n") == [("c0", "0", None), ("c1", "1", None)]


def test_the_separator_is_the_one_that_all_lines_hold(tmp_path: Path) -> None:
    found = cells(tmp_path / "y.csv", "c0, the first;cut\nc1;pour\nc2;cut\n")
    assert found == [("c0, the first", "cut", None), ("c1", "pour", None), ("c2", "cut", None)]
