"""Where a thing comes to be, relative to the second thing at the main place."""

from __future__ import annotations

from taskgrain.tabletop.backdrop import depth_scale
from taskgrain.tabletop.motion import Pose, Stage


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
