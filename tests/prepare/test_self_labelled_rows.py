from __future__ import annotations

from pathlib import Path

import pytest

from taskgrain.errors import ManifestError
from taskgrain.prepare.self_labelled_rows import read_groups

FILES = ["a.mp4", "in a folder/b.mp4", "c, d.mp4"]


@pytest.mark.parametrize("head", ["", "file,group\n", "\ufefffile,group\r\n"])
def test_groups_are_read_with_and_without_a_header(head: str, tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    text = head + 'a.mp4,left\n\n in a folder/b.mp4 , left\n"c, d.mp4",right\na.mp4,left\n'
    path.write_text(text, encoding="utf-8", newline="")
    assert read_groups(path, FILES) == {
        "a.mp4": "left",
        "in a folder/b.mp4": "left",
        "c, d.mp4": "right",
    }


def test_every_line_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    path.write_text("a.mp4,left\na.mp5,left\na.mp4,right\nb\na.mp4,\n", encoding="utf-8")
    with pytest.raises(ManifestError) as refused:
        read_groups(path, FILES)
    assert str(refused.value).splitlines() == [
        f"{path}:2: no file 'a.mp5'; did you mean 'a.mp4'?",
        f"{path}:3: 'a.mp4' is in group 'left' already",
        f"{path}:4: 'b'; expected file,group",
        f"{path}:5: 'a.mp4,'; expected file,group",
    ]


def test_a_file_of_groups_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_bytes(b"\xff\xfe\x00")
    for name in ("groups.csv", "nowhere.csv"):
        with pytest.raises(ManifestError, match=name.replace(".", r"\.")):
            read_groups(tmp_path / name, FILES)
