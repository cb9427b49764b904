"""What a check reports of a dataset: counts, faults and notes, and how they are counted.

Records come first, as values and as JSON; then what counts them, clip by clip, in memory that
hardly grows with the number of clips.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, TypeVar

import numpy as np

from taskgrain.data.manifest import ProblemKind, Reading, Split
from taskgrain.data.videos import printable
from taskgrain.labels.taxonomy import CATEGORY
from taskgrain.labels.template import words_of
from taskgrain.labels.vocabulary import MAX_TOKENS
from taskgrain.tools.check.files import FileFacts

ODD_LENGTH = 3.0  # times the median, or that part of it
SAME_RATE = 0.01  # of the usual rate: 29.97 frames a second are 30
MAX_IMBALANCE = 10.0  # the largest class to the smallest, before it is noted
Value = TypeVar("Value", bound=Hashable)
NOTED = 10  # entries kept of a note; faults are kept whole

FaultKind = ProblemKind | Literal["closed", "missing", "undecodable", "truncated", "same-content"]
FAULTS: Mapping[FaultKind, tuple[str, str]] = {
    "malformed": ("rows or files that cannot be read", "mend each where it is named"),
    "missing-file": ("annotations that are not there", "bring the file"),
    "unknown-category": ("rows of no known category", "mend the template, or labels.json"),
    "duplicate-id": ("ids that stand twice", "keep one row of each id"),
    "two-splits": ("ids in two splits", "keep each clip in one split"),
    "hierarchy": ("faults of hierarchy.csv", "mend each line that is named"),
    "ledger": ("faults of ledger.jsonl", "mend or remove each line that is named"),
    "factors": ("faults of factors.jsonl", "mend each line that is named"),
    "closed": ("folders that cannot be read", "let them be read, or move them elsewhere"),
    "missing": ("clips without their video", "bring the videos, or take out the rows"),
    "undecodable": (
        "videos that cannot be decoded",
        "fetch them again, or take out the rows; a study counts them as wrong",
    ),
    "truncated": (
        "videos that end too early",
        "fetch them again, or take out the rows; a study uses what is there",
    ),
    "same-content": ("videos that two splits share", "keep each in one split"),
}
"""Kind -> what was found, and what to do. Any of these makes a dataset unsound."""

NoteKind = Literal[
    "excluded",
    "untrained-class",
    "imbalance",
    "long-caption",
    "repeated",
    "odd-rate",
    "odd-size",
    "odd-length",
    "variable-rate",
    "doubtful",
    "rotated",
    "missing-test",
    "unnamed-video",
    "left-out",
    "other-file",
    "unknown-clip",
]
NOTES: Mapping[NoteKind, str] = {
    "excluded": "clips that the ledger leaves out by hand",
    "untrained-class": "categories of validation without a training clip",
    "imbalance": "levels whose largest class has over ten times the clips of the smallest",
    "long-caption": "captions that lose words past 14 tokens",
    "repeated": "videos that one split holds twice",
    "odd-rate": "clips of another frame rate than most",
    "odd-size": "clips of another size than most",
    "odd-length": "clips a third as long as the median, or three times",
    "variable-rate": "clips of variable frame rate; they are resampled by time",
    "doubtful": "clips whose frames may not be what they should be",
    "rotated": "clips filmed sideways; they are turned upright",
    "missing-test": "test clips without their video",
    "unnamed-video": "video files that no row names",
    "left-out": "kinds of videos or images that were left out, for their ending is not known",
    "other-file": "kinds of files that are not read",
    "unknown-clip": "clips that only a line of the ledger names",
}
"""Kind -> what was found. None of these makes a dataset unsound."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing found."""

    name: str  # of the clip, the class or the file
    text: str | None = None


