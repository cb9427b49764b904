"""Which frames and which pixels of a clip a model sees: of a stored clip, or of an array.

Every random choice is a function of (seed, epoch, clip id) alone, so that the number of workers,
a restart or the order of clips cannot change it.

Shapes: S frames of a clip, H' W' its pixels, T frames and H W pixels that the model sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from taskgrain.data.decode import DecodedClip, Fit, decode_sizes
from taskgrain.data.framing import Framing, write_image

MOST = 4096  # frames or pixels: a damaged checkpoint must not ask for all memory


@dataclass(frozen=True, slots=True)
class FrameSampling:
    """What a model is shown of a clip; stored in checkpoints, part of every feature's key."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # a checkpoint of another version

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
            if type(value) is not int or not 1 <= value <= MOST:
                raise ValueError(f"{name} is {value!r}, expected an integer of 1 to {MOST}")
        if self.fit not in ("stretch", "crop"):
            raise ValueError(f"fit is {self.fit!r}, expected 'stretch' or 'crop'")
        if self.height > self.store_height or self.width > self.store_width:
            raise ValueError(
                f"a crop of {self.height} x {self.width} does not fit into frames of "
                f"{self.store_height} x {self.store_width}"
            )
        if self.stride is not None and self.stride < 1:
            raise ValueError(f"stride is {self.stride!r}, expected at least 1")

    @property
    def framing(self) -> Framing:
        """The size to which clips are scaled, and how."""
        return Framing(self.store_height, self.store_width, self.fit)


@dataclass(frozen=True, slots=True)
class Window:
    """The frames and the pixels to read from a stored clip."""

    frames: NDArray[np.int64]  # (T,), never decreasing
    rows: slice
    columns: slice


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
    # At a full share nothing is drawn here, so that the crop, which is drawn next, is as without
    # jitter.
    start = 0.0 if share == 1.0 else _start(num_stored - span, rng)
    positions = start + (np.arange(num_frames) + within) * (span / num_frames)
    return np.minimum(positions.astype(np.int64), num_stored - 1)


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
    positions = np.floor(start + np.arange(num_frames) * step)
    return np.minimum(positions.astype(np.int64), num_stored - 1)


def _start(room: float, rng: np.random.Generator | None) -> float:
    """Choose where a window begins that has so much room: the middle without a generator."""
    return room / 2 if rng is None else float(rng.random() * room)


def choose_crop(sampling: FrameSampling, rng: np.random.Generator | None) -> tuple[slice, slice]:
    """Choose the rows and columns of a crop of the model's size; the centre without a generator."""
    rows = sampling.store_height - sampling.height
    columns = sampling.store_width - sampling.width
    if rng is None:
        top, left = rows // 2, columns // 2
    else:
        top, left = int(rng.integers(rows + 1)), int(rng.integers(columns + 1))
    return slice(top, top + sampling.height), slice(left, left + sampling.width)


def central_window(num_stored: int, sampling: FrameSampling) -> Window:
    """Choose what evaluation sees of a clip of S frames: the middle of it, in time and space."""
    if sampling.stride is None:
        frames = spread_frames(num_stored, sampling.num_frames, None)
    else:
        frames = strided_frames(num_stored, sampling.num_frames, sampling.stride, None)
    return Window(frames, *choose_crop(sampling, None))


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


NUM_PLANES = 3
EXPECTED = "expected a numpy array, uint8 (frames, height, width, 3), RGB"


def names_of(clips: Sequence[object], names: Sequence[str] | None) -> Sequence[str]:
    """Name each clip: as given, or "clip 0", "clip 1", ...

    Raises:
        ValueError: if the clips are no sequence, or the names are not one text for each.
    """
    if not (hasattr(clips, "__len__") and hasattr(clips, "__getitem__")):
        raise ValueError(f"clips is a {type(clips).__name__}; expected a list: give list(clips)")
    if names is None:
        return [f"clip {index}" for index in range(len(clips))]
    if not isinstance(names, list | tuple) or not all(isinstance(each, str) for each in names):
        raise ValueError(f"names is {names!r:.80}; expected a list of texts, one for each clip")
    if len(names) != len(clips):
        raise ValueError(
            f"names: found {len(names)} of them; expected one for each of {len(clips)} clips"
        )
    return names


def check_clips(
    clips: Sequence[object], names: Sequence[str], sampling: FrameSampling, *, resize: bool
) -> None:
    """Refuse clips that are not uint8 (S, H', W', 3), RGB, S >= 1, of the stored size.

    A model would see something else of them than it was trained on. With `resize` frames may have
    any size.

    Raises:
        ValueError: naming the first clip that does not fit, what was found and what was expected.
    """
    if isinstance(clips, np.ndarray) and clips.ndim == 4:
        raise ValueError(
            f"clips is one array of shape {clips.shape}; expected a sequence of clips: give [clip]"
        )
    for clip, name in zip(clips, names, strict=True):
        problem = _problem(clip, sampling, resize=resize)
        if problem is not None:
            raise ValueError(f"{name}: {problem}")


def see_given(clip: NDArray[np.uint8], sampling: FrameSampling) -> NDArray[np.uint8]:
    """Cut what evaluation sees out of a clip of any size: uint8 (S, H', W', 3) -> (T, H, W, 3).

    Frames of another size than the stored one are scaled as images of a folder of frames are.
    """
    window = central_window(len(clip), sampling)
    frames = scale_frames(clip[window.frames], sampling.framing)
    return frames[:, window.rows, window.columns]


def scale_frames(frames: NDArray[np.uint8], framing: Framing) -> NDArray[np.uint8]:
    """Scale frames of any size to a stored one: uint8 (S, H, W, 3) -> (S, H', W', 3)."""
    if frames.shape[1:3] == (framing.height, framing.width):
        return frames
    scaled = np.empty((len(frames), framing.height, framing.width, NUM_PLANES), np.uint8)
    for frame, out in zip(frames, scaled, strict=True):
        write_image(frame, framing, out)
    return scaled


def _problem(clip: object, sampling: FrameSampling, *, resize: bool) -> str | None:
    if not isinstance(clip, np.ndarray):
        mend = "; numpy.stack(frames) makes one of a list" if isinstance(clip, list | tuple) else ""
        if hasattr(clip, "numpy"):
            mend = "; a tensor's .numpy() is one"
        return f"is a {type(clip).__module__}.{type(clip).__name__}; {EXPECTED}{mend}"
    if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[3] != NUM_PLANES:
        return f"is {clip.dtype} of shape {clip.shape}; {EXPECTED}"
    if not clip.size:
        return f"has no pixels (its shape is {clip.shape}); expected at least one frame"
    height, width = clip.shape[1:3]
    stored = sampling.store_height, sampling.store_width
    if (height, width) != stored and not resize:
        return (
            f"frames are {height} x {width} pixels (height x width); expected the size that the "
            f"model's clips are stored in, {stored[0]} x {stored[1]}; resize=True scales them"
        )
    return None
