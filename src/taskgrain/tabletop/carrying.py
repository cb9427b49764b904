"""Programs in which the hand carries a thing: put, drop, lift, pick up, cover, hold."""

from __future__ import annotations

from dataclasses import replace

from taskgrain.tabletop.motion import (
    CARRIED_OUT_OF_SIGHT,
    Extent,
    Key,
    Keys,
    Pose,
    Reach,
    Script,
    Stage,
)


def _gripped(reach: Reach, keys: Keys, extent: Extent) -> Keys:
    """Return the hand's keys while it holds what follows these keys."""
    return tuple(replace(key, pose=reach.grip(key.pose, extent)) for key in keys)


def _approach(stage: Stage, rest: Pose) -> Keys:
    """Bring a thing in from outside to just above where it may rest."""
    hover = replace(rest, lift=rest.lift + 0.1 + 0.1 * stage.height)
    return (Key(0, stage.reach.away(hover, CARRIED_OUT_OF_SIGHT)), Key(0.4, hover))


def put(stage: Stage, rest: Pose, *, alone: bool = False) -> Script:
    """Bring it, set it down, let go, leave."""
    reach = stage.reach
    carried = (*_approach(stage, rest), Key(0.58, rest))
    grip = reach.grip(rest, stage.main)
    return Script(
        main=carried,
        hand=(*_gripped(reach, carried, stage.main), Key(0.68, grip), Key(1, reach.away(grip))),
        postures=((0, "grip"), (0.63, "open")),
        reach=reach,
        second_at_home=not alone,
        starts_on_table=False,
    )


def pretend_to_put(stage: Stage, rest: Pose, *, alone: bool = False) -> Script:
    """Bring it, all but set it down, take it away again."""
    almost = replace(rest, lift=rest.lift + 0.02)
    approach = _approach(stage, rest)
    carried = (*approach, Key(0.58, almost), Key(0.68, almost), Key(1, approach[0].pose))
    return _in_hand(stage, carried, alone=alone)


def _falling(above: Pose, rest: Pose, start: float) -> Keys:
    """Fall, bounce once, lie still."""
    bounced = replace(rest, lift=rest.lift + 0.15 * (above.lift - rest.lift))
    return (
        Key(start, above),
        Key(start + 0.09, rest, "fall"),
        Key(start + 0.13, bounced),
        Key(start + 0.17, rest, "fall"),
    )


def drop(stage: Stage, rest: Pose) -> Script:
    """Bring it, let it fall from a height onto its place."""
    reach = stage.reach
    above = replace(rest, lift=rest.lift + 0.2 + 0.14 * stage.height)
    carried = (Key(0, reach.away(above, CARRIED_OUT_OF_SIGHT)), Key(0.4, above), Key(0.52, above))
    grip = reach.grip(above, stage.main)
    leave = grip if stage.stays else reach.away(grip)
    return Script(
        main=carried[:2] + _falling(above, rest, 0.52),
        hand=(*_gripped(reach, carried, stage.main), Key(0.75, grip), Key(1, leave)),
        postures=((0, "grip"), (0.52, "open")),
        reach=reach,
        second_at_home=True,
        starts_on_table=False,
    )


def lift(stage: Stage, *, drops: bool) -> Script:
    """Raise it from the table and hold it there, or let it fall."""
    reach = stage.reach
    above = replace(stage.home, lift=0.22 + 0.14 * stage.height)
    raised = (Key(0, stage.home), Key(0.32, stage.home), Key(0.58, above))
    grip, high = reach.grip(stage.home, stage.main), reach.grip(above, stage.main)
    after = _falling(above, stage.home, 0.66) if drops else (Key(1, above),)
    leave = reach.away(high) if drops and not stage.stays else high
    return Script(
        main=raised + after,
        hand=(
            Key(0, reach.away(grip)),
            Key(0.26, grip),
            Key(0.32, grip),
            Key(0.58, high),
            Key(0.8, high),
            Key(1, leave),
        ),
        postures=((0, "open"), (0.26, "grip"), (0.66, "open" if drops else "grip")),
        reach=reach,
    )


