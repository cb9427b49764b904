"""Compute the features of a lesson's clips: each video is decoded once for all encoders.

Shapes: N clips, B of them read together, T frames, T' steps of an encoder, D its width.
"""

from __future__ import annotations

import importlib.util
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from taskgrain.data.dataset import Batch
from taskgrain.data.decode import FRAME_RATE, decode_sizes
from taskgrain.data.equal_files import content_sha256
from taskgrain.data.sampling import FrameSampling, see
from taskgrain.data.videos import printable
from taskgrain.encoders import Reader, Wanted, never_alone, open_reader
from taskgrain.errors import ClipError, ConfigError, ManifestError, ResultError, list_problems
from taskgrain.models.pretrained.encoder import LIBRARIES
from taskgrain.models.pretrained.opening import WantedNetwork, make_ready
from taskgrain.teaching.feature_cache import Entry, FeatureCache
from taskgrain.teaching.lesson import LEAST_CLIPS, Lesson, LessonClip
from taskgrain.teaching.near_duplicates import SIGNATURE_FRAMING, Signature, signature_of
from taskgrain.transfer.extract import collect_places
from taskgrain.transfer.features import PLACE_OF, fingerprint

NO_BATCH = torch.zeros(0, dtype=torch.long)  # labels are not used
Tell = Callable[[str], None]
Advance = Callable[[int], None]

PART_CLIPS = 16  # are decoded, then read, then kept: so many are lost at most
CLIPS_TOGETHER = 4  # that an encoder reads at once; pretrained networks take no more themselves
SUMMARY_VERSION = 1  # of `summarise_steps`; another one has other features
SIGNATURE_VERSION = 1  # of `signature_of`
SIGNATURES = "signatures"

# Image features know what is shown and hardly what moves; the features of change know that alone.
JOINED: Mapping[str, tuple[str, ...]] = {
    "imagenet": ("imagenet:efficientnet-lite0", "motion-energy")
}
# Networks that "auto" tries where their weights are on the machine: trained on Kinetics.
TORCHVISION = ("r3d_18", "mc3_18", "r2plus1d_18", "s3d", "swin3d_t")
HUGGINGFACE = (
    "facebook/vjepa2-vitl-fpc64-256",
    "MCG-NJU/videomae-base-finetuned-kinetics",
    "facebook/timesformer-base-finetuned-k400",
    "google/vivit-b-16x2-kinetics400",
)
ALWAYS = ("motion-energy", "pixels")  # references, which may also be the best


@dataclass(frozen=True, slots=True)
class LessonEncoder:
    """What turns a clip into one vector."""

    name: str  # as the user names it
    readers: Mapping[str, Reader]  # by their names; their vectors stand side by side

    @property
    def facts(self) -> dict[str, object]:
        """Return all that determines the features of a clip, as JSON."""
        return {
            "readers": {
                name: {
                    **reader.facts,
                    "readout": reader.readout,
                    "sampling": asdict(reader.sampling),
                }
                for name, reader in self.readers.items()
            },
            "summary": SUMMARY_VERSION,
            "frame_rate": FRAME_RATE,
        }


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


def encoder_named(name: str, *, device: str = "cpu") -> LessonEncoder:
    """Open an encoder by its name; nothing is fetched.

    Args:
        name: "imagenet" (joined with motion energy), "motion-energy", "pixels", LIBRARY:NAME as
            "torchvision:r3d_18", or the folder of a checkpoint.
        device: where it computes.

    Raises:
        ConfigError: if there is no such encoder, or its weights are not on this machine.
        CheckpointError: if its weights are not whole.
    """
    parts = JOINED.get(name, (name,))
    return LessonEncoder(name, {part: open_reader(Wanted(part, device=device)) for part in parts})


def encoders_here(*, device: str = "cpu") -> list[LessonEncoder]:
    """Open every known encoder whose weights are on this machine; nothing is fetched.

    Raises:
        CheckpointError: if weights are there and not whole.
    """
    has_transformers = all(map(importlib.util.find_spec, ("transformers", "huggingface_hub")))
    names = [
        *JOINED,
        *(f"torchvision:{model}" for model in TORCHVISION),
        *(f"huggingface:{model}" for model in HUGGINGFACE if has_transformers),
        *ALWAYS,
    ]
    return [encoder_named(name, device=device) for name in names if _is_here(name)]


