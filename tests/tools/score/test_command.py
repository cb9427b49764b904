from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from taskgrain.errors import ResultError
from taskgrain.tools.score.command import score
from tests.making import PRETEND, PUSH, row

APP = typer.Typer()
APP.command()(score)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    folder = tmp_path / "my captions"
    folder.mkdir()
    rows = [row(str(n), (PUSH, PRETEND)[n % 2]) for n in range(40)]
    references = folder / "validation.json"
    references.write_text(json.dumps(rows))
    predictions = folder / "said.json"
    said = [{"id": each["id"], "caption": each["label"] if n % 3 else "a cat"}
            for n, each in enumerate(rows)]  # fmt: skip
    predictions.write_text(json.dumps(said))
    return predictions, references


def run(*arguments: object) -> str:
    result = CliRunner().invoke(APP, [str(each) for each in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_table_leads_with_what_is_right(files: tuple[Path, Path]) -> None:
    predictions, references = files
    lines = run(predictions, "--references", references, "--training", references).splitlines()
    names = [line.split()[0] for line in lines if line and not line[0].isspace()]
    assert lines[0].startswith("40 clips, 1.0 references a clip; ")
    assert names[1:14] == [
        *("exact-match", "template-accuracy", "object-accuracy"),
        *("noun-accuracy", "modifier-accuracy", "direction-errors"),
        *("bleu-1", "bleu-2", "bleu-3", "bleu-4", "rouge-l", "cider-d", "meteor"),
    ]
    exact = next(line for line in lines if line.startswith("exact-match"))
    assert "65.0%" in exact
    assert " to " in exact
    assert next(line for line in lines if line.startswith("meteor")).endswith("not computed")
    assert "commonest word" in lines[2]


def test_json_is_one_object(files: tuple[Path, Path]) -> None:
    predictions, references = files
    scores = json.loads(run(predictions, "--references", references, "--json"))
    assert scores["exact-match"] == 0.65
    assert scores["meteor"] is None
    assert any("no floors" in warning for warning in scores["warnings"])


def test_what_is_missing_is_an_error(files: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "none.json").write_text("[]")
    with pytest.raises(ResultError, match="no caption for 40 of 40 clips"):
        run(tmp_path / "none.json", "--references", files[1])
