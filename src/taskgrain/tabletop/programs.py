"""What each template does: a program turns a stage into keys.

"Really" and "pretending" share their approach; only what comes of it differs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from taskgrain.tabletop.backdrop import depth_scale
from taskgrain.tabletop.carrying import (
    cover_up,
    drop,
    hold,
    lift,
    move_in_air,
    pick_up,
    pretend_to_pick_up,
    pretend_to_put,
    put,
    uncover,
)
from taskgrain.tabletop.motion import (
    Key,
    Pose,
    Reach,
    Script,
    Stage,
    behind,
    in_front,
    next_to,
    onto,
    tipped,
)

Program = Callable[[Stage], Script]


def _beside_reach(stage: Stage, side: int) -> Reach:
    """Come from a side at a flat angle: a hand that pushes or pulls cannot choose its side."""
    return Reach(side, stage.reach.pitch * 0.5)


def _slide_end(stage: Stage, direction: int) -> float:
    """Choose where a thing comes to rest that is slid a good way over the table."""
    half = stage.main.width / 2
    room = 0.56 if direction != stage.edge_side else abs(stage.edge) - half - 0.02
    longest = min(0.5, max(0.21, room - direction * stage.home.x))
    return stage.home.x + direction * longest * (0.78 + 0.22 * stage.travel)


def _push(stage: Stage, direction: int) -> Script:
    end = replace(stage.home, x=_slide_end(stage, direction))
    return _shove(stage, -direction, end, arrival=0.74)


def _shove(stage: Stage, side: int, end: Pose, *, arrival: float) -> Script:
    """Push the main thing with the flat hand, which comes from a side, until it is at the end."""
    reach = _beside_reach(stage, side)
    first, last = (reach.touch(pose, stage.main, height=0.45) for pose in (stage.home, end))
    return Script(
        main=(Key(0, stage.home), Key(0.3, stage.home), Key(arrival, end)),
        hand=(
            Key(0, reach.away(first)),
            Key(0.27, first),
            Key(0.3, first),
            Key(arrival, last),
            Key(arrival + 0.08, last),
            Key(1, last if stage.stays else reach.away(last)),
        ),
        postures=((0, "flat"),),
        reach=reach,
    )


def _push_slightly(stage: Stage) -> Script:
    distance = stage.direction * (0.07 + 0.05 * stage.travel)
    end = replace(stage.home, x=stage.home.x + distance)
    return _shove(stage, -stage.direction, end, arrival=0.5)


def _push_off(stage: Stage) -> Script:
    side = stage.edge_side
    half = stage.main.width / 2 * depth_scale(stage.home.depth)
    brink = replace(stage.home, x=stage.edge + side * 0.1 * half)
    fallen = replace(brink, x=stage.edge + side * (half + 0.1), lift=-1.1, angle=side * 2.6)
    tilting = replace(brink, x=stage.edge + side * 0.6 * half, lift=-0.03, angle=side * 0.7)
    script = _shove(stage, -side, brink, arrival=0.6)
    falling = (Key(0.72, tilting, "fall"), Key(0.95, fallen, "fall"))
    return replace(script, main=script.main + falling)


def _push_almost_off(stage: Stage) -> Script:
    side = stage.edge_side
    half = stage.main.width / 2 * depth_scale(stage.home.depth)
    brink = replace(stage.home, x=stage.edge - side * 0.12 * half)
    script = _shove(stage, -side, brink, arrival=0.6)
    rocking = tuple(
        Key(0.6 + 0.07 * step, replace(brink, angle=side * angle, lift=-0.05 * abs(angle)))
        for step, angle in enumerate((0.3, 0.05, 0.2, 0.0), start=1)
    )
    return replace(script, main=script.main + rocking)


def _pull(stage: Stage, direction: int) -> Script:
    reach = _beside_reach(stage, direction)
    end = replace(stage.home, x=_slide_end(stage, direction))
    return _drag(stage, reach, end)


def _drag(stage: Stage, reach: Reach, end: Pose) -> Script:
    """Take hold of the main thing, move it along the table, let go or stay."""
    grips = [reach.grip(pose, stage.main) for pose in (stage.home, end)]
    leave = grips[1] if stage.stays else reach.away(grips[1])
    return Script(
        main=(Key(0, stage.home), Key(0.32, stage.home), Key(0.75, end)),
        hand=(
            Key(0, reach.away(grips[0])),
            Key(0.26, grips[0]),
            Key(0.32, grips[0]),
            Key(0.75, grips[1]),
            Key(0.82, grips[1]),
            Key(1, leave),
        ),
        postures=((0, "open"), (0.26, "grip"), (0.8, "grip" if stage.stays else "open")),
        reach=reach,
    )


def _move_closer(stage: Stage) -> Script:
    near = stage.companion
    distance = (stage.main.width + stage.second.width) / 2 * 0.8
    depth = near.depth + 0.08
    end = Pose(near.x + stage.edge_side * distance * depth_scale(depth), depth)
    return _drag(stage, stage.reach, end)


def _move_apart(stage: Stage) -> Script:
    end_x = _slide_end(stage, stage.edge_side)
    end = Pose(end_x, min(0.95, stage.home.depth + 0.16))
    return _drag(stage, stage.reach, end)


def _towards_camera(stage: Stage) -> Script:
    grow = 1.5 + 0.3 * stage.travel
    end = Pose(stage.home.x * 0.6, stage.home.depth + 0.3, 0.08, 0.0, grow)
    return _drag(stage, stage.reach, end)


def _from_camera(stage: Stage) -> Script:
    end = Pose(stage.home.x * 0.6, 0.02, 0.0, 0.0, 0.82 - 0.1 * stage.travel)
    return _drag(stage, stage.reach, end)


def _film(stage: Stage, zoom: float) -> Script:
    return Script(main=(Key(0, stage.home),), reach=stage.reach, closing_zoom=zoom)


def _poke(stage: Stage, *, after: tuple[Key, ...], depth: float, gap: float = 0.0) -> Script:
    """Stretch out a finger, jab, and draw it back; `after` is what becomes of the thing."""
    reach = _beside_reach(stage, -stage.direction)
    tip = reach.touch(stage.home, stage.main, height=0.72, gap=gap)
    ready = reach.away(tip, 0.16)
    pressed = reach.away(tip, -depth)
    leave = ready if stage.stays else reach.away(tip)
    return Script(
        main=(Key(0, stage.home), Key(0.4, stage.home), *after),
        hand=(
            Key(0, reach.away(tip)),
            Key(0.22, ready),
            Key(0.3, ready),
            Key(0.4, tip),
            Key(0.47, pressed),
            Key(0.52, pressed),
            Key(0.64, ready),
            Key(0.74, ready),
            Key(1, leave),
        ),
        postures=((0, "point"),),
        reach=reach,
    )


def _poke_over(stage: Stage) -> Script:
    falling = tuple(
        Key(time, tipped(stage.home, stage.main, direction=stage.direction, angle=angle), "even")
        for time, angle in ((0.48, 0.3), (0.55, 0.8), (0.6, 1.35), (0.63, math.pi / 2))
    )
    return _poke(stage, after=falling, depth=0.09)


def _poke_slightly(stage: Stage) -> Script:
    moved = replace(stage.home, x=stage.home.x + stage.direction * (0.05 + 0.03 * stage.travel))
    rocked = tipped(moved, stage.main, direction=stage.direction, angle=0.16)
    after = (Key(0.47, rocked), Key(0.56, moved))
    return _poke(stage, after=after, depth=0.05)


def _turn(stage: Stage, angles: tuple[float, float]) -> Script:
    """Lift, turn by the first angle, set down at the second."""
    reach = stage.reach
    raised = replace(stage.home, lift=0.1 + 0.08 * stage.height)
    moments = (
        (0.3, stage.home),
        (0.42, replace(raised, angle=stage.direction * angles[0] * 0.15)),
        (0.64, replace(raised, angle=stage.direction * angles[0])),
        (0.78, replace(stage.home, angle=stage.direction * angles[1])),
    )
    grips = [(time, reach.grip(pose, stage.main)) for time, pose in moments]
    last = grips[-1][1]
    leave = last if stage.stays else reach.away(last)
    return Script(
        main=(Key(0, stage.home), *(Key(time, pose) for time, pose in moments)),
        hand=(
            Key(0, reach.away(grips[0][1])),
            Key(0.25, grips[0][1]),
            *(Key(time, pose) for time, pose in grips),
            Key(0.84, last),
            Key(1, leave),
        ),
        postures=((0, "open"), (0.25, "grip"), (0.82, "open")),
        reach=reach,
    )


PROGRAMS: dict[str, Program] = {
    "Pushing something from left to right": lambda stage: _push(stage, 1),
    "Pushing something from right to left": lambda stage: _push(stage, -1),
    "Pushing something so that it slightly moves": _push_slightly,
    "Pushing something so that it falls off the table": _push_off,
    "Pushing something so that it almost falls off but doesn't": _push_almost_off,
    "Pulling something from left to right": lambda stage: _pull(stage, 1),
    "Pulling something from right to left": lambda stage: _pull(stage, -1),
    "Putting something next to something": lambda stage: put(stage, next_to(stage)),
    "Putting something behind something": lambda stage: put(stage, behind(stage)),
    "Putting something onto something": lambda stage: put(stage, onto(stage)),
    "Pretending to put something next to something": lambda stage: pretend_to_put(
        stage, next_to(stage)
    ),
    "Pretending to put something behind something": lambda stage: pretend_to_put(
        stage, behind(stage)
    ),
    "Pretending to put something onto something": lambda stage: pretend_to_put(stage, onto(stage)),
    "Putting something on a surface": lambda stage: put(stage, stage.home, alone=True),
    "Pretending to put something on a surface": lambda stage: pretend_to_put(
        stage, stage.home, alone=True
    ),
    "Dropping something next to something": lambda stage: drop(stage, next_to(stage)),
    "Dropping something behind something": lambda stage: drop(stage, behind(stage)),
    "Dropping something in front of something": lambda stage: drop(stage, in_front(stage)),
    "Dropping something onto something": lambda stage: drop(stage, onto(stage)),
    "Lifting something up completely without letting it drop down": lambda stage: lift(
        stage, drops=False
    ),
    "Lifting something up completely, then letting it drop down": lambda stage: lift(
        stage, drops=True
    ),
    "Moving something closer to something": _move_closer,
    "Moving something away from something": _move_apart,
    "Moving something towards the camera": _towards_camera,
    "Moving something away from the camera": _from_camera,
    "Approaching something with your camera": lambda stage: _film(stage, 1.5 + 0.3 * stage.travel),
    "Moving away from something with your camera": lambda stage: _film(
        stage, 0.66 - 0.06 * stage.travel
    ),
    "Poking something so that it falls over": _poke_over,
    "Poking something so it slightly moves": _poke_slightly,
    "Pretending to poke something": lambda stage: _poke(stage, after=(), depth=0.0, gap=0.05),
    "Picking something up": pick_up,
    "Pretending to pick something up": pretend_to_pick_up,
    "Covering something with something": cover_up,
    "Uncovering something": uncover,
    "Moving something up": lambda stage: move_in_air(stage, upwards=True),
    "Moving something down": lambda stage: move_in_air(stage, upwards=False),
    "Holding something": lambda stage: hold(stage, stage.home, alone=True),
    "Holding something behind something": lambda stage: hold(stage, behind(stage)),
    "Turning something upside down": lambda stage: _turn(stage, (math.pi, math.pi)),
    "Pretending to turn something upside down": lambda stage: _turn(stage, (0.55, 0.0)),
}
"""Template without brackets, word for word as in Something-Something v2 -> what it does."""
