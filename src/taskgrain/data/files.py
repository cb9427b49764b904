"""Write files so that a reader never sees half of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from taskgrain.errors import ConfigError


@contextmanager
def atomic_path(path: Path, *, flush: bool = True) -> Iterator[Path]:
    """Give a temporary path to write; it takes the name `path` only when the block ends well.

    Args:
        path: of the file; its folder is made.
        flush: whether the bytes are forced to the disk first. What can be computed again from
            what is there need not wait for it: a killed process loses nothing either way.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        if flush:
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:  # which is to name what the user asked for
        if error.filename is not None and str(error.filename) == str(temporary):
            error.filename = str(path)
        raise
    finally:
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
    """Say what is wrong where a folder was expected: nothing is there, or a file is."""
    return "is a file, not a folder" if path.exists() else "no such folder"


def write_text(path: Path, text: str) -> None:
    """Write a whole text file, or leave the old one as it was."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
