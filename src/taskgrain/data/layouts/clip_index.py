"""Find the clip that a row or a line of a list means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from taskgrain.data.annotations import BadRowError
from taskgrain.data.json_rows import is_text
from taskgrain.data.videos import is_video_name, split_name, suffix_rank, unicode_forms

VIDEOS = "videos"


class ClipIndex:
    """Find a clip by its path, its file name, or its file name without suffix.

    A name is found in whatever Unicode form the file system keeps it.
    """

    def __init__(self, clips: Iterable[str], files: Iterable[str]) -> None:
        """Take the clips, and every other form of them too, which only a whole path names."""
        self._files = set(files)
        self._by_name: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for file in sorted(clips):
            name = file.rpartition("/")[2]
            self._by_name.setdefault(name, []).append(file)
            if is_video_name(name):
                self._by_stem.setdefault(split_name(name)[0], []).append(file)

    def holds(self, file: str) -> bool:
        """Whether a path, relative to the root, is that of a clip."""
        return file in self._files

    def at(self, path: str, folders: Sequence[str] = ("", VIDEOS)) -> str | None:
        """Find the clip of a written path, tried below each of some folders of the root.

        A path without the suffix, or with that of another kind of video, is found too.
        """
        for form in (path, *unicode_forms(path)):
            for folder in folders:
                file = f"{folder}/{form}" if folder else form
                if file in self._files:
                    return file
        stem = _stem(path)
        for form in (stem, *unicode_forms(stem)):
            alike = self._alike(form.rpartition("/")[2])
            for folder in folders if alike else ():
                whole = f"{folder}/{form}" if folder else form
                found = [file for file in alike if _stem(file) == whole]
                if found:
                    return _only(path, found)
        return None

    def below(self, path: str) -> str | None:
        """Find the clip whose path ends as a written path of several folders does.

        Raises:
            BadRowError: if several are as good.
        """
        stem = _stem(path)
        for form in (stem, *unicode_forms(stem)):
            alike = self._alike(form.rpartition("/")[2])
            found = [file for file in alike if f"/{_stem(file)}".endswith(f"/{form}")]
            if found:
                return _only(path, found)
        return None

    def _alike(self, stem: str) -> list[str]:
        return [*self._by_stem.get(stem, ()), *self._by_name.get(stem, ())]

    def named(self, name: str) -> str | None:
        """Find the clip of a name, with or without its suffix, in whatever folder it lies.

        Of several those in `videos/` go first, and of those in one folder WebM, as in
        `index_videos`. None where there is none.

        Raises:
            BadRowError: if several are as good.
        """
        for form in (name, *unicode_forms(name)):
            # A whole file name is one clip; otherwise a video goes before a folder of frames.
            found = self._by_name.get(form, [])
            if not is_video_name(form):
                found = [*self._by_stem.get(form, []), *found]
            if found:
                return _only(name, found)
        return None


def _only(name: str, files: Sequence[str]) -> str:
    best: Sequence[str] = files
    for chosen in (
        [file for file in files if file.rpartition("/")[0] == VIDEOS],
        [file for file in files if file.startswith(f"{VIDEOS}/")],
    ):
        if chosen:
            best = chosen
            break
    first_in = {file.rpartition("/")[0]: file for file in reversed(best)}
    if len(first_in) > 1:
        some, other = sorted(first_in.values())[:2]
        raise BadRowError(
            f"{name[:60]!r} is ambiguous: {some} and {other} are called so; expected the path of "
            "one"
        )
    return min(best, key=lambda file: (suffix_rank(file), file))


def _stem(path: str) -> str:
    """Return a path without the suffix of a video."""
    return split_name(path)[0] if is_video_name(path.rpartition("/")[2]) else path


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
