"""Which frames and which pixels of a stored clip a model sees.

Every random choice is a function of (seed, epoch, clip id) alone, so that the number of workers,
a restart or the order of clips cannot change it.

Shapes: S stored frames, T frames that the model sees, H W pixels that it sees.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskgrain.data.decode import DecodedClip, Fit, decode_sizes
from taskgrain.data.framing import Framing

MOST = 4096  # frames or pixels: a damaged checkpoint must not ask for all memory


@dataclass(frozen=True, slots=True)
class FrameSampling:
    """What a model is shown of a clip; stored in checkpoints, part of every feature's key."""

    num_frames: int  # T
    store_height: int  # pixels to which clips are scaled
    store_width: int
    height: int  # pixels of the crop
    width: int
    stride: int | None = None  # stored frames from one to the next; None spreads T over the clip
    fit: Fit = "stretch"  # how clips are scaled to the stored size

    def __post_init__(self) -> None:
        for name in ("num_frames", "store_height", "store_width", "height", "width"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST:
                raise ValueError(f"{name} is {value!r}, expected an integer of 1 to {MOST}")
        if self.fit not in ("stretch", "crop"):
            raise ValueError(f"fit is {self.fit!r}, expected 'stretch' or 'crop'")
        if self.height > self.store_height or self.width > self.store_width:
            raise ValueError(
                f"a crop of {self.height} x {self.width} does not fit into frames of "
                f"{self.store_height} x {self.store_width}"
            )
        stride = self.stride
        if stride is not None and (
            isinstance(stride, bool) or not isinstance(stride, int) or stride < 1
        ):
            raise ValueError(f"stride is {stride!r}, expected at least 1")

    @property
    def framing(self) -> Framing:
        """The size to which clips are scaled, and how."""
        return Framing(self.store_height, self.store_width, self.fit)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> FrameSampling:
        """Read what `dataclasses.asdict` wrote; older files have neither a stride nor a fit.

        Raises:
            ValueError: naming the entry that is missing, unknown or malformed.
        """
        known = {each.name: each for each in fields(cls)}
        strange = [key for key in stored if key not in known]
        missing = [
            key for key, each in known.items() if each.default is MISSING and key not in stored
        ]
        if strange or missing:
            found = f"has {', '.join(map(repr, strange))}" if strange else f"lacks {missing[0]!r}"
            raise ValueError(f"sampling {found}; its entries are {', '.join(known)}")
        return cls(**stored)


@dataclass(frozen=True, slots=True)
class Window:
    """The frames and the pixels to read from a stored clip."""

    frames: NDArray[np.int64]  # (T,), never decreasing
    rows: slice
    columns: slice


def generator_for(seed: int, epoch: int, name: str) -> np.random.Generator:
    """Make the generator of one (seed, epoch, clip id)."""
    digest = hashlib.blake2b(f"{seed}/{epoch}/{name}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def spread_frames(
    num_stored: int, num_frames: int, rng: np.random.Generator | None, *, share: float = 1.0
) -> NDArray[np.int64]:
    """Choose T of S frames over the clip: T equal spans, one frame from each (TSN's sampling).

    Args:
        num_stored: S >= 1.
        num_frames: T >= 1; more than S repeats frames.
        rng: draws the place within each span; None takes its middle, as evaluation does.
        share: of the clip that the spans cover, 0 to 1; a share below 1 lies in a drawn place.

    Returns:
        int64 (T,), never decreasing, values in 0 .. S - 1.
    """
    within = np.full(num_frames, 0.5) if rng is None else rng.random(num_frames)
    span = num_stored * share
    start = 0.0 if share == 1.0 else _start(num_stored - span, rng)
    places = start + (np.arange(num_frames) + within) * (span / num_frames)
    return np.minimum(places.astype(np.int64), num_stored - 1)


def strided_frames(
    num_stored: int, num_frames: int, step: float, rng: np.random.Generator | None
) -> NDArray[np.int64]:
    """Choose T of S frames, each `step` after the one before; the paper's windows have step 1.

    Args:
        num_stored: S >= 1; a clip shorter than the window repeats its last frame.
        num_frames: T >= 1.
        step: stored frames from one to the next, above 0.
        rng: draws where the window begins; None puts it in the middle of the clip.

    Returns:
        int64 (T,), never decreasing, values in 0 .. S - 1.
    """
    room = max(0.0, num_stored - ((num_frames - 1) * step + 1))
    # A window of whole steps has room + 1 places, each as likely as the others.
    start = _start(room, None) if rng is None else float(rng.random() * (room + 1))
    places = np.floor(start + np.arange(num_frames) * step)
    return np.minimum(places.astype(np.int64), num_stored - 1)


def _start(room: float, rng: np.random.Generator | None) -> float:
    """Choose where a window begins that has so much room: the middle without a generator."""
    return room / 2 if rng is None else float(rng.random() * room)


def crop_corner(sampling: FrameSampling, rng: np.random.Generator | None) -> tuple[int, int]:
    """Choose the top left corner (row, column) of the crop; the centre without a generator."""
    rows = sampling.store_height - sampling.height
    columns = sampling.store_width - sampling.width
    if rng is None:
        return rows // 2, columns // 2
    return int(rng.integers(rows + 1)), int(rng.integers(columns + 1))


def crop_at(row: int, column: int, sampling: FrameSampling) -> tuple[slice, slice]:
    """Return the rows and columns of a crop of the model's size."""
    return slice(row, row + sampling.height), slice(column, column + sampling.width)


def central_window(num_stored: int, sampling: FrameSampling) -> Window:
    """Choose what evaluation sees of a clip of S frames: the middle of it, in time and space."""
    if sampling.stride is None:
        frames = spread_frames(num_stored, sampling.num_frames, None)
    else:
        frames = strided_frames(num_stored, sampling.num_frames, sampling.stride, None)
    return Window(frames, *crop_at(*crop_corner(sampling, None), sampling))


def see(frames: NDArray[np.uint8], sampling: FrameSampling) -> NDArray[np.uint8]:
    """Cut what evaluation sees out of a stored clip: uint8 (S, H', W', 3) -> (T, H, W, 3)."""
    window = central_window(len(frames), sampling)
    return frames[window.frames, window.rows, window.columns]


def decode_stored(path: Path, sampling: FrameSampling) -> DecodedClip:
    """Decode a clip at the stored size: frames uint8 (S, H', W', 3), of which `see` takes a part.

    Raises:
        ClipError: if it cannot be decoded.
    """
    return decode_sizes(path, [sampling.framing])[0]
