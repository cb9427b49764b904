"""Whether the sources learned their own labels, and what fewer passes had taught them.

What a reader has to know before any difference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from statistics import fmean

from taskgrain.learned import FLOORS, SOURCE_VALIDATION, OwnScore, floor_of
from taskgrain.report.lookup import Lookup
from taskgrain.report.tables import Block, Cell, Column, Line, Table, cell_of
from taskgrain.report.words import (
    Number,
    Phrase,
    control_words,
    count_words,
    metric_words,
    percent,
    percent_number,
    value_of,
)
from taskgrain.results import ResultRow

FLOOR_WORDS = {"majority": "commonest class"}  # of groups and categories alike
FEW = 2  # of more sources that did not learn the front page gives the names alone
SHOWN = ("top-1", "template-accuracy", "noun-accuracy", "modifier-accuracy", "exact-match")
"""Scores by which the end of a source's learning is judged."""


def learned_phrase(lookup: Lookup) -> Phrase:
    """Return which sources learned their own labels; nothing where none has a score of its own."""
    judged = {score.own.source for score in lookup.own_scores}
    if not judged:
        if not any(row.target == SOURCE_VALIDATION for row in lookup.rows):
            return ()
        return ("Whether the sources learned their own labels was not measured.",)
    if not lookup.unlearned:
        if len(judged) == 1:
            return (f"“{judged.pop()}” learned its own labels.",)
        return (f"All {len(judged)} sources learned their own labels.",)
    count = len(lookup.unlearned)
    begin = f"{count} of {count_words(len(judged), 'source')} did not learn: "
    which = "it" if count == 1 else "them"
    parts: list[str | Number] = []
    for name, score in lookup.unlearned.items():
        parts += ["; " if parts else begin, f"“{name}”"]
        if count <= FEW:
            parts += [" (", *_beside_floor(score), ")"]
    return (*parts, f". No claim rests on {which}.")


def _beside_floor(score: OwnScore) -> Phrase:
    own, floor = score.own, score.floor
    bound: Phrase = (", without an interval",)
    if own.low is not None:
        bound = (", at least ", Number(own.low, percent(own.low)))
    return (
        f"{metric_words(own.metric)} ",
        percent_number(value_of(own)),
        *bound,
        f"; {control_words(floor.control or '')} has ",
        percent_number(value_of(floor)),
    )


def learned_table(lookup: Lookup) -> Table:
    """Return each source's own score beside what needs no learning; empty without floors."""
    lines = tuple(
        Line(
            _header(lookup, score, len(seeds)),
            (
                cell_of(score.own),
                *(cell_of(floor_of(lookup.rows, score, name)) for name in FLOORS),
                Cell("yes" if score.is_learned else "no"),
            ),
            key=score.own.source or "",
        )
        for score, seeds in _lowest(lookup)
    )
    return Table(
        name="learned",
        title="Whether the sources learned their own labels",
        caption=(
            "Percent of the source's own validation clips. A source has learned if the lower bound "
            "of its 95 % interval lies above chance, the commonest class and a linear read-out of "
            "motion energy, in each of its tasks and under every seed. No claim rests on one that "
            "has not."
        ),
        corner="source",
        columns=(
            Column("own score"),
            *(Column(FLOOR_WORDS.get(name, control_words(name))) for name in FLOORS),
            Column("learned"),
        ),
        blocks=(Block("", lines),),
    )


def _lowest(lookup: Lookup) -> Iterator[tuple[OwnScore, list[OwnScore]]]:
    """Yield each source's score of a task under the seed of its lowest bound, with every seed's."""
    of_task: dict[tuple[str | None, str], list[OwnScore]] = defaultdict(list)
    for score in lookup.own_scores:
        of_task[score.own.source, score.own.metric].append(score)
    for seeds in of_task.values():
        yield min(seeds, key=lambda each: -1.0 if each.own.low is None else each.own.low), seeds


def _header(lookup: Lookup, score: OwnScore, num_seeds: int) -> str:
    """Name the source, its score where it has two, and its seed where there are several."""
    own = score.own
    metrics = {each.own.metric for each in lookup.own_scores if each.own.source == own.source}
    parts = [own.source or ""]
    if len(metrics) > 1:
        parts.append(metric_words(own.metric))
    if num_seeds > 1:
        parts.append(f"seed {own.seed}, the lowest of {num_seeds}")
    return ", ".join(parts)


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
    lines = tuple(
        _line(source, metric, by_passes, budgets) for (source, metric), by_passes in of_line.items()
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
        columns=tuple(map(Column, (*(f"{each:,}" for each in budgets), _tested(lookup)))),
        blocks=(Block("", lines),) if budgets else (),
    )


def _tested(lookup: Lookup) -> str:
    """Return what the column of the training that is tested is called, with its passes."""
    passes = lookup.run.study.train.passes if lookup.run.study else ()
    return f"{passes[-1]:,}, tested" if passes else "tested"


def _line(
    source: str, metric: str, by_passes: dict[int | None, list[ResultRow]], budgets: list[int]
) -> Line:
    cells = tuple(_cell(by_passes.get(passes, [])) for passes in (*budgets, None))
    return Line(f"{source}, {metric_words(metric)}", cells, key=source)


def _cell(rows: list[ResultRow]) -> Cell:
    values = [row.value for row in rows if row.value is not None]
    if not values:
        return Cell("")
    mean, seeds = fmean(values), len({row.seed for row in rows})
    return Cell(percent(mean), mean, note=f"{seeds} seeds" if seeds > 1 else "")
