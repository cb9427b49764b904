"""The files of a dataset: what was found in each, and which of them no row names.

What was found is kept on disk, so that no file is decoded twice. It lies in buckets: files of JSON
lines, of which one process holds one at a time. A clip's file name alone says which bucket is its
own.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from taskgrain.data.files import atomic_path
from taskgrain.data.inspect import inspect_clip
from taskgrain.data.videos import (
    Stamp,
    is_folder,
    is_image_name,
    is_video_name,
    kind_of,
    split_name,
    stamp_of,
)
from taskgrain.errors import ClipError
from taskgrain.jobs.executor import Worker

FORMAT = 2  # of the facts; others are not read
CLIPS_PER_BUCKET = 64
LEAST_BUCKETS = 16  # few clips are spread too, so that all workers end together
INSPECT_SECONDS = 0.005  # a small clip on one thread, for the progress

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
MOST_FOLDERS = 10  # that are listed one by one; of more, the folders above them are


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One video file, or one folder of frames, as it was inspected."""

    file: str  # relative to the dataset's root
    bytes: int
    changed: int  # nanoseconds since 1970
    state: Literal["whole", "truncated", "failed"]
    problem: str | None = None  # of a file that is not whole
    frames: int = 0  # as they are coded
    seconds: float = 0.0
    frame_rate: float | None = None
    width: int = 0  # pixels, upright
    height: int = 0
    rotation: int = 0  # degrees
    is_variable_rate: bool = False
    note: str | None = None  # what is to be known of its frames
    content: str = ""  # hash of the bytes

    @property
    def stamp(self) -> Stamp:
        """The file's size and time when it was inspected."""
        return Stamp(self.bytes, self.changed)


@dataclass(frozen=True, slots=True)
class FactsFolder:
    """The buckets of one dataset; `count` of them, a power of two."""

    folder: Path
    count: int

    @classmethod
    def sized(cls, folder: Path, num_files: int) -> FactsFolder:
        """Choose the number of buckets for so many files."""
        count = LEAST_BUCKETS
        while count * CLIPS_PER_BUCKET < num_files:
            count *= 2
        return cls(folder, count)

    def bucket_of(self, file: str) -> int:
        """Return the number of the bucket that holds a file's facts: 0 .. count - 1."""
        # Not `hash`, which Python salts anew in every process.
        return zlib.crc32(os.fsencode(file)) % self.count

    def path(self, bucket: int) -> Path:
        """Return the path of a bucket's file."""
        return self._generation(self.count) / f"{bucket:05d}.jsonl"

    @property
    def under_way(self) -> Path:
        """Folder in which each process names the file that it is decoding."""
        return self.folder / "under-way"

    def read(self, bucket: int, files: Collection[str]) -> dict[str, FileFacts]:
        """Read what is known of these files, which belong to a bucket.

        Where the dataset has grown to another number of buckets, those of before are read: as both
        numbers are powers of two, a bucket's facts lie in few of them.
        """
        if self.path(bucket).is_file():
            return _read(self.path(bucket), files)
        known: dict[str, FileFacts] = {}
        for count in self._older():
            step = min(count, self.count)
            for other in range(bucket % step, count, step):
                path = FactsFolder(self.folder, count).path(other)
                if path.is_file():
                    known |= _read(path, files)
        return known

    def write(self, bucket: int, facts: Sequence[FileFacts]) -> None:
        """Write a bucket whole."""
        with (
            atomic_path(self.path(bucket), flush=False) as temporary,
            temporary.open("w", encoding="utf-8", newline="\n") as file,
        ):
            file.writelines(json.dumps(asdict(each)) + "\n" for each in facts)

    def drop_older(self) -> None:
        """Remove the buckets of other numbers, once this one's are complete."""
        for count in self._older():
            shutil.rmtree(self._generation(count))
        for number in range(1, FORMAT):
            for left in self.folder.glob(f"facts-{number}-*"):
                shutil.rmtree(left)

    def _generation(self, count: int) -> Path:
        return self.folder / f"facts-{FORMAT}-{count}"

    def _older(self) -> Iterator[int]:
        for path in sorted(self.folder.glob(f"facts-{FORMAT}-*")):
            count = path.name.rpartition("-")[2]
            if count.isdecimal() and int(count) != self.count:
                yield int(count)


