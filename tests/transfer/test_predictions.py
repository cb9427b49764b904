from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from taskgrain.errors import ResultError
from taskgrain.transfer.archive import read_arrays, write_arrays
from taskgrain.transfer.evaluate import Answers, Evaluation
from taskgrain.transfer.predictions import read_evaluation, write_evaluation
from taskgrain.transfer.task import TargetTask

EVALUATION = Evaluation(
    source="categories",
    seed=0,
    readout="lstm-mean",
    control=None,
    target="kitchenware/motion",
    class_names=("pretending", "using"),
    clip_ids=("q0", "q1", "é 2"),
    labels=np.array([0, 1, 1]),
    failed=1,
    truncated=0,
    answers=(
        Answers("nearest-mean", 1, np.array([[0, 1, -1], [1, 1, -1]], np.int16), None, None),
        Answers("logistic-regression", "all", np.array([[0, 1, -1]], np.int16), "C=0.1", "fixed"),
    ),
)


def test_an_evaluation_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "cell.npz"
    write_evaluation(path, EVALUATION)
    read = read_evaluation(path)
    assert read.labels.tolist() == [0, 1, 1]
    assert len(read.answers) == 2
    for ours, theirs in zip(read.answers, EVALUATION.answers, strict=True):
        assert np.array_equal(ours.predicted, theirs.predicted)
        assert ours.predicted.dtype == np.int16
        assert np.array_equal(read.correct(ours), EVALUATION.correct(theirs))
        assert (ours.probe, ours.shots) == (theirs.probe, theirs.shots)
        assert (ours.chosen, ours.chosen_on) == (theirs.chosen, theirs.chosen_on)
    for name in ("source", "seed", "readout", "control", "target", "class_names", "clip_ids"):
        assert getattr(read, name) == getattr(EVALUATION, name)
    assert (read.failed, read.truncated) == (1, 0)


def test_a_failure_comes_back_with_its_reason(tmp_path: Path) -> None:
    nothing = np.full((2, 3), -1, np.int16)
    failed = Answers("ridge", 1, nothing, None, None, "not finite")
    write_evaluation(tmp_path / "cell.npz", replace(EVALUATION, answers=(failed,)))
    (read,) = read_evaluation(tmp_path / "cell.npz").answers
    assert read.problem == "not finite"
    assert np.array_equal(read.predicted, nothing)


def test_a_file_from_before_failures_were_kept_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cell.npz"
    write_evaluation(path, EVALUATION)
    arrays = read_arrays(path)
    header = str(arrays["header"])
    arrays["header"] = np.array(header.replace(',"problem":null', ""))
    assert str(arrays["header"]) != header
    write_arrays(path, arrays)
    assert [each.problem for each in read_evaluation(path).answers] == [None, None]


def test_answers_stay_in_the_file_and_are_refused_where_it_is_another_by_then(
    tmp_path: Path,
) -> None:
    path = tmp_path / "cell.npz"
    write_evaluation(path, EVALUATION)
    first, second = read_evaluation(path).answers
    assert (first.num_draws, second.num_draws) == (2, 1)
    fewer = replace(EVALUATION, answers=EVALUATION.answers[1:])
    write_evaluation(path, fewer)
    for answers in (first, second):
        with pytest.raises(ResultError, match="another file than it was when it was opened"):
            _ = answers.predicted
    path.unlink()
    with pytest.raises(ResultError, match="no such file"):
        _ = first.predicted


def test_ids_and_labels_are_shared_with_the_task_where_they_are_its_own(tmp_path: Path) -> None:
    path = tmp_path / "cell.npz"
    write_evaluation(path, EVALUATION)
    task = TargetTask(
        "kitchenware/motion",
        EVALUATION.class_names,
        ("s0",),
        np.array([0]),
        EVALUATION.clip_ids,
        EVALUATION.labels.copy(),
    )
    read = read_evaluation(path, task)
    assert read.clip_ids is task.query_ids
    assert read.labels is task.query_labels
    other = replace(task, query_labels=np.array([0, 0, 1]))
    assert read_evaluation(path, other).labels.tolist() == [0, 1, 1]


def test_equal_evaluations_are_equal_files(tmp_path: Path) -> None:
    write_evaluation(tmp_path / "a.npz", EVALUATION)
    write_evaluation(tmp_path / "b.npz", read_evaluation(tmp_path / "a.npz"))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_file_that_is_no_evaluation_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "cell.npz"
    write_arrays(path, {"clip": np.array(["a"])})
    with pytest.raises(ResultError, match=r"cell\.npz: no entry 'header'"):
        read_evaluation(path)
    write_evaluation(path, EVALUATION)
    arrays = read_arrays(path)
    write_arrays(path, {**arrays, "predicted-0": np.full((1, 3), 2, dtype=np.int16)})
    with pytest.raises(ResultError, match="answers run from 2 to 2; expected -1 to 1"):
        read_evaluation(path)
    write_arrays(path, {**arrays, "predicted-1": np.zeros((1, 2), dtype=np.int16)})
    with pytest.raises(ResultError, match=r"answers are int16 \(1, 2\)"):
        read_evaluation(path)
    write_arrays(path, {**arrays, "header": np.array('{"seed": "none"}')})
    with pytest.raises(ResultError, match="header source: Field required"):
        read_evaluation(path)
