from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskgrain.data.json_rows import JsonRows, MalformedFileError, read_text, row_lines

ROWS = st.lists(
    st.dictionaries(st.text(max_size=3), st.text(max_size=5) | st.integers(), max_size=3)
    | st.lists(st.integers(), max_size=3)
    | st.text(max_size=5),
    max_size=6,
)


@settings(max_examples=50, deadline=None)
@given(ROWS, st.sampled_from([None, 0, 2]), st.sampled_from(["", "\n", " \n\t\n"]))
def test_each_row_begins_on_the_line_that_is_given(
    rows: list[object], indent: int | None, before: str
) -> None:
    text = before + json.dumps(rows, indent=indent, ensure_ascii=False)
    position, expected = 0, []
    for row in rows:
        written = json.dumps([row], indent=indent, ensure_ascii=False)
        inner = written[1:-1].strip()
        position = text.index(inner, position)
        expected.append(text.count("\n", 0, position) + 1)
        position += len(inner)
    assert row_lines(text) == expected


def test_lines_are_given_up_to_the_row_that_cannot_be_read() -> None:
    assert row_lines('[\n1,\n{"a": 2},\noops,\n4]') == [2, 3, 4]
    assert row_lines("{}") == []


def test_line_ends_of_every_kind_count_once(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(b"\xef\xbb\xbf[\r\n1,\r2,\n3]")
    file = JsonRows(path)
    assert (file.rows, [file.where(index) for index in range(3)]) == (
        [1, 2, 3],
        [f"{path}:{line}" for line in (2, 3, 4)],
    )
    assert file.where(1) == f"{path}:3"


def test_a_number_of_too_many_digits_is_placed(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text("[\n1,\n" + "9" * 5000 + "\n]")
    with pytest.raises(MalformedFileError, match=r"rows\.json:3: not JSON"):
        JsonRows(path)


def test_bytes_that_are_no_utf_8_are_placed(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(b"[\xff]")
    with pytest.raises(MalformedFileError, match="not UTF-8 at byte 1"):
        read_text(path)
