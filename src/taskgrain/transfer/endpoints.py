"""The endpoints of a study: their rows, their p values together, and what its seeds could find.

An endpoint is a source minus another. With several rivals the claim is that the source is above
each of them; with a second target it is the difference on one target minus that on the other: what
finer labels gain in the source's look, minus what they gain in another.

Shapes: S encoder seeds, N scored clips of the first target, M of the second.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from taskgrain.names import DETECTABLE, ClipMetric
from taskgrain.results import ResultRow, Shots, less_target, select, versus_each
from taskgrain.statistics.intervals import ClipBootstrap, Interval, clip_weights, has_enough_clips
from taskgrain.statistics.tests import (
    holm,
    minimum_detectable_difference,
)
from taskgrain.transfer.answers import (
    Answers,
    Evaluation,
    answers_like,
    by_subject,
    paired_by_readout,
    problem_of,
    seeds_of,
    varies,
)
from taskgrain.transfer.rows import (
    Found,
    measured_rows,
    paired_intervals,
    without_choice,
    without_interval,
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A question of a study, named before the run."""

    source: str
    versus: tuple[str, ...]  # at least one
    target: str
    probe: str
    shots: Shots
    metric: ClipMetric
    readout: str
    minus_target: str | None = None

    @property
    def at(self) -> str:
        """The target of its rows, "NEAR minus FAR" for a difference of differences."""
        return less_target(self.target, self.minus_target)


def joint_rows(rows: Sequence[ResultRow], endpoints: Sequence[Endpoint]) -> list[ResultRow]:
    """Test each endpoint that names several sources: is its source above each of them?

    The union of the hypotheses "not above this one" is rejected where each of them is
    (intersection-union test, Berger 1982, Technometrics 24): so p is the largest of the p values
    of the paired t tests, without a correction for their number. A two-sided p is about either
    direction; where the source is not above a rival, p is 1.

    Args:
        rows: of the whole study.
        endpoints: its endpoints; those with one rival have their row already.

    Returns:
        A row an endpoint whose differences all have a test over encoder seeds. Its `versus` joins
        the rivals' names, value and intervals are those of the smallest difference, and `p` is the
        largest.
    """
    joint = []
    for endpoint in endpoints:
        parts = [_seeds_row(rows, endpoint, (versus,)) for versus in endpoint.versus]
        tested = [rows[index] for index in parts if index is not None]
        if len(parts) < 2 or len(tested) < len(parts):
            continue
        smallest = min(tested, key=_value)
        p = max(_p(row) if _value(row) > 0.0 else 1.0 for row in tested)
        joined = versus_each(endpoint.versus)
        joint.append(replace(smallest, versus=joined, p=p, chosen=None, chosen_on=None))
    return joint


def correct_endpoints(
    rows: Sequence[ResultRow], endpoints: Sequence[Endpoint], *, unlearned: Collection[str] = ()
) -> list[ResultRow]:
    """Write Holm's corrected p on the "seeds" row of each endpoint: they are one family.

    The family is every endpoint that the study names, whatever came out of it. With one encoder
    seed there is no p, and nothing is corrected. An endpoint without a test, because no seed of its
    sources differs from another, counts as one that found nothing; so does one with a source that
    has not learned its own labels, and its row gets no `p_holm`: it enters no claim. An endpoint
    with several rivals has one place in the family.

    Args:
        rows: of the whole study, those of `joint_rows` among them.
        endpoints: the primary one and its family, each once.
        unlearned: names of the sources that have not learned (`taskgrain.learned`).

    Returns:
        The rows in their order; those of the endpoints with `p_holm`.
    """
    # Every endpoint keeps its place in the family, as p = 1 where it has no test or may claim
    # nothing: a family that shrank by what came out of it would correct the others less.
    at = [
        None
        if {each.source, *each.versus} & set(unlearned)
        else _seeds_row(rows, each, each.versus)
        for each in endpoints
    ]
    p_values = [None if index is None else rows[index].p for index in at]
    corrected = list(rows)
    adjusted = holm([1.0 if p is None else p for p in p_values])
    for index, p_holm in zip(at, adjusted, strict=True):
        if index is not None:
            corrected[index] = replace(rows[index], p_holm=p_holm)
    return corrected


