"""Run cells in worker processes, one thread each, in the order that their needs allow.

Every cell computes in a worker with one thread, whatever the number of workers, so that number
never changes a result. Ctrl-C reaches the workers as a flag: a cell ends at
its next safe point, having saved what it can resume from.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from types import FrameType
from typing import Protocol

from taskgrain.data.files import held_folders, holding, write_text
from taskgrain.errors import RunError, StoppedError, TaskgrainError
from taskgrain.jobs.starting import GUARD, explain_death, refuse_to_begin_again, starting_workers

# Three ways in which work ends early, and what must hold in each:
#
# - Ctrl-C, or SIGTERM from a scheduler, reaches the main process: it sets an event, and each cell
#   raises StoppedError at its next safe point, having saved what it can resume from. SIGTERM may
#   reach the workers too, which take it as the same wish.
# - A worker dies (memory, a crash): the pool is broken, the others stop, and the error
#   names the cells that were being computed.
# - The main process is killed: each worker watches its parent and ends itself, so that a resumed
#   run never meets an old writer.
POLL_SECONDS = 0.2


class Worker(Protocol):
    """The process that a cell runs in, as the cell sees it."""

    def report(self, cost: float) -> None:
        """Report work done, in the units of the cell's cost."""

    def advance(self, cost: float) -> None:
        """Report work done where stopping is safe; raise StoppedError if the run is to stop."""

    def stopping(self) -> bool:
        """Whether the run is to stop."""


Facts = Mapping[str, float]
"""What a cell measured of its own run, for timings.jsonl; never a part of its results."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One piece of a study: independent of all others but those it needs."""

    name: str
    work: Callable[[Worker], Facts | None]  # a partial of a module's function: it is pickled
    cost: float  # estimated seconds on one thread, for the progress bar and the plan
    done: Path  # the mark that it is finished
    output: Path  # a file that it writes; a marked cell whose output is there is never run again
    needs: tuple[str, ...] = ()

    @property
    def is_done(self) -> bool:
        """Whether the cell has run and what it wrote is still there."""
        return self.done.is_file() and self.output.is_file()


class Monitor(Protocol):
    """The watcher of a run: a progress bar, or a test."""

    def started(self, cell: Cell) -> None:
        """React to a cell that begins."""

    def advanced(self, cell: Cell, cost: float) -> None:
        """React to a part of a cell's cost that is done."""

    def finished(self, cell: Cell, seconds: float, facts: Facts) -> None:
        """React to a cell that is complete, with what it measured of its run."""

    def stopping(self) -> None:
        """React to a stop: workers are coming to a safe point."""


def run_cells(cells: Sequence[Cell], *, workers: int, monitor: Monitor) -> None:
    """Run every cell that is not done, each after those it needs; the first error ends the run.

    Args:
        cells: in plan order.
        workers: processes, at least 1.
        monitor: called at each start, step and end.

    Raises:
        StoppedError: after Ctrl-C, once every worker has come to a safe point.
        RunError: if a worker died.
    """
    refuse_to_begin_again()
    # What is marked is never computed again: so a run goes on wherever it was stopped.
    cells = [cell for cell in cells if not cell.is_done]
    if not cells:
        return
    workers = min(workers, len(cells))
    context = multiprocessing.get_context("spawn")
    with starting_workers():
        stop, news = context.Event(), context.Queue()
        pool = ProcessPoolExecutor(
            max_workers=workers,
            mp_context=context,
            initializer=_begin_worker,
            initargs=(stop, news, os.getpid(), held_folders()),
        )
        schedule = _Schedule(cells, pool, workers, monitor, news)
        others, processes = multiprocessing.active_children(), []
        with pool:
            try:
                # The pool watches the workers that were there when it last got a result: a
                # later one could die unseen. So all of them begin before the first cell.
                begun = [pool.submit(os.getpid) for _ in range(workers)]
                processes = [one for one in multiprocessing.active_children() if one not in others]
                for each in begun:
                    each.result()
                schedule.run()
            except KeyboardInterrupt:
                stop.set()
                monitor.stopping()
                pool.shutdown(wait=True, cancel_futures=True)
                raise StoppedError from None
            except BrokenProcessPool:
                stop.set()
                pool.shutdown(wait=True, cancel_futures=True)  # until the exit codes are known
                exit_codes = [process.exitcode for process in processes]
                raise RunError(explain_death(exit_codes, schedule.under_way)) from None
            except BaseException:
                stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise


News = tuple[str, float]


