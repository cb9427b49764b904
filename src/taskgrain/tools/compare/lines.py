"""The lines of a comparison's tables: which rows of results stand where, one table a probe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from taskgrain.names import IntervalKind
from taskgrain.results import ResultRow, Shots, select
from taskgrain.tools.compare.comparison import Comparison
from taskgrain.tools.compare.differences import Finding
from taskgrain.transfer.rows import without_interval

Part = Literal["accuracy", "difference", "control"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line: a row of results for each number of shots, or None."""

    part: Part
    name: str
    over: str  # what its intervals vary
    rows: tuple[ResultRow | None, ...]
    p_holm: tuple[float | None, ...]  # of a line of tested differences


def probes_of(comparison: Comparison) -> tuple[str, ...]:
    """Name the probes that answered, in the plan's order."""
    answered = {row.probe for row in comparison.rows}
    return tuple(probe for probe in comparison.plan.probes if probe in answered)


def lines_of(comparison: Comparison, probe: str) -> tuple[Line, ...]:
    """Return a probe's lines: each source, each difference from the primary, the controls."""
    return (
        *_accuracies(comparison, probe),
        *_differences(comparison, probe),
        *_controls(comparison, probe),
    )


def over(comparison: Comparison, kind: IntervalKind | None) -> str:
    """Return what an interval of a kind varies here."""
    if kind == "clips" and comparison.repeats_groups:
        return "groups"
    return "seeds x draws x clips" if kind == "crossed" else kind or ""


def single_over(comparison: Comparison) -> str:
    """Return what a tested difference of two single encoders varies."""
    return f"{over(comparison, 'clips')} x draws"


def _accuracies(comparison: Comparison, probe: str) -> Iterator[Line]:
    for name, count in comparison.num_seeds.items():
        rows = select(
            comparison.rows,
            source=name,
            probe=probe,
            control=None,
            versus=None,
            metric=comparison.plan.metric,
        )
        shown = tuple(_one(rows, shots, seeded=count == 1) for shots in comparison.plan.shots)
        yield _line(comparison, "accuracy", name, shown)


def _differences(comparison: Comparison, probe: str) -> Iterator[Line]:
    for name in comparison.num_seeds:
        found = {
            each.row.shots: each
            for each in comparison.findings
            if (each.row.source, each.row.probe) == (name, probe)
            and each.row.metric == comparison.plan.metric
        }
        if not found:
            continue
        title = f"{name} - {comparison.primary}"
        shots = comparison.plan.shots
        tested = [found.get(each) for each in shots]
        line = _line(
            comparison,
            "difference",
            title,
            tuple(None if each is None else each.row for each in tested),
        )
        # The test of two single encoders counts as one over clips, and varies the draws too.
        if comparison.folding is None and line.over == over(comparison, "clips"):
            line = replace(line, over=single_over(comparison))
        yield replace(line, p_holm=tuple(None if each is None else each.p_holm for each in tested))
        for kind in ("crossed", "clips", "recordings"):
            beside = tuple(_beside(each, kind) for each in tested)
            if any(beside):
                yield _line(comparison, "difference", title, beside)


def _controls(comparison: Comparison, probe: str) -> Iterator[Line]:
    shots = comparison.plan.shots
    for control, metric in (("chance", "top-1"), ("majority", comparison.plan.metric)):
        floor = select(comparison.rows, control=control, metric=metric)
        yield _line(comparison, "control", control, tuple(floor[0] for _ in shots))
    for name in comparison.num_seeds:
        permuted = select(comparison.rows, source=name, probe=probe, control="permuted-labels")
        rows = tuple(_mean([row for row in permuted if row.shots == each]) for each in shots)
        if any(rows):
            yield _line(comparison, "control", f"permuted labels, {name}", rows)


def _one(rows: Sequence[ResultRow], shots: Shots, *, seeded: bool) -> ResultRow | None:
    """Return the row of the one seed, or of all seeds together."""
    return next(
        (row for row in rows if row.shots == shots and (row.seed is not None) == seeded), None
    )


def _mean(rows: Sequence[ResultRow]) -> ResultRow | None:
    """Average the seeds; the interval and test of each seed stay in the rows of results."""
    if not rows:
        return None
    if len(rows) == 1:
        return rows[0]
    # Seeds that did not fail do not answer for one that did (docs/protocol.md).
    failed = next((row for row in rows if row.problem is not None), None)
    if failed is not None:
        return replace(failed, seed=None)
    value = sum(row.value or 0.0 for row in rows) / len(rows)
    return replace(without_interval(rows[0]), seed=None, value=value, p=None)


def _beside(finding: Finding | None, kind: str) -> ResultRow | None:
    if finding is None:
        return None
    return next((row for row in finding.beside if row.interval == kind), None)


def _line(
    comparison: Comparison, part: Part, name: str, rows: tuple[ResultRow | None, ...]
) -> Line:
    kinds = [row.interval for row in rows if row is not None]
    kind = next((kind for kind in kinds if kind is not None), None)
    return Line(part, name, over(comparison, kind), rows, (None,) * len(rows))
