"""Write files so that a reader never sees half of one."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from taskgrain.errors import ConfigError

_held: set[Path] = set()  # folders that work goes on in, absolute


@contextmanager
def holding(folders: Collection[Path]) -> Iterator[None]:
    """Forbid `make_folder` to make these folders anew while the block runs, should they vanish."""
    new = {folder.absolute() for folder in folders} - _held
    _held.update(new)
    try:
        yield
    finally:
        _held.difference_update(new)


def held_folders() -> frozenset[Path]:
    """Return the folders that are held, for the worker processes to hold too."""
    return frozenset(_held)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, unless they are there.

    Raises:
        FileNotFoundError: if it lies in a folder that is held and is gone. A disk that went away
            would otherwise be written beside, and what was computed before not be found again.
    """
    gone = [each for each in _held if path.absolute().is_relative_to(each) and not each.is_dir()]
    if gone:
        raise FileNotFoundError(
            errno.ENOENT,
            "the folder is gone, while work went on in it; bring it back",
            str(gone[0]),
        )
    path.mkdir(parents=True, exist_ok=True)


@contextmanager
def naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Name the file in errors of writing it: the error of a full disk names none.

    Args:
        path: the file that the user knows.
        temporary: the name under which it is written first, if there is one.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None or str(error.filename) == str(temporary):
            error.filename = str(path)
        raise


@contextmanager
def atomic_path(path: Path, *, flush: bool = True) -> Iterator[Path]:
    """Yield a temporary path to write; it takes the name `path` only when the block ends well.

    Args:
        path: of the file; its folder is made.
        flush: whether the bytes are forced to the disk first. What can be computed again from
            what is there need not wait for it: a killed process loses nothing either way.
    """
    make_folder(path.parent)
    # With the number of the process, so that two never write one file. `jobs.workspace` knows such
    # names, so that what a killed process leaves does not count as the user's own file.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with naming(path, temporary):
            yield temporary
            if flush:
                with temporary.open("rb") as written:
                    os.fsync(written.fileno())
            temporary.replace(path)
    finally:
        with suppress(OSError):  # of a folder that is gone or read-only; the first error counts
            temporary.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Refuse, before the work, a file that could not be written after it; nothing is made.

    Raises:
        ConfigError: if a folder has its name, its folder cannot be made or may not be written.
    """
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; expected the name of a file to write")
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if not above.is_dir():
        raise ConfigError(f"{path} cannot be written: {above} is a file; choose another place")
    if not os.access(above, os.W_OK | os.X_OK):
        raise ConfigError(f"{path} cannot be written: no permission in {above}")


def missing_folder(path: Path) -> str:
    """Phrase why a path is no folder: there is nothing, or a file."""
    return "is a file, not a folder" if path.exists() else "no such folder"


def write_text(path: Path, text: str) -> None:
    """Write a whole text file, or leave the old one as it was."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
