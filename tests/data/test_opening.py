from __future__ import annotations

from pathlib import Path

import pytest

from taskgrain.data.opening import read_dataset, read_manifest
from taskgrain.errors import ManifestError
from tests.making import row, write_annotations


def test_a_folder_without_any_layout_names_them_all(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(ManifestError, match=r"train\.json: no such file.*kinetics.*folders"):
        read_dataset(tmp_path)


def test_an_unknown_layout_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="did you mean 'folders'"):
        read_manifest(tmp_path, layout="folder")


def test_our_own_format_is_tried_first(tmp_path: Path) -> None:
    root = write_annotations(tmp_path, [row("1")], [row("2")])
    for name in ("a", "b"):
        (root / name).mkdir()
        (root / name / "clip.webm").touch()
    assert read_dataset(root).layout == "taskgrain"
    assert read_dataset(root, layout="folders").layout == "folders"


def test_companions_count_in_every_layout(tmp_path: Path) -> None:
    for name in ("opening", "closing"):
        (tmp_path / name).mkdir()
        for number in range(3):
            (tmp_path / name / f"{number}.mp4").touch()
    (tmp_path / "hierarchy.csv").write_text("category,kind\nopening,door\nclosing,door\n")
    (tmp_path / "ledger.jsonl").write_text(
        '{"clip": "opening-1", "state": "excluded", "problem": "dark"}\n'
    )
    manifest = read_manifest(tmp_path)
    assert manifest.taxonomy.names("kind") == ("door",)
    assert [record.clip_id for record in manifest.records if record.excluded] == ["opening-1"]
