"""Progress of cells, clips and the like: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from taskgrain.data.files import make_folder, naming
from taskgrain.jobs.executor import Cell, Facts

LINE_SECONDS = 15.0  # between two plain lines


class Reporter:
    """Shows the progress of cells, and writes timings.jsonl."""

    def __init__(self, cells: Sequence[Cell], timings: Path, *, quiet: bool) -> None:
        """Begin with the cells that are not done."""
        self._timings = timings
        self._left = {cell.name: cell.cost for cell in cells if not cell.is_done}
        self._total = sum(self._left.values())
        self._count = len(self._left)
        self._started = self._last_line = time.monotonic()
        self._plain = quiet or not sys.stderr.isatty()
        self._silent = quiet
        self._running: list[str] = []
        self._bar = Progress(
            TextColumn("{task.fields[doing]:<42.42}"),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=Console(stderr=True),
            disable=self._plain,
            transient=True,
        )
        self._task: TaskID = self._bar.add_task("", total=self._total or 1, doing="", left="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def started(self, cell: Cell) -> None:
        """Show what is being done."""
        self._running.append(cell.name)
        self._show()

    def advanced(self, cell: Cell, cost: float) -> None:
        """Take a part of a cell off what is left."""
        # The queue may bring a cell's last reports after its result.
        if cell.name in self._left:
            self._left[cell.name] = max(0.0, self._left[cell.name] - cost)
            self._show()

    def finished(self, cell: Cell, seconds: float, facts: Facts) -> None:
        """Log how long a cell took; print the share of waiting for data, where it was measured."""
        self._left.pop(cell.name, None)
        self._running.remove(cell.name)
        make_folder(self._timings.parent)
        with naming(self._timings), self._timings.open("a", encoding="utf-8") as file:
            line = {"cell": cell.name, "seconds": round(seconds, 3), "estimate": cell.cost, **facts}
            file.write(json.dumps(line) + "\n")
        if "data_share" in facts and not self._silent:
            share = f"{100 * facts['data_share']:.0f} % of it waiting for data"
            self._bar.console.print(f"{cell.name}: {seconds:.0f} s, {share}", highlight=False)
        self._show()

    def stopping(self) -> None:
        """Print that the run is stopping."""
        self._bar.stop()
        if not self._silent:
            print("stopping: what is under way is being saved ...", file=sys.stderr, flush=True)

    def _show(self) -> None:
        now = time.monotonic()
        done = self._total - sum(self._left.values())
        left = time_left(now - self._started, done, self._total)
        doing = ", ".join(dict.fromkeys(_short(name) for name in self._running))
        if not self._plain:
            self._bar.update(self._task, completed=done, doing=doing, left=left)
        elif not self._silent and now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            share = 100 * done / self._total if self._total else 100.0
            finished = self._count - len(self._left)
            print(
                f"{share:3.0f} %  {finished} of {self._count} cells  {left}  {doing}",
                file=sys.stderr,
                flush=True,
            )


def _short(cell: str) -> str:
    """Return a cell's name without the number of its shard: shards come by dozens."""
    return cell.rpartition(" ")[0] if cell.startswith("prepare ") else cell


def time_left(elapsed: float, done: float, total: float) -> str:
    """Phrase the time left: the estimated cost that is left, at the speed seen so far."""
    if done < 0.02 * total or total == 0:
        return "estimating the time left"
    seconds = round(elapsed * (total - done) / done)
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes} min {seconds:02d} s left" if minutes else f"{seconds} s left"


@contextmanager
def counted(number: int | None, *, quiet: bool, noun: str = "clips") -> Iterator[Count]:
    """Show a bar on a terminal, a line now and then elsewhere, and nothing if quiet.

    Args:
        number: of all; None where it is not known before the work begins.
        quiet: whether nothing is to be shown.
        noun: what is counted, in the plural.
    """
    has_bar = not quiet and sys.stderr.isatty()
    with Progress(console=Console(stderr=True), disable=not has_bar, transient=True) as bar:
        yield Count(number, noun, bar if has_bar else None, quiet=quiet)


class Count:
    """Counts clips, or other things, as they are done, and shows the count."""

    def __init__(self, number: int | None, noun: str, bar: Progress | None, *, quiet: bool) -> None:
        self._number = number
        self._noun = noun
        self._bar = bar
        self._task = None if bar is None else bar.add_task(noun, total=number)
        self._quiet = quiet
        self._done = 0
        self._last_line = time.monotonic()

    def tell(self, line: str) -> None:
        """Print a line about the work."""
        if not self._quiet:
            print(f"taskgrain: {line}", file=sys.stderr)

    def advance(self, number: int) -> None:
        """Count some as done."""
        self._done += number
        now = time.monotonic()
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, number)
        elif not self._quiet and now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            of_all = "" if self._number is None else f" of {self._number}"
            print(f"{self._done}{of_all} {self._noun}", file=sys.stderr, flush=True)
