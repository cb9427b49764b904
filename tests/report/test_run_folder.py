from __future__ import annotations

import json
from pathlib import Path

import pytest

from taskgrain.errors import ResultError
from taskgrain.report.run_folder import EBML_MAGIC, read_run_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "results.jsonl").write_text("")
    (tmp_path / "examples").mkdir()
    return tmp_path


def write_example(folder: Path, file: str) -> None:
    text = json.dumps([{"clip": "c", "file": file}])
    (folder / "examples" / "examples.json").write_text(text)


@pytest.mark.parametrize("name", ["../secret.webm", "/etc/passwd", "gone.webm", "a\0b", "."])
def test_an_example_file_cannot_lead_out_of_the_folder(folder: Path, name: str) -> None:
    (folder / "secret.webm").write_bytes(EBML_MAGIC)
    write_example(folder, name)
    (example,) = read_run_folder(folder).examples
    assert example.video is None


def test_a_link_out_of_the_folder_is_not_followed(folder: Path) -> None:
    (folder / "secret.webm").write_bytes(EBML_MAGIC)
    (folder / "examples" / "link.webm").symlink_to(folder / "secret.webm")
    write_example(folder, "link.webm")
    assert read_run_folder(folder).examples[0].video is None


def test_only_webm_is_taken_as_a_video(folder: Path) -> None:
    (folder / "examples" / "c.webm").write_bytes(b"ffconcat version 1.0")
    write_example(folder, "c.webm")
    assert read_run_folder(folder).examples[0].video is None
    (folder / "examples" / "c.webm").write_bytes(EBML_MAGIC + b"rest")
    assert read_run_folder(folder).examples[0].video == EBML_MAGIC + b"rest"


def test_a_line_separator_in_a_caption_does_not_end_a_line(folder: Path) -> None:
    entry = {"clip": "a\u2028b", "dataset": "d", "split": "train", "problem": "p"}
    (folder / "ledger.jsonl").write_text(json.dumps(entry, ensure_ascii=False), encoding="utf-8")
    ledger = read_run_folder(folder).ledger
    assert ledger is not None
    assert ledger[0].clip == "a\u2028b"


@pytest.mark.parametrize("name", ["curves.jsonl", "ledger.jsonl", "provenance.json", "study.toml"])
def test_a_malformed_file_is_named(folder: Path, name: str) -> None:
    (folder / name).write_text("{ not = this")
    with pytest.raises(ResultError, match=name):
        read_run_folder(folder)


def test_a_run_without_a_ledger_differs_from_one_with_an_empty_ledger(folder: Path) -> None:
    assert read_run_folder(folder).ledger is None
    (folder / "ledger.jsonl").write_text("")
    assert read_run_folder(folder).ledger == ()


def test_settings_are_flattened_in_the_files_order(folder: Path) -> None:
    text = 'name = "n"\nseeds = [0, 1]\n[data]\nworld = "w"\n[[targets]]\nname = "t"\n'
    (folder / "study.toml").write_text(text)
    study = read_run_folder(folder).study
    assert study.seeds == (0, 1)
    assert dict(study.settings)["targets[0].name"] == "t"
    assert [key for key, _ in study.settings][:3] == ["name", "seeds", "data.world"]


def test_values_of_unexpected_types_are_read_as_absent(folder: Path) -> None:
    (folder / "study.toml").write_text('name = 3\nseeds = "x"\nsources = ["a"]\nprimary = 4\n')
    (folder / "curves.jsonl").write_text('{"source": 1, "shares": [], "validation": {"a": null}}')
    run = read_run_folder(folder)
    assert run.study.name == "study"
    assert run.study.primary is None
    assert run.curves[0].validation == {}
