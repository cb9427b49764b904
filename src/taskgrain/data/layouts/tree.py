"""Walk a folder for clips: video files, and folders that hold the frames of one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from taskgrain.data.videos import is_folder, is_image_name, is_video_name, split_name
from taskgrain.errors import ManifestError

MAX_DEPTH = 12  # folders within folders


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
    """Find a clip by its path, its file name, or its file name without suffix."""

    def __init__(self, root: Path) -> None:
        """Walk everything below `root`."""
        self._root = root
        self._files = set(find_clips(root))
        self._by_name: dict[str, list[str]] = {}
        for file in sorted(self._files):
            name = file.rpartition("/")[2]
            stem = split_name(name)[0] if is_video_name(name) else name
            for key in {name, stem}:
                self._by_name.setdefault(key, []).append(file)

    def at(self, path: str, folders: Sequence[str] = ("", "videos")) -> str | None:
        """Find the clip of a written path, tried below each of some folders of the root."""
        for folder in folders:
            file = f"{folder}/{path}" if folder else path
            if file in self._files:
                return file
        return None

    def named(self, name: str) -> str | None:
        """Find the clip of a name, with or without its suffix; None where several have it."""
        found = self._by_name.get(name, [])
        return found[0] if len(found) == 1 else None


def first_folder(root: Path, names: Sequence[str]) -> Path | None:
    """Give the first of some folders below `root` that there is."""
    return next((root / name for name in names if (root / name).is_dir()), None)
