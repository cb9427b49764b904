"""A folder that one process at a time may write to."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from taskgrain.data.files import holding
from taskgrain.errors import RunError
from taskgrain.jobs.starting import refuse_to_begin_again


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold a folder for this process alone; made if it is not there.

    Raises:
        RunError: if another process holds it, with that process's number.
    """
    refuse_to_begin_again()  # or a worker would report its own parent as the holder
    try:
        root.mkdir(parents=True, exist_ok=True)
        handle = (root / ".lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise RunError(
            f"{root}: cannot be written ({error.strerror}); choose another folder"
        ) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            raise RunError(
                f"{root} is in use by process {holder}; wait for it, or choose another folder"
            ) from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        try:
            with holding([root]):
                yield
        finally:
            with contextlib.suppress(OSError):
                handle.truncate(0)