def detectable_rows(rows: Sequence[ResultRow], endpoints: Sequence[Endpoint]) -> list[ResultRow]:
    """Compute how large a mean difference the seeds of each endpoint would find: descriptive.

    The smallest that the paired t test over as many seeds finds with power .8 at level .05, from
    the standard deviation of the differences of these seeds; from two seeds up. The value has the
    endpoint's metric as its unit. It is no test of what was found, and from few seeds itself
    uncertain. Of several rivals it is the largest: all of them have to be found.

    Returns:
        A row an endpoint of metric "detectable-difference", without an interval; none where the
        endpoint has one seed only. Of an endpoint in another metric than the first one's:
        "detectable-difference-" and its metric.
    """
    detectable = []
    for endpoint in endpoints:
        # Of several rivals that is the row of `joint_rows`: without it there is no claim.
        index = _seeds_row(rows, endpoint, endpoint.versus)
        of_each = [_of_seeds(rows, endpoint, versus) for versus in endpoint.versus]
        if index is None or len(of_each[0]) < 2:
            continue
        value = max(
            minimum_detectable_difference(float(np.std(each, ddof=1)), num_seeds=len(each))
            for each in of_each
        )
        is_main = endpoint.metric == endpoints[0].metric
        metric = DETECTABLE if is_main else f"{DETECTABLE}-{endpoint.metric}"
        detectable.append(
            replace(
                without_interval(rows[index]),
                metric=metric,
                value=value,
                p=None,
                p_holm=None,
                chosen=None,
                chosen_on=None,
            )
        )
    return detectable


def _of_endpoint(
    rows: Sequence[ResultRow], endpoint: Endpoint, versus: Sequence[str]
) -> tuple[ResultRow, ...]:
    return select(
        rows,
        source=endpoint.source,
        versus=versus_each(versus),
        target=endpoint.at,
        probe=endpoint.probe,
        shots=endpoint.shots,
        metric=endpoint.metric,
        readout=endpoint.readout,
        control=None,
    )


def _of_seeds(rows: Sequence[ResultRow], endpoint: Endpoint, versus: str) -> list[float]:
    """Return the difference from one rival under each encoder seed."""
    own = _of_endpoint(rows, endpoint, (versus,))
    return [row.value for row in own if row.seed is not None and row.value is not None]


def _seeds_row(rows: Sequence[ResultRow], endpoint: Endpoint, versus: Sequence[str]) -> int | None:
    """Find the row with the paired t test over encoder seeds, of some of the rivals or all."""
    tested = {
        id(row)
        for row in _of_endpoint(rows, endpoint, versus)
        if row.interval == "seeds" and row.seed is None and row.p is not None
    }
    return next((index for index, row in enumerate(rows) if id(row) in tested), None)


def _value(row: ResultRow) -> float:
    assert row.value is not None, "a tested row has a value"
    return row.value


def _p(row: ResultRow) -> float:
    assert row.p is not None, "a tested row has a p"
    return row.p


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
        differences: Floats = scores[0] - scores[1]
        return differences

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

    Each rival of the endpoint has a row for every seed with an interval over clips, conditional
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
        if problem is None:
            gains = _intervals(first, second, endpoint.metric, are_pairs, bootstrap_of)
        else:  # one row: a seed that has both gains does not answer for the others
            seeds = seeds_of(first.ours)
            gains = [(seeds[0] if len(seeds) == 1 else None, problem)]
        one, other = first.ours[0], second.ours[0]
        both = replace(
            one,
            target=endpoint.at,
            labels=np.concatenate([one.labels, other.labels]),
            failed=one.failed + other.failed,
            truncated=one.truncated + other.truncated,
        )
        own = without_choice(first.answers)  # a probe chose for each target
        rows += measured_rows(both, own, gains, study=study, metric=endpoint.metric, versus=versus)
    # With few clips a class intervals over clips cover too little; one over seeds resamples none.
    if all(has_enough_clips(each[0].labels) for each in (near, far)):
        return rows
    return [row if row.interval == "seeds" else without_interval(row) for row in rows]


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
) -> Found:
    """List the seed, None for all of them, and the interval of each row."""
    near, far = first.of_clips(), second.of_clips()  # (S, N), (S, M)
    weights = [clip_weights(each.labels, metric=metric) for each in (first, second)]
    gains = (near @ weights[0]).tolist(), (far @ weights[1]).tolist()
    assert seeds_of(first.ours) == seeds_of(second.ours), "both are of the study's seeds"
    # A difference of differences is a weighted sum over the clips of both targets, sum w_n d_n -
    # sum w_m d_m. Pairs of clips show the same and weigh the same: the bootstrap resamples their
    # d_n - d_m. Otherwise all clips lie side by side, the classes of the second target after those
    # of the first, so that each target is resampled for itself; the bootstrap weighs them by its
    # own weights, and what a score is multiplied with turns these into w_n and -w_m.
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
    return paired_intervals(
        seeds_of(first.ours),
        [_doubled(each, are_pairs) for each in halves],
        *gains,
        is_sample=first.is_sample or second.is_sample,
    )


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
