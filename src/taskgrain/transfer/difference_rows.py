"""Rows of differences: two sources, or a source and a control, on the same clips and draws.

Intervals of two scores say little about their difference, since both were measured on the same
clips and support draws. So differences are paired, and controls are compared as sources are, at one
setting: that of the primary endpoint. A difference that needs answers of a probe
that failed has a row with the problem.

Shapes: S encoder seeds, R support draws, N scored clips, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from taskgrain.names import CLIP_METRICS, FLAT, OWN_HEAD, ClipMetric, Control
from taskgrain.results import ResultRow
from taskgrain.statistics.crossed import crossed_fault, crossed_interval
from taskgrain.statistics.intervals import ClipBootstrap, Interval, clip_weights
from taskgrain.transfer.answers import (
    Answers,
    Evaluation,
    Group,
    PairedTable,
    ProbeAndShots,
    answers_like,
    by_subject,
    paired_by_readout,
    problem_of,
    seeds_of,
    varies,
)
from taskgrain.transfer.endpoints import Endpoint
from taskgrain.transfer.rows import (
    check_bootstrap,
    majority_right,
    measured_rows,
    paired_intervals,
    shown_rows,
    without_choice,
)
from taskgrain.transfer.task import TargetTask


def difference_rows(
    evaluations: Sequence[Evaluation],
    pairs: Sequence[tuple[str, str]],
    *,
    study: str,
    bootstrap: ClipBootstrap,
) -> list[ResultRow]:
    """Compare pairs of sources on the same clips, support draws and encoder seeds.

    A pair has, for each probe, number of shots and metric: a row for every seed, with a "clips"
    interval conditional on both encoders; and, from two seeds up, rows without a seed for the
    mean difference: "clips" (conditional on these encoders), "seeds" (paired t test) and, where
    `statistics.crossed` offers it, "crossed" (over seeds, draws, clips and classes). Equal
    read-outs are paired: one that either source lacks has no row.

    Args:
        evaluations: of one target, with true labels.
        pairs: (source, versus) for the differences source - versus.
        study: its name.
        bootstrap: over the labels of that target's scored clips.

    Raises:
        ResultError: if a source of a pair has no evaluation, or lacks a seed that the other has.
        ValueError: if the bootstrap is over other clips.
    """
    groups = [group for group in by_subject(evaluations) if group[0].subject.control is None]
    rows = []
    for source, versus in pairs:
        for first, second in paired_by_readout(groups, source, versus):
            rows += _pair(first, second, study=study, bootstrap=bootstrap)
    return shown_rows(rows, bootstrap)


def _pair(first: Group, second: Group, *, study: str, bootstrap: ClipBootstrap) -> list[ResultRow]:
    """Compare two sources; probes without answers for a seed of either come last."""
    whole = [a for a in first[0].answers if problem_of((*first, *second), a) is None]
    rows = []
    if whole:
        found = [replace(first[0], answers=tuple(whole)), *first[1:]]
        rows += _difference(found, second, study=study, bootstrap=bootstrap)
    for answers in first[0].answers:
        if answers not in whole:
            rows += _broken_difference(first, second, answers, study=study, bootstrap=bootstrap)
    return rows


def _difference(
    first: Group, second: Group, *, study: str, bootstrap: ClipBootstrap
) -> list[ResultRow]:
    """Compare two sources, seed by seed and over the seeds."""
    for evaluation in (*first, *second):
        check_bootstrap(evaluation, bootstrap)
        if evaluation.clip_ids != first[0].clip_ids:
            raise ValueError(
                f"{evaluation.subject.source} was scored on other clips: nothing to pair"
            )
    compared, versus = first[0].answers, second[0].subject.source
    scores = PairedTable.of(first, second, compared)
    of_metric = {m: bootstrap.intervals(scores, metric=m) for m in CLIP_METRICS}
    rows = []
    for index, answers in enumerate(compared):
        ours, theirs = scores.scores(index)  # (seeds, N)
        is_sample = len(first) > 1 and (varies(first, answers) or varies(second, answers))
        places = slice(index * scores.sets_of_answer, (index + 1) * scores.sets_of_answer)
        for metric in CLIP_METRICS:
            weights = clip_weights(bootstrap.category, metric=metric)
            found = paired_intervals(
                seeds_of(first),
                of_metric[metric][places],
                (ours @ weights).tolist(),
                (theirs @ weights).tolist(),
                is_sample=is_sample,
                crossed=partial(_crossed, first, second, answers, metric),
            )
            rows += measured_rows(
                first[0], answers, found, study=study, metric=metric, versus=versus
            )
    return rows


def _broken_difference(
    first: Group, second: Group, answers: Answers, *, study: str, bootstrap: ClipBootstrap
) -> list[ResultRow]:
    """Compare two sources of which a seed has no answers of a probe at some number of shots.

    Seeds that both have answers keep their rows; the others, and the seeds together, have one with
    the problem for each metric.
    """
    rows: list[ResultRow] = []
    versus = second[0].subject.source
    pairs = [
        ([ours, theirs], ours.subject.seed) for ours, theirs in zip(first, second, strict=True)
    ]
    if len(first) > 1:
        pairs.append(([*first, *second], None))
    for measured, seed in pairs:
        problem = problem_of(measured, answers)
        if problem is None:
            ours, theirs = measured
            alone = replace(ours, answers=(answers_like(ours, answers),))
            rows += _difference([alone], [theirs], study=study, bootstrap=bootstrap)
            continue
        for metric in CLIP_METRICS:
            rows += measured_rows(
                first[0], answers, [(seed, problem)], study=study, metric=metric, versus=versus
            )
    return rows


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """A control that needs no features: the probability that it answers each clip right."""

    control: Control
    right: NDArray[np.float64]  # (N,), 0 where the clip failed


def control_rows(
    evaluations: Sequence[Evaluation],
    task: TargetTask,
    *,
    at: Endpoint,
    study: str,
    bootstrap: ClipBootstrap,
    controls: Sequence[Control],
) -> list[ResultRow]:
    """Compare every source with every control at the setting of an endpoint.

    The name of the control is the `versus` of its rows, which are those of `difference_rows`. A
    control with encoders is paired by seed, and one that is a source's own encoder (shuffled time)
    with that source alone. One without an encoder stands beside each seed. Where a control has
    fewer support draws than a source, both are read at those that they share, the first ones. If
    a probe failed under some seeds, the others keep their rows and nothing is averaged over them.

    Args:
        evaluations: of one target, with true labels.
        task: that target.
        at: whose probe, number of shots, metric and read-out are taken.
        study: its name.
        bootstrap: over the labels of that target's scored clips.
        controls: those of the study; chance is always one.
    """
    groups = by_subject(evaluations)
    sources = [
        g for g in groups if g[0].subject.control is None and g[0].subject.readout == at.readout
    ]
    others = [g for g in groups if g[0].subject.control in controls]
    known = [each for each in _known_controls(task) if each.control in ("chance", *controls)]
    rows: list[ResultRow] = []
    for first in sources:
        pairs: list[tuple[Control, Group | _Known]] = [(each.control, each) for each in known]
        for control, second in (*pairs, *_like(first, others)):
            rows += _from_control(first, control, second, at=at, study=study, bootstrap=bootstrap)
    return shown_rows(rows, bootstrap)


def _like(first: Group, others: Sequence[Group]) -> Iterator[tuple[Control, Group]]:
    """Yield the controls that a source is compared with, with as many evaluations, seed by seed.

    Of a control's read-outs the source's own is taken; features without an encoder have one.
    """
    like = (FLAT, OWN_HEAD, first[0].subject.readout)
    for group in others:
        own = group[0].subject
        assert own.control is not None, "these are controls"
        if own.source not in (None, first[0].subject.source) or own.readout not in like:
            continue
        of_seed = {each.subject.seed: each for each in group}
        if set(of_seed) == {None}:
            yield own.control, [group[0]] * len(first)
        elif set(of_seed) >= {each.subject.seed for each in first}:
            yield own.control, [of_seed[each.subject.seed] for each in first]


def _known_controls(task: TargetTask) -> list[_Known]:
    """Return chance and the pool's commonest class: how probably each clip is answered right.

    A clip that failed counts as wrong for both, as it does for the source beside them; the row of
    chance itself stays 1 / K.
    """
    chance = task.is_decoded.astype(np.float64) / len(task.class_names)
    return [_Known("chance", chance), _Known("majority", majority_right(task))]


def _from_control(
    first: Group,
    control: Control,
    second: Group | _Known,
    *,
    at: Endpoint,
    study: str,
    bootstrap: ClipBootstrap,
) -> list[ResultRow]:
    others = () if isinstance(second, _Known) else second
    write = partial(measured_rows, study=study, metric=at.metric, versus=control)
    problem = problem_of((*first, *others), at)
    if problem is not None and len(first) > 1:
        # Seeds that both answered keep their rows, as those of two sources do, but no mean is taken
        # over them: it would stand for the seed that failed (docs/protocol.md, "Probes that fail").
        over = write(first[0], answers_like(first[0], at), [(None, problem)])
        compare = partial(_from_control, at=at, study=study, bootstrap=bootstrap)
        each = [
            compare([ours], control, second if isinstance(second, _Known) else [second[index]])
            for index, ours in enumerate(first)
        ]
        return [*(row for rows in each for row in rows), *over]
    if problem is not None:
        return write(first[0], answers_like(first[0], at), [(first[0].subject.seed, problem)])
    if others:
        first, second = _at_shared_draws(first, others, at)
    answers = answers_like(first[0], at)
    ours = np.stack([each.hits(answers_like(each, at)) for each in first])  # (S, N)
    of_ours = ours / answers.num_draws
    of_theirs = _scores(second, at, (len(first), answers.num_draws, ours.shape[1]))
    scores = of_ours - of_theirs
    over_seeds = np.concatenate([scores, scores.mean(axis=0, keepdims=True)])
    weights = clip_weights(bootstrap.category, metric=at.metric)
    found = paired_intervals(
        seeds_of(first),
        bootstrap.intervals(over_seeds, metric=at.metric),
        (of_ours @ weights).tolist(),
        (of_theirs @ weights).tolist(),
        is_sample=varies(first, at) or (bool(others) and varies(others, at)),
        crossed=partial(_crossed, first, second, at, at.metric),
    )
    return write(first[0], without_choice(answers), found)


def _at_shared_draws(first: Group, second: Group, at: Endpoint) -> tuple[Group, Group]:
    """Keep the support draws that two subjects share; draw i is the same for all."""
    both = [answers_like(each, at).num_draws for each in (*first, *second)]
    if len(set(both)) == 1:
        return first, second
    shared = min(both)

    def cut(each: Evaluation) -> Evaluation:
        answers = answers_like(each, at)
        return replace(each, answers=(replace(answers, held=answers.predicted[:shared]),))

    return [cut(each) for each in first], [cut(each) for each in second]


def _scores(
    second: Group | _Known, at: Endpoint, shape: tuple[int, int, int]
) -> NDArray[np.float64]:
    """Return how often a control answers each clip right: float64 (S, N), of a shape (S, R, N)."""
    if isinstance(second, _Known):
        return np.broadcast_to(second.right, shape).mean(axis=1)
    return np.stack([each.scores(answers_like(each, at)) for each in second])


def _crossed(
    first: Group, second: Group | _Known, kind: ProbeAndShots, metric: ClipMetric
) -> list[Interval]:
    """Return the interval over seeds, draws, clips and classes; empty if there are too few of them.

    The right answers of a source or a control are subtracted draw by draw. A control that needs no
    features has one probability for each clip, which is subtracted from every seed and draw.
    """
    values, labels, known = _right(first, kind), first[0].labels, None
    if isinstance(second, _Known):
        known = second.right
    else:
        values = values - _right(second, kind)
    fault = crossed_fault(labels, num_seeds=values.shape[0], num_draws=values.shape[1])
    if fault is not None:
        return []
    return [crossed_interval(values, labels, metric=metric, known=known)]


def _right(group: Group, kind: ProbeAndShots) -> NDArray[np.int8]:
    """Return which answers are right: int8 (S, R, N)."""
    return np.stack([each.correct(answers_like(each, kind)).view(np.int8) for each in group])