@dataclass(slots=True)
class Finding:
    """All things found of one kind; of a note, the first few of the dataset."""

    limit: int | None
    count: int = 0
    _entries: list[tuple[int, Entry]] = field(default_factory=list)

    def add(self, position: int, name: str, text: str | None = None) -> None:
        """Add a thing that stands at a position of the dataset."""
        self.count += 1
        shown = None if text is None else printable(text)
        self._entries.append((position, Entry(printable(name), shown)))
        # Clips come bucket by bucket, so which are first is known only at the end. Sorted now and
        # then, not each time: at most 20 times what is shown is held.
        if self.limit is not None and len(self._entries) > 20 * self.limit:
            self._entries = self._sorted()

    def entries(self) -> list[Entry]:
        """Return the entries in the order of the dataset."""
        return [entry for _, entry in self._sorted()]

    def to_json(self) -> dict[str, object]:
        """Return the count, and the entries that are kept, as JSON."""
        return {"count": self.count, "entries": list(map(asdict, self.entries()))}

    def _sorted(self) -> list[tuple[int, Entry]]:
        return sorted(self._entries, key=lambda entry: entry[0])[: self.limit]


@dataclass(frozen=True, slots=True)
class LevelCounts:
    """One level of the taxonomy, over the clips that have a name there."""

    names: int  # that any clip has
    train: int  # clips
    validation: int  # clips
    largest: tuple[str, int] | None  # name and training clips; None without any
    smallest: tuple[str, int] | None
    effective: float  # number of equally large classes with the same entropy

    @property
    def imbalance(self) -> float | None:
        """The largest class to the smallest, by training clips."""
        if self.largest is None or self.smallest is None:
            return None
        return self.largest[1] / self.smallest[1]

    def to_json(self) -> dict[str, object]:
        """Return every number as JSON."""
        return {
            "names": self.names,
            "train": self.train,
            "validation": self.validation,
            "largest": self.largest and {"name": self.largest[0], "clips": self.largest[1]},
            "smallest": self.smallest and {"name": self.smallest[0], "clips": self.smallest[1]},
            "imbalance": self.imbalance and round(self.imbalance, 2),
            "effective": round(self.effective, 2),
        }


@dataclass(frozen=True, slots=True)
class VideoCounts:
    """What the videos that can be decoded have in common."""

    clips: int
    frames: int  # as they are coded
    seconds: float
    bytes: int
    shortest_seconds: float
    median_seconds: float
    longest_seconds: float
    frame_rate: float | None  # the most common
    width: int  # pixels, upright; the most common size
    height: int


@dataclass(frozen=True, slots=True)
class CheckReport:
    """A checked dataset."""

    data: str
    layout: str
    clips: Mapping[str, int]  # split -> clips that the annotations name
    levels: Mapping[str, LevelCounts]  # "category" first
    videos: VideoCounts | None  # None where none could be decoded
    faults: Mapping[FaultKind, Finding]
    notes: Mapping[NoteKind, Finding]
    inspected: int  # files decoded by this call
    known: int  # files that had been decoded before
    ledger: str | None  # where clips with faults are listed
    seconds: float
    reading: tuple[str, ...] = ()  # what reading the folder decided and left out, with counts

    @property
    def is_sound(self) -> bool:
        """Whether nothing is at fault."""
        return not self.faults

    def to_json(self) -> dict[str, object]:
        """Write as one object; docs/commands.md lists its keys."""
        return {
            "data": self.data,
            "layout": self.layout,
            "sound": self.is_sound,
            "clips": dict(self.clips),
            "levels": {name: level.to_json() for name, level in self.levels.items()},
            "videos": self.videos and asdict(self.videos),
            "faults": {kind: found.to_json() for kind, found in self.faults.items()},
            "notes": {kind: found.to_json() for kind, found in self.notes.items()},
            "reading": list(self.reading),
            "inspected": self.inspected,
            "known": self.known,
            "ledger": self.ledger,
            "seconds": round(self.seconds, 1),
        }


