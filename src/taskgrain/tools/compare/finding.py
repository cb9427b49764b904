"""The sentence that a comparison opens with: what was found, on how much, and what it leaves open.

It reads one probe at one number of shots, chosen before anything is measured: logistic regression
where it is asked for, at the last number of shots. Reading the best of several would flatter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from taskgrain.report.words import (
    count_words,
    joined,
    metric_words,
    percent,
    points,
    printable,
    probe_words,
)
from taskgrain.results import ResultRow, Shots, select
from taskgrain.statistics.tests import LEVEL, SEEDS_FOR_A_CLAIM
from taskgrain.tools.compare.comparison import Comparison
from taskgrain.tools.compare.lines import Line, lines_of, probes_of

PROBE = "logistic-regression"
MOST_SOURCES = 3  # named in the sentence beside the primary
LEAST_P = 0.001


@dataclass(frozen=True, slots=True)
class Headline:
    """What the sentence reads: the lines of one probe, at one of their numbers of shots."""

    probe: str
    shots: Shots
    lines: tuple[Line, ...]
    column: int

    @classmethod
    def of(cls, comparison: Comparison) -> Headline:
        """Choose the probe and the number of shots."""
        probes = probes_of(comparison)
        probe = PROBE if PROBE in probes else probes[0]
        answered = {row.shots for row in comparison.rows if row.probe == probe}
        shots = [each for each in comparison.plan.shots if each in answered][-1]
        column = comparison.plan.shots.index(shots)
        return cls(probe, shots, lines_of(comparison, probe), column)

    def accuracies(self) -> Iterator[tuple[Line, ResultRow | None]]:
        """Yield each source's line and row."""
        for line in self.lines:
            if line.part == "accuracy":
                yield line, line.rows[self.column]


def finding_of(comparison: Comparison) -> str:
    """Return the sentence, with its full stop."""
    headline = Headline.of(comparison)
    task, metric = comparison.task, metric_words(comparison.plan.metric)
    where = f"on {count_words(len(task.query_ids), 'clip')} of {len(task.class_names)} classes"
    by = f"by {probe_words(headline.probe)} {_learned(comparison, headline.shots)}"
    if len(comparison.num_seeds) == 1:
        chance, majority = (_floor(comparison, control) for control in ("chance", "majority"))
        floors = f"where chance is {chance} % and always the commonest class {majority} %"
        sentence = f"{_level(headline, metric)} {where}, {floors}, {by}"
    else:
        sentence = f"in {metric} {where}, {_differences(comparison, headline)}, {by}"
        sentence = f"I{sentence[1:]}"
    return f"{printable(sentence)}; {_limits(comparison)}."


def _learned(comparison: Comparison, shots: Shots) -> str:
    folding = comparison.folding
    if folding is not None:
        of = "" if folding.recordings is None else " of whole recordings"
        return f"in {folding.num_folds} folds{of}"
    if shots == "all":
        return f"from {count_words(len(comparison.task.support_ids), 'other clip')}"
    return f"from {count_words(shots, 'other clip')} of each class"


def _level(headline: Headline, metric: str) -> str:
    line, row = next(headline.accuracies())
    if row is None or row.value is None:
        return f"{line.name} has no result ({'' if row is None else row.problem}) in {metric}"
    return f"{line.name} has {metric} {percent(row.value)} %{_interval(row, line, signed=False)}"


def _floor(comparison: Comparison, control: str) -> str:
    metric = "top-1" if control == "chance" else comparison.plan.metric
    (row,) = select(comparison.rows, control=control, metric=metric)
    return percent(row.value or 0.0)


def _differences(comparison: Comparison, headline: Headline) -> str:
    """Phrase how each source differs from the primary, as far as that is known."""
    phrases = {}
    for line in headline.lines:
        row, p = line.rows[headline.column], line.p_holm[headline.column]
        # The tested line of a source is its first; others hold further intervals.
        if line.part == "difference" and line.name not in phrases:
            name = line.name.removesuffix(f" - {comparison.primary}")
            phrases[line.name] = _difference(name, comparison.primary, row, p, line)
    first, rest = list(phrases.values())[:MOST_SOURCES], len(phrases) - MOST_SOURCES
    return ", ".join(first) + (f" ({rest} more stand below)" if rest > 0 else "")


def _difference(name: str, primary: str, row: ResultRow | None, p: float | None, line: Line) -> str:
    if row is None or row.value is None:
        return f"{name} and {primary} have no common result"
    if p is None or row.low is None:
        return f"{name} lies {points(row.value)} points from {primary}, without an interval"
    tested = f"p {'<' if p < LEAST_P else '='} {max(p, LEAST_P):.2g}"
    interval = _interval(row, line, tested, signed=True)
    if p >= LEVEL:
        return f"{name} and {primary} cannot be told apart, {points(row.value)} points{interval}"
    side = "above" if row.value > 0 else "below"
    return f"{name} is {percent(abs(row.value))} points {side} {primary}{interval}"


def _interval(row: ResultRow, line: Line, *more: str, signed: bool) -> str:
    if row.low is None or row.high is None:
        return ", without an interval"
    show = points if signed else percent
    return f" ({joined(f'{show(row.low)} to {show(row.high)} over {line.over}', *more)})"


def _limits(comparison: Comparison) -> str:
    """Phrase what the numbers do not show."""
    is_one = len(comparison.num_seeds) == 1
    limits = []
    if is_one:
        limits.append("whether other features serve better")
    if min(comparison.num_seeds.values()) < SEEDS_FOR_A_CLAIM:
        limits.append(f"what the way {'it was' if is_one else 'they were'} trained is worth")
    if comparison.torn:
        limits.append("what holds for new recordings, as the split tears some")
    elif not comparison.has_groups:
        limits.append("what holds for new recordings, as they are not known")
    limits = limits or ["what holds for other classes"]
    return f"this does not show {', or '.join(limits)}"
