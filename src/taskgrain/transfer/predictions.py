"""Evaluations as files: the answers to every clip, from which every number can be recomputed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from taskgrain.errors import ResultError
from taskgrain.names import Control
from taskgrain.results import Shots
from taskgrain.transfer.answer import NO_ANSWER
from taskgrain.transfer.archive import StoredArray, read_arrays, write_arrays
from taskgrain.transfer.evaluate import Answers, Evaluation
from taskgrain.transfer.task import TargetTask


class _AnswersHeader(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    probe: str | None
    shots: Shots
    chosen: str | None
    chosen_on: str | None
    problem: str | None = None  # files of older versions lack it


class _Header(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    source: str | None
    seed: int | None
    readout: str
    control: Control | None
    target: str
    class_names: tuple[str, ...]
    failed: int
    truncated: int
    answers: tuple[_AnswersHeader, ...]


def write_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Write an `.npz`: `clip`, `label`, `predicted-0`, `predicted-1`, ... and `header` (JSON).

    The header's `answers` say, in the same order, which probe and how many shots each of the
    int16 (draws, N) arrays belongs to. Atomic; equal evaluations give equal bytes.
    """
    header = _Header(
        source=evaluation.source,
        seed=evaluation.seed,
        readout=evaluation.readout,
        control=evaluation.control,
        target=evaluation.target,
        class_names=evaluation.class_names,
        failed=evaluation.failed,
        truncated=evaluation.truncated,
        answers=tuple(
            _AnswersHeader(**{name: getattr(a, name) for name in _AnswersHeader.model_fields})
            for a in evaluation.answers
        ),
    )
    arrays: dict[str, NDArray[np.generic]] = {
        "clip": np.array(evaluation.clip_ids, dtype=np.str_),
        "label": evaluation.labels,
    }
    for index, answers in enumerate(evaluation.answers):
        arrays[_entry(index)] = answers.predicted
    arrays["header"] = np.array(header.model_dump_json(), dtype=np.str_)
    write_arrays(path, arrays)


def read_evaluation(path: Path, task: TargetTask | None = None) -> Evaluation:
    """Read an evaluation back; its answers are checked and left in the file.

    Answers are read each time that they are asked for, so that any number of evaluations can be
    held. Ids and labels that are those of the task are shared with it.

    Args:
        path: of what `write_evaluation` wrote.
        task: what was asked.

    Raises:
        ResultError: naming the file, if it is not there or not what `write_evaluation` writes.
    """
    header, clip, labels = _read_all_but_answers(path)
    answers = []
    for index, each in enumerate(header.answers):
        array = _read_entry(path, _entry(index))
        _check_answers(path, array, labels=labels, num_classes=len(header.class_names))
        stored = StoredArray(path, _entry(index), array.shape)
        answers.append(Answers(**each.model_dump(), held=stored))
    if task is not None and clip == task.query_ids and np.array_equal(labels, task.query_labels):
        clip, labels = task.query_ids, task.query_labels
    return Evaluation(
        source=header.source,
        seed=header.seed,
        readout=header.readout,
        control=header.control,
        target=header.target,
        class_names=header.class_names,
        clip_ids=clip,
        labels=labels.astype(np.int64, copy=False),
        failed=header.failed,
        truncated=header.truncated,
        answers=tuple(answers),
    )


def _read_all_but_answers(path: Path) -> tuple[_Header, tuple[str, ...], NDArray[np.generic]]:
    text, clip, labels = (_read_entry(path, name) for name in ("header", "clip", "label"))
    try:
        header = _Header.model_validate_json(str(text))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ResultError(f"{path}: header {where}: {first['msg']}") from None
    return header, tuple(str(each) for each in clip), labels


def _read_entry(path: Path, name: str) -> NDArray[np.generic]:
    found = read_arrays(path, only=name).get(name)
    if found is None:
        raise ResultError(f"{path}: no entry {name!r}")
    return found


def _entry(index: int) -> str:
    return f"predicted-{index}"


def _check_answers(
    path: Path, array: NDArray[np.generic], *, labels: NDArray[np.generic], num_classes: int
) -> None:
    if labels.dtype != np.int64 or array.dtype != np.int16 or array.shape[1:] != labels.shape:
        raise ResultError(
            f"{path}: answers are {array.dtype} {array.shape} to {labels.dtype} {labels.shape} "
            "clips; expected int16 (draws, N) to int64 (N,)"
        )
    classes = array.astype(np.int16, copy=False)
    if classes.size and not NO_ANSWER <= classes.min() <= classes.max() < num_classes:
        raise ResultError(
            f"{path}: answers run from {classes.min()} to {classes.max()}; "
            f"expected {NO_ANSWER} to {num_classes - 1}"
        )
