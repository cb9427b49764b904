"""What a self-labelled target asks, and how both sides of a pair are made of the same footage.

Shapes: T frames of a clip, S frames of footage that it is made of, H W pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

TaskName = Literal[
    "forward-or-reversed", "real-or-frozen", "normal-or-double-speed", "ordered-or-shuffled"
]
Frames = NDArray[np.uint8]  # (T, H, W, 3), RGB
Pair = tuple[Frames, Frames]

NOISE_LEVELS = 4.0  # standard deviation of a pixel, of 255: about that of a camera indoors


@dataclass(frozen=True, slots=True)
class SelfLabelledTask:
    """Two ways to show the same footage, and how to make them."""

    sides: tuple[str, str]  # the two categories
    stretch: int  # frames of footage for each frame of a clip: S = stretch * T
    needs_new_frames: bool  # whether footage that repeats frames would give a side away
    make: Callable[[Frames, np.random.Generator], Pair]  # footage (S, H, W, 3) -> both sides
    remains: str  # what still tells the sides apart and is not what the task asks for


def _forward_or_reversed(footage: Frames, rng: np.random.Generator) -> Pair:
    return footage, footage[::-1]


def _real_or_frozen(footage: Frames, rng: np.random.Generator) -> Pair:
    """Repeat a frame from anywhere in the window; the same noise flickers over both sides."""
    frozen = np.broadcast_to(footage[rng.integers(len(footage))], footage.shape)
    noise = np.rint(rng.normal(0.0, NOISE_LEVELS, footage.shape[:3]))[..., None]  # (T, H, W, 1)
    return _noisy(footage, noise), _noisy(frozen, noise)


def _noisy(frames: Frames, noise: NDArray[np.float64]) -> Frames:
    return np.clip(frames + noise, 0, 255).astype(np.uint8)


def _normal_or_double_speed(footage: Frames, rng: np.random.Generator) -> Pair:
    """Show the middle half of the footage, or all of it at double speed, about one centre."""
    num_frames = len(footage) // 2
    first = num_frames // 2
    return footage[first : first + num_frames], footage[::2]


def _ordered_or_shuffled(footage: Frames, rng: np.random.Generator) -> Pair:
    """Shuffle what lies between the first and the last frame: those two would tell otherwise."""
    order = np.arange(len(footage))
    inner = order[1:-1]
    drawn = rng.permutation(inner)
    while (drawn == inner).any():  # about one draw in three is without
        drawn = rng.permutation(inner)
    return footage, footage[np.concatenate([order[:1], drawn, order[-1:]])]


TASKS: dict[TaskName, SelfLabelledTask] = {
    "forward-or-reversed": SelfLabelledTask(
        ("forward", "reversed"),
        stretch=1,
        needs_new_frames=False,
        make=_forward_or_reversed,
        remains="which frame is first and which is last; in compressed footage, how its own "
        "codec's quality rises and falls from frame to frame",
    ),
    "real-or-frozen": SelfLabelledTask(
        ("real", "frozen"),
        stretch=1,
        needs_new_frames=False,
        make=_real_or_frozen,
        remains="flicker of the footage itself (its camera's, its codec's) beneath the noise that "
        "both sides were given",
    ),
    "normal-or-double-speed": SelfLabelledTask(
        ("normal", "double-speed"),
        stretch=2,
        needs_new_frames=True,
        make=_normal_or_double_speed,
        remains="how much the first and the last frame differ; uneven steps where the footage's "
        "rate is no multiple of 12 frames a second",
    ),
    "ordered-or-shuffled": SelfLabelledTask(
        ("ordered", "shuffled"),
        stretch=1,
        needs_new_frames=False,
        make=_ordered_or_shuffled,
        remains="how much a frame differs from the next, whatever moves",
    ),
}
