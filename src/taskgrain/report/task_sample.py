"""The table of targets whose tasks are a sample: means over tasks, the slope, and what varies."""

from __future__ import annotations

from dataclasses import replace

from taskgrain.names import (
    MEAN_OVER_TASKS,
    SLOPE_OVER_TASKS,
    TASK_KINDS,
    VARIANCE_OVER_TASKS,
    mean_over_kind,
)
from taskgrain.report.lookup import Lookup, unique
from taskgrain.report.tables import Block, Cell, Column, Line, Table, cell_of, note_of, p_cell
from taskgrain.report.words import (
    MINUS,
    format_value,
    metric_words,
    setting_words,
)
from taskgrain.results import ResultRow

COLUMNS = (
    (MEAN_OVER_TASKS, "all tasks"),
    *((mean_over_kind(kind), kind) for kind in TASK_KINDS),
    (SLOPE_OVER_TASKS, "slope"),
)


def task_sample_table(lookup: Lookup) -> Table:
    """Return each pair's difference over a target's tasks; empty where no target has a sample."""
    metrics = (*(metric for metric, _ in COLUMNS), *VARIANCE_OVER_TASKS)
    rows = [row for row in lookup.answered_rows if row.metric in metrics]
    blocks = []
    for target in unique(row.target for row in rows):
        own = [row for row in rows if row.target == target]
        pairs = unique((row.source, row.versus) for row in own)
        lines = (
            line
            for source, versus in pairs
            for line in _lines([row for row in own if (row.source, row.versus) == (source, versus)])
        )
        blocks.append(Block(f"{target}: {_num_tasks(lookup, target)} tasks", tuple(lines)))
    return Table(
        name="task-sample",
        title="Tasks as a sample",
        caption=_caption(rows[0]) if rows else "",
        corner="difference",
        columns=(*(Column(name) for _, name in COLUMNS), Column("variances")),
        blocks=tuple(blocks),
    )


def _caption(row: ResultRow) -> str:
    return (
        f"Differences in percentage points ({setting_words(row.shots, row.probe)}) over the tasks "
        "that a target was drawn as a sample of, with 95 % intervals over tasks and encoder seeds "
        "together. Named tasks ask for what only the finer labels name, kind-named ones for new "
        "values of what they name, unnamed ones for nothing that they add. The slope is the gain "
        "for one unit of alignment gain. Variances, of tasks, seeds and tasks x seeds, are in "
        "squared points and unbiased: one below 0 counts as 0."
    )


def _num_tasks(lookup: Lookup, target: str) -> int:
    return sum(name.startswith(f"{target}/") for name in lookup.targets)


def _lines(rows: list[ResultRow]) -> tuple[Line, ...]:
    """Return the values of a pair, and their p, not corrected."""
    of_metric = {row.metric: row for row in rows}
    found = [of_metric.get(metric) for metric, _ in COLUMNS]
    name = f"{rows[0].source} {MINUS} {rows[0].versus}"
    shown = ", ".join(
        format_value(metric, row.value)
        for metric in VARIANCE_OVER_TASKS
        if (row := of_metric.get(metric)) is not None and row.value is not None
    )
    p = tuple(_p_cell(row) for row in found)
    lines = (Line(name, (*map(cell_of, found), Cell(shown)), key=rows[0].source or ""),)
    return (*lines, Line("p, not corrected", (*p, Cell()))) if any(c.shown for c in p) else lines


def _p_cell(row: ResultRow | None) -> Cell:
    if row is None or row.p is None:
        return Cell()
    return replace(p_cell(row), note=f"{metric_words(row.metric)}; {note_of(row)}")
