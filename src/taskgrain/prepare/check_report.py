"""What a check says of a dataset: counts, faults and notes, as values and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

from taskgrain.data.manifest import ProblemKind
from taskgrain.data.videos import printable

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

    def add(self, place: int, name: str, text: str | None = None) -> None:
        """Add a thing that stands at a place of the dataset."""
        self.count += 1
        said = None if text is None else printable(text)
        self._entries.append((place, Entry(printable(name), said)))
        if self.limit is not None and len(self._entries) > 20 * self.limit:
            self._entries = self._sorted()

    def entries(self) -> list[Entry]:
        """Give the entries in the order of the dataset."""
        return [entry for _, entry in self._sorted()]

    def to_json(self) -> dict[str, object]:
        """Give the count, and what is kept of the entries."""
        entries = [{"name": entry.name, "text": entry.text} for entry in self.entries()]
        return {"count": self.count, "entries": entries}

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
    effective: float  # as many equally large classes have the same entropy

    @property
    def imbalance(self) -> float | None:
        """The largest class to the smallest, by training clips."""
        if self.largest is None or self.smallest is None:
            return None
        return self.largest[1] / self.smallest[1]

    def to_json(self) -> dict[str, object]:
        """Give every number."""
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

    def to_json(self) -> dict[str, object]:
        """Give every number."""
        return asdict(self)


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
            "videos": self.videos and self.videos.to_json(),
            "faults": {kind: found.to_json() for kind, found in self.faults.items()},
            "notes": {kind: found.to_json() for kind, found in self.notes.items()},
            "reading": list(self.reading),
            "inspected": self.inspected,
            "known": self.known,
            "ledger": self.ledger,
            "seconds": round(self.seconds, 1),
        }
