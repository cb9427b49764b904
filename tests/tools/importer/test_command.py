from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from taskgrain.data.opening import read_manifest
from taskgrain.errors import ManifestError
from taskgrain.tools.importer.command import import_dataset


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name in ("opening", "closing"):
        (tmp_path / "clips" / name).mkdir(parents=True)
        for number in range(5):
            (tmp_path / "clips" / name / f"{number}.mp4").touch()
    return tmp_path / "clips"


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(import_dataset)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_folder_of_class_folders_becomes_a_dataset(source: Path, tmp_path: Path) -> None:
    done = run(source, tmp_path / "dataset", "--validation", "0.4", "--quiet")
    assert done.exit_code == 0, done.output
    assert "layout      folders" in done.output
    assert "validation  4 clips, 2 classes" in done.output
    assert f"taskgrain check {tmp_path / 'dataset'}" in done.output
    assert len(read_manifest(tmp_path / "dataset").records) == 10


def test_a_dry_run_says_the_same_and_writes_nothing(source: Path, tmp_path: Path) -> None:
    done = run(source, tmp_path / "dataset", "--dry-run")
    assert done.exit_code == 0
    assert "videos      10 found, 0 missing" in done.output
    assert "'closing'" in done.output
    assert "seed 0" in done.output
    assert "nothing was written" in done.output
    assert not (tmp_path / "dataset").exists()


def test_json_gives_one_object(source: Path, tmp_path: Path) -> None:
    done = run(source, tmp_path / "dataset", "--dry-run", "--json")
    found = json.loads(done.output)
    assert set(found) == {
        *("folder", "written", "layout", "clips", "classes", "videos", "missing", "first"),
        *("notes", "problems"),
    }
    assert found["written"] is False
    assert found["clips"] == {"train": 6, "validation": 4, "test": 0}


def test_a_dry_run_shows_problems_and_missing_videos_with_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    text = "path,label,split\na.mp4,x,train\n,y,train\nb.mp4,y,sometime\n"
    (tmp_path / "lists" / "list.csv").write_text(text)
    done = run(tmp_path / "lists", tmp_path / "dataset", "--dry-run")
    assert done.exit_code == 2
    assert "list.csv:3: no path" in done.output
    assert 'list.csv:4: split "sometime"' in done.output
    assert "missing   a.mp4" in done.output
    written = run(tmp_path / "lists", tmp_path / "dataset")
    assert isinstance(written.exception, ManifestError)
    assert not (tmp_path / "dataset").exists()


def test_an_unknown_layout_is_named(source: Path, tmp_path: Path) -> None:
    done = run(source, tmp_path / "dataset", "--layout", "folder")
    assert isinstance(done.exception, ManifestError)
    assert "did you mean 'folders'" in str(done.exception)


def test_another_official_division_is_read_on_request(tmp_path: Path) -> None:
    for name in ("wave/0.mp4", "wave/1.mp4", "clap/0.mp4", "clap/1.mp4"):
        (tmp_path / "d" / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / "videos" / name).touch()
    for number in (1, 2):
        for split, k in (("train", number - 1), ("test", 2 - number)):
            path = tmp_path / "d" / f"{split}list0{number}.txt"
            path.write_text(f"wave/{k}.mp4 1\nclap/{k}.mp4 2\n")
    done = run(tmp_path / "d", tmp_path / "out", "--dry-run", "--division", "2", "--json")
    first = json.loads(done.output)["first"]
    assert {row["id"]: row["split"] for row in first} == {
        **{"videos-wave-1": "train", "videos-clap-1": "train"},
        **{"videos-wave-0": "validation", "videos-clap-0": "validation"},
    }
