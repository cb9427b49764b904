"""The one table of all benchmarks: what was measured, beside its peer, as text and as JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

COLUMNS = ("what", "ours", "peer", "ratio", "wanted", "")

# Its argument is True for the small form, which takes a few seconds and shows that all of it runs.
Measure = Callable[[bool], "list[Row]"]


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement of ours and of a peer in the same run; the smaller number is the better one.

    Speeds are stored as the seconds that the same work takes, so that `ratio` always means the
    same: how many times as fast (or as small) ours is.
    """

    what: str  # the work, with its size
    ours: float  # in `unit`
    peer: str  # what ours is compared with
    peers: float  # in `unit`
    unit: str = "s"
    wanted: float | None = None  # the least ratio that we claim; None where nothing is claimed
    note: str = ""

    @property
    def ratio(self) -> float:
        return self.peers / self.ours

    @property
    def reached(self) -> bool | None:
        """Return whether the claimed ratio was reached; None where nothing is claimed."""
        return None if self.wanted is None else self.ratio >= self.wanted


def lines(rows: Sequence[Row]) -> list[str]:
    """Return the table as lines of text, its columns aligned."""
    cells = [COLUMNS, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]


def _cells(row: Row) -> tuple[str, ...]:
    mark = {None: "", True: "reached", False: "MISSED"}[row.reached]
    return (
        row.what,
        f"{row.ours:.3g} {row.unit}",
        f"{row.peers:.3g} {row.unit} ({row.peer})",
        f"{row.ratio:.2f}",
        "" if row.wanted is None else f"{row.wanted:g}",
        "; ".join(filter(None, (mark, row.note))),
    )


def print_rows(rows: Sequence[Row]) -> None:
    print("\n".join(lines(rows)), flush=True)


def write_json(rows: Sequence[Row], path: Path) -> None:
    """Write the rows with their ratios, and whether each claim was reached."""
    content = [{**asdict(row), "ratio": row.ratio, "reached": row.reached} for row in rows]
    path.write_text(json.dumps({"rows": content}, indent=1) + "\n", encoding="utf-8")


def measured(measure: Measure, *, small: bool) -> list[Row]:
    """Return the rows of a benchmark; those of the small form claim nothing."""
    rows = measure(small)
    return [replace(row, wanted=None) for row in rows] if small else rows


def main_of(measure: Measure, summary: str | None) -> None:
    """Run one benchmark from the command line: `[--small] [--json FILE]`.

    Args:
        measure: measures and returns the rows.
        summary: the benchmark's docstring, shown by `--help`.
    """
    parser = argparse.ArgumentParser(
        description=summary, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", action="store_true", help="a few seconds; no claim is judged")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    arguments = parser.parse_args()
    rows = measured(measure, small=arguments.small)
    print_rows(rows)
    if arguments.json is not None:
        write_json(rows, arguments.json)
