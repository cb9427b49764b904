"""Find which clips were filmed in one go: by a table, folders, names, times and equal files.

Clips of one recording share background, light and person. A classifier that is tested on clips of
a recording that it learned from is tested on what it has seen, so recordings are divided, never
clips. Clips are linked transitively: if a goes with b, and b with c, the three are one recording.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from taskgrain.data.layouts.names import kind_of
from taskgrain.data.manifest import ClipRecord, Problem
from taskgrain.data.tables import look_at, read_table
from taskgrain.data.videos import is_video_name, printable, split_name
from taskgrain.errors import ClipError, ManifestError, list_problems, nearest

Reason = Literal["declared", "folder", "name", "time", "equal files", "near-duplicate"]
REASONS: tuple[Reason, ...] = get_args(Reason)
COLUMNS = ("clip", "recording")  # of the table
SAME_RECORDING_SECONDS = 60.0
"""Clips with a shorter pause between them count as one recording.

Whoever films one action again and again starts the next clip within a minute: the same person
stands in the same place and light. Another person or room takes longer.
"""


@dataclass(frozen=True, slots=True)
class Filmed:
    """A clip, and what may tell of its recording."""

    clip_id: str
    path: Path
    action: str | None  # what it shows; None of clips that show none of the actions
    folder: str | None = None  # between the action's folder and the file; None: there is none
    other_names: tuple[str, ...] = ()  # by which a table may name it, beside its id


class Links:
    """Clips that are linked to recordings, one link after the other: a union-find."""

    def __init__(self, clip_ids: Sequence[str]) -> None:
        """Begin with a recording for each clip."""
        self._clip_ids = clip_ids
        self._parent = list(range(len(clip_ids)))
        self._linked: dict[Reason, set[int]] = {reason: set() for reason in REASONS}
        self._names: dict[int, list[tuple[int, str]]] = defaultdict(list)  # clip -> (rank, name)

    def join(self, reason: Reason, clips: Sequence[int], name: str | None = None) -> None:
        """Link clips, given by their places; the recording may be called `name`."""
        if name is not None:
            for clip in clips:
                self._names[clip].append((REASONS.index(reason), name))
        if len(clips) < 2:
            return
        self._linked[reason].update(clips)
        first = self._root(clips[0])
        for clip in clips[1:]:
            self._parent[self._root(clip)] = first

    def _root(self, clip: int) -> int:
        while self._parent[clip] != clip:
            self._parent[clip] = self._parent[self._parent[clip]]
            clip = self._parent[clip]
        return clip

    @property
    def counts(self) -> dict[str, int]:
        """How many clips each reason linked to another one; reasons that linked none are absent."""
        return {reason: len(clips) for reason, clips in self._linked.items() if clips}

    def recordings(self) -> tuple[str, ...]:
        """Name the recording of each clip; no two recordings have the same name.

        A recording is called as the table calls it, otherwise after its folder, otherwise after
        the part that its clips' names share, otherwise after its first clip.
        """
        members: dict[int, list[int]] = defaultdict(list)
        for clip in range(len(self._clip_ids)):
            members[self._root(clip)].append(clip)
        name_of: dict[int, str] = {}
        used: set[str] = set()
        for root, clips in members.items():
            first = self._clip_ids[clips[0]]
            _, name = min(
                (each for clip in clips for each in self._names[clip]), default=(0, first)
            )
            name = f"{name} ({first})" if name in used else name
            used.add(name)
            name_of[root] = name
        return tuple(name_of[self._root(clip)] for clip in range(len(self._clip_ids)))


def link_clips(
    clips: Sequence[Filmed], declared: Mapping[str, str], equal: Sequence[Sequence[int]]
) -> Links:
    """Link the clips of every recording.

    Args:
        clips: in the order of their ids.
        declared: clip id -> recording, as `read_recordings` reads it. Such a clip is linked by
            nothing else but equal content.
        equal: groups of clips of equal content, by their places.
    """
    links = Links([clip.clip_id for clip in clips])
    places = range(len(clips))
    free = [place for place in places if clips[place].clip_id not in declared]
    by_reason: tuple[tuple[Reason, Mapping[int, str | None]], ...] = (
        ("declared", {place: declared.get(clips[place].clip_id) for place in places}),
        ("folder", {place: clips[place].folder for place in free}),
        ("name", {place: _source_of(clips[place]) for place in free}),
    )
    for reason, name_of in by_reason:
        groups: dict[str, list[int]] = defaultdict(list)
        for place, name in name_of.items():
            if name is not None:
                groups[name].append(place)
        for name, group in groups.items():
            links.join(reason, group, name)
    for group in _at_one_time([clips[place] for place in free]):
        links.join("time", [free[place] for place in group])
    for places_of_equals in equal:
        links.join("equal files", places_of_equals)
    return links


# Names by which the parts of one recording are known. What stands in round brackets names it.
_NAMES = (
    # UCF101, UCF50 (crcv.ucf.edu/data/UCF101.php): v_Archery_g01_c02; the clips of a group are cut
    # from one video.
    r"(v_.+_g[0-9]+)_c[0-9]+",
    # Kinetics, as ActivityNet's crawler names its clips: the 11 letters of YouTube's id, first and
    # last second.
    r"([\w-]{11})_[0-9]{6}_[0-9]{6}",
    # HMDB51 (serre-lab.clps.brown.edu, "video meta information"): source and action, visible body
    # parts, camera motion, people, camera view, quality, number of the clip.
    r"(.+)_[ufhl]_(?:cm|nm)_np[0-9]+_(?:ba|fr|le|ri)_(?:bad|med|goo)_[0-9]+",
    # KTH (csc.kth.se/cvap/actions): a person, an action, one of four scenarios.
    r"(person[0-9]{2})_[a-z]+_d[0-9](?:_uncomp)?",
    # NTU RGB+D (rose1.ntu.edu.sg): setup, camera, performer, repetition, action.
    r"(S[0-9]{3})C[0-9]{3}(P[0-9]{3})R[0-9]{3}A[0-9]{3}(?:_rgb)?",
    # `taskgrain cut`: number of the footage, first frame, side.
    r"([0-9]{5})-[0-9]{6}-(?:forward|reversed|real|frozen|normal|double-speed|ordered|shuffled)",
    # LosslessCut (mifi/lossless-cut, the template of names that it proposes): name, begin, end.
    r"(.+?)-[0-9]{2}\.[0-9]{2}\.[0-9]{2}\.[0-9]{3}-[0-9]{2}\.[0-9]{2}\.[0-9]{2}\.[0-9]{3}(?:-.*)?",
    # GoPro ("camera file naming convention"): two digits of the chapter, four of the recording.
    r"(G[HXLS])[0-9]{2}([0-9]{4})",
    r"(?:GOPR|GP[0-9]{2})([0-9]{4})",
)
# A number behind a word for a part, as PySceneDetect (name-Scene-001), FFmpeg's users
# (name_part1, name_seg2) and cutters of windows (name_window_7) write it. A number without such a
# word is a counter: IMG_0412 and IMG_0413, walk3 and walk4, name-0001 are recordings of their own.
_PART = re.compile(
    r"(?P<source>.+?)[\W_]+(?P<word>clip|part|pt|seg|segment|window|win|scene|chunk)"
    r"[\W_]*[0-9]+(?:[\W_]*of[\W_]*[0-9]+)?",
    re.IGNORECASE,
)
_PATTERNS = tuple(re.compile(pattern, re.IGNORECASE) for pattern in _NAMES)
_WORD = re.compile(r"[^\W_]+")
# What says nothing of where a clip comes from: video_clip1 and video_clip2 may be of any two.
_GENERIC = frozenset(
    (
        *("clip", "clips", "video", "videos", "vid", "movie", "mov", "img", "film", "file", "my"),
        *("recording", "record", "rec", "output", "out", "new", "the", "a", "cut", "camera", "cam"),
        *("sample", "test", "train", "action", "take", "part", "segment", "seg", "window", "scene"),
    )
)


def source_of_name(stem: str, action: str | None = None) -> str | None:
    """Return what the names of a recording's clips share; None if the name tells of no recording.

    Args:
        stem: file name without its suffix.
        action: what the clip shows. Clips of the action "jump" that are called jump_clip1 and
            jump_clip2, and open_window1 of "open window", are counted and no parts of a video.
    """
    for pattern in _PATTERNS:
        match = pattern.fullmatch(stem)
        if match is not None:
            return " ".join(match.groups())
    part = _PART.fullmatch(stem)
    if part is None:
        return None
    words, word = _WORD.findall(part["source"].casefold()), part["word"].casefold()
    of_action = _WORD.findall((action or "").casefold())
    is_counter = of_action == [*words, word] or (word == "clip" and of_action == words)
    return None if is_counter or _GENERIC.issuperset(words) else part["source"]


def _source_of(clip: Filmed) -> str | None:
    name = clip.path.name
    source = source_of_name(split_name(name)[0] if is_video_name(name) else name, clip.action)
    return None if source is None else printable(source)


PLAIN_FOLDERS = frozenset(("data", "raw", "original", "resized", "all", "files", "new", "good"))


def folder_of_recording(record: ClipRecord) -> str | None:
    """Return the first folder below that of the action; None where the clip lies in the latter.

    Of several the first holds most, as a person's folder holds those of several days.
    """
    folders = record.file.split("/")[:-1]
    for depth, name in enumerate(folders):
        if " ".join(unicodedata.normalize("NFC", name).split()) == record.template:
            return first_telling(folders[depth + 1 :])
    return None


def first_telling(folders: Sequence[str]) -> str | None:
    """Return the first folder that is not called after a split, a modality or nothing at all."""
    return next(
        (
            printable(name)
            for name in folders
            if kind_of(name).is_class and name.casefold() not in PLAIN_FOLDERS
        ),
        None,
    )


# 20240131_104532, 2024-01-31 10.45.32, VID_20240131_104532, PXL_20240131_104532123,
# "Screen Recording 2024-01-31 at 10.45.32", 20240131T104532.
_TIME = re.compile(
    r"(?<![0-9])((?:19[89]|20[0-9])[0-9])([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12][0-9]|3[01])"
    r"(?:[-_. T]{0,3}|[ _]at[ _])"
    r"([01][0-9]|2[0-3])[-_.:h]?([0-5][0-9])[-_.:m]?([0-5][0-9])(?:[0-9]{3})?(?![0-9])"
)
EARLIEST_YEAR = 1990  # a camera that does not know the time writes 1904 (QuickTime) or 1970 (Unix)


def time_in_name(stem: str) -> float | None:
    """Read the date and time that a name holds, in seconds since 1970; None if it holds none."""
    match = _TIME.search(stem)
    if match is None:
        return None
    year, _, month, day, hour, minute, second = match.groups()
    try:
        # Of no time zone: such times are compared with one another alone.
        found = datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=UTC
        )
    except ValueError:  # the 31st of February
        return None
    return found.timestamp()


def _at_one_time(clips: Sequence[Filmed]) -> list[list[int]]:
    """Group the clips whose spans lie within a minute of one another, by their places.

    Times of names and of containers may be of two time zones, and are never compared.
    """
    named: dict[int, tuple[float, float]] = {}
    held: dict[int, tuple[float, float]] = {}
    for place, clip in enumerate(clips):
        created, seconds = _header_times(clip.path)
        at = time_in_name(clip.path.name)
        if at is not None:
            named[place] = at, at + seconds
        if created is not None:
            # Some cameras write when a recording began, others when it ended.
            held[place] = created - seconds, created + seconds
    return [*_near(named), *_near(held)]


def _near(spans: Mapping[int, tuple[float, float]]) -> list[list[int]]:
    groups: list[list[int]] = []
    latest = float("-inf")
    for place, (start, end) in sorted(spans.items(), key=lambda item: item[1]):
        if start - latest > SAME_RECORDING_SECONDS:
            groups.append([])
        groups[-1].append(place)
        latest = max(latest, end)
    return groups


def _header_times(path: Path) -> tuple[float | None, float]:
    """Read when a video file was recorded, in seconds since 1970, and its length in seconds.

    A folder of frames and a file that cannot be read have no time, and a length of 0.0.
    """
    if path.is_dir():
        return None, 0.0
    # Not above: recordings that features carry are linked without a decoder of videos.
    from taskgrain.data.container import open_video
    from taskgrain.data.limits import DEFAULT_LIMITS, errors_of

    try:
        with errors_of(path), open_video(path, limits=DEFAULT_LIMITS) as video:
            text, seconds = video.created, video.declared_seconds or 0.0
    except ClipError:
        return None, 0.0  # it fails again where it is decoded, and is listed then
    try:
        created = datetime.fromisoformat(text) if text else None
    except ValueError:
        created = None
    if created is None or created.year < EARLIEST_YEAR:
        return None, seconds
    return created.replace(tzinfo=created.tzinfo or UTC).timestamp(), seconds


def read_recordings(path: Path, clips: Sequence[Filmed]) -> dict[str, str]:
    """Read a table of the columns `clip` and `recording`: clip id -> recording.

    Args:
        path: of the table, in any form that `read_table` reads.
        clips: that there are. A row names a clip by its id or its path below the folder.

    Raises:
        ManifestError: if the table cannot be read or lacks a column; naming each line with an
            unknown clip, a clip without recording, or a clip of another recording before.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise ManifestError(f"{path}: {what}; expected a table with the columns clip,recording")
    missing = [name for name in COLUMNS if name not in look_at(path).columns]
    if missing and path.stat().st_size:
        columns = ", ".join(name[:60] for name in look_at(path).columns[:10]) or "nothing readable"
        raise ManifestError(
            f"{path}:1: no column {' and no column '.join(missing)}, but {columns}; "
            'expected the first line "clip,recording"'
        )
    id_of = {_plain(name): clip.clip_id for clip in clips for name in clip.other_names}
    id_of |= {_plain(clip.clip_id): clip.clip_id for clip in clips}
    found: dict[str, tuple[str, str]] = {}  # clip id -> recording, and where it stands
    problems: list[str] = []
    malformed: list[Problem] = []
    try:
        for row in read_table(path, malformed):
            name, recording = (row.text(column) for column in COLUMNS)
            clip_id = id_of.get(_plain(name)) if name else None
            if name is None:
                problems.append(f"{row.where}: no clip; expected clip,recording")
            elif clip_id is None:
                advice = nearest(name, id_of) or (
                    f"; expected its path below the folder, as {clips[0].clip_id!r}"
                )
                problems.append(f"{row.where}: no clip {name[:200]!r}{advice}")
            elif recording is None:
                problems.append(f"{row.where}: clip {name!r} has no recording; expected its name")
            elif (held := found.setdefault(clip_id, (recording, row.where)))[0] != recording:
                problems.append(
                    f"{row.where}: clip {name!r} is of recording {recording!r} here, and of "
                    f"{held[0]!r} at {held[1]}; a clip is of one recording"
                )
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror}") from error
    problems += map(str, malformed)
    if problems or not found:
        nothing = f"{path}: names no clip; expected lines of clip,recording"
        raise ManifestError(list_problems([printable(each) for each in problems] or [nothing]))
    return {clip_id: recording for clip_id, (recording, _) in found.items()}


def _plain(name: str) -> str:
    """Return a path with slashes and composed letters, as a table of any system means it."""
    return unicodedata.normalize("NFC", name.replace("\\", "/").removeprefix("./"))
