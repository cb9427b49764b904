"""The one type that carries clips to a model.

Shapes: B clips, T frames, H W pixels, L caption tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Clips with what a source says of them."""

    clip_ids: tuple[str, ...]
    video: Tensor  # uint8 (B, T, H, W, 3), RGB
    target: Tensor  # long (B,), index at the source's level; -1 where it does not classify
    caption: (
        Tensor  # long (B, L), BOS first, right-padded with PAD; L = 0 where it does not caption
    )
