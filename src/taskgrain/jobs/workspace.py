"""A folder that work is done in: whether it is ours, who holds it, and the cells that fill it.

Every command that writes a folder takes these steps in this order:

1. `workspace` locks the folder against other processes, and lets SIGTERM do what Ctrl-C does.
2. `claim` takes an empty folder, or goes on in one that the same work began; `refuse_others`
   and `reading_mark` are for work that compares more than one text.
3. `compute` runs the cells that are not done.

The user's own files are never written over: a folder that holds any is refused first.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from taskgrain.data.files import holding, write_text
from taskgrain.errors import RunError
from taskgrain.jobs.executor import Cell, run_cells
from taskgrain.jobs.progress import Reporter
from taskgrain.jobs.starting import refuse_to_begin_again

LOCK = ".lock"
ADVICE = "choose another folder"


@contextmanager
def workspace(folder: Path, *, tidy: bool = False, advice: str = ADVICE) -> Iterator[None]:
    """Hold a folder for this process alone; SIGTERM, which schedulers send, does what Ctrl-C does.

    Args:
        folder: made if it is not there.
        tidy: whether the lock is removed at the end, and with it a folder that was made here and
            stayed empty: what a refused command leaves is what it found.
        advice: what to do where the folder cannot be written.

    Raises:
        RunError: if another process holds the folder, with that process's number, or if the
            folder cannot be written.
    """
    is_new = not folder.exists()
    with locked(folder, advice=advice), sigterm_stops():
        try:
            yield
        finally:
            if tidy:
                with suppress(OSError):  # of a folder that is gone, and of one that is not empty
                    (folder / LOCK).unlink(missing_ok=True)
                    if is_new:
                        folder.rmdir()


def claim(folder: Path, mark: Path, text: str, *, work: str, more: str = "") -> None:
    """Mark an empty folder as the place of one piece of work, or find it marked already.

    Args:
        folder: need not be there.
        mark: path of the mark below the folder.
        text: of the mark: all that the files of this work depend on.
        work: name of the work in messages, with its article: "an import".
        more: what else can be done about other files; see `refuse_others`.

    Raises:
        RunError: if the mark holds another text, or the folder holds other files and no mark.
    """
    path = folder / mark
    if path.is_file():
        held = path.read_text(encoding="utf-8", errors="replace")
        if held != text:
            raise RunError(
                f"{folder} holds {work} of {held.strip()}; choose another folder for {text.strip()}"
            )
        return
    refuse_others(folder, ours=mark.parts[:1] if len(mark.parts) > 1 else (), more=more)
    write_text(path, text)


def refuse_others(folder: Path, *, ours: Collection[str] = (), more: str = "") -> None:
    """Refuse a folder that holds files which are not ours.

    Args:
        folder: need not be there.
        ours: names that work which was stopped may have left, beside its lock and half files.
        more: what can be done beside choosing an empty folder, to end the message.

    Raises:
        RunError: naming the first other file.
    """
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    others = [name for name in names if name not in (LOCK, *ours) and not _is_half(name)]
    if others:
        raise RunError(
            f"{folder} holds other files ({others[0]}, ...); choose a new or empty folder{more}"
        )


def refuse_within(folder: Path, source: Path) -> None:
    """Refuse to write into a folder that lies within the data which are read.

    Raises:
        RunError: if it does.
    """
    if folder.resolve().is_relative_to(source.resolve()):
        raise RunError(f"{folder} lies within {source}; choose a folder outside of it")


@contextmanager
def reading_mark(path: Path) -> Iterator[None]:
    """Turn what a damaged mark raises, while it is read, into an error that names the mark.

    Raises:
        RunError: if the mark cannot be read.
    """
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(f"{path}: cannot be read ({error}); {ADVICE}") from error


def compute(cells: Iterable[Cell], timings: Path, *, workers: int | None, quiet: bool) -> None:
    """Run the cells that are not done, with progress on standard error.

    Args:
        cells: in the order in which they should begin.
        timings: file to which the seconds of each cell are added.
        workers: processes, one thread each; None is one a core. Never changes what is computed.
        quiet: whether to show no progress.

    Raises:
        StoppedError: after Ctrl-C, once every worker has come to a safe point.
        RunError: if a worker died.
    """
    listed = list(cells)
    with Reporter(listed, timings, quiet=quiet) as reporter:
        run_cells(listed, workers=workers or os.cpu_count() or 1, monitor=reporter)


@contextmanager
def locked(root: Path, *, advice: str = ADVICE) -> Iterator[None]:
    """Hold a folder for this process alone; made if it is not there.

    Raises:
        RunError: if another process holds it, with that process's number.
    """
    refuse_to_begin_again()  # or a worker would report its own parent as the holder
    try:
        root.mkdir(parents=True, exist_ok=True)
        # "a+" and not "w", which would erase the number of the process that holds the folder.
        handle = (root / LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        raise RunError(f"{root}: cannot be written ({error.strerror}); {advice}") from error
    with handle:
        try:
            # The system lets go of it when the process ends, however it ends: a killed run leaves
            # no lock.
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            raise RunError(
                f"{root} is in use by process {holder}; wait for it, or {ADVICE}"
            ) from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        try:
            with holding([root]):
                yield
        finally:
            with suppress(OSError):
                handle.truncate(0)


@contextmanager
def sigterm_stops() -> Iterator[None]:
    """Let SIGTERM, as a scheduler sends it, do what Ctrl-C does."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _is_half(name: str) -> bool:
    """Whether a file was being written by `atomic_path` when its process was killed."""
    return name.startswith(".") and name.endswith(".tmp")
