"""The tables of transfer: which rows stand where, and where wrong answers lie."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import astuple, fields, replace

from taskgrain.learned import SOURCE_VALIDATION
from taskgrain.report.lookup import (
    Lookup,
    Question,
    base_target,
    sorted_shots,
    unique,
)
from taskgrain.report.tables import Block, Cell, Column, Line, Table, cell_of, highest_of, note_of
from taskgrain.report.words import (
    control_words,
    joined,
    metric_words,
    printable,
    probe_words,
    readout_words,
    setting_words,
)
from taskgrain.results import ResultRow, Value

MAX_OTHER_ROWS = 300
LADDER_SHOTS = 5  # where the run folder has no study file
ABSENT_SOURCE = "-"
ENCODER_CONTROLS = ("random-encoder", "random-labels", "shuffled-time")
_CELLS = (
    "in percent with its interval below; differences in percentage points. Bold is the highest "
    "source of a column, which is no test: the differences are."
)
ANSWER_KINDS = {
    "top-1": "right",
    "errors-within-groups": "in the group",
    "errors-between-groups": "in another",
}


def questions_of(lookup: Lookup, probe: str, metric: str) -> tuple[Question, ...]:
    """Return one question for each column of a transfer table: targets in order, shots within."""
    # Attempted, not only with a value: a probe that failed everywhere keeps its columns.
    own = (row for row in lookup.attempted_rows if row.metric == metric)
    numbers = sorted_shots(row.shots for row in own if row.control is None)
    questions = (
        Question(target, probe, shots, metric) for target in lookup.targets for shots in numbers
    )
    return tuple(question for question in questions if lookup.is_answered(question))


def main_metric(lookup: Lookup) -> str:
    """Return the metric that the transfer tables and figures show."""
    if lookup.primary is not None:
        return lookup.primary.metric
    found = unique(row.metric for row in lookup.transfer_rows)
    return "top-1" if "top-1" in found or not found else found[0]


def ladder_question(lookup: Lookup, target: str) -> Question | None:
    """Return the question whose answers the ladder shows: the primary probe at its shots."""
    if not lookup.probes or not lookup.shots:
        return None
    wanted = lookup.primary.shots if lookup.primary else LADDER_SHOTS
    shots = wanted if wanted in lookup.shots else lookup.shots[-1]
    return Question(target, lookup.probes[0], shots, main_metric(lookup))


def target_title(lookup: Lookup, target: str) -> str:
    """Return a target's heading: its name and, where known, its number of classes and its kind."""
    chance = lookup.chance(target, main_metric(lookup))
    base = base_target(target)
    several = any(base_target(each) != base for each in lookup.targets)
    part = target.removeprefix(f"{base}/")
    parts = [target.replace("/", ": ", 1) if several else part]
    if chance is not None and chance.value:
        ways = 1 / chance.value
        parts += [f"{round(ways)}-way"] if abs(ways - round(ways)) < 1e-6 else []
    kind = lookup.kind(target)
    return ", ".join([*parts, kind] if kind else parts)


def transfer_tables(lookup: Lookup) -> tuple[Table, ...]:
    """Return one table for each probe, the primary endpoint's probe first."""
    metric = main_metric(lookup)
    tables = (
        _table(
            lookup,
            questions_of(lookup, probe, metric),
            name=f"transfer-{file_name(probe)}",
            title=f"Transfer accuracy, {probe_words(probe)}",
            caption=f"{metric_words(metric).capitalize()} {_CELLS}",
            heading=target_title,
        )
        for probe in lookup.probes
    )
    return tuple(table for table in tables if not table.is_empty)


def episode_tables(lookup: Lookup) -> tuple[Table, ...]:
    """Return one table for each probe and number of ways, where the study has episodes."""
    tables = (
        _table(
            lookup,
            questions_of(lookup, probe, metric),
            name=f"episodes-{ways}-way-{file_name(probe)}",
            title=f"{ways}-way episodes, {probe_words(probe)}",
            caption=(
                f"Mean accuracy over episodes of {ways} categories each, shots being support clips "
                f"of a category; the same episodes for every source; {_CELLS}"
            ),
            # An episode has a chance of its own: the number of the target's classes would mislead.
            heading=lambda _, target: target,
        )
        for metric in lookup.episode_metrics()
        for ways in (metric.split("-", maxsplit=1)[0],)
        for probe in lookup.probes
    )
    return tuple(table for table in tables if not table.is_empty)


