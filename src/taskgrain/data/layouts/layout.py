"""What a layout is: a way in which the files of a dataset lie, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from taskgrain.data.manifest import Reading


@dataclass(frozen=True, slots=True)
class LayoutOptions:
    """What a layout has to be told where the data themselves do not say it."""

    validation_share: float = 0.2  # of each class, where the data name no validation clips
    seed: int = 0  # of the draw of those
    test_answers: bool = False  # keep the labels of test clips; otherwise only their ids

    def __post_init__(self) -> None:
        if not 0 < self.validation_share < 1:
            raise ValueError(f"validation_share {self.validation_share}: expected 0 < share < 1")


@dataclass(frozen=True, slots=True)
class Layout:
    """One layout. Reading lists what is wrong and raises nothing for it."""

    name: str
    summary: str  # one line, for --help
    recognises: Callable[[Path], bool]  # from file names and headers alone
    read: Callable[[Path, LayoutOptions], Reading]
