from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from taskgrain.errors import ResultError
from taskgrain.transfer.answers import Answers, Evaluation, Subject
from taskgrain.transfer.archive import read_arrays, write_arrays
from taskgrain.transfer.predictions import (
    read_episodes,
    read_evaluation,
    write_episodes,
    write_evaluation,
)
from taskgrain.transfer.task import TargetTask

EVALUATION = Evaluation(
    subject=Subject("categories", 0, "lstm-mean", None),
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
    for name in ("subject", "target", "class_names", "clip_ids"):
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


TASK = TargetTask(
    name="kitchenware",
    class_names=("fork", "knife", "spoon", "whisk"),
    support_ids=("s0", "s1"),
    support_labels=np.array([0, 1]),
    query_ids=("q0", "q1", "q2", "q3", "q4"),
    query_labels=np.array([0, 1, 2, 3, 0]),
)
ONE = Answers(
    "ridge",
    1,
    np.array([[0, 1, -1], [2, 1, 0]], dtype=np.int16),
    chosen="lambda=1",
    chosen_on="fixed in advance",
    num_ways=3,
)
FIVE = replace(ONE, shots=5, held=ONE.predicted[::-1].copy(), chosen=None, chosen_on=None)
EPISODES = Evaluation(
    subject=Subject("categories", 3, "lstm-mean", None),
    target="kitchenware",
    class_names=TASK.class_names,
    clip_ids=TASK.query_ids,
    labels=TASK.query_labels,
    failed=2,
    truncated=1,
    answers=(ONE, FIVE),
)


def read_back(path: Path) -> Evaluation:
    found = read_episodes(path, TASK, pooled=False)
    assert found is not None
    return found


def test_answers_to_episodes_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    nothing = np.full_like(ONE.predicted, -1)
    failed = replace(ONE, held=nothing, chosen=None, chosen_on=None, problem="broke")
    episodes = replace(EPISODES, answers=(ONE, FIVE, failed))
    write_episodes(path, episodes)
    found = read_back(path)
    for each in fields(Evaluation):
        if each.name not in ("answers", "labels"):
            assert getattr(found, each.name) == getattr(episodes, each.name), each.name
    assert np.array_equal(found.labels, episodes.labels)
    assert len(found.answers) == 3
    for before, after in zip(episodes.answers, found.answers, strict=True):
        for each in fields(Answers):
            assert np.array_equal(getattr(before, each.name), getattr(after, each.name)), each.name
    assert found.accuracies(found.answers[0]).tolist() == pytest.approx([2 / 3, 1 / 3])
    written = path.read_bytes()
    write_episodes(path, found)
    assert path.read_bytes() == written
    header = json.loads(str(read_arrays(path)["header"]))
    assert list(header["answers"][0]) == [
        *("source", "seed", "readout", "control", "target", "probe", "num_ways", "shots", "n"),
        *("failed", "truncated", "chosen", "chosen_on", "problem"),
    ]
    assert header["answers"][0]["n"] == 5


def test_a_subject_that_no_probe_could_read_has_a_file_without_answers(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_episodes(path, replace(EPISODES, answers=()))
    assert read_episodes(path, TASK, pooled=False) is None


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("predicted-0", ONE.predicted.astype(np.int32), "is int32 .* expected int16 of 2 axes"),
        ("truth-0", ONE.predicted, r"is int16 \(2, 3\); expected int16 of 1 axes"),
        ("predicted-0", ONE.predicted + np.int16(1), "run from 0 to 3; expected -1 to 2"),
        ("truth-0", np.arange(2, dtype=np.int16), r"answers are \(2, 3\) to \(2,\) queries"),
        ("truth-0", np.array([0, 2, 1], np.int16), r"truth is \[0, 2, 1\]; expected 0 to 2, way"),
        ("header", np.array("{}"), "header answers: Field required"),
    ],
)
def test_damaged_files_of_episodes_are_named(
    name: str, value: np.ndarray, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.npz"
    write_episodes(path, EPISODES)
    write_arrays(path, {**read_arrays(path), name: value})
    with pytest.raises(ResultError, match=rf"a\.npz: .*{problem}"):
        read_back(path)


def test_answers_to_the_episodes_of_other_clips_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_episodes(path, EPISODES)
    with pytest.raises(ResultError, match=r"kitchenware', 5, 2, 1\); expected .*', 7, 2, 1\)"):
        read_episodes(path, TASK, pooled=True)  # support clips are queries too


def test_a_missing_entry_of_episodes_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_episodes(path, EPISODES)
    kept = {name: array for name, array in read_arrays(path).items() if name != "truth-0"}
    write_arrays(path, kept)
    with pytest.raises(ResultError, match="no entry 'truth-0'"):
        read_back(path)
