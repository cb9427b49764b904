"""The tables of what the study was asked: its endpoints, and the trend over nested levels."""

from __future__ import annotations

from taskgrain.config.testing import FamilyEndpoint
from taskgrain.report.lookup import Lookup, Question, is_step, pair_of, question_of
from taskgrain.report.tables import Block, Cell, Column, Line, Table, cell_of, p_cell
from taskgrain.report.transfer_tables import main_metric, target_title
from taskgrain.report.verdict import judge
from taskgrain.report.words import (
    MINUS,
    joined,
    metric_words,
    probe_words,
    readout_words,
    setting_words,
)
from taskgrain.results import ResultRow
from taskgrain.statistics.tests import LEVEL, POWER


def endpoint_table(lookup: Lookup) -> Table:
    """Return every endpoint with its test, its correction, and what would have been found.

    The primary comparison on the study's other targets stands beside them, as secondary. Empty
    where the study names no endpoint but the primary one, which was read on no other target, and
    its seeds gave no test.
    """
    endpoints = lookup.endpoints
    is_tested = any(_tested(lookup, endpoint) is not None for endpoint in endpoints)
    others = tuple(each for each in elsewhere(lookup) if each not in endpoints)
    blocks: tuple[Block, ...] = ()
    if is_tested or len(endpoints) > 1 or others:
        further = tuple(line for endpoint in endpoints[1:] for line in _lines(lookup, endpoint))
        blocks = (
            Block("Primary", tuple(_line(lookup, endpoint) for endpoint in endpoints[:1])),
            Block("Further", further),
            Block(
                "The primary comparison on other targets, secondary",
                tuple(_beside(lookup, *pair_of(each), question_of(each)) for each in others),
            ),
        )
    family = f"all {len(endpoints)}" if len(endpoints) > 1 else "the only one"
    caption = _caption(family, lookup.margin, is_tested=is_tested)
    if any(len(endpoint.each_versus) > 1 for endpoint in endpoints):
        caption += (
            " Above each of several: the smallest of the differences and the largest p, one place "
            "in the correction."
        )
    return Table(
        name="endpoints",
        title="The endpoints, named before the run",
        caption=f"{caption} Every other difference of this page is secondary.",
        corner="endpoint",
        columns=tuple(map(Column, ("difference", "verdict", "p", "p, Holm", "detectable"))),
        blocks=tuple(block for block in blocks if block.lines),
    )


def _caption(family: str, margin: float, *, is_tested: bool) -> str:
    verdict = (
        f"No difference: the 90 % interval lies within {100 * margin:g} points, the margin that "
        "the study names."
    )
    if not is_tested:
        return (
            "Differences in percentage points. Without several encoder seeds there is no test of "
            f"them, and nothing is claimed. {verdict}"
        )
    return (
        "Differences in percentage points over encoder seeds; p of the paired t test, and "
        f"after Holm's correction over {family}: below {LEVEL:g} a difference is claimed. "
        f"{verdict} "
        "Detectable is the smallest difference that so many seeds find "
        f"{100 * POWER:.0f} % of the time: it says how much the study could see, and tests "
        "nothing."
    )


def elsewhere(lookup: Lookup) -> tuple[FamilyEndpoint, ...]:
    """Return the primary comparison on every other target of the study that has it."""
    primary = lookup.primary
    if primary is None:
        return ()
    names = (each.name for each in lookup.target_settings if each.name != primary.target)
    others = (primary.model_copy(update={"target": name}) for name in names)
    return tuple(
        each for each in others if lookup.difference(*pair_of(each), question_of(each)) is not None
    )


def _tested(lookup: Lookup, endpoint: FamilyEndpoint) -> ResultRow | None:
    return lookup.tested(*pair_of(endpoint), question_of(endpoint))


def _lines(lookup: Lookup, endpoint: FamilyEndpoint) -> tuple[Line, ...]:
    """Return an endpoint's line; with several rivals, also the difference from each of them."""
    if len(endpoint.each_versus) == 1:
        return (_line(lookup, endpoint),)
    source, question = endpoint.source, question_of(endpoint)
    parts = (_beside(lookup, source, versus, question) for versus in endpoint.each_versus)
    return (_line(lookup, endpoint), *parts)


def _line(lookup: Lookup, endpoint: FamilyEndpoint) -> Line:
    tested, judged = _tested(lookup, endpoint), judge(lookup, endpoint)
    source, versus = pair_of(endpoint)
    row = tested or next(iter(judged.rows), None)
    each = "each of " if len(endpoint.each_versus) > 1 else ""
    return Line(
        f"{source} {MINUS} {each}{versus}: {setting_of(endpoint)}",
        (
            cell_of(row),
            Cell(judged.verdict.value),
            p_cell(tested),
            p_cell(tested, corrected=True),
            cell_of(lookup.detectable(endpoint)),
        ),
    )


def _beside(lookup: Lookup, source: str, versus: str, question: Question) -> Line:
    """Return the line of a comparison that is no endpoint: it has no verdict and no correction."""
    tested = lookup.tested(source, versus, question)
    row = tested or lookup.difference(source, versus, question)
    header = f"{source} {MINUS} {versus}: {question.target}"
    return Line(header, (cell_of(row), Cell(), p_cell(tested), Cell(), Cell()))


def setting_of(endpoint: FamilyEndpoint) -> str:
    """Return where an endpoint is read, in words."""
    readout = "" if endpoint.readout in (None, "lstm-mean") else readout_words(endpoint.readout)
    second = endpoint.minus_target
    return joined(
        endpoint.target if second is None else f"gain on {endpoint.target} minus gain on {second}",
        setting_words(endpoint.shots, endpoint.probe),
        metric_words(endpoint.metric),
        readout,
    )


def trend_table(lookup: Lookup) -> Table:
    """Return the gain for each step to the next finer level; empty where the run has no slopes."""
    rows: dict[tuple[str, str | None, object], ResultRow] = {}
    own = [row for row in lookup.trends() if row.readout == lookup.readout]
    for row in sorted(own, key=lambda row: -1 if row.seed is None else row.seed):
        rows.setdefault((row.target, row.probe, row.shots), row)
    asked = list(dict.fromkeys((row.target, row.shots) for row in own))
    unlearned = [name for name in _classifiers(lookup) if name in lookup.unlearned]
    warning = f" No claim: {', '.join(unlearned)} did not learn." if unlearned else ""
    lines = []
    for probe in lookup.probes:
        found = [rows.get((target, probe, shots)) for target, shots in asked]
        if any(found):
            lines.append(Line(probe_words(probe), tuple(map(cell_of, found))))
        if not unlearned and any(row is not None and row.p is not None for row in found):
            lines.append(Line(f"p, {probe_words(probe)}", tuple(map(p_cell, found))))
    return Table(
        name="trend",
        title="A trend over nested levels",
        caption=(
            f"Gain in {metric_words(main_metric(lookup))} for each step from a classification "
            "level to the next finer one, percentage points: a straight line a seed, and its "
            "interval and p over the seeds, not corrected. Captions and joint sources have no "
            "place on it. A slope may come from one step alone: the differences between "
            f"neighbours say which.{warning}"
        ),
        corner="probe",
        columns=tuple(
            Column(str(shots), f"{target_title(lookup, target)}: shots") for target, shots in asked
        ),
        blocks=(Block("", tuple(lines)),),
    )


def _classifiers(lookup: Lookup) -> list[str]:
    """Name the sources that classify and nothing else: those that a trend may be laid through."""
    return [each.name for each in lookup.source_settings if is_step(each)]
