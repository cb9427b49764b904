"""Each source minus each control, paired: what tells a source from what should explain nothing.

Intervals of two scores say little about their difference, since both were measured on the same
clips and support draws. So controls are compared as sources are, at one setting: that of the
primary endpoint.

Shapes: S encoder seeds, R support draws, N scored clips, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from taskgrain.results import Control, ResultRow
from taskgrain.statistics.intervals import ClipBootstrap, Interval, clip_weights
from taskgrain.transfer.answers import (
    OWN_HEAD,
    Evaluation,
    answers_like,
    by_subject,
    problem_of,
    varies,
)
from taskgrain.transfer.difference_rows import crossed_intervals, pair_intervals
from taskgrain.transfer.endpoints import Endpoint
from taskgrain.transfer.rows import row_of, shown_rows
from taskgrain.transfer.task import TargetTask

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
    known = [each for each in _known(task) if each.control in ("chance", *controls)]
    rows: list[ResultRow] = []
    for first in sources:
        pairs: list[tuple[Control, Group | _Known]] = [(each.control, each) for each in known]
        for control, second in (*pairs, *_like(first, others)):
            rows += _difference(first, control, second, at=at, study=study, bootstrap=bootstrap)
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


def _known(task: TargetTask) -> list[_Known]:
    """Return chance and the pool's commonest class, as `floor_rows` scores them."""
    decoded = task.is_decoded.astype(np.float64)
    pool = np.bincount(task.support_labels[task.has_support], minlength=len(task.class_names))
    return [
        _Known("chance", decoded / len(task.class_names)),
        _Known("majority", decoded * (task.query_labels == pool.argmax())),
    ]


def _difference(
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
        crossed=partial(_crossed, first, second, at),
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


def _crossed(first: Group, second: Group | _Known, at: Endpoint) -> list[Interval]:
    labels = first[0].labels
    ours = _right(first, at)  # (S, R, N)
    if isinstance(second, _Known):
        return crossed_intervals(ours, labels, at.metric, known=second.right)
    return crossed_intervals(ours - _right(second, at), labels, at.metric)


def _right(group: Group, at: Endpoint) -> NDArray[np.int8]:
    """Return which answers are right: int8 (S, R, N)."""
    right = [each.correct(answers_like(each, at)).view(np.int8) for each in group]
    return np.stack(right)
