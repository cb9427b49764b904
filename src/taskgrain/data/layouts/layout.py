"""What a layout is: a way in which the files of a dataset lie, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from taskgrain.data.manifest import Reading


@dataclass(frozen=True, slots=True)
class LayoutOptions:
    """What a layout has to be told where the data themselves do not say it."""

    validation_share: float | None = (
        None  # where the data name no validation clips; see `num_scored`
    )
    seed: int = 0  # of the draw of those
    test_answers: bool = False  # keep the labels of test clips; otherwise only their ids

    def __post_init__(self) -> None:
        share = self.validation_share
        if share is not None and not 0 < share < 1:
            raise ValueError(f"validation_share {share}: expected 0 < share < 1")

    def num_scored(self, num_clips: int) -> int:
        """Say how many clips of a class validate: at least one on either side of two or more.

        Without a share a fifth; but five of them, the fewest that an interval can be had from,
        wherever that is not more than half.
        """
        if self.validation_share is None:
            number = max(round(0.2 * num_clips), min(5, num_clips // 2))
        else:
            number = round(self.validation_share * num_clips)
        return min(max(number, 1), num_clips - 1)  # none of a single clip

    @property
    def share_words(self) -> str:
        """Phrase how many that is."""
        if self.validation_share is None:
            return "a fifth of each class, or up to five clips of a small one,"
        return f"{self.validation_share:g} of each class"


@dataclass(frozen=True, slots=True)
class Layout:
    """One layout. Reading lists what is wrong and raises nothing for it."""

    name: str
    summary: str  # one line, for --help
    recognises: Callable[[Path], bool]  # from file names and headers alone
    read: Callable[[Path, LayoutOptions], Reading]
