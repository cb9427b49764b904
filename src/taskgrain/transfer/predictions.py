"""Answers as files: from them every number of a target can be recomputed.

An evaluation over support draws and one over episodes have a file each. Both hold the answers of
each probe as an array of their own, and a header (JSON) that names subject, probe and shots. A
subject's file of episodes repeats the subject with each probe, and has the truth beside each array.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from taskgrain.errors import ResultError
from taskgrain.names import Control
from taskgrain.results import Shots
from taskgrain.transfer.answers import Answers, Evaluation, Subject
from taskgrain.transfer.archive import StoredArray, read_arrays, write_arrays
from taskgrain.transfer.fitting import NO_ANSWER
from taskgrain.transfer.task import TargetTask, episode_clips


# The fields and their order are those of the stored headers: equal evaluations are equal bytes.
class _Record(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _Measured(_Record):
    """Who was measured, and on what."""

    source: str | None
    seed: int | None
    readout: str
    control: Control | None
    target: str

    @property
    def subject(self) -> Subject:
        return Subject(self.source, self.seed, self.readout, self.control)


class _AnswersHeader(_Record):
    probe: str | None
    shots: Shots
    chosen: str | None
    chosen_on: str | None
    problem: str | None = None  # files of older versions lack it


class _Header(_Measured):
    class_names: tuple[str, ...]
    failed: int
    truncated: int
    answers: tuple[_AnswersHeader, ...]


class _EpisodesOfProbe(_Measured):
    probe: str
    num_ways: int = Field(ge=2)
    shots: int = Field(ge=1)
    n: int = Field(ge=1)
    failed: int
    truncated: int
    chosen: str | None
    chosen_on: str | None
    problem: str | None = None  # files of older versions lack it


class _EpisodesHeader(_Record):
    answers: tuple[_EpisodesOfProbe, ...]


HeaderType = TypeVar("HeaderType", bound=_Record)
ANSWERED = {field.name for field in fields(Answers)} - {"held"}  # what a header repeats of them


def write_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Write an `.npz`: `clip`, `label`, `predicted-0`, `predicted-1`, ... and `header` (JSON).

    The header's `answers` name, in the same order, probe and number of shots of each of the int16
    (draws, N) arrays. Atomic; equal evaluations are equal bytes.
    """
    header = _Header(
        **asdict(evaluation.subject),
        target=evaluation.target,
        class_names=evaluation.class_names,
        failed=evaluation.failed,
        truncated=evaluation.truncated,
        answers=tuple(
            _AnswersHeader.model_validate(each, from_attributes=True) for each in evaluation.answers
        ),
    )
    arrays: dict[str, NDArray[np.generic]] = {
        "clip": np.array(evaluation.clip_ids, dtype=np.str_),
        "label": evaluation.labels,
    }
    for index, answers in enumerate(evaluation.answers):
        arrays[_entry(index)] = answers.predicted
    _write(path, arrays, header)


def read_evaluation(path: Path, task: TargetTask | None = None) -> Evaluation:
    """Read an evaluation; its answers are checked and left in the file.

    Answers are read each time that they are used, so that any number of evaluations can be held.
    Ids and labels that are those of the task that was answered are shared with it.

    Raises:
        ResultError: naming the file, if it is not there or not what `write_evaluation` writes.
    """
    text, clips, labels = (_read_entry(path, name) for name in ("header", "clip", "label"))
    header = _parsed(path, text, _Header)
    clip_ids = tuple(str(each) for each in clips)
    answers = []
    for index, each in enumerate(header.answers):
        array = _read_entry(path, _entry(index))
        _check_answers(path, array, labels=labels, num_classes=len(header.class_names))
        stored = StoredArray(path, _entry(index), array.shape)
        answers.append(Answers(**each.model_dump(), held=stored))
    # Of many evaluations each would hold its own copy of the same ids and labels.
    own = None if task is None else (task.query_ids, task.query_labels)
    if own is not None and clip_ids == own[0] and np.array_equal(labels, own[1]):
        clip_ids, labels = own
    return Evaluation(
        subject=header.subject,
        target=header.target,
        class_names=header.class_names,
        clip_ids=clip_ids,
        labels=labels.astype(np.int64, copy=False),
        failed=header.failed,
        truncated=header.truncated,
        answers=tuple(answers),
    )


