"""What a dataset is once it has been read: its clips, its splits, and what is wrong with it.

`taskgrain.data.opening` reads one; docs/data-format.md shows an example of each format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal, NamedTuple

from taskgrain.labels.taxonomy import Taxonomy, taxonomy_of
from taskgrain.labels.template import strip_brackets

ProblemKind = Literal[
    "malformed",  # a file or a row that cannot be read
    "missing-file",  # annotations that ought to be there
    "unknown-category",  # none of those in labels.json
    "duplicate-id",  # twice in one split
    "two-splits",  # in more than one split
    "hierarchy",  # hierarchy.csv
    "ledger",  # ledger.jsonl
    "factors",  # factors.jsonl
]

MAX_TEXT = 500  # letters of a problem


class Split(StrEnum):
    """A part of a dataset."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


# No dataclass: hundreds of thousands are made at once, and a frozen one takes three times as long.
class ClipRecord(NamedTuple):
    """One annotated clip."""

    clip_id: str
    split: Split
    template: str  # with brackets
    placeholders: tuple[str, ...]
    captions: tuple[str, ...]  # as they were annotated, at least one
    root: Path  # of the dataset
    file: str  # of the video, or the folder of its frames; relative to `root`, with slashes
    excluded: str | None = None  # why the dataset's own ledger leaves it out

    @property
    def category(self) -> str:
        """Name of the category: the template without brackets."""
        return strip_brackets(self.template)

    @property
    def caption(self) -> str:
        """The first caption."""
        return self.captions[0]

    @property
    def path(self) -> Path:
        """The video file, or the folder of its frames."""
        return self.root / self.file


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a dataset's annotations."""

    kind: ProblemKind
    where: str  # "file:line", or "file" where no line is to blame
    text: str  # what was found and what was expected; cut where the file holds kilobytes

    def __post_init__(self) -> None:
        if len(self.text) > MAX_TEXT:
            object.__setattr__(self, "text", f"{self.text[:MAX_TEXT]}...")

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


@dataclass(frozen=True, slots=True)
class Reading:
    """All that could be read of a dataset, and every problem met on the way.

    A row with a problem is not among `records`; of several rows with one id the first is.
    """

    root: Path
    layout: str  # how the files lie: "taskgrain", or a name of `taskgrain.data.opening.LAYOUTS`
    records: tuple[ClipRecord, ...]
    test_ids: tuple[str, ...] = ()  # clips without annotation
    categories: tuple[str, ...] | None = None  # as labels.json lists them; None without it
    problems: tuple[Problem, ...] = ()
    factors: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    hierarchy: Mapping[str, Mapping[str, str]] | None = None  # level -> category -> name
    notes: tuple[str, ...] = ()  # what was decided on the way, and is no fault
    test_files: tuple[str, ...] = ()  # of `test_ids`, as `ClipRecord.file`
    closed: tuple[str, ...] = ()  # folders below the root that cannot be read

    def split(self, split: Split) -> tuple[ClipRecord, ...]:
        """Return the clips of one split, in the order of the file."""
        return tuple(record for record in self.records if record.split is split)

    def taxonomy(self) -> Taxonomy:
        """Build the taxonomy of every listed category, or of the categories that clips have.

        Raises:
            TaxonomyError: if the hierarchy does not fit the categories. What `read_dataset` gives
                has a hierarchy that fits, or none and a problem that says why.
        """
        names = self.categories
        if names is None:
            names = tuple({strip_brackets(record.template) for record in self.records})
        taxonomy = taxonomy_of(names)
        if self.hierarchy is None:
            return taxonomy
        return taxonomy.with_levels(self.hierarchy, where=str(self.root / "hierarchy.csv"))


@dataclass(frozen=True, slots=True)
class Manifest:
    """A dataset: its annotated clips, its unannotated test ids, and its taxonomy."""

    root: Path
    records: tuple[ClipRecord, ...]
    test_ids: tuple[str, ...]
    taxonomy: Taxonomy
    factors: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    test_files: tuple[str, ...] = ()  # of `test_ids`, as `ClipRecord.file`

    def split(self, split: Split) -> tuple[ClipRecord, ...]:
        """Return the clips of one split, in the order of the file."""
        return tuple(record for record in self.records if record.split is split)
