"""Answers to episodes as files: from them every accuracy can be recomputed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from taskgrain.errors import ResultError
from taskgrain.names import Control
from taskgrain.transfer.answer import NO_ANSWER
from taskgrain.transfer.archive import read_arrays, write_arrays
from taskgrain.transfer.episodes import EpisodeAnswers


class _AnswersHeader(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    source: str | None
    seed: int | None
    readout: str
    control: Control | None
    target: str
    probe: str
    num_ways: int = Field(ge=2)
    shots: int = Field(ge=1)
    n: int = Field(ge=1)
    failed: int
    truncated: int
    chosen: str | None
    chosen_on: str | None
    problem: str | None = None  # files of older versions lack it


class _Header(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    answers: tuple[_AnswersHeader, ...]


def write_episode_answers(path: Path, answers: Sequence[EpisodeAnswers]) -> None:
    """Write an `.npz`: `predicted-0`, `truth-0`, `predicted-1`, ... and `header` (JSON).

    The header's `answers` say, in the same order, whose features, which probe and how many shots
    each int16 (E, W * q) array belongs to. Atomic; equal answers give equal bytes.
    """
    header = _Header(
        answers=tuple(
            _AnswersHeader(**{name: getattr(each, name) for name in _AnswersHeader.model_fields})
            for each in answers
        )
    )
    arrays: dict[str, NDArray[np.generic]] = {}
    for index, each in enumerate(answers):
        arrays[f"predicted-{index}"] = each.predicted
        arrays[f"truth-{index}"] = each.truth
    arrays["header"] = np.array(header.model_dump_json(), dtype=np.str_)
    write_arrays(path, arrays)


def read_episode_file(path: Path) -> list[EpisodeAnswers]:
    """Read answers back, in the order in which they were written.

    Raises:
        ResultError: naming the file, if it is not there or not what `write_episode_answers`
            writes.
    """
    arrays = read_arrays(path)
    try:
        header = _Header.model_validate_json(str(arrays["header"]))
        found = [
            EpisodeAnswers(
                **each.model_dump(),
                predicted=_checked(path, arrays[f"predicted-{index}"], each, axes=2),
                truth=_checked(path, arrays[f"truth-{index}"], each, axes=1),
            )
            for index, each in enumerate(header.answers)
        ]
    except KeyError as error:
        raise ResultError(f"{path}: no entry {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ResultError(f"{path}: header {where}: {first['msg']}") from None
    for each in found:
        if each.predicted.shape[1:] != each.truth.shape:
            raise ResultError(
                f"{path}: answers are {each.predicted.shape} to {each.truth.shape} queries; "
                "expected (E, Q) to (Q,)"
            )
    return found


def _checked(
    path: Path, array: NDArray[np.generic], header: _AnswersHeader, *, axes: int
) -> NDArray[np.int16]:
    """Give int16 answers in -1..W-1 back."""
    if array.dtype != np.int16 or array.ndim != axes or array.size == 0:
        raise ResultError(
            f"{path}: an array is {array.dtype} {array.shape}; expected int16 of {axes} axes, "
            "not empty"
        )
    ways = array.astype(np.int16)
    if not NO_ANSWER <= ways.min() <= ways.max() < header.num_ways:
        raise ResultError(
            f"{path}: answers run from {ways.min()} to {ways.max()}; expected {NO_ANSWER} to "
            f"{header.num_ways - 1}"
        )
    return ways
