"""Walk a dataset's folder once: its clips, its tables, and what of it is no data.

The clips are then found by what rows and lines of lists call them.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath

from taskgrain.data.annotations import BadRowError
from taskgrain.data.companions import FACTORS, HIERARCHY, LEDGER
from taskgrain.data.json_rows import is_text
from taskgrain.data.layouts.names import Arrangement, arrange, kind_of, shown
from taskgrain.data.manifest import Problem, Reading
from taskgrain.data.tables import Head, look_at
from taskgrain.data.videos import (
    is_folder,
    is_image_name,
    is_video_name,
    printable,
    split_name,
    suffix_rank,
    unicode_forms,
)
from taskgrain.errors import ManifestError, list_problems

MAX_DEPTH = 12  # folders within folders
TABLE_DEPTH = 3  # folders above a table
MOST_TABLES = 1000  # in one folder; more are taken for files of single clips
TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".txt", ".lst", ".list")
UNREAD_SUFFIXES = (".parquet", ".xlsx", ".xls", ".ods", ".pkl", ".pickle", ".mat", ".xml", ".yaml")
OWN_FOLDER = ".taskgrain"
OWN_TABLES = (FACTORS, HIERARCHY, LEDGER)
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
VIDEOS = "videos"
MAX_PATH_BYTES = 1000
_UNUSUAL = re.compile(r"\\|^/|//|/$|(?:^|/)\.\.?(?:/|$)")


@dataclass(slots=True)
class Walk:
    """What lies below a folder; paths are relative to it, with slashes."""

    clips: list[str] = field(default_factory=list)  # video files and folders of frames
    tables: list[str] = field(default_factory=list)  # files that may hold rows
    system: list[str] = field(default_factory=list)  # folders that were not entered
    hidden: list[str] = field(default_factory=list)  # folders, and files called as videos are
    unreadable: list[str] = field(default_factory=list)  # folders
    images: dict[str, int] = field(default_factory=dict)  # folder -> images that are no clip

    @property
    def closed(self) -> list[str]:
        """The folders that cannot be read and may hold clips."""
        return [name for name in self.unreadable if name not in self.system]


def find_clips(folder: Path) -> list[str]:
    """List every video file and every folder of frames below a folder, in the order of names.

    A folder of frames holds images, no video and no other folder. Hidden files and folders are
    passed over, and those that disks and systems keep for themselves; a folder that is linked to
    from several places is walked once. Each path is relative to `folder`, with slashes.

    Raises:
        ManifestError: naming a folder that cannot be read.
    """
    below = walk(folder)
    if below.closed:
        raise ManifestError(f"{folder / below.closed[0]}: cannot be read; change its permissions")
    return below.clips


def path_ids(
    folder: Path, files: Sequence[str], *, tells_by_suffix: bool = False
) -> tuple[str, ...]:
    """Return the path of each clip without its suffix, as an id: "a", "walk/b".

    Args:
        folder: of the clips, for the message.
        files: of the clips, relative to the folder, with slashes.
        tells_by_suffix: whether clips that would have the same id keep their suffixes: "a.mp4" and
            "a.webm".

    Raises:
        ManifestError: naming the files that would have the same id.
    """
    ids = tuple(printable(_stem(file)) for file in files)
    times = Counter(ids)
    if tells_by_suffix:
        ids = tuple(
            printable(file) if times[clip] > 1 else clip
            for file, clip in zip(files, ids, strict=True)
        )
        times = Counter(ids)
    twice = [clip for clip, number in times.items() if number > 1]
    if twice:
        problems = [
            f"{folder}: the files of clip {clip!r} are "
            + " and ".join(printable(f) for f, each in zip(files, ids, strict=True) if each == clip)
            + "; rename all but one"
            for clip in twice
        ]
        raise ManifestError(list_problems(problems))
    return ids


def walk(root: Path) -> Walk:
    """Walk a folder.

    Raises:
        ManifestError: if the folder itself cannot be read; of those below it is only noted.
    """
    below = Walk()
    _walk(root, (), set(), below)
    return below


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
    # By device and inode: links may lead in a circle, or to one folder from several places.
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
    """Sort the files of one folder into clips, tables, images and hidden files."""
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
    """Choose the files of one folder that may annotate many clips."""
    tables = [
        name
        for name in files
        if name.lower().endswith((*TABLE_SUFFIXES, *UNREAD_SUFFIXES)) and name[0] != "."
    ]
    if tables:
        # `1.json` beside `1.mp4` says something of that clip alone.
        of_clips = {split_name(name)[0] for name in videos}
        tables = [name for name in tables if split_name(name)[0] not in of_clips]
    return tables if len(tables) <= MOST_TABLES else []


class Tree:
    """A dataset's folder. It is walked when it is first needed, and only once."""

    def __init__(self, root: Path) -> None:
        """Keep the folder; nothing is read yet."""
        self.root = root

    @cached_property
    def below(self) -> Walk:
        """All that lies below."""
        return walk(self.root)

    @property
    def is_walked(self) -> bool:
        """Whether the folder was walked."""
        return "below" in self.__dict__

    @cached_property
    def arrangement(self) -> Arrangement:
        """The clips, each once, however many modalities of it lie there."""
        return arrange(self.below.clips)

    @cached_property
    def index(self) -> ClipIndex:
        """The clips by the names that annotations give them."""
        return ClipIndex((clip.file for clip in self.arrangement.clips), self.below.clips)

    @cached_property
    def tables(self) -> dict[Path, Head]:
        """The files that may hold rows, and how each begins; not those with names of our own."""
        return {
            self.root / name: look_at(self.root / name)
            for name in self.below.tables
            if Path(name).suffix.lower() in TABLE_SUFFIXES and name not in OWN_TABLES
        }

    def name_of(self, path: Path) -> str:
        """Return a path below the folder relative to it, with slashes."""
        return path.relative_to(self.root).as_posix()

    def folder_of(self, path: Path) -> str:
        """Return the folder that a file below lies in, relative to the root; "" for the root."""
        folder = self.name_of(path.parent)
        return "" if folder == "." else folder

    def clip_path(self, written: str, beside: str = "") -> str:
        """Find the clip that a list means: beside the list, below the root or its `videos`.

        A name without a folder is looked for everywhere. A path is looked for further down as
        well, never under other folders than it names, as another folder of a clip is often another
        class. The suffix may be missing. A clip that is not there gets the path as it is written;
        it is then missing.

        Args:
            written: by the list.
            beside: the folder of the list, relative to the root.

        Raises:
            BadRowError: if the path leads out of the root, or can be no path, or if several clips
                have the name.
        """
        if not is_text(written) or "\0" in written or len(written.encode()) > MAX_PATH_BYTES:
            raise BadRowError(f"{written[:60]!r} cannot be a path")
        # A list names clips from where it lies itself, from the root, or from `videos/`.
        folders = ("", VIDEOS) if beside in ("", VIDEOS) else (beside, "", VIDEOS)
        clip = self.index.at(written, folders)  # a file may have a backslash in its name
        if clip is not None:
            return clip
        file = _plain(written, self.root)
        name = file.rpartition("/")[2]
        # No file has a longer name, and asking the system for one raises an error of its own.
        if not name or len(name.encode()) > 255:
            raise BadRowError(f"{written[:60]!r} cannot be a path")
        if file != written:
            clip = self.index.at(file, folders)
        if clip is None:
            clip = self.index.below(file) if "/" in file else self.index.named(file)
        return clip or file

    def lacking(self, layout: str, expected: str) -> Reading:
        """Build the reading of a folder without the files of a layout that the user named."""
        problem = Problem("missing-file", str(self.root), f"expected {expected}")
        return Reading(self.root, layout, (), problems=(problem,))

    def notes(self, used: Iterable[Path] = ()) -> list[str]:
        """Phrase what below the folder is no clip and no annotation, with counts and names.

        Args:
            used: the tables that were read.
        """
        if not self.is_walked:
            return []
        below = self.below
        closed = [name for name in below.unreadable if name in below.system]
        system = [f"{name} could not be read" for name in closed]
        system += [name for name in below.system if name not in closed]
        return [
            f"{len(names)} {what} ({shown(names)})"
            for names, what in (
                (self.unread(used), "files of other tables are not read"),
                (system, "folders that disks and systems keep for themselves are passed over"),
                (below.hidden, "hidden folders and videos are passed over"),
                (below.closed, "folders could not be read, and their clips are left out"),
                (
                    [f"{name or '.'}: {number}" for name, number in below.images.items()],
                    "folders hold images beside videos or folders: such images are no clips",
                ),
            )
            if names
        ] + self.arrangement.notes()

    @property
    def closed(self) -> list[str]:
        """The folders that cannot be read and may hold clips; none before the folder is walked."""
        return self.below.closed if self.is_walked else []

    def unread(self, used: Iterable[Path]) -> list[str]:
        """Name the tables that no layout has read."""
        read = set(map(self.name_of, used))
        return [
            name
            for name in self.below.tables
            if name not in read and name not in OWN_TABLES and _is_of_clips(name)
        ]


