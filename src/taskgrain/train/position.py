"""Where a run stands, its tensors apart: what a training state's JSON file holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from taskgrain.errors import CheckpointError
from taskgrain.losses import LossSums
from taskgrain.train.schedule import Plateau
from taskgrain.train.step import Shares

SUMS = {
    "sums": ("classification_nats", "num_clips", "captioning_nats", "num_tokens"),
    "shares": ("classification", "captioning", "num_measured"),
}


@dataclass(slots=True)
class Position:
    """The counts of a run; the loop moves them on."""

    step: int = 0  # steps done
    clip_passes: int = 0  # clips trained on
    sums: LossSums = field(default_factory=LossSums)  # of the running epoch
    shares: Shares = field(default_factory=Shares)  # likewise
    best_epoch: int | None = None  # 1 is the first
    best_score: float | None = None
    plateau: Plateau = field(default_factory=Plateau)  # moved on by the schedule of that name alone

    def to_json(self) -> dict[str, object]:
        """Give what `json.dumps` takes and `from_json` reads; floats keep every bit."""
        return asdict(self)

    @classmethod
    def from_json(cls, entries: Mapping[str, object], folder: Path) -> Position:
        """Read what `to_json` gave.

        Raises:
            CheckpointError: naming the folder and the first entry that is not what it should be.
        """
        sums = _numbers(entries, "sums", folder)
        shares = _numbers(entries, "shares", folder)
        best_epoch = entries.get("best_epoch")
        return cls(
            step=_whole(entries, "step", folder),
            clip_passes=_whole(entries, "clip_passes", folder),
            sums=LossSums(
                sums["classification_nats"],
                int(sums["num_clips"]),
                sums["captioning_nats"],
                int(sums["num_tokens"]),
            ),
            shares=Shares(
                shares["classification"], shares["captioning"], int(shares["num_measured"])
            ),
            best_epoch=best_epoch if isinstance(best_epoch, int) else None,
            best_score=_score(entries, "best_score"),
            plateau=_plateau(entries, folder),
        )


def _plateau(entries: Mapping[str, object], folder: Path) -> Plateau:
    """Read a plateau; states of before there was one have none."""
    found = entries.get("plateau")
    if not isinstance(found, Mapping):
        return Plateau()
    return Plateau(
        best=_score(found, "best"),
        bad_epochs=_whole(found, "bad_epochs", folder),
        num_reductions=_whole(found, "num_reductions", folder),
    )


def _score(entries: Mapping[str, object], key: str) -> float | None:
    value = entries.get(key)
    return value if isinstance(value, float) else None


def _whole(entries: Mapping[str, object], key: str, folder: Path) -> int:
    value = entries.get(key)
    if not isinstance(value, int) or value < 0:
        raise CheckpointError(f"{folder}: {key} is {value!r}; expected an integer, 0 or more")
    return value


def _numbers(entries: Mapping[str, object], key: str, folder: Path) -> dict[str, float]:
    """Give the numbers of one of the sums, every one of which must be there."""
    found = entries.get(key)
    numbers: dict[str, float] = {}
    for name in SUMS[key]:
        value = found.get(name) if isinstance(found, Mapping) else None
        if not isinstance(value, int | float):
            raise CheckpointError(f"{folder}: {key}.{name} is {value!r}; expected a number")
        numbers[name] = value
    return numbers
