"""How far wrong answers lie from the truth: into a class of the right group, or of another.

Shapes: R support draws, N scored clips, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from taskgrain.results import ResultRow
from taskgrain.statistics.intervals import ClipBootstrap
from taskgrain.transfer.answers import Answers, Evaluation
from taskgrain.transfer.endpoints import Endpoint
from taskgrain.transfer.rows import Measured, check_bootstrap, row_of, shown_rows

METRICS = ("errors-within-groups", "errors-between-groups")


def group_error_rows(
    evaluations: Sequence[Evaluation],
    group_of: Mapping[str, str | None],
    *,
    at: Sequence[Endpoint],
    study: str,
    bootstrap: ClipBootstrap,
) -> list[ResultRow]:
    """Part the wrong answers of every source and control by the groups of the classes.

    A row is the share of all scored clips, mean over the support draws, that were answered by
    another class of the right group, or by a class of another group; a clip without an answer
    counts with the latter. With top-1 accuracy the two add up to 1. Intervals are over "clips".

    Args:
        evaluations: of one target, with true labels.
        group_of: class -> its group; None where it has none: no error stays within that.
        at: whose probes, shots and read-outs are taken; features without an encoder have one.
        study: its name.
        bootstrap: over the labels of that target's scored clips.
    """
    places = dict.fromkeys((each.probe, each.shots, each.readout) for each in at)
    rows = []
    for evaluation in evaluations:
        check_bootstrap(evaluation, bootstrap)
        names = [group_of[each] for each in evaluation.class_names]
        for answers in evaluation.answers:
            if not any(
                (answers.probe, answers.shots) == (probe, shots)
                and evaluation.subject.readout in ("flat", readout)
                for probe, shots, readout in places
            ):
                continue
            rows += _rows(evaluation, answers, _index(names), study=study, bootstrap=bootstrap)
    return shown_rows(rows, bootstrap)


def _rows(
    evaluation: Evaluation,
    answers: Answers,
    group: NDArray[np.int64],
    *,
    study: str,
    bootstrap: ClipBootstrap,
) -> list[ResultRow]:
    measured: Sequence[Measured] = [answers.problem or ""] * len(METRICS)
    if answers.problem is None:
        parted = np.stack(parted_errors(answers.predicted, evaluation.labels, group)).mean(axis=1)
        measured = bootstrap.intervals(parted, metric="top-1")
    return [
        row_of(evaluation, answers, each, study=study, metric=metric)
        for metric, each in zip(METRICS, measured, strict=True)
    ]


def parted_errors(
    predicted: NDArray[np.int16], labels: NDArray[np.int64], group: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Part wrong answers into those within the group of the truth, and those outside of it.

    Args:
        predicted: int16 (R, N) in 0..K-1, -1 where there is no answer.
        labels: int64 (N,) in 0..K-1.
        group: int64 (K,), -1 for a class without a group.

    Returns:
        Two bool (R, N): within, and between.
    """
    is_wrong = predicted != labels
    of_truth = group[labels]  # (N,)
    is_same = (group[np.maximum(predicted, 0)] == of_truth) & (of_truth >= 0) & (predicted >= 0)
    return is_wrong & is_same, is_wrong & ~is_same


def _index(names: Sequence[str | None]) -> NDArray[np.int64]:
    known = sorted({name for name in names if name is not None})
    return np.array([-1 if name is None else known.index(name) for name in names], np.int64)
