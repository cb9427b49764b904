"""How many bits a label tells about a clip."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from math import log2
from typing import TypeVar

Label = TypeVar("Label", bound=Hashable)


def entropy_bits(counts: Mapping[Label, int]) -> float:
    """Entropy of what was counted, in bits; 0 where nothing was.

    A clip whose label is a caption counts under the words (`words_as`) of its first caption, all
    of them: case and punctuation tell nothing, and no vocabulary or limit leaves a word out.

    Args:
        counts: label -> clips, each at least 1.
    """
    total = sum(counts.values())
    if not total:
        return 0.0
    # Rounding must not make it negative, nor -0.0.
    return max(0.0, log2(total) - sum(count * log2(count) for count in counts.values()) / total)
