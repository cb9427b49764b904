"""All that it takes to rebuild a network from elsewhere without a file: stored as JSON.

Shapes: T frames, H W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from taskgrain.errors import CheckpointError
from taskgrain.models.shape_json import choice_of, entry_of, truth_of, whole_number_of

Library = Literal["torchvision", "huggingface", "imagenet"]
LIBRARIES: tuple[Library, ...] = get_args(Library)
NUM_PLANES = 3  # red, green and blue
Planes = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a network was trained to be shown: its own published preprocessing."""

    height: int  # H that the network sees, pixels
    width: int  # W
    scaled_height: int  # to which a clip is scaled before the H x W in its middle are cut out
    scaled_width: int
    keeps_aspect: bool  # whether it is scaled so without being stretched
    mean: Planes  # of the three planes, where 0 is black and 1 is white
    deviation: Planes
    num_frames: int | None  # T that the network takes; None for any number


@dataclass(frozen=True, slots=True)
class NetworkShape:
    """All that it takes to rebuild a `NetworkEncoder`, its weights apart."""

    network: Library  # whose it is
    model: str  # its name, or a Hugging Face model's folder
    config: Mapping[str, object]  # Hugging Face's own, as JSON; the others have none
    preparation: Preparation
    single_frame: bool  # whether it sees the middle frame alone
    lstm_width: int  # of an LSTM over its steps, in each direction; 0 leaves it out

    def to_json(self) -> dict[str, object]:
        """Give what `json.dumps` takes and `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, entries: Mapping[str, object]) -> NetworkShape:
        """Read what `to_json` gave.

        Raises:
            CheckpointError: if an entry is missing or is not what it should be.
        """
        model = entries.get("model")
        if not isinstance(model, str) or not model:
            raise CheckpointError(f"stored shape: model is {model!r}; expected a name")
        return cls(
            network=choice_of(entries, "network", LIBRARIES),
            model=model,
            config=dict(entry_of(entries, "config")),
            preparation=_preparation(entry_of(entries, "preparation")),
            single_frame=truth_of(entries, "single_frame"),
            lstm_width=whole_number_of(entries, "lstm_width"),
        )


def _preparation(entries: Mapping[str, object]) -> Preparation:
    has_number = entries.get("num_frames") is not None
    return Preparation(
        height=whole_number_of(entries, "height"),
        width=whole_number_of(entries, "width"),
        scaled_height=whole_number_of(entries, "scaled_height"),
        scaled_width=whole_number_of(entries, "scaled_width"),
        keeps_aspect=truth_of(entries, "keeps_aspect"),
        mean=_planes(entries, "mean"),
        deviation=_planes(entries, "deviation"),
        num_frames=whole_number_of(entries, "num_frames") if has_number else None,
    )


def _planes(entries: Mapping[str, object], key: str) -> Planes:
    try:
        return planes_of(entries.get(key))
    except ValueError as error:
        raise CheckpointError(f"stored shape: {key} {error}") from None


def planes_of(value: object) -> Planes:
    """Take a list of three numbers for the red, green and blue plane.

    Raises:
        ValueError: if it is none.
    """
    if (
        not isinstance(value, list | tuple)
        or len(value) != NUM_PLANES
        or not all(isinstance(each, int | float) for each in value)
    ):
        raise ValueError(f"is {value!r}; expected three numbers")
    red, green, blue = (float(each) for each in value)
    return red, green, blue
