from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from taskgrain.report.summary import summarise
from taskgrain.results import ResultRow
from tests.report.conftest import RunMaker

Make = Callable[..., ResultRow]


def test_an_alarm_stands_before_the_answer(tmp_path: Path, difference: Make, control: Make) -> None:
    leak = control("permuted-labels", 0.4, source="categories", p=1e-9, interval="draws")
    run = RunMaker(tmp_path / "run", rows=[difference(0.4), leak]).write()
    said = summarise(run)
    assert said.startswith("ALARM. The control with shuffled target labels scores above chance")
    assert "features of “categories” reach 40.0" in said.splitlines()[0]
    assert "do not use the numbers of this run" in said.splitlines()[0]
    assert "gave features that transfer better" in said.splitlines()[2]


def test_without_an_alarm_the_answer_comes_first(
    tmp_path: Path, difference: Make, control: Make
) -> None:
    sound = control("permuted-labels", 0.08, source="categories", p=0.4, interval="draws")
    run = RunMaker(tmp_path / "run", rows=[difference(0.4), sound]).write()
    assert summarise(run).startswith("Training on the finer labels, “categories”,")
    assert "ALARM" not in summarise(run)
