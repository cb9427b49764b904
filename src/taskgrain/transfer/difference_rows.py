"""Rows of differences: two sources, or a source and a control, on the same clips and draws.

Intervals of two scores say little about their difference, since both were measured on the same
clips and support draws. So differences are paired, and controls are compared as sources are, at one
setting: that of the primary endpoint. A difference that needs answers which a probe failed to give
has a row with the problem.

Shapes: S encoder seeds, R support draws, N scored clips, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from taskgrain.names import CLIP_METRICS, OWN_HEAD, ClipMetric, Control
from taskgrain.results import ResultRow
from taskgrain.statistics.crossed import crossed_fault, crossed_interval
from taskgrain.statistics.intervals import ClipBootstrap, Interval, clip_weights
from taskgrain.statistics.tests import has_spread, paired_interval
from taskgrain.transfer.answers import (
    Answers,
    Evaluation,
    PairedTable,
    answers_like,
    by_subject,
    paired_by_readout,
    problem_of,
    varies,
)
from taskgrain.transfer.endpoints import Endpoint
from taskgrain.transfer.rows import check_bootstrap, row_of, shown_rows
from taskgrain.transfer.task import TargetTask


def difference_rows(
    evaluations: Sequence[Evaluation],
    pairs: Sequence[tuple[str, str]],
    *,
    study: str,
    bootstrap: ClipBootstrap,
) -> list[ResultRow]:
    """Compare pairs of sources on the same clips, support draws and encoder seeds.

    A pair gives, for each probe, number of shots and metric: a row for every seed, with a "clips"
    interval conditional on both encoders; and, from two seeds up, rows without a seed for the
    mean difference: "clips" (conditional on these encoders), "seeds" (paired t test) and, where
    `statistics.crossed` offers it, "crossed" (over seeds, draws, clips and classes). Equal
    read-outs are paired: one that either source lacks gives no row.

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


def _pair(
    first: Sequence[Evaluation],
    second: Sequence[Evaluation],
    *,
    study: str,
    bootstrap: ClipBootstrap,
) -> list[ResultRow]:
    """Compare two sources, those probes apart that have no answers for a seed of either."""
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
    first: Sequence[Evaluation],
    second: Sequence[Evaluation],
    *,
    study: str,
    bootstrap: ClipBootstrap,
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
            found = pair_intervals(
                of_metric[metric][places],
                (ours @ weights).tolist(),
                (theirs @ weights).tolist(),
                is_sample=is_sample,
                crossed=partial(_crossed, first, second, answers, metric),
            )
            for place, interval in found:
                row = row_of(
                    first[0], answers, study=study, metric=metric, interval=interval, versus=versus
                )
                rows.append(replace(row, seed=None if place is None else first[place].subject.seed))
    return rows


def pair_intervals(
    clips: Sequence[Interval],
    ours: Sequence[float],
    theirs: Sequence[float],
    *,
    is_sample: bool,
    crossed: Callable[[], list[Interval]],
) -> list[tuple[int | None, Interval]]:
    """List the intervals of a paired difference: of each seed, then over the seeds.

    Args:
        clips: S + 1 intervals conditional on the encoders: of each seed, and of their mean.
        ours: S values, one a seed.
        theirs: S values of the same seeds.
        is_sample: whether any seed differs from another; otherwise there is no test over them.
        crossed: returns the interval over seeds, draws, clips and classes, if there is one.

    Returns:
        The place of the seed, None for all of them, with the interval.
    """
    found: list[tuple[int | None, Interval]] = [*enumerate(clips[:-1])]
    if len(ours) > 1:
        found.append((None, clips[-1]))
        if is_sample:
            if has_spread(ours, theirs):
                found.append((None, paired_interval(ours, theirs, kind="seeds")))
            found += [(None, each) for each in crossed()]
    return found


def _broken_difference(
    first: Sequence[Evaluation],
    second: Sequence[Evaluation],
    answers: Answers,
    *,
    study: str,
    bootstrap: ClipBootstrap,
) -> list[ResultRow]:
    """Compare two sources of which a seed has no answers of a probe at some number of shots.

    Seeds that both have answers keep their rows; the others, and the seeds together, have one with
    the problem for each metric.
    """
    rows = []

    def add(pairs: Sequence[Evaluation], seed: int | None) -> None:
        problem = problem_of(pairs, answers)
        plain = replace(answers, chosen=None, chosen_on=None, problem=problem)
        for metric in CLIP_METRICS:
            row = row_of(
                first[0],
                plain,
                study=study,
                metric=metric,
                interval=None,
                versus=second[0].subject.source,
            )
            rows.append(replace(row, seed=seed))

    for ours, theirs in zip(first, second, strict=True):
        if problem_of((ours, theirs), answers) is None:
            alone = replace(ours, answers=(answers_like(ours, answers),))
            rows.extend(_difference([alone], [theirs], study=study, bootstrap=bootstrap))
        else:
            add((ours, theirs), ours.subject.seed)
    if len(first) > 1:
        add((*first, *second), None)
    return rows


