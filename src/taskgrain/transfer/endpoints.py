"""The endpoints of a study: their p values corrected together, and what its seeds could find."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from taskgrain.results import DETECTABLE, ResultRow, Shots, select
from taskgrain.statistics.holm import holm
from taskgrain.statistics.intervals import ClipMetric
from taskgrain.statistics.power import minimum_detectable_difference
from taskgrain.transfer.rows import without_interval


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One difference that a study is asked about, named before the run: source minus versus."""

    source: str
    versus: str
    target: str
    probe: str
    shots: Shots
    metric: ClipMetric
    readout: str


def correct_endpoints(
    rows: Sequence[ResultRow], endpoints: Sequence[Endpoint], *, unlearned: Collection[str] = ()
) -> list[ResultRow]:
    """Write Holm's corrected p on the "seeds" row of each endpoint: they are one family.

    The family is every endpoint that the study names, whatever came out of it. With one encoder
    seed there is no p, and nothing is corrected. An endpoint without a test, because no seed of its
    sources differs from another, counts as one that found nothing; so does one with a source that
    has not learned its own labels, and its row gets no `p_holm`: it enters no claim.

    Args:
        rows: of the whole study.
        endpoints: the primary one and its family, each once.
        unlearned: names of the sources that have not learned (`taskgrain.learned`).

    Returns:
        The rows in their order; those of the endpoints with `p_holm`.
    """
    at = [
        None if {each.source, each.versus} & set(unlearned) else _seeds_row(rows, each)
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
    uncertain.

    Returns:
        A row an endpoint of metric "detectable-difference", without an interval; none where the
        endpoint has one seed only. Of an endpoint in another metric than the first one's:
        "detectable-difference-" and its metric.
    """
    found = []
    for endpoint in endpoints:
        index = _seeds_row(rows, endpoint)
        each = [row for row in _of_endpoint(rows, endpoint) if row.seed is not None]
        if index is None or len(each) < 2:
            continue
        sd = float(np.std([row.value for row in each if row.value is not None], ddof=1))
        value = minimum_detectable_difference(sd, num_seeds=len(each))
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


def _of_endpoint(rows: Sequence[ResultRow], endpoint: Endpoint) -> tuple[ResultRow, ...]:
    return select(
        rows,
        source=endpoint.source,
        versus=endpoint.versus,
        target=endpoint.target,
        probe=endpoint.probe,
        shots=endpoint.shots,
        metric=endpoint.metric,
        readout=endpoint.readout,
        control=None,
    )


def _seeds_row(rows: Sequence[ResultRow], endpoint: Endpoint) -> int | None:
    """Find the endpoint's row with the paired t test over encoder seeds."""
    tested = {
        id(row)
        for row in _of_endpoint(rows, endpoint)
        if row.interval == "seeds" and row.seed is None and row.p is not None
    }
    return next((index for index, row in enumerate(rows) if id(row) in tested), None)
