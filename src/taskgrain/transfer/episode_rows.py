"""N-way K-shot episodes turned into rows of results: values, intervals, differences, chance.

Shapes: E episodes, the same ones for every subject; S encoder seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from taskgrain.results import ResultRow, Shots
from taskgrain.statistics.intervals import Interval
from taskgrain.statistics.student import has_spread, mean_interval, paired_interval
from taskgrain.transfer.answers import (
    Answers,
    Evaluation,
    answers_like,
    by_subject,
    paired_by_readout,
    problem_of,
    varies,
)
from taskgrain.transfer.rows import row_of, without_interval

Group = Sequence[Evaluation]
# Of each seed, or None for all together: what was measured, or why nothing was.
Found = list[tuple[int | None, Interval | str]]


def episode_rows(
    found: Sequence[Evaluation], pairs: Sequence[tuple[str, str]], *, study: str
) -> list[ResultRow]:
    """Write the rows of one target's episodes, for each probe and number of shots.

    Every subject has a row for each seed with an interval of kind "episodes" (Student's t over
    episodes, conditional on the encoder and on the clips that they are drawn from) and, from two
    seeds up, one without a seed over the "seeds". A pair of sources has a row for every seed,
    paired by episode; and from two seeds up two without a seed: conditional on these encoders,
    and the paired t test over seeds. Then chance, 1 / ways.

    Args:
        found: evaluations over the same episodes of one target.
        pairs: (source, versus) for the differences source - versus; equal read-outs are paired.
        study: its name.

    Returns:
        Rows of metric "5-way-accuracy", say, whose `draws` is the number of episodes and whose n
        counts the clips that queries are drawn from. A single episode gives no interval.

    Raises:
        ResultError: if a source of a pair is not there, or lacks a seed that the other has.
        ValueError: if a pair was not asked as many episodes.
    """
    rows: list[ResultRow] = []
    asked: dict[tuple[str | None, Shots], tuple[Answers, list[Evaluation]]] = {}
    for one in found:
        for each in one.answers:
            asked.setdefault((each.probe, each.shots), (each, []))[1].append(one)
    for kind, evaluations in asked.values():
        groups = by_subject(evaluations)
        for group in groups:
            rows += _rows(group[0], kind, _levels(group, kind), study=study, versus=None)
        of_sources = [group for group in groups if group[0].subject.control is None]
        for source, versus in pairs:
            for first, second in paired_by_readout(of_sources, source, versus):
                gaps = _differences(first, second, kind)
                rows += _rows(first[0], kind, gaps, study=study, versus=versus)
    return [*rows, *_chance(found, study)]


def _levels(group: Group, kind: Answers) -> Found:
    """Measure one subject: each seed over its episodes, then the mean over the seeds."""
    found: Found = []
    for one in group:
        problem = answers_like(one, kind).problem
        found.append((one.subject.seed, problem or _over_episodes(_accuracies(one, kind))))
    if len(group) < 2:
        return found
    problem = problem_of(group, kind)
    if problem is not None:
        return [*found, (None, problem)]
    means = [float(_accuracies(one, kind).mean()) for one in group]
    interval = mean_interval(means, kind="seeds")
    if not varies(group, kind):  # one encoder, however often it was asked: a sample of one
        interval = Interval("seeds", interval.value, interval.value, interval.value, 1)
    return [*found, (None, interval)]


def _differences(first: Group, second: Group, kind: Answers) -> Found:
    """Compare two sources, seed by seed and over the seeds."""
    if len({answers_like(one, kind).num_draws for one in (*first, *second)}) > 1:
        raise ValueError(
            f"{first[0].subject.source} and {second[0].subject.source} were not asked as many "
            "episodes"
        )
    problem = problem_of([*first, *second], kind)
    if problem is not None:
        if len(first) < 2:
            return [(first[0].subject.seed, problem)]
        each_seed = (_differences([a], [b], kind) for a, b in zip(first, second, strict=True))
        return [*(row for rows in each_seed for row in rows), (None, problem)]
    ours = np.stack([_accuracies(one, kind) for one in first])  # (S, E)
    theirs = np.stack([_accuracies(one, kind) for one in second])
    found: Found = [
        (one.subject.seed, _over_episodes(row))
        for one, row in zip(first, ours - theirs, strict=True)
    ]
    if len(first) > 1:
        means = ours.mean(axis=1).tolist(), theirs.mean(axis=1).tolist()
        found.append((None, _over_episodes((ours - theirs).mean(axis=0))))
        if (varies(first, kind) or varies(second, kind)) and has_spread(*means):
            found.append((None, paired_interval(*means, kind="seeds")))
    return found


def _accuracies(evaluation: Evaluation, kind: Answers) -> NDArray[np.float64]:
    return evaluation.accuracies(answers_like(evaluation, kind))


def _over_episodes(values: NDArray[np.float64]) -> Interval:
    """Average float64 (E,), with its t interval; of one episode the value alone."""
    if len(values) < 2:
        value = float(values.mean())
        return Interval("episodes", value, value, value, len(values))
    return mean_interval(values.tolist(), kind="episodes")


def _chance(found: Group, study: str) -> list[ResultRow]:
    of_ways = {each.num_ways: one for one in found for each in one.answers}
    return [
        ResultRow(
            study=study,
            target=one.target,
            metric=f"{num_ways}-way-accuracy",
            value=1.0 / (num_ways or 1),
            n=len(one.labels),
            failed=one.failed,
            truncated=one.truncated,
            control="chance",
        )
        for num_ways, one in of_ways.items()
    ]


def _rows(
    first: Evaluation, kind: Answers, found: Found, *, study: str, versus: str | None
) -> list[ResultRow]:
    """Write what was measured as rows of the first seed's evaluation."""
    own = answers_like(first, kind)
    metric = f"{own.num_ways}-way-accuracy"
    rows = []
    for seed, measured in found:
        if isinstance(measured, str):
            answers, interval = replace(own, chosen=None, chosen_on=None, problem=measured), None
        else:
            answers, interval = replace(own, problem=None), measured
        row = row_of(first, answers, study=study, metric=metric, interval=interval, versus=versus)
        if interval is not None and interval.n < 2:
            row = without_interval(row)
        rows.append(replace(row, seed=seed))
    return rows
