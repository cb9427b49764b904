"""Rows over encoder seeds of which each has classes of its own, made from the rows of every seed.

Where a target's classes rotate with the seed, no two seeds answer the same clips: nothing can be
resampled over both seeds and clips, and the seeds are all that is left to vary. What stands here is
the mean over seeds with Student's t, for differences of the paired differences of each seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from taskgrain.names import TREND
from taskgrain.results import ResultRow
from taskgrain.statistics.tests import has_spread, mean_interval, paired_interval


def of_seed(rows: Iterable[ResultRow], seed: int | None) -> list[ResultRow]:
    """Write the seed into rows that hold for one seed alone, as chance of its classes does."""
    return [row if row.seed is not None else replace(row, seed=seed) for row in rows]


def over_seeds(rows: Iterable[ResultRow], *, same_clips: bool = False) -> list[ResultRow]:
    """Average what every seed has a row of, from two seeds up.

    Args:
        rows: of one target; those without a seed, and of permuted labels, are passed over.
        same_clips: whether the seeds scored the same clips; otherwise the counts of clips add up.

    Returns:
        In the order of the first seed a row for each number, without a seed. Its interval is over
        "seeds": the mean and t(.975; S - 1) * s / sqrt(S) of S values; differences and slopes have
        the p of "it is zero" too. Equal values of all seeds are no sample, and have no interval.
        Where a probe failed under any seed, the row says so and has no value.
    """
    kept = [row for row in rows if row.seed is not None and row.control != "permuted-labels"]
    seeds = {row.seed for row in kept}
    groups: dict[tuple[object, ...], list[ResultRow]] = {}
    for row in kept:
        key = (row.source, row.target, row.probe, row.readout, row.shots, row.metric)
        groups.setdefault((*key, row.versus, row.control), []).append(row)
    found = []
    for group in groups.values():
        if len(group) > 1 and len(group) == len(seeds):
            found.append(_mean(group, same_clips=same_clips))
    return found


def _mean(group: Sequence[ResultRow], *, same_clips: bool) -> ResultRow:
    first = group[0]
    counted = {name: [getattr(row, name) for row in group] for name in ("n", "failed", "truncated")}
    plain = replace(
        first,
        seed=None,
        interval=None,
        low=None,
        high=None,
        low_90=None,
        high_90=None,
        p=None,
        chosen=_common([row.chosen for row in group]),
        chosen_on=_common([row.chosen_on for row in group]),
        **{name: counts[0] if same_clips else sum(counts) for name, counts in counted.items()},
    )
    failed = next((row for row in group if row.problem is not None), None)
    if failed is not None:
        who = "" if failed.versus else f"{failed.source or failed.control}, seed {failed.seed}: "
        return replace(
            plain, value=None, problem=f"{who}{failed.problem}", chosen=None, chosen_on=None
        )
    values = [row.value for row in group if row.value is not None]
    if not has_spread(values, [0.0] * len(values)):
        return replace(plain, value=values[0])
    is_tested = first.versus is not None or first.metric == TREND
    if is_tested:
        interval = paired_interval(values, [0.0] * len(values), kind="seeds")
    else:
        interval = mean_interval(values, kind="seeds")
    is_difference = first.versus is not None
    return replace(
        plain,
        value=interval.value,
        interval=interval.kind,
        low=interval.low,
        high=interval.high,
        low_90=interval.low_90 if is_difference else None,
        high_90=interval.high_90 if is_difference else None,
        p=interval.p,
    )


def _common(values: Sequence[str | None]) -> str | None:
    """Return what all seeds chose; None where they chose otherwise."""
    return values[0] if len(set(values)) == 1 else None