class Findings:
    """Faults and notes by their kind."""

    def __init__(self) -> None:
        """Begin with nothing found."""
        self._faults = {kind: Finding(None) for kind in FAULTS}
        self._notes = {kind: Finding(NOTED) for kind in NOTES}

    def fault(self, kind: FaultKind, position: int, name: str, text: str | None = None) -> None:
        """Add a fault at a position of the dataset."""
        self._faults[kind].add(position, name, text)

    def note(self, kind: NoteKind, position: int, name: str, text: str | None = None) -> None:
        """Add a note at a position of the dataset."""
        self._notes[kind].add(position, name, text)

    @property
    def faults(self) -> dict[FaultKind, Finding]:
        """Kinds of fault that were found."""
        return {kind: found for kind, found in self._faults.items() if found.count}

    @property
    def notes(self) -> dict[NoteKind, Finding]:
        """Kinds of note that were found."""
        return {kind: found for kind, found in self._notes.items() if found.count}


class VideoTally:
    """Counts lengths, rates and sizes of the videos that can be decoded."""

    def __init__(self) -> None:
        """Begin without any."""
        self._rates: Counter[float] = Counter()
        self._sizes: Counter[tuple[int, int]] = Counter()
        self._seconds: Counter[float] = Counter()  # hundredths are enough for a median
        self._frames = self._bytes = 0

    def add(self, facts: FileFacts) -> None:
        """Count one file; one that cannot be decoded counts for nothing."""
        if facts.state == "failed":
            return
        if facts.frame_rate is not None:
            # It is measured on times that containers round: a tenth is what differs in earnest.
            self._rates[round(facts.frame_rate, 1)] += 1
        self._sizes[facts.width, facts.height] += 1
        self._seconds[round(facts.seconds, 2)] += 1
        self._frames += facts.frames
        self._bytes += facts.bytes

    def counts(self) -> VideoCounts | None:
        """Return what was counted; None where nothing was."""
        if not self._seconds:
            return None
        width, height = most_common(self._sizes)
        return VideoCounts(
            clips=self._seconds.total(),
            frames=self._frames,
            seconds=round(sum(seconds * n for seconds, n in self._seconds.items()), 2),
            bytes=self._bytes,
            shortest_seconds=min(self._seconds),
            median_seconds=_median(self._seconds),
            longest_seconds=max(self._seconds),
            frame_rate=most_common(self._rates) if self._rates else None,
            width=width,
            height=height,
        )


def most_common(counts: Counter[Value]) -> Value:
    """Return the most common value; of equally common ones the same whatever their order."""
    most = max(counts.values())
    return min((value for value, n in counts.items() if n == most), key=repr)


def _median(counts: Counter[float]) -> float:
    """Return the lower median."""
    middle, seen = (counts.total() + 1) // 2, 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= middle:
            return value
    raise AssertionError("nothing was counted")


def note_odd(facts: FileFacts, usual: VideoCounts, position: int, name: str, out: Findings) -> None:
    """Note how a file differs from most of its dataset."""
    if _is_odd_rate(facts.frame_rate, usual.frame_rate):
        out.note("odd-rate", position, name, f"{facts.frame_rate:g} a second")
    if (facts.width, facts.height) != (usual.width, usual.height):
        out.note("odd-size", position, name, f"{facts.width} x {facts.height}")
    if not usual.median_seconds / ODD_LENGTH <= facts.seconds <= ODD_LENGTH * usual.median_seconds:
        out.note("odd-length", position, name, f"{facts.seconds:.1f} s")
    if facts.is_variable_rate:
        out.note("variable-rate", position, name)
    if facts.note is not None:
        out.note("doubtful", position, name, facts.note)
    if facts.rotation:
        out.note("rotated", position, name, f"{facts.rotation} degrees")


def _is_odd_rate(rate: float | None, usual: float | None) -> bool:
    return rate is not None and usual is not None and abs(rate - usual) > SAME_RATE * usual


