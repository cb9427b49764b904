from __future__ import annotations

import json
from pathlib import Path

import pytest

from taskgrain.tools.labels.command import labels
from tests.making import PULL, PUSH, row, write_annotations


@pytest.fixture
def data(tmp_path: Path) -> Path:
    train: list[object] = [row("1", PUSH, "a red cup"), row("2", PULL, "a bottle of water")]
    return write_annotations(tmp_path / "my clips", train, [row("3", PUSH, "a blue cup")])


def test_the_hierarchy_the_words_and_the_bits_are_printed(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels(data)
    said = capsys.readouterr().out
    for line in (
        f"{data}: 2 training clips, 1 of validation",
        "tree (action-group > category; training and validation clips)",
        "1  a bottle of water -> water",
        "1  a bottle of water -> bottle",
        "contrastive groups",
        "2 training clips (100.0%) have labels that can be mirrored by the table of Something-",
    ):
        assert line in said
    assert "       1        1    Pushing something from left to right" in said


def test_json_is_one_object(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels(data, min_count=2, top=1, as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said["clips"] == {"train": 2, "validation": 1}
    assert said["min_count"] == 2
    assert said["entropy_bits"]["category"] == 1.0
    assert set(said["vocabulary"]) >= {"template", "simplified", "full"}
    assert len(said["simplifications"]["last-word"]["most_frequent"]) == 1
    assert said["chain"] == ["action-group", "category"]


def test_free_sentences_are_said_to_be_some(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[object] = [{**row("1", "Nodding"), "label": "a man says yes"}, row("2", "Waving")]
    labels(write_annotations(tmp_path, rows, [row("3", "Nodding")]))
    said = capsys.readouterr().out
    assert "captions are free sentences" in said
    assert "simplified  " not in said
    assert "a study's own data.mirror is not counted" in said
