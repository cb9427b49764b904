from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

import pytest

from taskgrain.errors import ManifestError, RunError, StoppedError
from taskgrain.jobs.executor import Cell, Facts, Worker, run_cells

# The functions that cells call are pickled by name, so they live at the top of a module; a test
# module's own cannot be imported by a worker, hence the tasks below stand on the standard library.


class Listener:
    def __init__(self) -> None:
        self.heard: list[str] = []
        self.cost = 0.0

    def started(self, cell: Cell) -> None:
        self.heard.append(f"start {cell.name}")

    def advanced(self, cell: Cell, cost: float) -> None:
        self.cost += cost

    def finished(self, cell: Cell, seconds: float, facts: Facts) -> None:
        self.heard.append(f"end {cell.name}")
        self.facts = facts

    def stopping(self) -> None:
        self.heard.append("stopping")


def touch(worker: Worker, path: Path) -> None:
    path.write_text(str(os.getpid()))
    worker.advance(0.5)


def fail(worker: Worker, text: str) -> None:
    raise ManifestError(text)


def die(worker: Worker) -> None:
    os._exit(9)


def threads(worker: Worker, path: Path) -> None:
    import torch
    from threadpoolctl import threadpool_info

    counts = [pool["num_threads"] for pool in threadpool_info()]
    path.write_text(str(max([torch.get_num_threads(), *counts])))


def linger(worker: Worker, path: Path) -> None:
    path.touch()
    while True:
        time.sleep(0.01)
        worker.advance(0.0)


def cell(folder: Path, name: str, work: object, *needs: str) -> Cell:
    assert isinstance(work, partial)
    done = folder / f"{name}.done"
    return Cell(name, work, 1.0, done, done, needs)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_cells_run_after_what_they_need(tmp_path: Path, workers: int) -> None:
    listener = Listener()
    cells = [
        cell(tmp_path, "last", partial(touch, path=tmp_path / "c"), "first", "second"),
        cell(tmp_path, "second", partial(touch, path=tmp_path / "b"), "first"),
        cell(tmp_path, "first", partial(touch, path=tmp_path / "a")),
    ]
    run_cells(cells, workers=workers, monitor=listener)
    ends = [heard for heard in listener.heard if heard.startswith("end")]
    assert ends == ["end first", "end second", "end last"]
    assert (tmp_path / "a").read_text() != str(os.getpid())


def test_a_finished_cell_is_never_computed_again(tmp_path: Path) -> None:
    cells = [cell(tmp_path, "once", partial(touch, path=tmp_path / "a"))]
    run_cells(cells, workers=1, monitor=Listener())
    (tmp_path / "a").unlink()
    run_cells(cells, workers=1, monitor=Listener())
    assert not (tmp_path / "a").exists()


def test_a_cell_that_fails_is_not_marked_and_its_error_comes_through(tmp_path: Path) -> None:
    cells = [cell(tmp_path, "bad", partial(fail, text="train.json:3: no label"))]
    with pytest.raises(ManifestError, match=r"train\.json:3"):
        run_cells(cells, workers=1, monitor=Listener())
    assert not (tmp_path / "bad.done").exists()


@pytest.mark.slow
@pytest.mark.parametrize("busy", [False, True])
def test_a_worker_that_dies_is_named_with_its_cell(tmp_path: Path, busy: bool) -> None:
    cells = [cell(tmp_path, "deadly", partial(die))]
    if busy:  # the other worker is in the middle of something
        cells.insert(0, cell(tmp_path, "long", partial(linger, path=tmp_path / "begun")))
    with pytest.raises(RunError, match=r"a worker process died in .*deadly"):
        run_cells(cells, workers=2, monitor=Listener())


@pytest.mark.slow
def test_every_worker_computes_with_one_thread(tmp_path: Path) -> None:
    run_cells(
        [cell(tmp_path, "count", partial(threads, path=tmp_path / "n"))],
        workers=2,
        monitor=Listener(),
    )
    assert (tmp_path / "n").read_text() == "1"


@pytest.mark.slow
def test_a_stop_ends_a_cell_at_its_next_safe_point(tmp_path: Path) -> None:
    class Interrupts(Listener):
        def advanced(self, cell: Cell, cost: float) -> None:
            raise KeyboardInterrupt

    cells = [cell(tmp_path, "long", partial(linger, path=tmp_path / "begun"))]
    listener = Interrupts()
    with pytest.raises(StoppedError):
        run_cells(cells, workers=1, monitor=listener)
    assert "stopping" in listener.heard
    assert (tmp_path / "begun").exists()
    assert not (tmp_path / "long.done").exists()
