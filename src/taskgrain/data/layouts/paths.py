"""Turn the path of a clip as a list writes it into one below the dataset's folder."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

from taskgrain.data.annotations import BadRowError
from taskgrain.data.json_rows import is_text
from taskgrain.data.layouts.tree import ClipIndex

MAX_PATH_BYTES = 1000


def clip_path(written: str, root: Path, index: ClipIndex) -> str:
    """Find the clip that a list means: by its path below `root` or `root/videos`.

    A name without a folder is looked for everywhere; a path is not, as another folder of a clip is
    often another class. A clip that is not there gets the path as it is written; it is then
    missing.

    Raises:
        BadRowError: if the path leads out of `root`, or can be no path, or if several clips have
            the name.
    """
    if not is_text(written) or "\0" in written or len(written.encode()) > MAX_PATH_BYTES:
        raise BadRowError(f"{written[:60]!r} cannot be a path")
    found = index.at(written)  # a file may have a backslash in its name
    if found is not None:
        return found
    windows = PureWindowsPath(written) if "\\" in written else None
    path = PurePosixPath(windows.as_posix() if windows else written)
    if path.is_absolute() and path.is_relative_to(root.absolute()):
        path = path.relative_to(root.absolute())
    if path.is_absolute() or ".." in path.parts or (windows and windows.drive):
        raise BadRowError(f"{written[:200]!r} does not lie below {root}; put a link to it there")
    file = path.as_posix()
    if not path.name or len(path.name.encode()) > 255:
        raise BadRowError(f"{written[:60]!r} cannot be a path")
    found = index.at(file)
    if found is None and len(path.parts) == 1:
        found = index.named(file)
    return found or file
