"""Compute the features of a lesson's clips: each video is decoded once for all encoders.

Shapes: N clips, B of them read together, T frames, T' steps of an encoder, D its width.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskgrain.data.equal_files import content_sha256
from taskgrain.data.sampling import FrameSampling
from taskgrain.data.videos import printable
from taskgrain.errors import ClipError, ManifestError, ResultError, list_problems
from taskgrain.teaching.feature_cache import Entry, FeatureCache
from taskgrain.teaching.lesson import LEAST_CLIPS, Lesson, LessonClip
from taskgrain.teaching.near_duplicates import SIGNATURE_FRAMING, Signature
from taskgrain.teaching.seeing import (
    CLIPS_TOGETHER,
    LessonEncoder,
    SeenClip,
    encode_clips,
    see_clip,
)
from taskgrain.transfer.features import fingerprint

Tell = Callable[[str], None]
Advance = Callable[[int], None]

PART_CLIPS = 16  # are decoded, then read, then kept: so many are lost at most
SIGNATURE_VERSION = 1  # of `signature_of`
SIGNATURES = "signatures"


@dataclass(frozen=True, slots=True, eq=False)
class LessonFeatures:
    """The features of a lesson's clips, of one encoder."""

    encoder: str  # as the user names it
    clip_ids: tuple[str, ...]  # those that could be read, in the order of the lesson
    features: NDArray[np.float32]  # (N, D), a row for each of them
    reader_facts: Mapping[str, object]  # `LessonEncoder.facts`


@dataclass(frozen=True, slots=True, eq=False)
class FeaturedLesson:
    """The features of a lesson's clips, of each encoder, and what came of each clip."""

    features: tuple[LessonFeatures, ...]  # in the order of the encoders; all of the same clips
    signatures: Mapping[str, Signature]  # clip id -> what `link_near_duplicates` takes
    failed: Mapping[str, str]  # clip id -> why it could not be read
    truncated: Mapping[str, str]  # clip id -> what is missing; such clips are used
    decoding_seconds: float
    network_seconds: float


def feature_lesson(
    lesson: Lesson,
    encoders: Sequence[LessonEncoder],
    cache: Path | None,
    *,
    tell: Tell,
    advance: Advance,
) -> FeaturedLesson:
    """Compute the features of every clip that can be read, of every encoder.

    Clips of equal content are read once. What the cache has is not computed again; of a stopped
    run at most 16 clips are lost. On a CPU equal clips have equal features, whatever is read beside
    them.

    Args:
        lesson: the clips.
        encoders: as `encoder_named` opens them, of different names.
        cache: folder of features, of this lesson and others; None keeps nothing.
        tell: is given a line about what was found in the cache.
        advance: is given how many clips were done since it was called last.

    Raises:
        ConfigError: if the cache cannot be written to.
        ManifestError: if less than two clips of an action can be read.
        ResultError: if features are not finite.
    """
    work = _Work(lesson, encoders, FeatureCache(cache))
    missing = work.look_up()
    waiting = sum(len(work.clips_of[content]) for content in missing)
    if waiting < len(lesson.clips):
        known = len(lesson.clips) - waiting
        tell(f"{cache}: has the features of {known} of {len(lesson.clips)} clips already")
        advance(known)
    for start in range(0, len(missing), PART_CLIPS):
        work.make(missing[start : start + PART_CLIPS], advance)
    _refuse_too_few(lesson, work.failed)
    return work.result()


@dataclass(frozen=True, slots=True)
class _Column:
    """What is computed of each clip: an encoder's features, or signatures (no encoder)."""

    key: str  # of the cache
    encoder: LessonEncoder | None

    @property
    def samplings(self) -> frozenset[FrameSampling]:
        return frozenset() if self.encoder is None else self.encoder.samplings


