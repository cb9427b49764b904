"""Every draw of the package that a key decides: seeds, generators, orders, factors of scenes.

A draw depends on its key alone: a seed, and names of what it is for. So nothing that was drawn
before can shift it, and a clip or a cell draws the same in any order, process and machine. Each
function below hashes its key in a way of its own. The hashes, the names of the streams and the
spelling of the keys are frozen: other ones would be other clips, orders and weights everywhere.

    derive_seed       seeds of torch and numpy: first weights, dropout, held-out categories
    generator_for     numpy generators of an epoch and a clip: order, crops, which clips are read
    drawn_digest      an order or a choice of clips by their ids
    sealed_number     what a study draws from a commit, and from its finished weights
    Draws             factors of drawn scenes, each by its name

Two commands hash in place what nothing else needs: `data.few_shot` halves lists, `tools.cut` breaks
ties between recordings. Draws of a statistic (support draws, episodes, resamples, permutations)
come from numpy's `default_rng` of a seed, where the statistic is computed.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np

SEED_BITS = 63  # torch takes signed 64-bit seeds; negative ones are avoided
SEALED_SEEDS = 1_000_000
DECIMALS = 4  # continuous factors are rounded, so that a factors file can be read by people

Item = TypeVar("Item")


def derive_seed(seed: int, *parts: str | int) -> int:
    """Return the seed, 0 to 2**63 - 1, of one purpose; other parts give an unrelated seed."""
    text = "\x1f".join((str(seed), *(f"{type(part).__name__}:{part}" for part in parts)))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % 2**SEED_BITS


def generator_for(seed: int, epoch: int, name: str) -> np.random.Generator:
    """Make the generator of one (seed, epoch, name): of a clip, its id."""
    import numpy as np  # here, so that reading settings need not load it

    # A hash, and no generator that is drawn from clip by clip: the order of clips cannot matter.
    digest = hashlib.blake2b(f"{seed}/{epoch}/{name}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def drawn_digest(seed: int, clip_id: str, *, size: int = 64) -> bytes:
    """Return `size` bytes, 1 to 64, by which clips are ordered or chosen.

    Other sizes give unrelated bytes: BLAKE2b hashes the size too.
    """
    return hashlib.blake2b(f"{seed}\0{clip_id}".encode(), digest_size=size).digest()


def sealed_number(*key: str) -> int:
    """Draw a number below a million from a key: SHA-256 of its parts, joined by slashes."""
    digest = hashlib.sha256("/".join(key).encode()).digest()
    return int.from_bytes(digest[:8], "big") % SEALED_SEEDS


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