def _is_of_clips(name: str) -> bool:
    """Return whether an unread file may annotate clips; a text only if its name names a split."""
    is_text = name.lower().endswith((".txt", ".yaml", ".xml"))
    return not is_text or kind_of(Path(name).stem).split is not None


def first_folder(root: Path, names: Sequence[str]) -> Path | None:
    """Return the first of some folders below `root` that exists; None if none does."""
    return next((root / name for name in names if (root / name).is_dir()), None)


class ClipIndex:
    """Find a clip by its path, its file name, or its file name without suffix.

    A name is found in whatever Unicode form the file system keeps it.
    """

    def __init__(self, clips: Iterable[str], files: Iterable[str]) -> None:
        """Index the clips by name; the other files are found by their whole path alone."""
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
        # First as it is written, then without the suffix: lists often name another kind of file
        # than lies there, or leave the suffix out.
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
                clips = [file for file in alike if _stem(file) == whole]
                if clips:
                    return _only(path, clips)
        return None

    def below(self, path: str) -> str | None:
        """Find the clip whose path ends as a written path of several folders does.

        Raises:
            BadRowError: if several are as good.
        """
        stem = _stem(path)
        for form in (stem, *unicode_forms(stem)):
            alike = self._alike(form.rpartition("/")[2])
            clips = [file for file in alike if f"/{_stem(file)}".endswith(f"/{form}")]
            if clips:
                return _only(path, clips)
        return None

    def _alike(self, stem: str) -> list[str]:
        return [*self._by_stem.get(stem, ()), *self._by_name.get(stem, ())]

    def named(self, name: str) -> str | None:
        """Find the clip of a name, with or without its suffix, in whatever folder it lies.

        Of several those in `videos/` go first, and of those in one folder WebM, as in
        `index_videos`. None where no clip has the name.

        Raises:
            BadRowError: if several are as good.
        """
        for form in (name, *unicode_forms(name)):
            # A whole file name is one clip; otherwise a video goes before a folder of frames.
            clips = self._by_name.get(form, [])
            if not is_video_name(form):
                clips = [*self._by_stem.get(form, []), *clips]
            if clips:
                return _only(name, clips)
        return None


def _only(name: str, files: Sequence[str]) -> str:
    in_videos = [file for file in files if file.rpartition("/")[0] == VIDEOS]
    below_videos = [file for file in files if file.startswith(f"{VIDEOS}/")]
    best = in_videos or below_videos or files
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