@dataclass(slots=True)
class _Work:
    """Which columns of which clips are there, and which are to be computed."""

    lesson: Lesson
    encoders: Sequence[LessonEncoder]
    cache: FeatureCache
    columns: list[_Column] = field(init=False)
    clips_of: dict[str, list[LessonClip]] = field(init=False)  # by content, or id where unreadable
    entries: dict[tuple[str, str], Entry] = field(init=False, default_factory=dict)  # key, content
    failed: dict[str, str] = field(init=False, default_factory=dict)
    decoding_seconds: float = field(init=False, default=0.0)
    network_seconds: float = field(init=False, default=0.0)
    _unread: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        signature = {"framing": asdict(SIGNATURE_FRAMING), "version": SIGNATURE_VERSION}
        self.columns = [
            _Column(_key(SIGNATURES, signature), None),
            *(_Column(each.fingerprint, each) for each in self.encoders),
        ]
        self.clips_of = {}
        for clip in self.lesson.clips:
            content = content_sha256(clip.path)
            name = clip.clip_id if content is None else content.hex()
            if content is None:
                self._unread.add(name)
            self.clips_of.setdefault(name, []).append(clip)

    def _content(self, name: str) -> str | None:
        return None if name in self._unread else name

    def look_up(self) -> list[str]:
        """Read what the cache has; return the contents of which something is missing."""
        for column in self.columns:
            for name in self.clips_of:
                entry = self.cache.find(column.key, self._content(name))
                if entry is not None and _fits(entry, column):
                    self.entries[column.key, name] = entry
        return [name for name in self.clips_of if self._missing(name)]

    def _missing(self, name: str) -> list[_Column]:
        return [each for each in self.columns if (each.key, name) not in self.entries]

    def make(self, names: Sequence[str], advance: Advance) -> None:
        """Decode some clips, read them with every encoder that lacks them, and keep the results."""
        started = time.perf_counter()
        seen: dict[str, SeenClip] = {}
        for name in names:
            samplings = frozenset[FrameSampling]().union(
                *(each.samplings for each in self._missing(name))
            )
            try:
                seen[name] = see_clip(self.clips_of[name][0].path, samplings)
            except ClipError as error:
                for clip in self.clips_of[name]:
                    self.failed[clip.clip_id] = printable(str(error))
            advance(len(self.clips_of[name]))
        decoded = time.perf_counter()
        self.decoding_seconds += decoded - started
        for column in self.columns:
            wanted = [name for name in seen if (column.key, name) not in self.entries]
            for start in range(0, len(wanted), CLIPS_TOGETHER):
                some = wanted[start : start + CLIPS_TOGETHER]
                self._read(column, {name: seen[name] for name in some})
        self.network_seconds += time.perf_counter() - decoded

    def _read(self, column: _Column, seen: Mapping[str, SeenClip]) -> None:
        rows: Sequence[NDArray[np.generic]]
        if column.encoder is None:
            rows = [each.signature for each in seen.values()]
        else:
            rows = list(encode_clips(column.encoder, [each.shown for each in seen.values()]))
        for (name, each), row in zip(seen.items(), rows, strict=True):
            if column.encoder is not None and not np.isfinite(row).all():
                raise ResultError(
                    f"{column.encoder.name}: the features of clip {self.clips_of[name][0].clip_id} "
                    "are not finite; another encoder may read it"
                )
            entry = Entry(row, each.problem)
            self.entries[column.key, name] = entry
            self.cache.keep(column.key, self._content(name), entry)

    def result(self) -> FeaturedLesson:
        """Put together the rows of the clips that could be read."""
        name_of = {clip.clip_id: name for name, clips in self.clips_of.items() for clip in clips}
        clip_ids = tuple(c.clip_id for c in self.lesson.clips if c.clip_id not in self.failed)
        found = [
            {clip: self.entries[column.key, name_of[clip]] for clip in clip_ids}
            for column in self.columns
        ]
        features = tuple(
            LessonFeatures(encoder.name, clip_ids, _stacked(encoder, entries), encoder.facts)
            for encoder, entries in zip(self.encoders, found[1:], strict=True)
        )
        return FeaturedLesson(
            features,
            {clip: entry.values.astype(np.uint8) for clip, entry in found[0].items()},
            {
                c.clip_id: self.failed[c.clip_id]
                for c in self.lesson.clips
                if c.clip_id in self.failed
            },
            {clip: entry.problem for clip, entry in found[0].items() if entry.problem},
            self.decoding_seconds,
            self.network_seconds,
        )


def _key(kind: str, facts: Mapping[str, object]) -> str:
    return fingerprint(weights_sha256=kind, preprocessing=facts, clip_ids=[])


def _fits(entry: Entry, column: _Column) -> bool:
    """Whether an entry of the cache may be that of a column."""
    values = entry.values
    if column.encoder is None:
        return values.dtype == np.uint8 and values.ndim == 3 and len(values) > 0
    return values.dtype == np.float32 and values.ndim == 1 and bool(np.isfinite(values).all())


def _stacked(encoder: LessonEncoder, entries: Mapping[str, Entry]) -> NDArray[np.float32]:
    """Put the vectors of an encoder below one another.

    Raises:
        ResultError: if they differ in length, which a file that others put into the cache may do.
    """
    rows = [entry.values.astype(np.float32, copy=False) for entry in entries.values()]
    widths = Counter(len(row) for row in rows)
    if len(widths) != 1:
        raise ResultError(
            f"{encoder.name}: features of {', '.join(map(str, widths))} numbers in the cache; "
            "remove its folder, and give the same command again"
        )
    return np.stack(rows)


def _refuse_too_few(lesson: Lesson, failed: Mapping[str, str]) -> None:
    """Refuse a lesson of which too few clips can be read.

    Raises:
        ManifestError: naming each action, how many of its clips can be read, and why others cannot.
    """
    problems = []
    for action in lesson.classes:
        clips = [clip.clip_id for clip in lesson.clips if clip.label == action]
        lost = [clip for clip in clips if clip in failed]
        if len(clips) - len(lost) < LEAST_CLIPS:
            problems.append(
                f"action {action!r}: {len(clips) - len(lost)} of {len(clips)} clips can be read; "
                f"expected at least {LEAST_CLIPS}: replace those that cannot"
            )
            problems += [f"  {clip}: {failed[clip]}" for clip in lost]
    if problems:
        raise ManifestError(list_problems(problems))
