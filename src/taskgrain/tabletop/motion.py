"""Keyframed motion: poses at moments of the action, the track through them, and their places.

Times run over the action, 0 to 1; depths as in `backdrop`, lengths in frame heights at depth
scale 1. T frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from taskgrain.tabletop.backdrop import depth_scale
from taskgrain.tabletop.film import Floats
from taskgrain.tabletop.hand import Posture

OUT_OF_SIGHT = 1.05  # frame heights along the arm: an empty hand has left the frame
CARRIED_OUT_OF_SIGHT = 1.3  # frame heights: so has the thing in it
REACH = 0.36  # share of a thing's width or height from its middle to where it is gripped

Ease = Literal["soft", "fall", "even", "jerkless"]


@dataclass(frozen=True, slots=True)
class Pose:
    """Where something is: the point of the table below it, its height above, turn and growth."""

    x: float  # screen units
    depth: float  # 0 far, 1 near
    lift: float = 0.0
    angle: float = 0.0  # radians, clockwise
    grow: float = 1.0


@dataclass(frozen=True, slots=True)
class Key:
    """A pose at a moment, and how it is reached from the key before."""

    time: float
    pose: Pose
    ease: Ease = "soft"


Keys = tuple[Key, ...]


def track(keys: Sequence[Key], moments: Floats, *, softness: float) -> Floats:
    """Interpolate the keys.

    Args:
        keys: in the order of their times, one or more.
        moments: float (T,) action times, 0 to 1.
        softness: 0 to 1, even speed to soft starts and stops.

    Returns:
        float (T, 5): x, depth, lift, angle, grow in each frame.
    """
    times = np.array([key.time for key in keys])
    poses = np.array([_row(key.pose) for key in keys])
    last = np.clip(np.searchsorted(times, moments, side="right"), 1, len(keys) - 1)
    if len(keys) == 1:
        return np.repeat(poses, len(moments), axis=0)
    before = last - 1
    share = np.clip((moments - times[before]) / (times[last] - times[before]), 0.0, 1.0)
    eases = np.array([key.ease for key in keys])[last]
    soft = softness * (3 - 2 * share) * share**2 + (1 - softness) * share
    # Minimum jerk, as hands move (Flash and Hogan 1985): only the kitchen uses it.
    jerkless = share**3 * (10 - 15 * share + 6 * share**2)
    share = np.select(
        [eases == "fall", eases == "soft", eases == "jerkless"], [share**2, soft, jerkless], share
    )
    return poses[before] + (poses[last] - poses[before]) * share[:, None]


def _row(pose: Pose) -> tuple[float, float, float, float, float]:
    return pose.x, pose.depth, pose.lift, pose.angle, pose.grow


@dataclass(frozen=True, slots=True)
class Extent:
    """Width and height of a thing, frame heights at depth scale 1."""

    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Reach:
    """From where the arm comes."""

    side: int  # -1 from the left, 1 from the right
    pitch: float  # radians above the level

    def grip(self, pose: Pose, extent: Extent) -> Pose:
        """Return where the fingers are that hold a thing."""
        scale = depth_scale(pose.depth) * pose.grow
        across = self.side * math.cos(self.pitch) * REACH * extent.width * scale
        up = (0.5 + math.sin(self.pitch) * REACH) * extent.height * pose.grow
        return Pose(pose.x + across, pose.depth + 0.02, pose.lift + up, 0.0, pose.grow)

    def touch(self, pose: Pose, extent: Extent, *, height: float, gap: float = 0.0) -> Pose:
        """Return where the fingertips touch a thing's side, at a share of its height."""
        scale = depth_scale(pose.depth)
        x = pose.x + self.side * (extent.width / 2 * scale * 0.92 + gap)
        return Pose(x, pose.depth + 0.02, pose.lift + height * extent.height)

    def away(self, pose: Pose, distance: float = OUT_OF_SIGHT) -> Pose:
        """Move a pose back along the arm, by default out of sight."""
        return replace(
            pose,
            x=pose.x + self.side * math.cos(self.pitch) * distance,
            lift=pose.lift + math.sin(self.pitch) * distance,
        )


@dataclass(frozen=True, slots=True)
class Stage:
    """What a template's program may know: places, sizes, and how the action is to be done."""

    home: Pose  # the main place
    companion: Pose  # the place of the second thing, where it does not stand at the main place
    main: Extent
    second: Extent
    cover: Extent
    edge_side: int
    edge: float  # screen x of the table's edge at the main place
    direction: int
    travel: float
    height: float
    stays: bool
    reach: Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What happens: keys of the main thing, the hand and the cover, and of the camera's zoom."""

    main: Keys
    hand: Keys = ()
    postures: tuple[tuple[float, Posture], ...] = ()
    reach: Reach
    cover: Keys = ()
    closing_zoom: float = 1.0  # zoom at the end over zoom at the start
    second_at_home: bool = False  # the second thing stands at the main place
    starts_on_table: bool = True  # the main thing is there from the start


def tipped(pose: Pose, extent: Extent, *, direction: int, angle: float) -> Pose:
    """Turn a thing over its lower corner, by radians, in a direction."""
    scale = depth_scale(pose.depth)
    half_width, half_height = extent.width / 2, extent.height / 2
    cos, sin = math.cos(angle), math.sin(angle)
    shift = half_width - half_width * cos + half_height * sin
    raised = half_height * cos + half_width * sin - half_height
    return Pose(
        pose.x + direction * shift * scale,
        pose.depth,
        pose.lift + raised,
        pose.angle + direction * angle,
    )


def next_to(stage: Stage) -> Pose:
    """Stand beside it; on the other side where the table ends."""
    distance = ((stage.main.width + stage.second.width) / 2 * 0.9 + 0.02) * depth_scale(
        stage.home.depth
    )
    side = stage.direction
    beyond = stage.home.x + side * distance
    if side == stage.edge_side and abs(beyond) + stage.main.width * 0.25 > abs(stage.edge):
        side = -side
    return Pose(stage.home.x + side * distance, stage.home.depth + 0.03)


def behind(stage: Stage) -> Pose:
    """Stand further back, half hidden."""
    aside = stage.direction * (0.4 * stage.second.width + 0.14 * stage.main.width)
    return Pose(stage.home.x + aside, stage.home.depth - 0.36)


def in_front(stage: Stage) -> Pose:
    """Stand nearer, hiding a part of it."""
    aside = stage.direction * 0.25 * stage.second.width
    return Pose(stage.home.x + aside, stage.home.depth + 0.24)


def onto(stage: Stage) -> Pose:
    """Stand on its top."""
    return Pose(stage.home.x, stage.home.depth + 0.01, stage.second.height * 0.94)
