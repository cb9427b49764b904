"""Two small studies: one with every probe, one with every control and three seeds."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from taskgrain.cli.main import main
from taskgrain.names import ChosenControl, ProbeName
from taskgrain.results import read_rows, select
from tests.end_to_end.conftest import SMALL, with_drawn_clips

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("forked_trainings")]
# With sources, where the primary endpoint is read.
COMPARED = set(get_args(ChosenControl)) - {"permuted-labels"}


def named(values: tuple[str, ...]) -> str:
    return "[" + ", ".join(f'"{value}"' for value in values) + "]"


def test_every_probe_gives_its_rows(small_run: Path, tmp_path: Path) -> None:
    probes = get_args(ProbeName)
    changes = (
        *("--set", f"transfer.probes={named(probes)}"),
        *("--set", "transfer.controls=['majority', 'pixels']", "--set", "train.epochs=1"),
        *("--set", "transfer.episodes={number=2, ways=3, shots=[1], queries=2}"),
    )
    main([*SMALL, *changes, "--out", str(with_drawn_clips(small_run, tmp_path / "run"))])
    rows = read_rows(tmp_path / "run" / "results.jsonl")
    for metric in ("top-1", "3-way-accuracy"):
        found = select(rows, source="joint-full", target="kitchenware", metric=metric, versus=None)
        assert {row.probe for row in found} == {*probes}
        found = select(rows, control="pixels", target="kitchenware", metric=metric)
        assert {row.probe for row in found} == {*probes} - {"recurrent", "attentive"}


def test_every_control_gives_its_rows(small_run: Path, tmp_path: Path) -> None:
    controls = get_args(ChosenControl)
    changes = (
        *("--set", f"transfer.controls={named(controls)}"),
        *("--set", "transfer.draws=5", "--set", "seeds=[0, 1, 2]", "--set", "train.epochs=1"),
        *("--set", "transfer.episodes={number=2, ways=3, shots=[1], queries=2}"),
        *("--set", "transfer.from_scratch={draws=5, passes=16}"),
    )
    main([*SMALL, *changes, "--out", str(with_drawn_clips(small_run, tmp_path / "run"))])
    rows = read_rows(tmp_path / "run" / "results.jsonl")
    for control in controls:
        found = select(rows, control=control, target="kitchenware")
        assert found, control
        has_source = control in ("shuffled-time", "permuted-labels")
        assert {row.source is not None for row in found} == {has_source}
    crossed = select(rows, interval="crossed", target="kitchenware")
    assert {row.versus for row in crossed} == {"action-groups", "chance", *COMPARED}
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "first and last frame" in page
