from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
import typer

from taskgrain.tools.cut.clips import TaskName
from taskgrain.tools.cut.command import Task, cut
from tests.making import moving_square, write_video

pytestmark = pytest.mark.usefixtures("forked_workers")

FROZEN: Task = "real-or-frozen"


def footage(folder: Path) -> Path:
    for n in range(2):
        write_video(folder / f"{n}.mp4", moving_square(24 + 6 * n, size=48))
    write_video(folder / "short.mp4", moving_square(4, size=48))
    return folder


def test_every_task_can_be_asked_for() -> None:
    assert set(get_args(Task)) == set(get_args(TaskName))


@pytest.mark.slow
def test_a_dry_run_says_what_would_be_cut_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos, dataset = footage(tmp_path / "videos"), tmp_path / "data"
    cut(videos, dataset, FROZEN, seconds=0.5, workers=1, dry_run=True, quiet=True)
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.splitlines()[:5] == [
        "real-or-frozen: real and frozen, 6 frames a clip",
        "train       10 clips of 1 file, to fit on",
        "validation  8 clips of 1 file, to score",
        "footage     3 files: 2 used, 0 failed, 0 truncated; "
        "0 windows in which nothing moves passed over",
        "  not used  short.mp4: 0.33 s; a window takes 0.50 s of footage",
    ]
    assert said.out.endswith("\nnothing was written\n")
    assert [path.name for path in tmp_path.iterdir()] == ["videos"]


@pytest.mark.slow
def test_the_outcome_is_printed_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    videos, dataset = footage(tmp_path / "videos"), tmp_path / "data"
    options = {"seconds": 0.5, "height": 16, "width": 16, "workers": 1, "quiet": True}
    cut(videos, dataset, FROZEN, clips_per_file=1, as_json=True, **options)  # type: ignore[arg-type]
    outcome = json.loads(capsys.readouterr().out)
    assert outcome["written"] is True
    assert outcome["clips"] == {"train": 2, "validation": 2}
    assert outcome["unused"] == ["short.mp4: 0.33 s; a window takes 0.50 s of footage"]
    assert len(list((dataset / "videos").iterdir())) == 4


def test_odd_sizes_are_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    app = typer.Typer()
    app.command()(cut)
    task = f"--task={FROZEN}"
    with pytest.raises(SystemExit) as stopped:
        app(["videos", "data", task, "--height", "97"])
    assert stopped.value.code == 2
    assert "97 is odd" in capsys.readouterr().err
