"""The difference of two sources on one target, minus their difference on another.

Look x grain: what finer labels gain in the source's look, minus what they gain in another.

Shapes: S encoder seeds, N scored clips of the first target, M of the second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from taskgrain.results import ResultRow
from taskgrain.statistics.intervals import (
    ClipBootstrap,
    ClipMetric,
    Interval,
    clip_weights,
    has_enough_clips,
)
from taskgrain.statistics.student import has_spread, paired_interval
from taskgrain.transfer.answers import (
    Answers,
    Evaluation,
    answers_like,
    by_subject,
    paired_by_readout,
    problem_of,
    varies,
)
from taskgrain.transfer.endpoints import Endpoint
from taskgrain.transfer.rows import row_of, without_interval

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Gains:
    """The difference of two sources on every scored clip of a target, under every seed."""

    ours: Sequence[Evaluation]  # one a seed
    theirs: Sequence[Evaluation]  # of the same seeds
    answers: Answers  # which probe, at how many shots

    @property
    def all(self) -> list[Evaluation]:
        return [*self.ours, *self.theirs]

    @property
    def labels(self) -> NDArray[np.int64]:
        return self.ours[0].labels

    def of_clips(self) -> Floats:
        """Compute float64 (S, N), in [-1, 1]."""
        scores = [
            np.stack([each.scores(answers_like(each, self.answers)) for each in group])
            for group in (self.ours, self.theirs)
        ]
        found: Floats = scores[0] - scores[1]
        return found

    @property
    def is_sample(self) -> bool:
        """Whether any seed differs from another."""
        return varies(self.ours, self.answers) or varies(self.theirs, self.answers)


def gain_rows(
    near: Sequence[Evaluation],
    far: Sequence[Evaluation],
    endpoint: Endpoint,
    *,
    study: str,
    are_pairs: bool,
    bootstrap_of: Callable[[NDArray[np.int64]], ClipBootstrap],
) -> list[ResultRow]:
    """Compare the difference on a target with the difference on another, for each rival.

    Each rival of the endpoint gives a row for every seed with an interval over clips, conditional
    on the encoders; and, from two seeds up, rows without a seed for the mean: over clips, and
    "seeds" (paired t test: value i is of seed i on both targets). Where clips of the two targets
    are pairs, which show the same in two looks, pairs are resampled ("clip-pairs"); otherwise the
    clips of each target for themselves ("clips").

    Args:
        near: evaluations on the endpoint's target, with true labels.
        far: evaluations on its second target.
        endpoint: what is compared.
        study: its name.
        are_pairs: whether equal ids of the two targets name clips that show the same.
        bootstrap_of: returns the bootstrap over clips of these categories.

    Raises:
        ResultError: if a source has no evaluation, or lacks a seed that the other has.
    """
    rows: list[ResultRow] = []
    for versus in endpoint.versus:
        first, second = (_gains_of(each, endpoint, versus) for each in (near, far))
        problem = problem_of(first.all, first.answers) or problem_of(second.all, second.answers)
        if problem is not None:
            rows += _without_result(first, second, endpoint, versus, study, problem)
            continue
        found = _intervals(first, second, endpoint.metric, are_pairs, bootstrap_of)
        for seed, interval in found:
            row = row_of(
                first.ours[0],
                _plain(first.answers),
                study=study,
                metric=endpoint.metric,
                interval=interval,
                versus=versus,
            )
            rows.append(_about_both(row, first, second, endpoint, seed))
    return _shown(rows, near, far)


def _gains_of(evaluations: Sequence[Evaluation], endpoint: Endpoint, versus: str) -> _Gains:
    groups = [group for group in by_subject(evaluations) if group[0].subject.control is None]
    pairs = paired_by_readout(groups, endpoint.source, versus)
    ours, theirs = next(each for each in pairs if each[0][0].subject.readout == endpoint.readout)
    return _Gains(ours, theirs, answers_like(ours[0], endpoint))


def _intervals(
    first: _Gains,
    second: _Gains,
    metric: ClipMetric,
    are_pairs: bool,
    bootstrap_of: Callable[[NDArray[np.int64]], ClipBootstrap],
) -> list[tuple[int | None, Interval]]:
    """List the seed, None for all of them, and the interval of each row."""
    near, far = first.of_clips(), second.of_clips()  # (S, N), (S, M)
    weights = [clip_weights(each.labels, metric=metric) for each in (first, second)]
    gains = (near @ weights[0]).tolist(), (far @ weights[1]).tolist()
    seeds = [each.subject.seed for each in first.ours]
    assert seeds == [each.subject.seed for each in second.ours], "both are of the study's seeds"
    category = first.labels
    if are_pairs and first.ours[0].clip_ids == second.ours[0].clip_ids:
        scores = (near - far) / 2
    else:
        are_pairs = False
        category = np.concatenate([first.labels, first.labels.max() + 1 + second.labels])
        own = clip_weights(category, metric=metric)
        share = np.concatenate([weights[0], -weights[1]]) / (2 * own)
        scores = np.concatenate([near, far], axis=1) * share
    # Halved, so that a difference of differences lies in the [-1, 1] that the bootstrap expects.
    table = np.concatenate([scores, scores.mean(axis=0, keepdims=True)])
    halves = bootstrap_of(category).intervals(table, metric=metric)
    clips = [_doubled(each, are_pairs) for each in halves]
    found: list[tuple[int | None, Interval]] = [*zip(seeds, clips[:-1], strict=True)]
    if len(seeds) > 1:
        found.append((None, clips[-1]))
        if (first.is_sample or second.is_sample) and has_spread(*gains):
            found.append((None, paired_interval(*gains, kind="seeds")))
    return found


def _doubled(half: Interval, are_pairs: bool) -> Interval:
    assert half.low_90 is not None, "the bootstrap has both intervals"
    assert half.high_90 is not None, "the bootstrap has both intervals"
    return Interval(
        "clip-pairs" if are_pairs else "clips",
        2 * half.value,
        2 * half.low,
        2 * half.high,
        half.n,
        low_90=2 * half.low_90,
        high_90=2 * half.high_90,
    )


def _without_result(
    first: _Gains, second: _Gains, endpoint: Endpoint, versus: str, study: str, problem: str
) -> list[ResultRow]:
    """Return one row with the problem: a seed that has both gains does not answer for the others.

    The rows of each target say which seeds have their difference.
    """
    plain = replace(_plain(first.answers), problem=problem)
    row = row_of(
        first.ours[0], plain, study=study, metric=endpoint.metric, interval=None, versus=versus
    )
    seed = first.ours[0].subject.seed if len(first.ours) == 1 else None
    return [_about_both(row, first, second, endpoint, seed)]


def _about_both(
    row: ResultRow, first: _Gains, second: _Gains, endpoint: Endpoint, seed: int | None
) -> ResultRow:
    """Name both targets, and count the clips of both."""
    one, other = first.ours[0], second.ours[0]
    return replace(
        row,
        target=endpoint.at,
        seed=seed,
        n=len(one.labels) + len(other.labels),
        failed=one.failed + other.failed,
        truncated=one.truncated + other.truncated,
    )


def _plain(answers: Answers) -> Answers:
    """Leave out what the probe chose: it chose for each target."""
    return replace(answers, chosen=None, chosen_on=None)


def _shown(
    rows: list[ResultRow], near: Sequence[Evaluation], far: Sequence[Evaluation]
) -> list[ResultRow]:
    """Leave out intervals over clips where a class of either target has too few."""
    if all(has_enough_clips(each[0].labels) for each in (near, far)):
        return rows
    return [row if row.interval == "seeds" else without_interval(row) for row in rows]
