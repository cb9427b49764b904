"""Walk a folder for clips: video files, and folders that hold the frames of one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from taskgrain.data.annotations import BadRowError
from taskgrain.data.videos import (
    is_folder,
    is_image_name,
    is_video_name,
    split_name,
    suffix_rank,
    unicode_forms,
)
from taskgrain.errors import ManifestError

MAX_DEPTH = 12  # folders within folders
VIDEOS = "videos"


def find_clips(folder: Path) -> Iterator[str]:
    """Give every video file and every folder of frames below a folder, in the order of names.

    A folder of frames holds images, no video and no other folder. Hidden files and folders are
    passed over; a folder that is linked to from several places is walked once. Each path is
    relative to `folder`, with slashes.

    Raises:
        ManifestError: naming a folder that cannot be read.
    """
    yield from _walk(folder, (), set())


def _walk(folder: Path, parts: tuple[str, ...], seen: set[tuple[int, int]]) -> Iterator[str]:
    try:
        status = folder.stat()
        with os.scandir(folder) as entries:
            listed = sorted(
                (entry.name, is_folder(entry)) for entry in entries if entry.name[0] != "."
            )
    except OSError as error:
        raise ManifestError(f"{folder}: cannot be read: {error.strerror}") from error
    if (status.st_dev, status.st_ino) in seen or len(parts) > MAX_DEPTH:
        return
    seen.add((status.st_dev, status.st_ino))
    folders = [name for name, is_one in listed if is_one]
    videos = [name for name, is_one in listed if not is_one and is_video_name(name)]
    has_images = any(not is_one and is_image_name(name) for name, is_one in listed)
    if parts and has_images and not videos and not folders:
        yield "/".join(parts)
    for name in videos:
        yield "/".join((*parts, name))
    for name in folders:
        yield from _walk(folder / name, (*parts, name), seen)


class ClipIndex:
    """Find a clip by its path, its file name, or its file name without suffix.

    A name is found in whatever Unicode form the file system keeps it.
    """

    def __init__(self, root: Path) -> None:
        """Walk everything below `root`."""
        self._files = set(find_clips(root))
        self._by_name: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for file in sorted(self._files):
            name = file.rpartition("/")[2]
            self._by_name.setdefault(name, []).append(file)
            if is_video_name(name):
                self._by_stem.setdefault(split_name(name)[0], []).append(file)

    def at(self, path: str, folders: Sequence[str] = ("", VIDEOS)) -> str | None:
        """Find the clip of a written path, tried below each of some folders of the root."""
        for form in (path, *unicode_forms(path)):
            for folder in folders:
                file = f"{folder}/{form}" if folder else form
                if file in self._files:
                    return file
        return None

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


def first_folder(root: Path, names: Sequence[str]) -> Path | None:
    """Give the first of some folders below `root` that there is."""
    return next((root / name for name in names if (root / name).is_dir()), None)
