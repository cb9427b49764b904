"""Where a run stands, its tensors apart: what a training state's JSON file holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from taskgrain.config.checked import Count, read_as
from taskgrain.errors import CheckpointError
from taskgrain.losses import LossSums
from taskgrain.train.schedule import Plateau
from taskgrain.train.step import Shares


@dataclass(slots=True)
class Position:
    """The counts of a run; the loop moves them on."""

    step: Count = 0  # steps done
    clip_passes: Count = 0  # clips trained on
    sums: LossSums = field(default_factory=LossSums)  # of the running epoch
    shares: Shares = field(default_factory=Shares)  # likewise
    best_epoch: int | None = None  # 1 is the first
    best_score: float | None = None
    plateau: Plateau = field(default_factory=Plateau)  # moved on by the schedule of that name alone

    def to_json(self) -> dict[str, object]:
        """Return what `json.dumps` takes and `from_json` reads; floats keep every bit."""
        return asdict(self)

    @classmethod
    def from_json(cls, entries: Mapping[str, object], folder: Path) -> Position:
        """Read what `to_json` returned, among the other entries of a training state.

        Raises:
            CheckpointError: naming the folder and each entry that is not what it should be.
        """
        try:
            return read_as(cls, entries)
        except ValueError as error:
            raise CheckpointError(f"{folder}: training state: {error}") from None
