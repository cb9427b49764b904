from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from taskgrain.cli.main import main


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.slow
def test_a_stopped_drawing_goes_on_to_the_same_files(tmp_path: Path) -> None:
    words = ["--train", "66", "--validation", "8", "--workers", "2", "--quiet"]
    part, whole = tmp_path / "part", tmp_path / "whole"
    command = [sys.executable, "-m", "taskgrain", "render", str(part), *words]
    for number in (signal.SIGINT, signal.SIGTERM):
        drawn = len(list(part.glob("videos/*.webm")))
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        while process.poll() is None and len(list(part.glob("videos/*.webm"))) < drawn + 3:
            time.sleep(0.02)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        assert errors.decode() == "taskgrain: stopped; the same command goes on from here\n"
        assert not (part / "train.json").exists()
        assert not (part / ".lock").exists()
    main(["render", str(part), *words])
    main(["render", str(whole), *words])
    assert contents(part) == contents(whole)
    assert len(contents(whole)) > 74


def test_a_drawing_of_another_world_is_refused_with_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = tmp_path / ".rendering" / "world.json"
    mark.parent.mkdir()
    mark.write_text('{"seed": 7}')
    with pytest.raises(SystemExit) as stopped:
        main(["render", str(tmp_path), "--train", "4", "--validation", "4"])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert 'holds a drawing of {"seed": 7}; choose another folder for {"seed": 0' in said
    assert [path.name for path in tmp_path.iterdir()] == [".rendering"]
