"""The table of wrong answers on held-out categories: within the right group, or in another."""

from __future__ import annotations

from collections.abc import Iterator

from taskgrain.learned import SOURCE_VALIDATION
from taskgrain.report.lookup import Lookup, Question, unique
from taskgrain.report.tables import Block, Column, Line, Table, cell_of
from taskgrain.report.transfer_tables import named_source
from taskgrain.report.words import control_words, joined, setting_words
from taskgrain.results import ResultRow

PARTS = {
    "top-1": "right",
    "errors-within-groups": "in the group",
    "errors-between-groups": "in another",
}


def group_error_table(lookup: Lookup) -> Table:
    """Return where answers lie at the primary endpoint; empty where no target has groups."""
    primary = lookup.primary
    parted = (
        row.target
        for row in lookup.rows
        if row.metric == "errors-within-groups" and row.target != SOURCE_VALIDATION
    )
    targets = unique(parted) if primary is not None else ()
    probe, shots = (None, None) if primary is None else (primary.probe, primary.shots)
    questions = [Question(target, probe, shots, metric) for target in targets for metric in PARTS]
    blocks = (
        Block("Sources", tuple(_source_lines(lookup, questions))),
        Block("Controls", tuple(_control_lines(lookup, questions))),
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
        columns=tuple(Column(PARTS[each.metric], each.target) for each in questions),
        blocks=tuple(block for block in blocks if block.lines),
    )


def _source_lines(lookup: Lookup, questions: list[Question]) -> Iterator[Line]:
    for source in lookup.sources if questions else ():
        cells = tuple(cell_of(lookup.measured(source, each)) for each in questions)
        yield Line(named_source(lookup, source), cells, key=source)


def _control_lines(lookup: Lookup, questions: list[Question]) -> Iterator[Line]:
    for control in lookup.controls() if questions else ():
        for source in lookup.control_sources(control) or (None,):
            rows = [_of_control(lookup, control, each, source) for each in questions]
            if all(row is not None for row in rows):
                yield Line(joined(control_words(control), source), tuple(map(cell_of, rows)))


def _of_control(
    lookup: Lookup, control: str, question: Question, source: str | None
) -> ResultRow | None:
    """Return a control's row in this very metric; chance, say, has no errors of either kind."""
    row = lookup.control(control, question, source=source)
    return row if row is not None and row.metric == question.metric else None
