"""Seeds from seeds: independent streams of randomness, each named by what it is for."""

from __future__ import annotations

import hashlib

SEED_BITS = 63  # torch takes signed 64-bit seeds; negative ones are avoided


def derive_seed(seed: int, *parts: str | int) -> int:
    """Return the seed, 0 to 2**63 - 1, of one purpose; other parts give an unrelated seed."""
    text = "\x1f".join((str(seed), *(f"{type(part).__name__}:{part}" for part in parts)))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % 2**SEED_BITS
