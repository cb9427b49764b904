"""Find the video files of a dataset that no row names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskgrain.data.videos import is_folder, is_video_name


class NamedFiles:
    """The files that rows name: eight bytes of memory each."""

    def __init__(self, files: Collection[str]) -> None:
        """Remember files, relative to the dataset's root, with slashes."""
        hashes = np.fromiter((_hash(file) for file in files), np.uint64, len(files))
        self._hashes: NDArray[np.uint64] = np.sort(hashes)

    def __contains__(self, file: str) -> bool:
        place = np.searchsorted(self._hashes, np.uint64(_hash(file)))
        return bool(place < len(self._hashes) and self._hashes[place] == np.uint64(_hash(file)))


def _hash(file: str) -> int:
    return int.from_bytes(hashlib.blake2b(os.fsencode(file), digest_size=8).digest())


def unnamed_videos(root: Path, named: NamedFiles) -> Iterator[str]:
    """Yield every video file below `root` that is not named, in no order.

    Hidden files and folders are passed over, and so is what cannot be read; a folder of frames
    that is named is not entered.
    """
    folders = [""]
    entered: set[tuple[int, int]] = set()  # a link may lead back to where it stands
    while folders:
        folder = folders.pop()
        for entry in _entries(root / folder):
            file = f"{folder}/{entry.name}" if folder else entry.name
            if entry.name.startswith(".") or file in named:
                continue
            if is_folder(entry):
                found = entry.stat()
                if (found.st_dev, found.st_ino) not in entered:
                    entered.add((found.st_dev, found.st_ino))
                    folders.append(file)
            elif is_video_name(entry.name):
                yield file


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []
