"""Turn the path of a clip as a list writes it into one below the dataset's folder."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath, PureWindowsPath

from taskgrain.data.annotations import BadRowError
from taskgrain.data.json_rows import is_text
from taskgrain.data.layouts.clip_index import VIDEOS, ClipIndex

MAX_PATH_BYTES = 1000

_UNUSUAL = re.compile(r"\\|^/|//|/$|(?:^|/)\.\.?(?:/|$)")


def clip_path(written: str, root: Path, index: ClipIndex, beside: str = "") -> str:
    """Find the clip that a list means: by its path beside the list, below `root` or its `videos`.

    A name without a folder is looked for everywhere. A path is looked for further down as well,
    never under other folders than it names, as another folder of a clip is often another class.
    The suffix may be missing. A clip that is not there gets the path as it is written; it is then
    missing.

    Args:
        written: by the list.
        root: of the dataset.
        index: of its clips.
        beside: the folder of the list, relative to `root`.

    Raises:
        BadRowError: if the path leads out of `root`, or can be no path, or if several clips have
            the name.
    """
    if not is_text(written) or "\0" in written or len(written.encode()) > MAX_PATH_BYTES:
        raise BadRowError(f"{written[:60]!r} cannot be a path")
    folders = ("", VIDEOS) if beside in ("", VIDEOS) else (beside, "", VIDEOS)
    found = index.at(written, folders)  # a file may have a backslash in its name
    if found is not None:
        return found
    file = _plain(written, root)
    name = file.rpartition("/")[2]
    if not name or len(name.encode()) > 255:
        raise BadRowError(f"{written[:60]!r} cannot be a path")
    if file != written:
        found = index.at(file, folders)
    if found is None:
        found = index.below(file) if "/" in file else index.named(file)
    return found or file


def _plain(written: str, root: Path) -> str:
    """Write a path with slashes, relative to the root.

    Raises:
        BadRowError: if it leads out of the root.
    """
    if not _UNUSUAL.search(written):
        return written  # as nearly all are, hundreds of thousands in one list
    windows = PureWindowsPath(written) if "\\" in written else None
    path = PurePosixPath(windows.as_posix() if windows else written)
    if path.is_absolute() and path.is_relative_to(root.absolute()):
        path = path.relative_to(root.absolute())
    if path.is_absolute() or ".." in path.parts or (windows and windows.drive):
        raise BadRowError(f"{written[:200]!r} does not lie below {root}; put a link to it there")
    return path.as_posix() if path.name else ""
