from __future__ import annotations

import json
from pathlib import Path

import pytest

from taskgrain.data.manifest import Problem
from taskgrain.data.tables import look_at, read_names, read_pairs, read_table

ROWS = [("a/1.mp4", "left hand", "train"), ("a, b/2.mp4", "right; hand", "val")]


def rows_of(path: Path) -> list[tuple[str | None, ...]]:
    problems: list[Problem] = []
    found = [tuple(row.text(name) for name in ("path", "label", "split"))
             for row in read_table(path, problems)]  # fmt: skip
    assert problems == []
    return found


def quoted(separator: str, end: str = "\n", space: str = "") -> str:
    lines = [("path", "Label", "split"), *ROWS]
    return "".join(f"{separator}{space}".join(f'"{cell}"' for cell in line) + end for line in lines)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("space", ["", " "])
def test_quotes_separators_and_line_ends_say_the_same(
    tmp_path: Path, separator: str, end: str, space: str
) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(quoted(separator, end, space).encode())
    assert rows_of(path) == ROWS
    assert look_at(path).columns == ("path", "label", "split")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_byte_order_mark_names_the_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "list.csv"
    mark = "\ufeff" if encoding[-2:] in ("le", "be") else ""
    path.write_bytes((mark + quoted(";").replace("left", "l\u00e9ft")).encode(encoding))
    assert look_at(path).columns == ("path", "label", "split")
    assert rows_of(path)[0] == ("a/1.mp4", "l\u00e9ft hand", "train")


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\npath;label;split\na/1.mp4;left hand;train\na, b/2.mp4;'right; hand';val\n",
        "'path', 'label','split'\n'a/1.mp4', 'left hand','train'\n'a, b/2.mp4','right; hand','val'",
        "path,label,split\na/1.mp4,left hand,train,\n\"a, b/2.mp4\",right; hand,val,,\n",
        "# Path , LABEL,split,\na/1.mp4,left hand,train,\n\"a, b/2.mp4\",right; hand,val,\n",
        "\n\n path \tlabel\tsplit\n\na/1.mp4\tleft hand\ttrain\na, b/2.mp4\tright; hand\tval",
    ],
)  # fmt: skip
def test_what_spreadsheets_write_around_a_table_is_no_part_of_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(text.replace("'right; hand'", '"right; hand"') if "sep" in text else text)
    assert rows_of(path) == ROWS


def test_lists_of_json_and_lines_of_json_give_the_same_rows(tmp_path: Path) -> None:
    objects = [{"Path": a, "label": b, "Split": c, "x": None} for a, b, c in ROWS]
    (tmp_path / "a.json").write_text(json.dumps(objects, indent=1))
    (tmp_path / "a.jsonl").write_text("\r\n".join(map(json.dumps, objects)))
    for name in ("a.json", "a.jsonl"):
        assert rows_of(tmp_path / name) == ROWS
        assert look_at(tmp_path / name).columns == ("path", "label", "split", "x")
    first, second = read_table(tmp_path / "a.json", [])
    assert (first.where[-2:], second.where[-2:]) == (":2", ":8")


@pytest.mark.parametrize("name", ["File Name", "file-name", ' "FILE_NAME" ', "# file name"])
def test_a_column_is_known_whatever_its_spelling(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.csv").write_text(f"{name},label\n1.mp4,x\n")
    assert look_at(tmp_path / "a.csv").columns == ("file_name", "label")
    (row,) = read_table(tmp_path / "a.csv", [])
    assert row.text("file_name") == "1.mp4"


def test_a_row_that_cannot_be_read_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('path,label\n\n1.mp4,a,b\n2.mp4,c\n3.mp4,"d\n4.mp4,e\n')
    problems: list[Problem] = []
    rows = list(read_table(tmp_path / "a.csv", problems))
    assert [row.where[-2:] for row in rows] == [":4"]
    assert [problem.where[-2:] for problem in problems] == [":3", ":5"]


@pytest.mark.parametrize("comma", ["up, then down", "up"])
def test_a_pair_is_cut_at_the_first_separator_alone(tmp_path: Path, comma: str) -> None:
    (tmp_path / "a.csv").write_text(f"ID;Label\n100;{comma}; slowly\n101;left, then right\n102\n")
    pairs = [list(line.cells) for line in read_pairs(tmp_path / "a.csv", [])]
    assert pairs == [["100", f"{comma}; slowly"], ["101", "left, then right"], ["102"]]


def test_names_are_whole_lines(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b'\xef\xbb\xbfup, then down\r\n\r\n"a;b"\r\nlabel\r\n')
    names = [line.cells[0] for line in read_names(tmp_path / "labels.csv", [])]
    assert names == ["up, then down", "a;b", "label"]