def _table(
    lookup: Lookup,
    questions: tuple[Question, ...],
    *,
    name: str,
    title: str,
    caption: str,
    heading: Callable[[Lookup, str], str],
) -> Table:
    """Return sources, differences and controls by target and number of shots."""
    columns = tuple(
        Column(str(each.shots), f"{heading(lookup, each.target)}: shots") for each in questions
    )
    return Table(name, title, caption, "source", columns, _blocks(lookup, questions))


def readout_table(lookup: Lookup) -> Table:
    """Return a table of sources by read-out, at the primary endpoint's probe and shots.

    Empty where the sources were read in one way.
    """
    readouts = lookup.readouts()
    blocks: list[Block] = []
    for target in lookup.targets if len(readouts) > 1 else ():
        question = ladder_question(lookup, target)
        if question is None:
            continue
        questions = tuple(replace(question, readout=readout) for readout in readouts)
        title = target_title(lookup, target)
        blocks.append(Block(title, tuple(_source_lines(lookup, questions))))
        blocks += (
            Block(f"{title}: {block.title[0].lower()}{block.title[1:]}", block.lines)
            for block in _difference_blocks(lookup, questions)
        )
        blocks.append(Block(f"{title}: controls", tuple(_encoder_controls(lookup, questions))))
    first = ladder_question(lookup, lookup.targets[0]) if lookup.targets else None
    setting = "" if first is None else f", {setting_words(first.shots, first.probe)}"
    return Table(
        name="readouts",
        title="How the features were read",
        caption=f"{metric_words(main_metric(lookup)).capitalize()}{setting}, {_CELLS}",
        corner="source",
        columns=tuple(Column(readout_words(readout)) for readout in readouts),
        blocks=tuple(block for block in blocks if block.lines),
    )


def _encoder_controls(lookup: Lookup, questions: tuple[Question, ...]) -> Iterator[Line]:
    """Yield the controls that are encoders, read as each question asks."""
    for control in ENCODER_CONTROLS:
        for source in lookup.control_sources(control) or (None,):
            rows = [
                lookup.control(control, each, source=source, readout=each.readout)
                for each in questions
            ]
            if any(rows):
                yield Line(joined(control_words(control), source), tuple(map(cell_of, rows)))


def _blocks(lookup: Lookup, questions: tuple[Question, ...]) -> tuple[Block, ...]:
    blocks = [
        Block(
            "Sources, coarse to fine" if lookup.is_ladder else "Sources",
            tuple(_source_lines(lookup, questions)),
        ),
        *_difference_blocks(lookup, questions),
        Block("Controls", tuple(_control_lines(lookup, questions))),
    ]
    return tuple(block for block in blocks if block.lines)


def _source_lines(lookup: Lookup, questions: tuple[Question, ...]) -> Iterator[Line]:
    rows = {
        source: [lookup.measured(source, question) for question in questions]
        for source in lookup.sources
    }
    highest = [highest_of(column) for column in zip(*rows.values(), strict=True)]
    for source, measured in rows.items():
        cells = (
            cell_of(row, is_highest=row is not None and row is winner)
            for row, winner in zip(measured, highest, strict=True)
        )
        yield Line(named_source(lookup, source), tuple(cells), key=source)


def named_source(lookup: Lookup, source: str) -> str:
    """Name a source, with a word where no claim rests on it."""
    return f"{source} (not learned)" if source in lookup.unlearned else source


def _difference_blocks(lookup: Lookup, questions: tuple[Question, ...]) -> Iterator[Block]:
    pairs, twins = lookup.pairs(), set(lookup.twins.items())
    for versus in dict.fromkeys(versus for _, versus in pairs):
        lines = (
            Line(
                named_source(lookup, source) + (", A/A" if (source, versus) in twins else ""),
                tuple(cell_of(lookup.difference(source, versus, each)) for each in questions),
                key=source,
            )
            for source, other in pairs
            if other == versus
        )
        kept = tuple(line for line in lines if not line.is_empty)
        yield Block(f"Difference from {control_words(versus)}, percentage points", kept)


