"""Keep what goes wrong with one clip to that clip."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from taskgrain.data.container import reason
from taskgrain.errors import ClipError


@contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Turn whatever is raised while a clip is decoded into a ClipError that names it.

    Nothing else belongs in the block: what it writes elsewhere would be blamed on the clip.

    Raises:
        ClipError: of the clip.
        MemoryError: as it comes, for it is the machine's.
    """
    try:
        yield
    except (ClipError, MemoryError):
        raise
    # Broad on purpose: what the decoders raise for odd files is in no list (PyAV raised ValueError
    # for side data that it did not know), and one clip must not stop a run over thousands.
    except Exception as error:
        what = f"{type(error).__name__}: {reason(error)}"
        raise ClipError(f"{path}: cannot be decoded ({what})") from error
