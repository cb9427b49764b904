from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from taskgrain.cli.main import main


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    said = capsys.readouterr().out
    for command in ("study", "report", "describe", "render"):
        assert f"\n  {command} " in said


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--version"])
    assert capsys.readouterr().out.startswith("taskgrain ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["study", "quik"], "no study 'quik'"),
        (["study", "quick", "--set", "train.epoch=3"], "did you mean 'epochs'"),
        (["study", "quick", "--workers", "0"], "greater than or equal to 1"),
        (["report", "nowhere"], "nowhere"),
        (["describe", "nowhere", "clip.mp4"], "expected a checkpoint folder"),
        (["render"], "Missing argument"),
        (["describ"], "No such command"),
    ],
)
def test_a_mistake_is_explained_with_exit_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_an_error_is_one_line_without_a_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "taskgrain", "study", "quik"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SystemExit):
        main(["study", "smoke", "--out", str(tmp_path / "run")])
    assert "choose another --out" in capsys.readouterr().err


def test_an_out_that_is_a_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as stopped:
        main(["study", "smoke", "--out", str(tmp_path / "file")])
    assert stopped.value.code == 2
    assert "file" in capsys.readouterr().err


@pytest.mark.slow
def test_a_dry_run_prints_the_plan_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    main(["study", "smoke", "--dry-run", "--json", "--workers", "2", "--out", str(out)])
    plan = json.loads(capsys.readouterr().out)
    cells = {step["step"]: step["cells"] for step in plan["steps"]}
    assert cells["train"] == cells["score"] == 3
    # The untrained encoder is read in one pass, and tested after its LSTM and before it.
    assert (cells["features"], cells["evaluate"]) == (6, 7)
    assert plan["seconds"] > 0
    assert not out.exists()
    main(["study", "smoke", "--dry-run"])
    assert "train" in capsys.readouterr().out


@pytest.mark.slow
def test_a_drawn_dataset_is_equal_for_equal_seeds_and_any_number_of_workers(
    tmp_path: Path,
) -> None:
    for name, workers in (("a", "1"), ("b", "2")):
        main(
            [
                *("render", str(tmp_path / name), "--train", "70", "--validation", "4"),
                *("--test", "2", "--seed", "7", "--workers", workers, "--quiet"),
            ]
        )
    files = sorted(path.name for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) == 76 + 5
    for path in (path for path in (tmp_path / "a").rglob("*") if path.is_file()):
        other = tmp_path / "b" / path.relative_to(tmp_path / "a")
        assert path.read_bytes() == other.read_bytes(), path.name


def test_drawing_into_a_folder_with_other_files_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(SystemExit) as stopped:
        main(["render", str(tmp_path), "--train", "1", "--validation", "1", "--quiet"])
    assert stopped.value.code == 2
    assert "holds other files (photos" in capsys.readouterr().err