def _read(path: Path, files: Collection[str]) -> dict[str, FileFacts]:
    """Read the facts of these files; of a line that cannot be read the file is decoded again."""
    found = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                facts = FileFacts(**json.loads(line))
            except (ValueError, TypeError):
                continue
            if facts.file in files:
                found[facts.file] = facts
    return found


def inspect_bucket(
    worker: Worker, root: Path, facts: FactsFolder, bucket: int, files: Sequence[str]
) -> None:
    """Inspect the files of a bucket that are new or have changed; keep the facts of the others.

    If it is stopped in the middle, the facts found so far are written.
    """
    known = facts.read(bucket, frozenset(files))
    mark = facts.under_way / str(os.getpid())
    mark.parent.mkdir(parents=True, exist_ok=True)
    try:
        for file in files:
            stamp = stamp_of(root / file)
            if stamp is None:
                known.pop(file, None)
            elif file not in known or known[file].stamp != stamp:
                mark.write_bytes(os.fsencode(file))  # a decoder may take this process with it
                known[file] = inspect_file(root, file, stamp)
                worker.advance(INSPECT_SECONDS)
    finally:
        facts.write(bucket, [known[file] for file in files if file in known])
        mark.unlink(missing_ok=True)


def inspect_file(root: Path, file: str, stamp: Stamp) -> FileFacts:
    """Decode a file to its end, and return what it holds."""
    path = root / file
    try:
        found = inspect_clip(path)
    except ClipError as error:
        problem = str(error).replace(str(path), path.name)
        return FileFacts(file, stamp.bytes, stamp.changed, "failed", problem)
    return FileFacts(
        file,
        stamp.bytes,
        stamp.changed,
        "truncated" if found.truncated else "whole",
        problem=found.problem,
        frames=found.num_frames,
        seconds=round(found.seconds, 3),
        frame_rate=None if found.frame_rate is None else round(float(found.frame_rate), 3),
        width=found.width,
        height=found.height,
        rotation=found.rotation,
        is_variable_rate=found.is_variable_rate,
        note=found.note,
        content=found.sha,
    )


@dataclass(slots=True)
class Unread:
    """Files of one ending in one folder."""

    count: int = 0
    first: str = ""  # by name


@dataclass(slots=True)
class Unnamed:
    """The files below a dataset's root that no row names, but images, texts, tables and sound."""

    videos: list[str] = field(default_factory=list)  # called as videos are; by name
    others: dict[tuple[str, str], Unread] = field(default_factory=dict)  # by folder and ending


def find_unnamed(root: Path, named: Collection[str]) -> Unnamed:
    """Find every file below `root` that no row names and that is no image, text, table or sound.

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


def _files(root: Path, named: Collection[str]) -> Iterator[tuple[str, str]]:
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
    grouped = _grouped(unnamed.others)
    found = []
    for (folder, ending), unread in sorted(grouped.items()):
        kind = kind_of(root / unread.first)
        if kind is None and not ending:
            continue
        where = f"{folder}/*{ending}" if folder else f"*{ending}"
        text = f"{unread.count} file{'s' if unread.count > 1 else ''}"
        if kind is not None:
            name, known = kind
            remedy = f"call it *{known}" if known else "convert it to a kind that is read"
            text += f", {unread.first} is {name} by its content: {remedy}"
        found.append(LeftOut(where, text, kind is not None))
    return found


def _grouped(others: dict[tuple[str, str], Unread]) -> dict[tuple[str, str], Unread]:
    """Join folders to those above them until few enough are left."""
    depth = max((folder.count("/") + 1 for folder, _ in others), default=0)
    while True:
        grouped: dict[tuple[str, str], Unread] = {}
        for (folder, ending), unread in others.items():
            above = "/".join(folder.split("/")[:depth])
            joined = grouped.setdefault((above, ending), Unread(0, unread.first))
            joined.count += unread.count
            joined.first = min(joined.first, unread.first)
        if len(grouped) <= MOST_FOLDERS or not depth:
            return grouped
        depth -= 1
