"""Independent factors: each drawn from its own stream, and written to JSON and back unchanged."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Factor = str | int | float | bool
Item = TypeVar("Item")
Record = TypeVar("Record")

DECIMALS = 4  # continuous factors are rounded, so that a factors file can be read by people


class Draws:
    """Draws that depend on a key and on the factor's name, never on what was drawn before.

    A stateful generator would shift every later factor as soon as one more is drawn.
    """

    def __init__(self, *key: str | int) -> None:
        """Start the streams of this key, for example (seed, split, index)."""
        self._key = "/".join(str(part) for part in key)

    def within(self, name: str) -> Draws:
        """Open a sub-record's own streams."""
        return Draws(self._key, name)

    def integer(self, name: str) -> int:
        """Draw a 64-bit integer."""
        digest = hashlib.blake2b(f"{self._key}/{name}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big")

    def unit(self, name: str) -> float:
        """Draw from [0, 1), with the 53 bits that a float holds."""
        return (self.integer(name) >> 11) / 2.0**53

    def uniform(self, name: str, low: float, high: float) -> float:
        """Draw from [low, high], rounded to four decimals."""
        return round(low + (high - low) * self.unit(name), DECIMALS)

    def choice(self, name: str, options: Sequence[Item]) -> Item:
        """Draw one of the options, each as likely."""
        return options[int(self.unit(name) * len(options))]

    def chance(self, name: str, probability: float) -> bool:
        """Draw True with this probability."""
        return self.unit(name) < probability

    def shuffled(self, name: str, items: Sequence[Item]) -> tuple[Item, ...]:
        """Draw an order of the items."""
        order = sorted(range(len(items)), key=lambda index: self.integer(f"{name}/{index}"))
        return tuple(items[index] for index in order)


class OrderedDraws(Draws):
    """Draws in the order of the calls, whatever the names of the factors are.

    Four times as fast: for scenes that are only counted, and never drawn one by one.
    """

    def __init__(self, seed: int) -> None:
        """Start one stream; a seed always gives the same draws in the same order."""
        super().__init__(seed)
        self._generator = random.Random(seed)

    def within(self, name: str) -> OrderedDraws:
        """Go on with the same stream."""
        return self

    def integer(self, name: str) -> int:
        """Draw the stream's next 64-bit integer."""
        return self._generator.getrandbits(64)


def flatten(record: DataclassInstance) -> dict[str, Factor]:
    """Write a record as one flat mapping; a sub-record's factors are named "camera.zoom"."""
    flat: dict[str, Factor] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if is_dataclass(value) and not isinstance(value, type):
            flat |= {f"{field.name}.{name}": inner for name, inner in flatten(value).items()}
        else:
            flat[field.name] = value
    return flat


def rebuild(make: Callable[..., Record], factors: Mapping[str, Factor], prefix: str = "") -> Record:
    """Make a record of scalars from the factors under a prefix ("camera.").

    Raises:
        ValueError: if a factor is missing or unknown.
    """
    own = {
        name.removeprefix(prefix): value
        for name, value in factors.items()
        if name.startswith(prefix) and "." not in name.removeprefix(prefix)
    }
    try:
        return make(**own)
    except TypeError as error:
        raise ValueError(f"factors {prefix + '*'!r} do not make a scene: {error}") from error
