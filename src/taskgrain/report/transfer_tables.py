"""Which rows stand in which table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields, replace

from taskgrain.report.lookup import (
    SOURCE_VALIDATION,
    Lookup,
    Question,
    base_target,
    unique,
)
from taskgrain.report.run_folder import CurvePoint
from taskgrain.report.tables import Block, Cell, Column, Line, Table, best_of, cell_of
from taskgrain.report.words import (
    control_words,
    metric_words,
    percent,
    printable,
    probe_words,
)
from taskgrain.results import ResultRow

STILL_IMPROVING = 0.01  # a gain of more than one point in the last epoch: training was cut short
STILL_IMPROVING_MARK = "\N{NORTH EAST ARROW}"
SOURCE_METRICS = (
    "entropy-bits",
    "top-1",
    "group-accuracy",
    "exact-match",
    "template-accuracy",
    "object-accuracy",
    "unknown-rate",
    "gain-last-epoch",
)
SOURCE_LABELS = (
    "label bits a clip",
    "top-1",
    "group",
    "exact match",
    "template",
    "objects",
    "unknown words",
    "last-epoch gain",
)
MAX_OTHER_ROWS = 300
LADDER_SHOTS = 5  # where the study names no primary endpoint
ABSENT_SOURCE = "-"


@dataclass(frozen=True, slots=True)
class View:
    """What one transfer table fixes: the probe and the metric; columns are (target, shots)."""

    lookup: Lookup
    probe: str
    metric: str

    def questions(self) -> tuple[Question, ...]:
        """Return one question a column: targets in order, shots within."""
        questions = (
            Question(target, self.probe, shots, self.metric)
            for target in self.lookup.targets
            for shots in self.lookup.shots
        )
        return tuple(question for question in questions if self.lookup.is_asked(question))


def main_metric(lookup: Lookup) -> str:
    """Return the metric that the transfer tables and figures show."""
    if lookup.study.primary is not None:
        return lookup.study.primary.metric
    found = unique(row.metric for row in lookup.transfer_rows)
    return "top-1" if "top-1" in found or not found else found[0]


def ladder_question(lookup: Lookup, target: str) -> Question | None:
    """Return what the ladder shows for a target: the primary probe at its shots."""
    if not lookup.probes or not lookup.shots:
        return None
    primary = lookup.study.primary
    wanted = primary.shots if primary and primary.shots is not None else LADDER_SHOTS
    shots = wanted if wanted in lookup.shots else lookup.shots[-1]
    return Question(target, lookup.probes[0], shots, main_metric(lookup))


def target_title(lookup: Lookup, target: str) -> str:
    """Return a target's heading: its name, and how many ways to answer if chance tells."""
    chance = lookup.chance(target, main_metric(lookup))
    name = target if target == base_target(target) else target.split("/", maxsplit=1)[1]
    if chance is None or not chance.value:
        return name
    ways = 1 / chance.value
    return f"{name}, {round(ways)}-way" if abs(ways - round(ways)) < 1e-6 else name


def transfer_tables(lookup: Lookup) -> tuple[Table, ...]:
    """Return one table a probe, the primary endpoint's probe first."""
    views = (View(lookup, probe, main_metric(lookup)) for probe in lookup.probes)
    return tuple(table for table in map(_transfer_table, views) if not table.is_empty)


def _transfer_table(view: View) -> Table:
    lookup = view.lookup
    questions = view.questions()
    blocks = [
        Block("Sources, coarse to fine", tuple(_source_lines(lookup, questions))),
        *_difference_blocks(lookup, questions),
        Block("Controls", tuple(_control_lines(lookup, questions))),
    ]
    return Table(
        name=f"transfer-{file_name(view.probe)}",
        title=f"Transfer accuracy, {probe_words(view.probe)}",
        caption=(
            f"{metric_words(view.metric).capitalize()} in percent with its interval below; "
            "differences in percentage points. Bold only where a source's interval lies above "
            "every other source's."
        ),
        corner="source",
        columns=tuple(
            Column(
                str(question.shots),
                f"{target_title(lookup, question.target)}: shots",
            )
            for question in questions
        ),
        blocks=tuple(block for block in blocks if block.lines),
    )


