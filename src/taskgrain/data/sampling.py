"""Which frames and which pixels of a stored clip a model sees.

Every random choice is a function of (seed, epoch, clip id) alone, so that the number of workers,
a restart or the order of clips cannot change it.

Shapes: S stored frames, T frames that the model sees, H W pixels that it sees.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class FrameSampling:
    """What a model is shown of a clip; stored in checkpoints, part of every feature's key."""

    num_frames: int  # T, spread over the whole clip
    store_height: int  # pixels to which clips are scaled
    store_width: int
    height: int  # pixels of the crop
    width: int

    def __post_init__(self) -> None:
        if self.height > self.store_height or self.width > self.store_width:
            raise ValueError(
                f"a crop of {self.height} x {self.width} does not fit into frames of "
                f"{self.store_height} x {self.store_width}"
            )


def generator_for(seed: int, epoch: int, name: str) -> np.random.Generator:
    """Make the generator of one (seed, epoch, clip id)."""
    digest = hashlib.blake2b(f"{seed}/{epoch}/{name}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def frame_indices(
    num_stored: int, num_frames: int, rng: np.random.Generator | None
) -> NDArray[np.int64]:
    """Choose T of S frames: the clip is cut into T equal spans, one frame from each.

    Args:
        num_stored: S >= 1.
        num_frames: T >= 1; more than S repeats frames.
        rng: draws the place within each span; None takes its middle, as evaluation does.

    Returns:
        int64 (T,), never decreasing, values in 0 .. S - 1.
    """
    within = np.full(num_frames, 0.5) if rng is None else rng.random(num_frames)
    places = (np.arange(num_frames) + within) * (num_stored / num_frames)
    return np.minimum(places.astype(np.int64), num_stored - 1)


def crop_corner(sampling: FrameSampling, rng: np.random.Generator | None) -> tuple[int, int]:
    """Choose the top left corner (row, column) of the crop; the centre without a generator."""
    rows = sampling.store_height - sampling.height
    columns = sampling.store_width - sampling.width
    if rng is None:
        return rows // 2, columns // 2
    return int(rng.integers(rows + 1)), int(rng.integers(columns + 1))


def see(
    frames: NDArray[np.uint8], sampling: FrameSampling, rng: np.random.Generator | None
) -> NDArray[np.uint8]:
    """Cut what a model sees out of a stored clip: uint8 (S, H', W', 3) -> (T, H, W, 3)."""
    picked = frame_indices(len(frames), sampling.num_frames, rng)
    row, column = crop_corner(sampling, rng)
    return frames[picked, row : row + sampling.height, column : column + sampling.width]
