"""Walk a dataset's folder once: its clips, its tables, and what of it is no data."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path

from taskgrain.data.companions import FACTORS, HIERARCHY
from taskgrain.data.layouts.clip_index import ClipIndex
from taskgrain.data.layouts.modalities import Arrangement, arrange
from taskgrain.data.layouts.names import kind_of
from taskgrain.data.ledger import LEDGER
from taskgrain.data.tables import Head, look_at
from taskgrain.data.videos import is_folder, is_image_name, is_video_name, split_name
from taskgrain.errors import ManifestError

MAX_DEPTH = 12  # folders within folders
TABLE_DEPTH = 3  # folders above a table
MOST_TABLES = 1000  # in one folder; more are said of single clips
NUM_SHOWN = 3  # names in a note
TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".txt", ".lst", ".list")
UNREAD_SUFFIXES = (".parquet", ".xlsx", ".xls", ".ods", ".pkl", ".pickle", ".mat", ".xml", ".yaml")
OWN_FOLDER = ".taskgrain"
# What disks, systems and archives keep for themselves: thumbnails, waste, snapshots.
SYSTEM_FOLDERS = frozenset(
    (
        *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@tmp"),
        *("$recycle.bin", "recycler", "recycled", "system volume information", "lost+found"),
        *("__macosx", "lost.dir", "network trash folder", "temporary items", "__pycache__"),
        *("thumbs", "thumbnails", "thumbnail", "_thumbs", "_thumbnails"),
    )
)
_CHECKED_DISK = re.compile(r"found\.\d{3}|.*\.trickplay")


@dataclass(slots=True)
class Walk:
    """What lies below a folder; paths are relative to it, with slashes."""

    clips: list[str] = field(default_factory=list)  # video files and folders of frames
    tables: list[str] = field(default_factory=list)  # files that may hold rows
    system: list[str] = field(default_factory=list)  # folders that were not entered
    hidden: list[str] = field(default_factory=list)  # folders, and files called as videos are
    unreadable: list[str] = field(default_factory=list)  # folders
    images: dict[str, int] = field(default_factory=dict)  # folder -> images that are no clip


def find_clips(folder: Path) -> list[str]:
    """List every video file and every folder of frames below a folder, in the order of names.

    A folder of frames holds images, no video and no other folder. Hidden files and folders are
    passed over, and those that disks and systems keep for themselves; a folder that is linked to
    from several places is walked once. Each path is relative to `folder`, with slashes.

    Raises:
        ManifestError: naming a folder that cannot be read.
    """
    found = walk(folder)
    closed = [name for name in found.unreadable if name not in found.system]
    if closed:
        raise ManifestError(f"{folder / closed[0]}: cannot be read; change its permissions")
    return found.clips


def walk(root: Path) -> Walk:
    """Walk a folder.

    Raises:
        ManifestError: if the folder itself cannot be read; of those below it is only noted.
    """
    found = Walk()
    _walk(root, (), set(), found)
    return found


def _walk(folder: Path, parts: tuple[str, ...], seen: set[tuple[int, int]], out: Walk) -> None:
    try:
        status = folder.stat()
        with os.scandir(folder) as entries:
            listed = sorted((entry.name, is_folder(entry)) for entry in entries)
    except OSError as error:
        if not parts:
            raise ManifestError(f"{folder}: cannot be read: {error.strerror}") from error
        out.unreadable.append("/".join(parts))
        return
    if (status.st_dev, status.st_ino) in seen or len(parts) > MAX_DEPTH:
        return
    seen.add((status.st_dev, status.st_ino))
    files = [name for name, is_one in listed if not is_one]
    folders = [name for name, is_one in listed if is_one]
    entered = [name for name in folders if name[0] != "." and not _is_system(name)]
    _add_files(parts, files, is_leaf=not entered, out=out)
    for name in folders:
        path = "/".join((*parts, name))
        if name in entered:
            _walk(folder / name, (*parts, name), seen, out)
        elif name[0] != ".":
            out.system.append(path)
            if not os.access(folder / name, os.R_OK | os.X_OK):
                out.unreadable.append(path)
        elif name != OWN_FOLDER:
            out.hidden.append(path)


def _add_files(parts: tuple[str, ...], files: Sequence[str], *, is_leaf: bool, out: Walk) -> None:
    """Add what the files of one folder are."""
    videos = [name for name in files if is_video_name(name)]
    num_images = sum(map(is_image_name, files))
    path = "/".join(parts)
    if num_images and parts and not videos and is_leaf:
        out.clips.append(path)
    elif num_images:
        out.images[path] = num_images
    below = f"{path}/" if parts else ""
    out.clips += (below + name for name in videos)
    out.hidden += (below + n for n in files if n[0] == "." and is_video_name(n.lstrip("._")))
    if len(parts) <= TABLE_DEPTH:
        out.tables += (below + name for name in _tables(files, videos))


def _is_system(name: str) -> bool:
    return name.lower() in SYSTEM_FOLDERS or _CHECKED_DISK.fullmatch(name.lower()) is not None


def _tables(files: Sequence[str], videos: Sequence[str]) -> list[str]:
    """Choose the files of one folder that may say something of many clips."""
    found = [
        name
        for name in files
        if name.lower().endswith((*TABLE_SUFFIXES, *UNREAD_SUFFIXES)) and name[0] != "."
    ]
    if found:
        of_clips = {split_name(name)[0] for name in videos}
        found = [name for name in found if split_name(name)[0] not in of_clips]
    return found if len(found) <= MOST_TABLES else []


class Tree:
    """A dataset's folder. It is walked when something is first asked of it, and only once."""

    def __init__(self, root: Path) -> None:
        """Take the folder; nothing is read yet."""
        self.root = root

    @cached_property
    def found(self) -> Walk:
        """All that lies below."""
        return walk(self.root)

    @property
    def is_walked(self) -> bool:
        """Whether anything was asked of it that took a walk."""
        return "found" in self.__dict__

    @cached_property
    def arrangement(self) -> Arrangement:
        """The clips, each once, however many modalities of it lie there."""
        return arrange(self.found.clips)

    @cached_property
    def index(self) -> ClipIndex:
        """Finds clips by what annotations call them."""
        return ClipIndex((clip.file for clip in self.arrangement.clips), self.found.clips)

    @cached_property
    def tables(self) -> dict[Path, Head]:
        """The files that may hold rows, and how each begins; not those with names of our own."""
        return {
            self.root / name: look_at(self.root / name)
            for name in self.found.tables
            if Path(name).suffix.lower() in TABLE_SUFFIXES
            and name not in (FACTORS, HIERARCHY, LEDGER)
        }

    def notes(self, used: Iterable[Path] = ()) -> list[str]:
        """Phrase what below the folder is no clip and no annotation, with counts and names.

        Args:
            used: the tables that were read.
        """
        if not self.is_walked:
            return []
        found = self.found
        closed = [name for name in found.unreadable if name in found.system]
        system = [f"{name} could not be read" for name in closed]
        system += [name for name in found.system if name not in closed]
        return [
            f"{len(names)} {what} ({shown(names)})"
            for names, what in (
                (self.unread(used), "files of other tables are not read"),
                (system, "folders that disks and systems keep for themselves are passed over"),
                (found.hidden, "hidden folders and videos are passed over"),
                (self.closed, "folders could not be read, and their clips are left out"),
                (
                    [f"{name or '.'}: {number}" for name, number in found.images.items()],
                    "folders hold images beside videos or folders: such images are no clips",
                ),
            )
            if names
        ] + self.arrangement.notes()

    @property
    def closed(self) -> list[str]:
        """The folders that cannot be read and may hold clips."""
        if not self.is_walked:
            return []
        return [name for name in self.found.unreadable if name not in self.found.system]

    def unread(self, used: Iterable[Path]) -> list[str]:
        """Name the tables that no layout has read."""
        read = {path.relative_to(self.root).as_posix() for path in used}
        own = (FACTORS, HIERARCHY, LEDGER)
        return [
            name
            for name in self.found.tables
            if name not in read and name not in own and _is_of_clips(name)
        ]


def _is_of_clips(name: str) -> bool:
    """Whether a file that was not read may speak of the clips: a text, by the name of a split."""
    is_text = name.lower().endswith((".txt", ".yaml", ".xml"))
    return not is_text or kind_of(Path(name).stem).split is not None


def shown(names: Sequence[str]) -> str:
    """Name the first of several."""
    return ", ".join(islice(names, NUM_SHOWN)) + (", ..." if len(names) > NUM_SHOWN else "")


def first_folder(root: Path, names: Sequence[str]) -> Path | None:
    """Return the first of some folders below `root` that there is."""
    return next((root / name for name in names if (root / name).is_dir()), None)