def _is_here(name: str) -> bool:
    try:
        for part in JOINED.get(name, (name,)):
            library, _, model = part.partition(":")
            # To name the file exactly takes torchvision's import: seconds, mostly for nothing.
            kept = Path(torch.hub.get_dir(), "checkpoints")
            if library == "torchvision" and not any(kept.glob(f"{model}-*")):
                return False
            for known in LIBRARIES:
                if library == known:
                    make_ready(WantedNetwork(known, model))
    except ConfigError:
        return False
    return True


def summarise_steps(steps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Reduce the steps of each clip to one vector that knows their order.

    With x_t the T' steps, side by side stand

        mean        m = sum(x_t) / T'
        deviation   sqrt(sum((x_t - m)^2) / T')
        slope       sum(w_t x_t),  w_t = (t - (T' - 1) / 2) / sum(|s - (T' - 1) / 2| over all s)

    The weights of the slope sum to 0, their absolutes to 1: it is half the difference between a
    weighted mean of the second half and one of the first. Played backwards a clip has the same
    mean and deviation and the opposite slope: so "open" and "close" differ.

    Args:
        steps: float32 (N, T', D), T' >= 1.

    Returns:
        float32 (N, 3 D), computed in float64. Of a single step deviation and slope are 0. A clip's
        row does not depend on the other clips.
    """
    num_steps = steps.shape[1]
    centred = np.arange(num_steps) - (num_steps - 1) / 2
    weights = centred / max(np.abs(centred).sum(), 1.0)
    rows = []
    for clip in steps.astype(np.float64):  # (T', D)
        mean = clip.mean(axis=0)
        deviation = np.sqrt(((clip - mean) ** 2).mean(axis=0))
        # Less the mean, whose weights sum to 0 but for rounding: of equal steps it is exactly 0.
        slope = (weights[:, None] * (clip - mean)).sum(axis=0)
        rows.append(np.concatenate([mean, deviation, slope]))
    return np.stack(rows).astype(np.float32)


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
    def samplings(self) -> set[FrameSampling]:
        return (
            set() if self.encoder is None else {r.sampling for r in self.encoder.readers.values()}
        )


@dataclass(slots=True)
class _Seen:
    """What the encoders are shown of one clip."""

    shown: Mapping[FrameSampling, NDArray[np.uint8]]  # (T, H, W, 3)
    signature: Signature
    problem: str  # of a truncated clip


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
            *(_Column(_key("features", each.facts), each) for each in self.encoders),
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
        seen: dict[str, _Seen] = {}
        for name in names:
            samplings = set().union(*(each.samplings for each in self._missing(name)))
            try:
                seen[name] = _see(self.clips_of[name][0].path, samplings)
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

    def _read(self, column: _Column, seen: Mapping[str, _Seen]) -> None:
        rows = (
            [each.signature for each in seen.values()]
            if column.encoder is None
            else _features(column.encoder, {name: each.shown for name, each in seen.items()})
        )
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


def _see(path: Path, samplings: Collection[FrameSampling]) -> _Seen:
    """Decode a clip once, and cut out of it what each encoder is shown.

    Raises:
        ClipError: if it cannot be decoded.
    """
    framings = list({SIGNATURE_FRAMING, *(each.framing for each in samplings)})
    sizes = dict(zip(framings, decode_sizes(path, framings), strict=True))
    whole = sizes[SIGNATURE_FRAMING]
    return _Seen(
        {each: see(sizes[each.framing].frames, each) for each in samplings},
        signature_of(whole.frames),
        printable(whole.problem or "truncated") if whole.truncated else "",
    )


def _features(
    encoder: LessonEncoder, shown: Mapping[str, Mapping[FrameSampling, NDArray[np.uint8]]]
) -> Sequence[NDArray[np.generic]]:
    """Compute the vectors of some clips: float32 (D,) each."""
    parts: list[NDArray[np.float32]] = []
    for reader in encoder.readers.values():
        video = np.stack([each[reader.sampling] for each in shown.values()])

        def batches(video: NDArray[np.uint8] = video) -> Iterator[Batch]:
            yield Batch(tuple(shown), torch.from_numpy(video), NO_BATCH, NO_BATCH)

        read = never_alone(reader.read) if reader.device.type == "cpu" else reader.read
        place = "output" if reader.readout is None else PLACE_OF[reader.readout]
        found = collect_places(read, batches(), device=reader.device)[place].astype(np.float32)
        parts.append(found if found.ndim == 2 else summarise_steps(found))
    return list(np.concatenate(parts, axis=1))


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