def _source_lines(lookup: Lookup, questions: tuple[Question, ...]) -> Iterator[Line]:
    rows = {
        source: [lookup.measured(source, question) for question in questions]
        for source in lookup.sources
    }
    best = [best_of(column) for column in zip(*rows.values(), strict=True)]
    for source, measured in rows.items():
        cells = (
            cell_of(row, is_best=row is not None and row is winner)
            for row, winner in zip(measured, best, strict=True)
        )
        yield Line(source, tuple(cells), key=source)


def _difference_blocks(lookup: Lookup, questions: tuple[Question, ...]) -> Iterator[Block]:
    pairs = lookup.pairs()
    for versus in dict.fromkeys(versus for _, versus in pairs):
        lines = (
            Line(
                source,
                tuple(cell_of(lookup.difference(source, versus, ask)) for ask in questions),
                key=source,
            )
            for source, other in pairs
            if other == versus
        )
        kept = tuple(line for line in lines if any(cell.shown for cell in line.cells))
        yield Block(f"Difference from {control_words(versus)}, percentage points", kept)


def _control_lines(lookup: Lookup, questions: tuple[Question, ...]) -> Iterator[Line]:
    for control in lookup.controls():
        readouts = lookup.control_readouts(control)
        for source in lookup.control_sources(control) or (None,):
            for readout in readouts:
                rows = [
                    lookup.control(control, question, source=source, readout=readout)
                    for question in questions
                ]
                if not any(rows):
                    continue
                of_source = source if source in lookup.sources else None
                of_readout = readout if len(readouts) > 1 else None
                metrics = {row.metric for row in rows if row is not None and control != "chance"}
                other = "/".join(sorted(metrics - {questions[0].metric}))
                parts = (control_words(control), of_source, of_readout, other)
                yield Line(", ".join(part for part in parts if part), tuple(_merged(rows)))


def _merged(rows: list[ResultRow | None]) -> Iterator[Cell]:
    """Print a row that holds for neighbouring columns once, over all of them."""
    start = 0
    while start < len(rows):
        end = start + 1
        while end < len(rows) and rows[end] is not None and rows[end] is rows[start]:
            end += 1
        yield cell_of(rows[start], columns=end - start)
        start = end


def source_table(lookup: Lookup) -> Table:
    """Return each source's own validation scores."""
    shown = [
        (metric, label)
        for metric, label in zip(SOURCE_METRICS, SOURCE_LABELS, strict=True)
        if any(row.metric == metric for row in lookup.rows if row.target == SOURCE_VALIDATION)
    ]
    lines = (
        Line(source, tuple(_source_cell(lookup, source, metric) for metric, _ in shown), key=source)
        for source in lookup.sources
    )
    return Table(
        name="sources",
        title="What each source learned of its own task",
        caption=(
            "Scores on the source's own validation clips, percent; label bits are the entropy of "
            "what a clip's label says. Top-1 is over each source's own classes, so it is no "
            "ladder: fewer classes are easier. The arrow marks a source that still gained more "
            "than one point in its last epoch: it was not done learning. "
            f"{_seed_words(lookup)}"
        ),
        corner="source",
        columns=tuple(Column(label) for _, label in shown),
        blocks=(Block("", tuple(lines)),) if shown else (),
    )


def _seed_words(lookup: Lookup) -> str:
    seeds = {row.seed for row in lookup.rows if row.target == SOURCE_VALIDATION}
    if len(seeds) < 2 or None in seeds:
        return ""
    return f"Of {len(seeds)} seeds the first is shown; the others are in tables/results.csv."