class ContentTally:
    """Which clips hold the same bytes: twelve bytes of memory a clip."""

    def __init__(self) -> None:
        """Begin without any."""
        # 64 bits of the hash: among a million clips two differ by chance in one of 10^7 datasets.
        self._hashes, self._positions = array("Q"), array("I")

    def add(self, facts: FileFacts, position: int) -> None:
        """Add what stands at a position."""
        if facts.content:
            self._hashes.append(int(facts.content[:16], 16))
            self._positions.append(position)

    def groups(self) -> Iterator[list[int]]:
        """Yield the positions of each content that stands at several, in their order."""
        hashes = np.frombuffer(self._hashes, np.uint64) if self._hashes else np.zeros(0, np.uint64)
        order = np.argsort(hashes, kind="stable")
        ends = np.flatnonzero(np.diff(hashes[order])) + 1
        starts = np.concatenate([[0], ends])
        lengths = np.diff(np.concatenate([starts, [len(order)]]))
        for start, length in zip(starts[lengths > 1], lengths[lengths > 1], strict=True):
            yield sorted(
                self._positions[position] for position in order[start : start + length].tolist()
            )


def count_levels(reading: Reading, out: Findings) -> dict[str, LevelCounts]:
    """Count names and clips at each level, finest first, and note classes that lack clips."""
    taxonomy = reading.taxonomy()
    by_split = {
        split: Counter(record.category for record in reading.split(split))
        for split in (Split.TRAIN, Split.VALIDATION)
    }
    levels = {}
    for position, level in enumerate((CATEGORY, *taxonomy.levels)):
        names = taxonomy.names(level)
        index_of = taxonomy.index_of(level).tolist()
        counts: dict[Split, Counter[str]] = {}
        for split, categories in by_split.items():
            counts[split] = Counter()
            for category, n in categories.items():
                index = index_of[taxonomy.category_index(category)]
                if index >= 0:
                    counts[split][names[index]] += n
        levels[level] = _level(counts[Split.TRAIN], counts[Split.VALIDATION])
        imbalance = levels[level].imbalance
        if imbalance is not None and imbalance > MAX_IMBALANCE:
            out.note("imbalance", position, level, f"{imbalance:.0f} to 1")
    untrained = by_split[Split.VALIDATION].keys() - by_split[Split.TRAIN].keys()
    for position, category in enumerate(sorted(untrained)):
        number = by_split[Split.VALIDATION][category]
        out.note("untrained-class", position, category, f"{number} clips of validation")
    return levels


def _level(train: Counter[str], validation: Counter[str]) -> LevelCounts:
    ordered = sorted(train.items(), key=lambda item: (-item[1], item[0]))
    return LevelCounts(
        names=len(train.keys() | validation.keys()),
        train=train.total(),
        validation=validation.total(),
        largest=ordered[0] if ordered else None,
        smallest=ordered[-1] if ordered else None,
        effective=_effective(list(train.values())),
    )


def _effective(counts: Sequence[int]) -> float:
    """Return the number of equally large classes with the same entropy; 0 without a clip."""
    if not counts:
        return 0.0
    shares = np.array(counts) / sum(counts)
    return float(np.exp(-(shares * np.log(shares)).sum()))


def note_captions(reading: Reading, out: Findings) -> None:
    """Note the captions that lose words: of the tokens of a caption the last is its end."""
    for position, record in enumerate(reading.records):
        for caption in record.captions:
            number = len(words_of(caption))
            if number > MAX_TOKENS - 1:
                out.note("long-caption", position, record.clip_id, f"{number} words")


def note_content(
    groups: Iterable[list[int]], ids: Sequence[str], splits: Sequence[Split], out: Findings
) -> None:
    """Report clips with the same content: a fault across splits, a note within one."""
    for positions in groups:
        first = positions[0]
        elsewhere = [position for position in positions if splits[position] is not splits[first]]
        for position in elsewhere:
            text = f'({splits[position]}) holds the same as "{ids[first]}" ({splits[first]})'
            out.fault("same-content", position, ids[position], text)
        for position in positions[1:]:
            if position not in elsewhere:
                out.note("repeated", position, ids[position], f'as "{ids[first]}"')
