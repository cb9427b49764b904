"""What a layout is: a way in which the files of a dataset lie, and how it is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from taskgrain.data.layouts.tree import Tree
from taskgrain.data.manifest import Reading
from taskgrain.errors import ManifestError


@dataclass(frozen=True, slots=True)
class LayoutOptions:
    """What a layout has to be told where the data themselves do not say it."""

    validation_share: float | None = (
        None  # where the data name no validation clips; see `num_scored`
    )
    seed: int = 0  # of the draw of those
    test_answers: bool = False  # keep the labels of test clips; otherwise only their ids
    division: int = 1  # which of several official divisions is read, from 1

    def __post_init__(self) -> None:
        share = self.validation_share
        if share is not None and not 0 < share < 1:
            raise ValueError(f"validation_share {share}: expected 0 < share < 1")
        if self.division < 1:
            raise ValueError(f"division {self.division}: expected 1 or more")

    def num_scored(self, num_clips: int) -> int:
        """Return how many clips of a class validate: at least one on either side of two or more.

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


def chosen_of(divisions: Sequence[str], options: LayoutOptions) -> tuple[str, str | None]:
    """Choose one of the official divisions of a dataset, and phrase a note where there are several.

    Raises:
        ManifestError: if there are not so many.
    """
    if options.division > len(divisions):
        raise ManifestError(
            f"division {options.division} is wanted, but there are {len(divisions)}: "
            f"{', '.join(divisions)}"
        )
    chosen = divisions[options.division - 1]
    if len(divisions) == 1:
        return chosen, None
    return chosen, (
        f"of {len(divisions)} official divisions number {options.division} is read ({chosen}); "
        "taskgrain import --division reads another"
    )


@dataclass(frozen=True, slots=True)
class Layout:
    """One layout. Reading lists what is wrong and raises nothing for it."""

    name: str
    summary: str  # one line, for --help
    recognises: Callable[[Tree], bool]  # from file names and headers alone
    read: Callable[[Tree, LayoutOptions], Reading]
