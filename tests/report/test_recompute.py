"""What the evidence's scripts recompute are the numbers of the project's own statistics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from taskgrain.names import ALIGNMENT_GAIN, ALIGNMENT_GAIN_IF_SHOWN
from taskgrain.report.recompute import Values, metrics_over_tasks, tasks_of
from taskgrain.report.variances import compare_components
from taskgrain.results import COLUMNS, ResultRow
from taskgrain.statistics.crossed import rotating_components
from taskgrain.transfer.archive import write_arrays
from taskgrain.transfer.sample_rows import TaskGain, task_rows

NUM_TASKS, NUM_SEEDS = 16, 5
SETTING = {"probe": "k-nn", "shots": 5, "readout": "lstm-mean"}


def like(**columns: object) -> ResultRow:
    common = {"study": "made", "source": "fine", "versus": "coarse", "target": "tasks"}
    counts = {"metric": "mean-over-tasks", "value": None, "n": 9, "failed": 0, "truncated": 0}
    return ResultRow(**{**common, **SETTING, **counts, **columns})  # type: ignore[arg-type]


def as_json(row: ResultRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in COLUMNS}


@pytest.mark.parametrize("knows_gains", [True, False])
@pytest.mark.parametrize("spread_of_seeds", [0.05, 0.0])  # without, a component lies below 0
def test_means_by_kind_and_slopes_over_tasks_are_recomputed_with_their_intervals(
    knows_gains: bool, spread_of_seeds: float
) -> None:
    generator = np.random.default_rng(1)
    shape = (NUM_TASKS, NUM_SEEDS)
    made = generator.normal(0, 0.03, (NUM_TASKS, 1)) + generator.normal(0, 0.02, shape)
    made += generator.normal(0, spread_of_seeds, NUM_SEEDS)
    gains = [
        *(TaskGain(0.2 + 0.05 * place, 0.2 + 0.05 * place) for place in range(5)),
        *(TaskGain(0.02 * place, 0.3) for place in range(5)),
        *(TaskGain(0.001 * place, 0.001 * place) for place in range(6)),
    ]
    names = [f"tasks/task-{place:02}" for place in range(NUM_TASKS)]
    rows = task_rows(made, like(), gains=gains if knows_gains else None)
    stored = [as_json(row) for row in rows]
    for name, gain in zip(names, gains if knows_gains else (), strict=knows_gains):
        known = {ALIGNMENT_GAIN: gain.gain, ALIGNMENT_GAIN_IF_SHOWN: gain.gain_if_shown}
        stored += [
            as_json(like(target=name, metric=metric, value=value))
            for metric, value in known.items()
        ]
    theirs = generator.uniform(0, 0.5, shape)
    values: Values = {
        (name, source, None, "lstm-mean", "k-nn", 5, "top-1"): dict(enumerate(held.tolist()))
        for table, source in ((theirs + made, "fine"), (theirs, "coarse"))
        for name, held in zip(names, table, strict=True)
    }
    compared: list[tuple[str, float, float]] = []
    for row in rows:
        compared += tasks_of(as_json(row), values, stored, "top-1")
    assert len(compared) == 5 * 6 + 3 if knows_gains else 6 + 3
    for kind, mine, stored_number in compared:
        assert mine == pytest.approx(stored_number, rel=1e-9, abs=1e-12), kind


def test_the_metric_behind_a_row_over_tasks_is_its_endpoints() -> None:
    study = {
        "primary": {**SETTING, "metric": "mean-per-class"},
        "family": [
            {**SETTING, "metric": "top-1"},
            {**SETTING, "metric": "mean-per-class"},
            {**SETTING, "probe": "ridge", "metric": "top-1"},
        ],
    }
    rows = [
        like(value=0.1),
        like(metric="top-1", value=0.2),
        like(value=0.1, source="finer"),
        like(value=0.3),
        like(value=0.2, probe="ridge"),
    ]
    assert metrics_over_tasks(study, [as_json(row) for row in rows]) == {
        **{0: "mean-per-class", 2: "mean-per-class"},
        **{3: "top-1", 4: "top-1"},
    }


def write_answers(path: Path, header: list[dict[str, Any]], right: list[NDArray[np.bool_]]) -> None:
    arrays: dict[str, NDArray[Any]] = {"header": np.array(json.dumps(header), dtype=np.str_)}
    for index, (each, answers) in enumerate(zip(header, right, strict=True)):
        arrays[f"label-{each['clips']}"] = np.repeat(np.arange(3), (3, 4, answers.shape[1] - 7))
        arrays[f"right-{index}"] = np.packbits(answers)
    path.parent.mkdir()
    write_arrays(path, arrays)


def test_components_of_clips_of_each_seeds_own_are_recomputed(tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    header, right = [], []
    for source in ("fine", "coarse"):
        for seed in range(3):
            subject = {"source": source, "seed": seed, "control": None, "draws": 4, "clips": seed}
            header.append({**subject, **SETTING})
            right.append(generator.random((4, 12 + seed)) < 0.5)
    write_answers(tmp_path / "answers" / "novel.npz", header, right)
    values = [a.astype(np.int8) - b for a, b in zip(right[:3], right[3:], strict=True)]
    labels = [np.repeat(np.arange(3), (3, 4, each.shape[1] - 7)) for each in values]
    parts = rotating_components(values, labels, metric="top-1")
    at = {"source": "fine", "versus": "coarse", "target": "novel", "metric": "top-1", **SETTING}
    written = [{"name": part.name, "squared_points": 1e4 * part.of_one} for part in parts]
    record = {**at, "kind": "clips of each seed", "parts": written}
    (tmp_path / "components.json").write_text(json.dumps([record]))
    found, missing = compare_components(tmp_path)
    assert not missing
    assert [kind for kind, *_ in found] == ["components, clips of each seed"] * 4
    for _, mine, stored, line in found:
        assert mine == pytest.approx(stored, abs=1e-9), line
