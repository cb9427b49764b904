"""What the evidence's scripts recompute are the numbers of the project's own statistics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from taskgrain.report.variances import compare_components
from taskgrain.statistics.components import rotating_components
from taskgrain.transfer.archive import write_arrays

SETTING = {"probe": "k-nn", "shots": 5, "readout": "lstm-mean"}


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