def _control_lines(lookup: Lookup, questions: tuple[Question, ...]) -> Iterator[Line]:
    has_readouts = len(lookup.readouts()) > 1  # a table of their own has the others
    for control in lookup.controls():
        readouts = lookup.control_readouts(control)[: 1 if has_readouts else None]
        for source in lookup.control_sources(control) or (None,):
            for readout in readouts:
                rows = [
                    lookup.control(control, question, source=source, readout=readout)
                    for question in questions
                ]
                if not any(rows):
                    continue
                of_source = source if source in lookup.sources else None
                of_readout = readout_words(readout) if readout and len(readouts) > 1 else None
                # Shuffled labels may be in the other accuracy than the table, which the line names.
                # Chance is 1 / K in either.
                metrics = {row.metric for row in rows if row is not None and control != "chance"}
                other = "/".join(sorted(metrics - {questions[0].metric}))
                header = joined(control_words(control), of_source, of_readout, other)
                yield Line(header, tuple(_merged(rows)))


def _merged(rows: list[ResultRow | None]) -> Iterator[Cell]:
    """Print a row that holds for neighbouring columns once, over all of them."""
    start = 0
    while start < len(rows):
        end = start + 1
        # The same row, not an equal value: chance has one for all numbers of shots.
        while end < len(rows) and rows[end] is not None and rows[end] is rows[start]:
            end += 1
        yield cell_of(rows[start], columns=end - start)
        start = end


def other_rows(lookup: Lookup, shown: tuple[Table, ...]) -> tuple[ResultRow, ...]:
    """Return the transfer rows that no table above shows, in the run's order."""
    blocks = (block for table in shown for block in table.blocks)
    seen = {cell.row for block in blocks for line in block.lines for cell in line.cells}
    return tuple(row for row in lookup.rows if row not in seen)


def other_table(rows: tuple[ResultRow, ...]) -> Table:
    """Return further rows one a line, at most 300 of them."""
    names = ("target", "probe", "shots", "metric", "versus", "control")
    lines = (
        Line(
            row.source or ABSENT_SOURCE,
            (*(_words(getattr(row, name)) for name in names), cell_of(row), Cell(note_of(row))),
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


def _words(value: Value) -> Cell:
    return Cell() if value is None else Cell(printable(str(value)))


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


def group_error_table(lookup: Lookup) -> Table:
    """Return the shares of right answers and of both kinds of errors at the primary endpoint.

    Empty where no target has groups.
    """
    primary = lookup.primary
    parted = (
        row.target
        for row in lookup.rows
        if row.metric == "errors-within-groups" and row.target != SOURCE_VALIDATION
    )
    targets = unique(parted) if primary is not None else ()
    probe, shots = (None, None) if primary is None else (primary.probe, primary.shots)
    questions = [
        Question(target, probe, shots, metric) for target in targets for metric in ANSWER_KINDS
    ]
    blocks = (
        Block("Sources", tuple(_source_errors(lookup, questions))),
        Block("Controls", tuple(_control_errors(lookup, questions))),
    )
    return Table(
        name="group-errors",
        title="Where the answers on held-out categories lie",
        caption=(
            f"Percent of the scored clips, {setting_words(shots, probe)}: answered right, by "
            "another held-out category of the right group, or by one of another group. Siblings' "
            "groups have categories that were learned; of whole groups nothing was."
        ),
        corner="source",
        columns=tuple(Column(ANSWER_KINDS[each.metric], each.target) for each in questions),
        blocks=tuple(block for block in blocks if block.lines),
    )


def _source_errors(lookup: Lookup, questions: list[Question]) -> Iterator[Line]:
    for source in lookup.sources if questions else ():
        cells = tuple(cell_of(lookup.measured(source, each)) for each in questions)
        yield Line(named_source(lookup, source), cells, key=source)


def _control_errors(lookup: Lookup, questions: list[Question]) -> Iterator[Line]:
    for control in lookup.controls() if questions else ():
        for source in lookup.control_sources(control) or (None,):
            rows = [_errors_of_control(lookup, control, each, source) for each in questions]
            if all(row is not None for row in rows):
                yield Line(joined(control_words(control), source), tuple(map(cell_of, rows)))


def _errors_of_control(
    lookup: Lookup, control: str, question: Question, source: str | None
) -> ResultRow | None:
    """Return a control's row in exactly this metric: chance has no errors of either kind."""
    row = lookup.control(control, question, source=source)
    return row if row is not None and row.metric == question.metric else None
