"""What the sources had learned after fewer clip passes, each by a training of its own."""

from __future__ import annotations

import re
from collections import defaultdict
from statistics import fmean

from taskgrain.learned import SOURCE_VALIDATION
from taskgrain.report.lookup import Lookup, unique
from taskgrain.report.tables import Block, Cell, Column, Line, Table
from taskgrain.report.words import metric_words, percent
from taskgrain.results import ResultRow

SHOWN = ("top-1", "template-accuracy", "noun-accuracy", "modifier-accuracy", "exact-match")
"""Scores by which the end of a source's learning is judged."""


def passes_table(lookup: Lookup) -> Table:
    """Return the own scores of every training, fewest passes first; empty without fewer passes."""
    every = [
        row
        for row in (*lookup.fewer_passes, *lookup.rows)
        if row.target == SOURCE_VALIDATION and row.control is None and row.metric in SHOWN
    ]
    budgets = sorted({row.passes for row in every if row.passes is not None})
    of_line: dict[tuple[str, str], dict[int | None, list[ResultRow]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in every:
        of_line[row.source or "", row.metric][row.passes].append(row)
    blocks = (
        Block(
            "",
            tuple(
                _line(source, metric, by_passes, budgets)
                for (source, metric), by_passes in of_line.items()
            ),
        ),
    )
    return Table(
        name="passes",
        title="What more clip passes bring",
        caption=(
            "Percent of the source's own validation clips, mean over the seeds. Each column is a "
            "training of its own with a whole schedule; only the last is tested on the targets. A "
            "source whose last two columns are alike has learned what these clips teach it."
        ),
        corner="source",
        columns=tuple(
            Column(label) for label in (*(f"{each:,}" for each in budgets), _tested(lookup))
        ),
        blocks=blocks if budgets else (),
    )


def _tested(lookup: Lookup) -> str:
    """Return what the column of the training that is tested is called, with its passes."""
    passes = dict(lookup.study.settings).get("train.passes", "")
    every = re.findall(r"\d+", passes)
    return f"{int(every[-1]):,}, tested" if every else "tested"


def _line(
    source: str, metric: str, by_passes: dict[int | None, list[ResultRow]], budgets: list[int]
) -> Line:
    cells = tuple(_cell(by_passes.get(passes, [])) for passes in (*budgets, None))
    return Line(f"{source}, {metric_words(metric)}", cells, key=source)


def _cell(rows: list[ResultRow]) -> Cell:
    values = [row.value for row in rows if row.value is not None]
    if not values:
        return Cell("")
    mean = fmean(values)
    seeds = len(unique(row.seed for row in rows))
    return Cell(percent(mean), mean, note=f"{seeds} seeds" if seeds > 1 else "")