def _crossed(
    first: Sequence[Evaluation],
    second: Sequence[Evaluation],
    answers: Answers,
    metric: ClipMetric,
) -> list[Interval]:
    right = [
        np.stack([each.correct(answers_like(each, answers)) for each in group]).astype(np.int8)
        for group in (first, second)
    ]  # (seeds, draws, N) each
    return crossed_intervals(right[0] - right[1], first[0].labels, metric)


def crossed_intervals(
    values: NDArray[np.generic],
    labels: NDArray[np.int64],
    metric: ClipMetric,
    *,
    known: NDArray[np.float64] | None = None,
) -> list[Interval]:
    """Return the interval over seeds, draws, clips and classes, where it holds its coverage.

    Args:
        values: (S, R, N), of a seed, a draw and a clip, the difference of two answers.
        labels: int64 (N,).
        metric: how clips are weighed.
        known: float64 (N,), subtracted of every seed and draw.
    """
    fault = crossed_fault(labels, num_seeds=values.shape[0], num_draws=values.shape[1])
    return (
        [] if fault is not None else [crossed_interval(values, labels, metric=metric, known=known)]
    )


Group = Sequence[Evaluation]


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """A control that needs no features: how probably it answers each clip right."""

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

    The name of the control is the `versus` of its rows, which are as `difference_rows` gives
    them. A control with encoders is paired by seed, and one that is a source's own encoder
    (shuffled time) with that source alone. One without an encoder stands beside each seed. Where
    a control has fewer support draws than a source, both are read at those that they share, the
    first ones.

    Args:
        evaluations: of one target, with true labels.
        task: that target.
        at: whose probe, number of shots, metric and read-out are taken.
        study: its name.
        bootstrap: over the labels of that target's scored clips.
        controls: that the study asked for; chance is always one.
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
    like = ("flat", OWN_HEAD, first[0].subject.readout)
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
    """Return chance and the pool's commonest class, as `floor_rows` scores them."""
    decoded = task.is_decoded.astype(np.float64)
    pool = np.bincount(task.support_labels[task.has_support], minlength=len(task.class_names))
    return [
        _Known("chance", decoded / len(task.class_names)),
        _Known("majority", decoded * (task.query_labels == pool.argmax())),
    ]


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
    problem = problem_of((*first, *others), at)
    if problem is not None:
        answers = answers_like(first[0], at)
        plain = replace(answers, chosen=None, chosen_on=None, problem=problem)
        row = row_of(first[0], plain, study=study, metric=at.metric, interval=None, versus=control)
        seed = row.seed if len(first) == 1 else None
        return [replace(row, seed=seed)]
    if others:
        first, second = _at_shared_draws(first, others, at)
    answers = answers_like(first[0], at)
    ours = np.stack([each.hits(answers_like(each, at)) for each in first])  # (S, N)
    of_ours = ours / answers.num_draws
    of_theirs = _scores(second, at, (len(first), answers.num_draws, ours.shape[1]))
    scores = of_ours - of_theirs
    over_seeds = np.concatenate([scores, scores.mean(axis=0, keepdims=True)])
    weights = clip_weights(bootstrap.category, metric=at.metric)
    is_sample = varies(first, at) or (bool(others) and varies(others, at))
    found = pair_intervals(
        bootstrap.intervals(over_seeds, metric=at.metric),
        (of_ours @ weights).tolist(),
        (of_theirs @ weights).tolist(),
        is_sample=is_sample,
        crossed=partial(_crossed_with, first, second, at),
    )
    plain = replace(answers, chosen=None, chosen_on=None)  # each of the two chose for itself
    rows = []
    for index, interval in found:
        row = row_of(
            first[0], plain, study=study, metric=at.metric, interval=interval, versus=control
        )
        seed = None if index is None else first[index].subject.seed
        rows.append(replace(row, seed=seed))
    return rows


def _at_shared_draws(first: Group, second: Group, at: Endpoint) -> tuple[Group, Group]:
    """Leave out the support draws that one of two subjects has not; draw i is the same for all."""
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


def _crossed_with(first: Group, second: Group | _Known, at: Endpoint) -> list[Interval]:
    labels = first[0].labels
    ours = _right(first, at)  # (S, R, N)
    if isinstance(second, _Known):
        return crossed_intervals(ours, labels, at.metric, known=second.right)
    return crossed_intervals(ours - _right(second, at), labels, at.metric)


def _right(group: Group, at: Endpoint) -> NDArray[np.int8]:
    """Return which answers are right: int8 (S, R, N)."""
    right = [each.correct(answers_like(each, at)).view(np.int8) for each in group]
    return np.stack(right)