def write_episodes(path: Path, evaluation: Evaluation) -> None:
    """Write an `.npz`: `predicted-0`, `truth-0`, `predicted-1`, ... and `header` (JSON).

    The header's `answers` name, in the same order, subject, probe and number of shots of each
    int16 (E, W * q) array. Atomic; equal evaluations are equal bytes.
    """
    measured = {
        **asdict(evaluation.subject),
        "target": evaluation.target,
        "n": len(evaluation.clip_ids),
        "failed": evaluation.failed,
        "truncated": evaluation.truncated,
    }
    header = _EpisodesHeader(
        answers=tuple(
            _EpisodesOfProbe(**measured, **{name: getattr(each, name) for name in ANSWERED})
            for each in evaluation.answers
        )
    )
    arrays: dict[str, NDArray[np.generic]] = {}
    for index, each in enumerate(evaluation.answers):
        arrays[_entry(index)] = each.predicted
        arrays[f"truth-{index}"] = evaluation.truth(each)
    _write(path, arrays, header)


def read_episodes(path: Path, task: TargetTask, *, pooled: bool) -> Evaluation | None:
    """Read the answers to episodes; None where no probe could read the subject's features.

    The episodes are of the task's classes; `pooled` is whether their queries come from all of its
    clips.

    Raises:
        ResultError: naming the file, if it is not there, not what `write_episodes` writes, or of
            another task.
    """
    arrays = read_arrays(path)
    header = _parsed(path, _entry_of(path, arrays, "header"), _EpisodesHeader)
    if not header.answers:
        return None
    first, clips = header.answers[0], episode_clips(task, pooled=pooled)[1]
    evaluation = Evaluation(
        subject=first.subject,
        target=first.target,
        class_names=task.class_names,
        clip_ids=clips.clip_ids,
        labels=clips.labels,
        failed=first.failed,
        truncated=first.truncated,
        answers=tuple(
            Answers(
                held=_checked(path, _entry_of(path, arrays, _entry(index)), each, axes=2),
                **each.model_dump(include=ANSWERED),
            )
            for index, each in enumerate(header.answers)
        ),
    )
    for index, (each, answers) in enumerate(zip(header.answers, evaluation.answers, strict=True)):
        truth = _checked(path, _entry_of(path, arrays, f"truth-{index}"), each, axes=1)
        _check_episodes(path, each, evaluation, answers, truth)
    return evaluation


def _write(path: Path, arrays: dict[str, NDArray[np.generic]], header: _Record) -> None:
    write_arrays(path, {**arrays, "header": np.array(header.model_dump_json(), dtype=np.str_)})


def _parsed(path: Path, text: NDArray[np.generic], kind: type[HeaderType]) -> HeaderType:
    try:
        return kind.model_validate_json(str(text))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ResultError(f"{path}: header {where}: {first['msg']}") from None


def _read_entry(path: Path, name: str) -> NDArray[np.generic]:
    return _entry_of(path, read_arrays(path, only=name), name)


def _entry_of(
    path: Path, arrays: Mapping[str, NDArray[np.generic]], name: str
) -> NDArray[np.generic]:
    if name not in arrays:
        raise ResultError(f"{path}: no entry {name!r}")
    return arrays[name]


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
    _in_range(path, array, num_classes)


def _in_range(path: Path, array: NDArray[np.generic], num_classes: int) -> NDArray[np.int16]:
    """Return int16 answers in -1..K-1 as they are."""
    classes = array.astype(np.int16, copy=False)
    if classes.size and not NO_ANSWER <= classes.min() <= classes.max() < num_classes:
        raise ResultError(
            f"{path}: answers run from {classes.min()} to {classes.max()}; "
            f"expected {NO_ANSWER} to {num_classes - 1}"
        )
    return classes


def _checked(
    path: Path, array: NDArray[np.generic], header: _EpisodesOfProbe, *, axes: int
) -> NDArray[np.int16]:
    """Return int16 answers in -1..W-1 as they are."""
    if array.dtype != np.int16 or array.ndim != axes or array.size == 0:
        raise ResultError(
            f"{path}: an array is {array.dtype} {array.shape}; expected int16 of {axes} axes, "
            "not empty"
        )
    return _in_range(path, array, header.num_ways)


def _check_episodes(
    path: Path,
    header: _EpisodesOfProbe,
    evaluation: Evaluation,
    answers: Answers,
    truth: NDArray[np.int16],
) -> None:
    """Refuse answers to other episodes than those of the evaluation."""
    shape = answers.held.shape
    if shape[1:] != truth.shape:
        raise ResultError(
            f"{path}: answers are {shape} to {truth.shape} queries; expected (E, Q) to (Q,)"
        )
    if not np.array_equal(truth, evaluation.truth(answers)):
        raise ResultError(
            f"{path}: the truth is {truth.tolist()}; expected 0 to {header.num_ways - 1}, way "
            "after way, each as often"
        )
    stored = (header.subject, header.target, header.n, header.failed, header.truncated)
    counts = (len(evaluation.clip_ids), evaluation.failed, evaluation.truncated)
    expected = (evaluation.subject, evaluation.target, *counts)
    if stored != expected:
        raise ResultError(f"{path}: answers are of {stored}; expected {expected}")
