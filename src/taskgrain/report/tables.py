"""Tables as values: built from rows, printed as CSV and LaTeX here and as HTML by the template."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

from taskgrain.names import EPISODE_METRIC
from taskgrain.report.words import MINUS, NO_RESULT, format_value, joined, p_words
from taskgrain.results import ResultRow

TEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    MINUS: r"\textminus{}",
    "\N{NO-BREAK SPACE}": "~",
    "\N{EN DASH}": "--",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: a number with its interval, or words, or nothing at all.

    `value`, `low` and `high` are the row's own numbers; `shown` and `interval` what is printed.
    """

    shown: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    interval: str = ""
    note: str = ""  # shown on hovering: n, the kind of interval, failed clips
    is_highest: bool = False
    origin: str = "results"  # the file that the value comes from
    columns: int = 1  # how many columns it spans
    row: ResultRow | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table; `key` names the source for its colour mark, where it has one."""

    header: str
    cells: tuple[Cell, ...]
    key: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether no cell holds anything."""
        return not any(cell.shown for cell in self.cells)


@dataclass(frozen=True, slots=True)
class Block:
    """Rows that belong together under a small heading."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A column and the group that it stands in; group "" stands alone."""

    label: str
    group: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its caption; `name` is its file name."""

    name: str
    title: str
    caption: str
    corner: str
    columns: tuple[Column, ...]
    blocks: tuple[Block, ...]

    @property
    def groups(self) -> tuple[tuple[str, int], ...]:
        """Return each column group with the number of its columns, in order."""
        groups: list[tuple[str, int]] = []
        for column in self.columns:
            if groups and groups[-1][0] == column.group:
                groups[-1] = (column.group, groups[-1][1] + 1)
            else:
                groups.append((column.group, 1))
        return tuple(groups)

    @property
    def is_empty(self) -> bool:
        """Whether no cell holds anything."""
        return all(line.is_empty for block in self.blocks for line in block.lines)


def cell_of(row: ResultRow | None, *, is_highest: bool = False, columns: int = 1) -> Cell:
    """Return the cell that prints a row; an empty one for None."""
    if row is not None and row.problem is not None:
        return Cell(shown=NO_RESULT, note=row.problem, columns=columns, row=row)
    if row is None or row.value is None:
        return Cell(columns=columns)
    is_difference = row.versus is not None
    interval = ""
    if row.low is not None and row.high is not None:
        low, high = (
            format_value(row.metric, bound, is_difference=is_difference)
            for bound in (row.low, row.high)
        )
        has_sign = is_difference or row.low < 0  # a dash between two minus signs is unreadable
        interval = f"{low}, {high}" if has_sign else f"{low}\N{EN DASH}{high}"
    return Cell(
        shown=format_value(row.metric, row.value, is_difference=is_difference),
        value=row.value,
        low=row.low,
        high=row.high,
        interval=interval,
        note=note_of(row),
        is_highest=is_highest,
        columns=columns,
        row=row,
    )


def p_cell(row: ResultRow | None, *, corrected: bool = False) -> Cell:
    """Return the cell that prints a row's p, or its p after Holm's correction."""
    p = None if row is None else row.p_holm if corrected else row.p
    return Cell() if row is None or p is None else Cell(p_words(p), p, note=note_of(row))


def note_of(row: ResultRow) -> str:
    """Return the small print of a row: n, draws, seed, interval, p, failed and truncated clips."""
    draws = "episodes" if EPISODE_METRIC.fullmatch(row.metric) else "support draws"
    return joined(
        f"n = {row.n}" if row.n is not None else "",
        f"{row.draws} {draws}" if row.draws else "",
        f"seed {row.seed}" if row.seed is not None else "",
        f"interval over {row.interval}" if row.interval and row.low is not None else "",
        f"p = {row.p:.2g}" if row.p is not None else "",
        f"after Holm {row.p_holm:.2g}" if row.p_holm is not None else "",
        f"read-out {row.readout}" if row.readout else "",
        f"{row.failed} failed" if row.failed else "",
        f"{row.truncated} truncated" if row.truncated else "",
    )


def highest_of(rows: Iterable[ResultRow | None]) -> ResultRow | None:
    """Return the row of the highest value, of equals the first; None where fewer than two have one.

    The mark is no test: paired differences decide which sources differ.
    """
    present = [row for row in rows if row is not None and row.value is not None]
    return max(present, key=lambda row: row.value or 0.0) if len(present) > 1 else None


def to_csv(table: Table) -> str:
    """Return the table with full precision: each column as value, low and high."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [f"{column.group} {column.label}".strip() for column in table.columns]
    fields = [f"{name}{part}" for name in names for part in ("", " low", " high")]
    writer.writerow(["block", table.corner, *fields])
    for block in table.blocks:
        for line in block.lines:
            writer.writerow([block.title, line.header, *_csv_fields(line)])
    return text.getvalue()


def _csv_fields(line: Line) -> list[str | float | None]:
    fields: list[str | float | None] = []
    for cell in line.cells:
        # Repeated over the columns that it spans, so that every line has as many fields.
        value = cell.shown if cell.value is None else cell.value
        fields += [value, cell.low, cell.high] * cell.columns
    return fields


def to_tex(table: Table) -> str:
    """Return the table for LaTeX with the booktabs package, intervals in small type."""
    width = len(table.columns) + 1
    lines = [
        r"% needs \usepackage{booktabs}",
        rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        r"\toprule",
    ]
    if any(column.group for column in table.columns):
        lines.append(_tex_groups(table))
    labels = [tex(column.label) for column in table.columns]
    lines.append(" & ".join([tex(table.corner), *labels]) + r" \\")
    for block in table.blocks:
        lines.append(r"\midrule")
        if block.title:
            lines.append(rf"\multicolumn{{{width}}}{{l}}{{\emph{{{tex(block.title)}}}}} \\")
        for line in block.lines:
            lines.append(" & ".join([tex(line.header), *map(_tex_cell, line.cells)]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", f"% {tex(table.caption)}", ""])


def _tex_groups(table: Table) -> str:
    cells = [rf"\multicolumn{{{count}}}{{c}}{{{tex(group)}}}" for group, count in table.groups]
    rules, start = [], 2
    for _, count in table.groups:
        rules.append(rf"\cmidrule(lr){{{start}-{start + count - 1}}}")
        start += count
    return " & ".join(["", *cells]) + r" \\ " + "".join(rules)


def _tex_cell(cell: Cell) -> str:
    shown = rf"\textbf{{{tex(cell.shown)}}}" if cell.is_highest else tex(cell.shown)
    if cell.interval:
        shown += rf" {{\scriptsize [{tex(cell.interval)}]}}"
    if cell.columns > 1:
        return rf"\multicolumn{{{cell.columns}}}{{c}}{{{shown}}}"
    return shown


def tex(text: str) -> str:
    """Escape text for LaTeX."""
    # Letter by letter: replacing one after the other would escape the braces of what is inserted.
    return "".join(TEX_SPECIAL.get(letter, letter) for letter in " ".join(text.split()))
