"""Find the files of a dataset that no row names: videos, and what may hold clips all the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskgrain.data.kinds import kind_of
from taskgrain.data.videos import is_folder, is_image_name, is_video_name, split_name

# What lies beside clips in most datasets and holds none: texts, tables, subtitles, sound.
COMPANIONS = frozenset(
    (
        *(".txt", ".csv", ".tsv", ".lst", ".list", ".json", ".jsonl", ".ndjson", ".names"),
        *(".md", ".rst", ".html", ".htm", ".xml", ".yaml", ".yml", ".toml", ".ini", ".cfg"),
        *(".pdf", ".doc", ".docx", ".xls", ".xlsx", ".ods", ".bib", ".tex", ".log", ".license"),
        *(".py", ".ipynb", ".sh", ".m", ".sha256", ".md5", ".db", ".url", ".lnk"),
        *(".srt", ".vtt", ".ass", ".sub", ".wav", ".mp3", ".m4a", ".flac", ".aac", ".opus"),
        *(".wma", ".oga"),
    )
)
MOST_PLACES = 10  # that are told apart; of more, the folders above them are named


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


@dataclass(slots=True)
class Unread:
    """Files of one ending in one folder."""

    count: int = 0
    first: str = ""  # by name


@dataclass(slots=True)
class Unnamed:
    """The files below a dataset's root that no row names."""

    videos: list[str] = field(default_factory=list)  # called as videos are; by name
    others: dict[tuple[str, str], Unread] = field(default_factory=dict)  # by folder and ending


def find_unnamed(root: Path, named: NamedFiles) -> Unnamed:
    """Find every file below `root` that is not named, and is no image, text, table or sound.

    Hidden files and folders are passed over, and so is what cannot be read; a folder of frames
    that is named is not entered.
    """
    found = Unnamed()
    for folder, name in _files(root, named):
        file = f"{folder}/{name}" if folder else name
        ending = split_name(name)[1]
        if is_video_name(name):
            found.videos.append(file)
        elif not is_image_name(name) and ending not in COMPANIONS:
            unread = found.others.setdefault((folder, ending), Unread(0, file))
            unread.count += 1
            unread.first = min(unread.first, file)
    found.videos.sort()
    return found


def _files(root: Path, named: NamedFiles) -> Iterator[tuple[str, str]]:
    """Yield folder and name of each file that is not named, in no order."""
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
            else:
                yield folder, entry.name


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Files that are not read, of one ending, in one folder and those below it."""

    where: str  # the folder and the ending, as "jump/*.xyz"
    text: str  # how many, and what they are
    is_footage: bool  # whether the first of them is a picture or a video by its content


def left_out(root: Path, unnamed: Unnamed) -> list[LeftOut]:
    """Count what was left out of the files under unknown endings, by folder.

    Files without an ending are named only where they hold a picture or a video.
    """
    places = _grouped(unnamed.others)
    said = []
    for (folder, ending), unread in sorted(places.items()):
        kind = kind_of(root / unread.first)
        if kind is None and not ending:
            continue
        where = f"{folder}/*{ending}" if folder else f"*{ending}"
        text = f"{unread.count} file{'s' if unread.count > 1 else ''}"
        if kind is not None:
            name, known = kind
            remedy = f"call it *{known}" if known else "convert it to a kind that is read"
            text += f", {unread.first} is {name} by its content: {remedy}"
        said.append(LeftOut(where, text, kind is not None))
    return said


def _grouped(others: dict[tuple[str, str], Unread]) -> dict[tuple[str, str], Unread]:
    """Join folders to those above them until few enough are told apart."""
    depth = max((folder.count("/") + 1 for folder, _ in others), default=0)
    while True:
        places: dict[tuple[str, str], Unread] = {}
        for (folder, ending), unread in others.items():
            above = "/".join(folder.split("/")[:depth])
            place = places.setdefault((above, ending), Unread(0, unread.first))
            place.count += unread.count
            place.first = min(place.first, unread.first)
        if len(places) <= MOST_PLACES or not depth:
            return places
        depth -= 1