class _Schedule:
    def __init__(
        self,
        cells: Sequence[Cell],
        pool: ProcessPoolExecutor,
        workers: int,
        monitor: Monitor,
        news: multiprocessing.Queue[News],
    ) -> None:
        self._waiting = {cell.name: cell for cell in cells}
        self._by_name = dict(self._waiting)
        self._pool = pool
        self._workers = workers
        self._monitor = monitor
        self._news = news
        self._running: dict[Future[tuple[float, Facts]], Cell] = {}
        self._done: set[str] = set()
        self._last: str | None = None  # name of the cell that began last

    @property
    def under_way(self) -> str | None:
        """Names of the cells that are being computed; None before the first one begins."""
        return " or ".join(cell.name for cell in self._running.values()) or self._last

    def run(self) -> None:
        """Run all cells.

        Raises:
            BrokenProcessPool: if a worker died.
        """
        while self._waiting or self._running:
            self._start_ready()
            assert self._running, "cells need one another in a circle"
            finished, _ = wait(self._running, POLL_SECONDS, FIRST_COMPLETED)
            self._hear()
            for future in finished:
                self._finish(future)

    def _start_ready(self) -> None:
        for name, cell in list(self._waiting.items()):
            if len(self._running) >= self._workers:
                return
            if any(need in self._by_name and need not in self._done for need in cell.needs):
                continue
            del self._waiting[name]
            self._last = name
            self._monitor.started(cell)
            # A worker that fails to unpickle what it is sent dies of it; bytes always arrive.
            self._running[self._pool.submit(_run_cell, cell.name, pickle.dumps(cell))] = cell

    def _finish(self, future: Future[tuple[float, Facts]]) -> None:
        try:
            seconds, facts = future.result()
        except TaskgrainError as error:
            raise error from None  # its message says what to do: no traceback of the worker
        cell = self._running.pop(future)
        self._done.add(cell.name)
        self._monitor.finished(cell, seconds, facts)

    def _hear(self) -> None:
        while True:
            try:
                name, cost = self._news.get_nowait()
            except queue.Empty:
                return
            self._monitor.advanced(self._by_name[name], cost)


class _ProcessWorker:
    """The worker's side: progress goes out by a queue, the wish to stop comes in by an event."""

    def __init__(self, cell: str) -> None:
        self._cell = cell

    def report(self, cost: float) -> None:
        assert _news is not None
        _news.put((self._cell, cost))

    def advance(self, cost: float) -> None:
        self.report(cost)
        if self.stopping():
            raise StoppedError

    def stopping(self) -> bool:
        return _is_to_end or (_stop is not None and _stop.is_set())


_for_ever = ExitStack()  # of what a worker holds as long as it lives
_is_to_end = False
_is_busy = False
_stop: Event | None = None
_news: multiprocessing.Queue[News] | None = None


def _begin_worker(
    stop: Event, news: multiprocessing.Queue[News], parent: int, held: frozenset[Path]
) -> None:
    global _stop, _news  # set once, as the process begins
    _for_ever.enter_context(holding(held))
    _stop, _news = stop, news
    # The parent decides what Ctrl-C means; a second one still reaches it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Schedulers send SIGTERM to every process of a group: it is a wish to stop, here as there.
    signal.signal(signal.SIGTERM, _heed_term)
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    _use_one_thread()


def _heed_term(number: int, frame: FrameType | None) -> None:
    global _is_to_end  # an event must not be set inside a signal: its lock may be held
    _is_to_end = True
    threading.Thread(target=_leave_when_idle, daemon=True).start()


def _leave_when_idle() -> None:
    """End this worker once its cell is over: a broken pool waits for its workers to end."""
    while _is_busy:
        time.sleep(POLL_SECONDS)
    time.sleep(5 * POLL_SECONDS)  # for the result to reach the parent
    os._exit(0)


def _use_one_thread() -> None:
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"  # for the libraries that are loaded from here on
    import cv2
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)  # for those that the user's own script had loaded already
    cv2.setNumThreads(1)
    torch = sys.modules.get("torch")  # work on data alone never loads it: a second, and 200 MB
    if torch is not None:
        torch.set_num_threads(1)


def _die_with(parent: int) -> None:
    """End this worker when its parent was killed: a resumed run must not meet old writers."""
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)


def _run_cell(name: str, pickled: bytes) -> tuple[float, Facts]:
    global _is_busy
    started = time.perf_counter()
    cell = _unpickled(name, pickled)
    _is_busy = True
    try:
        facts = cell.work(_ProcessWorker(cell.name))
        # The mark comes last: a cell that is killed while it writes is computed again.
        write_text(cell.done, "")
    finally:
        _is_busy = False
    return time.perf_counter() - started, facts or {}


def _unpickled(name: str, pickled: bytes) -> Cell:
    """Rebuild a cell; the modules of its parts are imported.

    Raises:
        RunError: if one of them cannot be.
    """
    try:
        cell: Cell = pickle.loads(pickled)
    except Exception as error:  # importing a user's module may raise anything
        raise RunError(
            f"{name}: a worker process cannot import what it is to run "
            f"({type(error).__name__}: {error}); define that in a module, or in the main program "
            f"above `{GUARD}`"
        ) from error
    return cell
