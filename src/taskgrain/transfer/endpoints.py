"""The endpoints of a study: their p values corrected together, and what its seeds could find."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from taskgrain.names import DETECTABLE, ClipMetric
from taskgrain.results import ResultRow, Shots, less_target, select, versus_each
from taskgrain.statistics.holm import holm
from taskgrain.statistics.power import minimum_detectable_difference
from taskgrain.transfer.rows import without_interval


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a study is asked about, named before the run: a source minus another, or several.

    With several the claim is that the source is above each of them. With `minus_target` what is
    compared is the difference on `target` minus the difference on that one.
    """

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
    of the paired t tests, without a correction for their number. A two-sided p speaks of either
    direction; where the source is not above a rival, p is 1.

    Args:
        rows: of the whole study.
        endpoints: its endpoints; those with one rival have their row already.

    Returns:
        A row an endpoint whose differences all have a test over encoder seeds. Its `versus` joins
        the rivals' names, value and intervals are those of the smallest difference, and `p` is the
        largest.
    """
    found = []
    for endpoint in endpoints:
        parts = [_seeds_row(rows, endpoint, (versus,)) for versus in endpoint.versus]
        tested = [rows[index] for index in parts if index is not None]
        if len(parts) < 2 or len(tested) < len(parts):
            continue
        smallest = min(tested, key=_value)
        p = max(_p(row) if _value(row) > 0.0 else 1.0 for row in tested)
        joined = versus_each(endpoint.versus)
        found.append(replace(smallest, versus=joined, p=p, chosen=None, chosen_on=None))
    return found


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
    at = [
        None
        if {each.source, *each.versus} & set(unlearned)
        else _seeds_row(rows, each, each.versus)
        for each in endpoints
    ]
    found = [None if index is None else rows[index].p for index in at]
    corrected = list(rows)
    adjusted = holm([1.0 if p is None else p for p in found])
    for index, p_holm in zip(at, adjusted, strict=True):
        if index is not None:
            corrected[index] = replace(rows[index], p_holm=p_holm)
    return corrected


def detectable_rows(rows: Sequence[ResultRow], endpoints: Sequence[Endpoint]) -> list[ResultRow]:
    """Say of each endpoint how large a mean difference its seeds would find: descriptive.

    The smallest that the paired t test over as many seeds finds with power .8 at level .05, from
    the standard deviation of the differences of these seeds; from two seeds up. The value has the
    endpoint's metric as its unit. It is no test of what was found, and from few seeds itself
    uncertain. Of several rivals it is the largest: all of them have to be found.

    Returns:
        A row an endpoint of metric "detectable-difference", without an interval; none where the
        endpoint has one seed only. Of an endpoint in another metric than the first one's:
        "detectable-difference-" and its metric.
    """
    found = []
    for endpoint in endpoints:
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
        found.append(
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
    return found


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
    found = _of_endpoint(rows, endpoint, (versus,))
    return [row.value for row in found if row.seed is not None and row.value is not None]


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