def _source_cell(lookup: Lookup, source: str, metric: str) -> Cell:
    found = (
        lookup.measured(source, Question(SOURCE_VALIDATION, probe, None, metric))
        for probe in ("head", "decoder", None)
    )
    # A joint source gains twice, in classes and in captions: the larger gain is shown.
    row = max(
        (row for row in found if row is not None), key=lambda row: row.value or 0.0, default=None
    )
    cell = cell_of(row)
    if row is None or metric != "gain-last-epoch" or (row.value or 0.0) <= STILL_IMPROVING:
        return cell
    note = f"still improving, {cell.note}".rstrip(", ")
    return replace(cell, shown=f"{cell.shown} {STILL_IMPROVING_MARK}", note=note)


def gradient_table(lookup: Lookup, curves: tuple[CurvePoint, ...]) -> Table:
    """Return the classification term's share of the gradient at the encoder, for joint sources."""
    lines = []
    for source in lookup.study.sources:
        points = [point for point in curves if point.source == source.name and point.shares]
        if source.kind != "joint" or not points:
            continue
        first_seed = min(point.seed for point in points)
        own = sorted((p for p in points if p.seed == first_seed), key=lambda point: point.epoch)
        weight = source.classification_weight
        cells = [Cell("" if weight is None else f"{weight:g}"), *map(_share, (own[0], own[-1]))]
        lines.append(Line(source.name, tuple(cells), key=source.name))
    return Table(
        name="gradient-shares",
        title="Who moves the encoder in joint training",
        caption=(
            "Classification's share of the gradient at the encoder, percent; captioning has the "
            "rest. Lambda weighs the losses; the shares say what that weight came to."
        ),
        corner="joint source",
        columns=(Column("lambda"), Column("first epoch"), Column("last epoch")),
        blocks=(Block("", tuple(lines)),) if lines else (),
    )


def _share(point: CurvePoint) -> Cell:
    share = point.shares.get("classification")
    if share is None:
        return Cell()
    return Cell(percent(share), share, note=f"seed {point.seed}", origin="curves")


def other_rows(lookup: Lookup, shown: tuple[Table, ...]) -> tuple[ResultRow, ...]:
    """Return the transfer rows that no table above shows, in the run's order."""
    cells = (
        cell
        for table in shown
        for block in table.blocks
        for line in block.lines
        for cell in line.cells
    )
    seen = {cell.row for cell in cells}
    return tuple(row for row in lookup.rows if row not in seen)


def other_table(rows: tuple[ResultRow, ...]) -> Table:
    """Return further rows one a line, at most 300 of them."""
    names = ("target", "probe", "shots", "metric", "versus", "control")
    lines = (
        Line(
            row.source or ABSENT_SOURCE,
            (*(Cell(_text(row, name)) for name in names), cell_of(row), Cell(cell_of(row).note)),
        )
        for row in rows[:MAX_OTHER_ROWS]
    )
    return Table(
        name="other",
        title="Every other number",
        caption="Other metrics, read-outs, seeds and intervals, one row each.",
        corner="source",
        columns=tuple(Column(name) for name in (*names, "value", "small print")),
        blocks=(Block("", tuple(lines)),),
    )


def _text(row: ResultRow, name: str) -> str:
    values = {
        "target": row.target,
        "probe": row.probe,
        "shots": row.shots,
        "metric": row.metric,
        "versus": row.versus,
        "control": row.control,
    }
    value = values[name]
    return "" if value is None else printable(str(value))


def all_rows_csv(rows: tuple[ResultRow, ...]) -> str:
    """Return every row of results.jsonl as CSV, with full precision."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [field.name for field in fields(ResultRow)]
    writer.writerow(names)
    for row in rows:
        writer.writerow(astuple(row))
    return text.getvalue()


def file_name(name: str) -> str:
    """Return a name that every file system takes: letters, digits and hyphens."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)
    return kept.strip("-").lower() or "unnamed"
