"""All that it takes to rebuild a network from elsewhere without a file: stored as JSON.

Shapes: T frames, H W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Literal, get_args

from pydantic import Field

from taskgrain.config.checked import Count, Number
from taskgrain.models.encoder import shape_from_json

Library = Literal["torchvision", "huggingface", "imagenet"]
LIBRARIES: tuple[Library, ...] = get_args(Library)
NUM_PLANES = 3  # red, green and blue
Planes = tuple[Number, Number, Number]


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a network was trained to be shown: its own published preprocessing."""

    height: Count  # H that the network sees, pixels
    width: Count  # W
    scaled_height: Count  # to which a clip is scaled before the H x W in its middle are cut out
    scaled_width: Count
    keeps_aspect: bool  # whether it is scaled so without being stretched
    mean: Planes  # of the three planes, where 0 is black and 1 is white
    deviation: Planes
    num_frames: Count | None  # T that the network takes; None for any number


@dataclass(frozen=True, slots=True)
class NetworkShape:
    """All that it takes to rebuild a `NetworkEncoder`, its weights apart."""

    network: Library  # whose it is
    model: Annotated[str, Field(min_length=1)]  # its name, or a Hugging Face model's folder
    config: Mapping[str, object]  # Hugging Face's own, as JSON; the others have none
    preparation: Preparation
    single_frame: bool  # whether it sees the middle frame alone
    lstm_width: Count  # of an LSTM over its steps, in each direction; 0 leaves it out

    def to_json(self) -> dict[str, object]:
        """Return what `json.dumps` takes and `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, entries: Mapping[str, object]) -> NetworkShape:
        """Read what `to_json` returned.

        Raises:
            CheckpointError: if an entry is missing or is not what it should be.
        """
        return shape_from_json(cls, entries)


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
