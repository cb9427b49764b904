from __future__ import annotations

import json
from pathlib import Path

import pytest

from taskgrain.cli.main import main
from taskgrain.results import ResultRow, read_rows, select
from taskgrain.tabletop.tasks import TASKS
from tests.end_to_end.conftest import ONE_WORKER

STUDY = """
extends = "smoke"
name = "tasks"
alignment = 2000
sources = ["action-groups", "categories", "captions-simplified"]
examples = 0

[data]
train = 80
validation = 24

[train]
epochs = 1

[[targets]]
name = "tasks"
world = "tabletop"
seed = 3
support = 80
scored = 40
tasks = 6
factors = ["light"]

[[targets]]
name = "kitchenware"
support = 26
scored = 39
factors = ["motion", "object"]

[transfer]
shots = [1]
draws = 2
controls = ["majority"]

[primary]
target = "tasks"
shots = 1
"""


@pytest.fixture(scope="module")
def run(forked_trainings: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "tasks.toml").write_text(STUDY)
    out = folder / "run"
    main(["study", str(folder / "tasks.toml"), "--quiet", *ONE_WORKER, "--out", str(out)])
    return out


def gains(run: Path, **wanted: str) -> dict[str, float]:
    rows: tuple[ResultRow, ...] = read_rows(run / "results.jsonl")
    found = select(rows, metric="alignment-gain", **wanted)
    return {row.target: row.value for row in found if row.value is not None}


@pytest.mark.slow
def test_drawn_tasks_are_read_out_and_have_an_alignment(run: Path) -> None:
    drawn = json.loads((run / "data" / "tasks" / "tasks.json").read_text())
    assert len(drawn) == 6
    assert set(drawn) < set(TASKS)
    rows = read_rows(run / "results.jsonl")
    names = ["tasks", "tasks/light", *(f"tasks/{name}" for name in drawn if name != "light")]
    for name in names:
        scored = select(rows, target=name, source="categories", metric="top-1", versus=None)
        assert [row for row in scored if row.probe == "nearest-mean"], name
        aligned = select(rows, target=name, metric="alignment")
        assert [row.source for row in aligned] == [
            "action-groups",
            "categories",
            "captions-simplified",
        ]
        assert {row.n for row in aligned} == {scored[0].n}
    assert set(gains(run, source="categories", versus="action-groups")) == {
        *names,
        *("kitchenware", "kitchenware/motion", "kitchenware/object"),
    }


@pytest.mark.slow
def test_half_of_the_drawn_tasks_are_named_and_half_are_not(run: Path) -> None:
    drawn = json.loads((run / "data" / "tasks" / "tasks.json").read_text())
    found = gains(run, source="categories", versus="action-groups")
    # Categories name no kind whose values would be new: the other kinds have three each.
    assert sorted(found[f"tasks/{name}"] >= 0.1 for name in drawn) == [False] * 3 + [True] * 3
    assert abs(found["tasks/light"]) < 0.01
    assert found["kitchenware/motion"] > 0.1
    assert abs(found["kitchenware/object"]) < 0.01


@pytest.mark.slow
def test_each_gain_is_the_difference_of_two_alignments(run: Path) -> None:
    rows = read_rows(run / "results.jsonl")
    of = {(row.target, row.source): row.value for row in select(rows, metric="alignment")}
    checked = 0
    for row in select(rows, metric="alignment-gain"):
        fine, coarse = of[row.target, row.source], of[row.target, row.versus]
        assert fine is not None
        assert coarse is not None
        assert row.value == pytest.approx(fine - coarse)
        checked += 1
    assert checked == 2 * (8 + 3)


@pytest.mark.slow
def test_more_tasks_than_have_clips_enough_are_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = STUDY.replace("support = 80", "support = 60").replace("tasks = 6", "tasks = 95")
    (tmp_path / "few.toml").write_text(study)
    with pytest.raises(SystemExit):
        main(["study", str(tmp_path / "few.toml"), "--out", str(tmp_path / "run"), "--quiet"])
    assert "of the 95 declared tasks have" in capsys.readouterr().err
    assert not list((tmp_path / "run").rglob("*.done"))
