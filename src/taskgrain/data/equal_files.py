"""Find equal files, in one list of clips or in two: one file under two names, or equal content.

Files are compared by their sizes first, then by a few bytes from their middle, and hashed whole
only where both are equal: of hundreds of thousands of files few are opened, and fewer read.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from taskgrain.data.frame_folder import file_bytes, image_files
from taskgrain.data.videos import stamp_of
from taskgrain.errors import ClipError

MIDDLE_BYTES = 4096  # headers of files from one encoder are alike, their middles are not


class EqualPair(NamedTuple):
    """Two equal clips: their indices in the first and the second list, and how they are equal."""

    first: int
    second: int
    how: Literal["one file", "of equal content"]


class _Seen(NamedTuple):
    """Size and inode of a clip."""

    bytes: int  # of a folder of frames: of all that it holds
    inode: tuple[int, int]  # device and number: equal for links to one file


def equal_files(first: Sequence[Path], second: Sequence[Path]) -> Iterator[EqualPair]:
    """Yield the clips of the second list that are also in the first, each once.

    Args:
        first: paths of video files or of folders of frames; links are followed.
        second: the same.

    Yields:
        Pairs in no order. Clips that are absent, empty or cannot be read are in no pair. Folders of
        frames are equal if their images are, in natural order of the names.
    """
    by_inode: dict[tuple[int, int], list[int]] = defaultdict(list)
    by_size: dict[int, list[int]] = defaultdict(list)
    for index, path in enumerate(second):
        seen = _look_at(path)
        if seen is not None:
            by_inode[seen.inode].append(index)
            by_size[seen.bytes].append(index)
    paired: set[int] = set()
    alike: dict[int, list[int]] = defaultdict(list)  # size -> indices in the first list
    for index, path in enumerate(first):
        seen = _look_at(path)
        if seen is None:
            continue
        # Links to one file are equal, and nothing is read for it.
        if seen.inode in by_inode:
            others = [other for other in by_inode[seen.inode] if other not in paired]
            paired.update(others)
            yield from (EqualPair(index, other, "one file") for other in others)
        elif seen.bytes in by_size:
            alike[seen.bytes].append(index)
    for size, indices in alike.items():
        others = [other for other in by_size[size] if other not in paired]
        yield from _equal_content(first, indices, second, others)


def equal_groups(paths: Sequence[Path]) -> list[tuple[int, ...]]:
    """List the clips of one list that are equal: groups of two indices or more, in their order.

    Args:
        paths: of video files or of folders of frames, as in `equal_files`.
    """
    by_size: dict[int, list[int]] = defaultdict(list)
    for place, path in enumerate(paths):
        seen = _look_at(path)
        if seen is not None:
            by_size[seen.bytes].append(place)
    groups: list[tuple[int, ...]] = []
    for places in by_size.values():
        for middle in _sharing(places, lambda place: _middle_of(paths[place])):
            groups += _sharing(middle, lambda place: content_sha256(paths[place]))
    return sorted(groups)


def _sharing(places: Sequence[int], read: Callable[[int], bytes | None]) -> list[tuple[int, ...]]:
    """Group the places for which `read` returns equal bytes; those alone, or without, are left."""
    if len(places) < 2:
        return []
    held: dict[bytes | None, list[int]] = defaultdict(list)
    for place in places:
        held[read(place)].append(place)
    return [tuple(each) for key, each in held.items() if key is not None and len(each) > 1]


def _look_at(path: Path) -> _Seen | None:
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: a name with a NUL
        return None
    num_bytes = status.st_size
    if stat.S_ISDIR(status.st_mode):
        stamp = stamp_of(path)
        num_bytes = 0 if stamp is None else stamp.bytes
    elif not stat.S_ISREG(status.st_mode):
        return None
    return _Seen(num_bytes, (status.st_dev, status.st_ino)) if num_bytes else None


def _equal_content(
    first: Sequence[Path], indices: Sequence[int], second: Sequence[Path], others: Sequence[int]
) -> Iterator[EqualPair]:
    """Yield the pairs of equal content among clips of one size."""
    by_middle: dict[bytes, list[int]] = defaultdict(list)
    for other in others:
        middle = _middle_of(second[other])
        if middle is not None:
            by_middle[middle].append(other)
    content_of: dict[int, bytes | None] = {}  # of the second list
    for index in indices:
        middle = _middle_of(first[index]) if by_middle else None
        waiting = by_middle.get(middle, []) if middle is not None else []
        if not waiting:
            continue
        content = content_sha256(first[index])
        for other in tuple(waiting):
            if other not in content_of:
                content_of[other] = content_sha256(second[other])
            if content is not None and content_of[other] == content:
                waiting.remove(other)
                yield EqualPair(index, other, "of equal content")


def _middle_of(path: Path) -> bytes | None:
    """Read some bytes from the middle of a clip, of frames from the middle image."""
    try:
        if path.is_dir():
            images = _images_of(path)
            path = images[len(images) // 2]
        with path.open("rb") as file:
            file.seek(max(0, (os.fstat(file.fileno()).st_size - MIDDLE_BYTES) // 2))
            return file.read(MIDDLE_BYTES)
    except (OSError, ClipError, IndexError):  # IndexError: a folder without images
        return None


def content_sha256(path: Path) -> bytes | None:
    """Hash all bytes of a clip, of frames each image's length and bytes; None if it has none.

    None is returned for a clip that is absent or cannot be read, too.
    """
    digest = hashlib.sha256()
    try:
        images = _images_of(path) if path.is_dir() else [path]
        if not images or not all(image.is_file() for image in images):  # a pipe would wait
            return None
        for image in images:
            # The length goes first: two folders could divide the same bytes into images
            # differently.
            digest.update(image.stat().st_size.to_bytes(8))
            for piece in file_bytes(image):
                digest.update(piece)
    except (OSError, ClipError):
        return None
    return digest.digest()


def _images_of(folder: Path) -> list[Path]:
    """List the images of a folder in natural order, without pipes, which would wait for ever."""
    return [image for image in image_files(folder) if image.is_file()]
