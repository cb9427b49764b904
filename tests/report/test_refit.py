"""The script that fits a cell again gives the answers of taskgrain's own probes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from taskgrain.report.refit import compare_cell, fit_again
from taskgrain.results import Shots
from taskgrain.transfer.answers import Subject
from taskgrain.transfer.archive import read_arrays, write_arrays
from taskgrain.transfer.evaluate import ProbePlan, SubjectFeatures, evaluate
from taskgrain.transfer.features import FeatureSet
from taskgrain.transfer.probes import ProbeName, Standardiser
from taskgrain.transfer.task import TargetTask, support_draws

DRAWS = 6
NUM_SUPPORT, NUM_SCORED = 12, 30  # clips of a class


def task_of(num_classes: int) -> TargetTask:
    counts = (NUM_SUPPORT, NUM_SCORED)
    parts = zip("sq", counts, strict=True)
    ids = [tuple(f"{part}{i}" for i in range(n * num_classes)) for part, n in parts]
    labels = [np.repeat(np.arange(num_classes), n) for n in counts]
    names = tuple(f"class {index}" for index in range(num_classes))
    return TargetTask("made", names, ids[0], labels[0], ids[1], labels[1], frozenset({"q3"}))


def cell_of(task: TargetTask, shots: Shots, seed: int) -> tuple[dict[str, Any], SubjectFeatures]:
    """Make features of which classes overlap, some of them constant or far from 0."""
    generator = np.random.default_rng(seed)
    labels = np.concatenate([task.support_labels, task.query_labels])
    centres = generator.normal(0, 1, (len(task.class_names), 20))
    features = (centres[labels] + generator.normal(0, 1.5, (len(labels), 20))).astype(np.float32)
    features[:, 3] = 0.1
    features[:, 4] += 50
    clips = task.support_ids + task.query_ids
    kept = np.array([clip not in task.failed for clip in clips])
    ids = tuple(clip for clip in clips if clip not in task.failed)
    scale = Standardiser.of(features + generator.normal(0, 0.1, features.shape))
    subject = SubjectFeatures(
        Subject("fine", 0, "lstm-mean", None), FeatureSet(ids, features[kept], {}), scale
    )
    scored = np.where(task.is_decoded, len(task.support_ids) + np.cumsum(task.is_decoded) - 1, -1)
    draws = support_draws(task, num_shots=shots, num_draws=DRAWS, seed=1)
    cell = {"features": features[kept], "label": labels[kept], "draws": draws, "scored": scored}
    return cell if shots == 5 else cell | {"mean": scale.mean, "scale": scale.scale}, subject


@pytest.mark.parametrize("num_classes", [2, 5])
@pytest.mark.parametrize("shots", [1, 5, "all"])
@pytest.mark.parametrize("probe", ["logistic-regression", "nearest-mean", "k-nn", "ridge"])
def test_the_probe_is_fitted_as_the_study_fits_it(
    probe: ProbeName, shots: Shots, num_classes: int
) -> None:
    task = task_of(num_classes)
    differing = 0
    for seed in range(3):
        cell, subject = cell_of(task, shots, seed)
        if shots == "all":
            del cell["mean"], cell["scale"]
        plan = ProbePlan((probe,), (shots,), DRAWS, 1)
        evaluation = evaluate(subject, task, plan=plan)
        right = evaluation.correct(evaluation.answers[0])
        assert right.any()
        assert not right.all()
        assert not right[:, 3].any()  # it failed
        differing += int((fit_again(cell, {"probe": probe}) != right).sum())
    assert differing == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write the evidence of one cell."""
    task = task_of(5)
    cell, subject = cell_of(task, 5, 0)
    plan = ProbePlan(("nearest-mean",), (5,), DRAWS, 1)
    evaluation = evaluate(subject, task, plan=plan)
    at = {"source": "fine", "seed": 0, "readout": "lstm-mean", "probe": "nearest-mean", "shots": 5}
    write_header(tmp_path / "cell.npz", cell, {**at, "target": "made"})
    answers = {"clips": 0, "control": None, "draws": DRAWS}
    arrays: dict[str, NDArray[Any]] = {
        "label-0": task.query_labels,
        "right-0": np.packbits(~evaluation.correct(evaluation.answers[0])),  # of another seed
        "right-1": np.packbits(evaluation.correct(evaluation.answers[0])),
    }
    subjects = [{**at, **answers, "seed": 1}, {**at, **answers}]
    (tmp_path / "answers").mkdir()
    write_header(tmp_path / "answers" / "made.npz", arrays, subjects)
    return tmp_path


def write_header(path: Path, arrays: dict[str, NDArray[Any]], header: object) -> None:
    write_arrays(path, {**arrays, "header": np.array(json.dumps(header), dtype=np.str_)})


def test_a_cell_that_gives_its_answers_agrees(folder: Path) -> None:
    (line,), agrees = compare_cell(folder)
    assert agrees
    assert "900 of 900 answers (6 draws, 150 clips)" in line


def test_more_than_one_answer_in_ten_thousand_that_differs_is_found(folder: Path) -> None:
    path = folder / "answers" / "made.npz"
    arrays = read_arrays(path)
    arrays["right-1"][0] ^= 1 << 7
    write_arrays(path, arrays)
    (line,), agrees = compare_cell(folder)
    assert not agrees
    assert "899 of 900 answers" in line


def test_a_probe_that_is_not_fitted_again_is_named(folder: Path) -> None:
    cell = read_arrays(folder / "cell.npz")
    header = json.loads(str(cell.pop("header")))
    write_header(folder / "cell.npz", cell, {**header, "probe": "attentive"})
    (line,), agrees = compare_cell(folder)
    assert agrees
    assert "attentive is not fitted again here (only logistic-regression, nearest-mean" in line


def test_without_a_cell_there_may_be_no_answers_of_it(folder: Path) -> None:
    (folder / "cell.npz").unlink()
    primary = '[primary]\nsource="fine"\ntarget="made"\nreadout="lstm-mean"\nshots=5\nprobe='
    (folder / "study.toml").write_text(f'{primary}"nearest-mean"\n')
    lines, agrees = compare_cell(folder)
    assert lines == ["no cell.npz: no cell was fitted again"]
    assert not agrees
    (folder / "study.toml").write_text(f'{primary}"k-nn"\n')  # which failed, say
    assert compare_cell(folder)[1]