def pick_up(stage: Stage) -> Script:
    """Take it from the table and out of sight."""
    reach = stage.reach
    grip = reach.grip(stage.home, stage.main)
    carried = (Key(0.42, stage.home), Key(0.95, reach.away(stage.home, CARRIED_OUT_OF_SIGHT)))
    return Script(
        main=(Key(0, stage.home), *carried),
        hand=(Key(0, reach.away(grip)), Key(0.3, grip), *_gripped(reach, carried, stage.main)),
        postures=((0, "open"), (0.32, "grip")),
        reach=reach,
    )


def pretend_to_pick_up(stage: Stage) -> Script:
    """Take hold of it, and go away without it."""
    reach = stage.reach
    grip = reach.grip(stage.home, stage.main)
    return Script(
        main=(Key(0, stage.home),),
        hand=(
            Key(0, reach.away(grip)),
            Key(0.3, grip),
            Key(0.42, grip),
            Key(0.95, reach.away(grip)),
        ),
        postures=((0, "open"), (0.32, "grip")),
        reach=reach,
    )


def cover_up(stage: Stage) -> Script:
    """Bring a cover and lower it over the main thing."""
    reach = stage.reach
    above = replace(stage.home, lift=0.24 + 0.1 * stage.height)
    carried = (
        Key(0, reach.away(above, CARRIED_OUT_OF_SIGHT)),
        Key(0.4, above),
        Key(0.62, stage.home),
    )
    grip = reach.grip(stage.home, stage.cover)
    leave = grip if stage.stays else reach.away(grip)
    return Script(
        main=(Key(0, stage.home),),
        cover=carried,
        hand=(*_gripped(reach, carried, stage.cover), Key(0.72, grip), Key(1, leave)),
        postures=((0, "grip"), (0.68, "open")),
        reach=reach,
    )


def uncover(stage: Stage) -> Script:
    """Take the cover off the main thing and away."""
    reach = stage.reach
    grip = reach.grip(stage.home, stage.cover)
    above = replace(stage.home, lift=0.24 + 0.1 * stage.height)
    carried = (
        Key(0.36, stage.home),
        Key(0.58, above),
        Key(0.95, reach.away(above, CARRIED_OUT_OF_SIGHT)),
    )
    return Script(
        main=(Key(0, stage.home),),
        cover=(Key(0, stage.home), *carried),
        hand=(Key(0, reach.away(grip)), Key(0.3, grip), *_gripped(reach, carried, stage.cover)),
        postures=((0, "open"), (0.32, "grip")),
        reach=reach,
    )


def move_in_air(stage: Stage, *, upwards: bool) -> Script:
    """Bring it, held in the air, and move it up or down without putting it down."""
    low = replace(stage.home, lift=0.05 + 0.04 * stage.height)
    high = replace(stage.home, lift=0.29 + 0.08 * stage.travel)
    first, last = (low, high) if upwards else (high, low)
    carried = (
        Key(0, stage.reach.away(first, CARRIED_OUT_OF_SIGHT)),
        Key(0.32, first),
        Key(0.42, first),
        Key(0.85, last),
    )
    return _in_hand(stage, carried, alone=True)


def hold(stage: Stage, pose: Pose, *, alone: bool = False) -> Script:
    """Bring it and hold it in the air where it is."""
    middle = replace(pose, lift=pose.lift + 0.1 + 0.14 * stage.height)
    swayed = replace(middle, x=middle.x + 0.015 * stage.direction, lift=middle.lift + 0.01)
    carried = (
        Key(0, stage.reach.away(middle, CARRIED_OUT_OF_SIGHT)),
        Key(0.32, middle),
        Key(0.6, swayed),
        Key(0.85, middle),
    )
    return _in_hand(stage, carried, alone=alone)


def _in_hand(stage: Stage, carried: Keys, *, alone: bool) -> Script:
    return Script(
        main=carried,
        hand=_gripped(stage.reach, carried, stage.main),
        postures=((0, "grip"),),
        reach=stage.reach,
        second_at_home=not alone,
        starts_on_table=False,
    )
