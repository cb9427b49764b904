"""How tool, hand and food move: the same programs for every tool and in either look."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from taskgrain.tabletop.film import Floats
from taskgrain.tabletop.kitchen.doing import Handling
from taskgrain.tabletop.motion import Key, Keys, Pose

OUT_OF_SIGHT = 1.1  # screen units
HOVER = 0.16  # height from which a tool comes down
RAISED = 0.24  # height to which a piece is lifted


@dataclass(frozen=True, slots=True)
class Worktop:
    """What the programs know of a scene: places, and what they come to in its look."""

    motion: str
    handling: Handling
    piece: Pose  # where the piece of food lies
    aside: Pose  # where other things are done, the tool lying there
    arm: tuple[float, float, float]  # x, depth and lift of one screen unit back along the arm
    deep: float  # depth that is one screen unit, seen along the heading
    touch: float  # height above the table at which a tool touches the piece
    clearance: float  # how far above that a pretending tool stays


@dataclass(frozen=True, slots=True)
class KitchenScript:
    """What happens: keys of the tool's tip and of the piece of food."""

    tool: Keys
    food: Keys
    hand_from: float  # action times between which the hand holds the tool
    hand_until: float
    hand_away: float  # time that the hand takes to come and go


def direct_kitchen(top: Worktop) -> KitchenScript:
    """Run the program of a scene's motion."""
    piece = top.piece
    if top.motion == "other":
        tool, hand_from, hand_until = _other(top)
        return KitchenScript(tool, (Key(0, piece),), hand_from, hand_until, 0.3)
    tool = _stroke(top, clearance=top.clearance if top.motion == "pretending" else 0.0)
    food: Keys = (Key(0, piece),)
    if top.motion == "using":
        food = _carried(top, tool)
    elif top.motion == "failing":
        food = _lost(top, tool)
    return KitchenScript(tool, food, 0.0, 1.0, 0.3)


def moments_of(num_frames: int, handling: Handling) -> Floats:
    """Compute the action's time in each frame: float (T,) in [0, 1]."""
    share = np.arange(num_frames) / (num_frames - 1)
    start, finish = handling.start, handling.finish
    return np.clip((share - start) / (finish - start), 0.0, 1.0)


def tremor_of(num_frames: int, handling: Handling) -> Floats:
    """Shake the hand a little: float (T, 2), across and up or down, screen units."""
    time = np.arange(num_frames) * 2.3 + handling.tremor_phase
    return handling.tremor * np.stack([np.sin(time), np.cos(1.7 * time)], axis=1)


def hand_gone(script: KitchenScript, moments: Floats) -> Floats:
    """Compute how far the hand is away from the tool: float (T,), 0 holding it, 1 out of sight."""
    early = np.maximum(0.0, script.hand_from - moments) / script.hand_away
    late = np.maximum(0.0, moments - script.hand_until) / script.hand_away
    return np.minimum(1.0, np.maximum(early, late))


def _away(top: Worktop, pose: Pose) -> Pose:
    """Move a pose back along the arm until it is out of sight."""
    x, depth, lift = top.arm
    return replace(
        pose,
        x=pose.x + x * OUT_OF_SIGHT,
        depth=pose.depth + depth * OUT_OF_SIGHT,
        lift=pose.lift + lift * OUT_OF_SIGHT,
    )


def _stroke(top: Worktop, *, clearance: float) -> Keys:
    """Come, go down to the piece, follow the variant's path: the same for every outcome."""
    handling = top.handling
    contact = handling.contact
    at = replace(top.piece, lift=top.touch + clearance, angle=0.0)
    above = replace(at, lift=at.lift + HOVER)
    keys = [
        Key(0, _away(top, above)),
        Key(contact - 0.12, above, "jerkless"),
        Key(contact, at, "jerkless"),
        Key(contact + 0.06, at, "jerkless"),
    ]
    heading = math.radians(handling.heading)
    reach = 0.16 + 0.14 * handling.travel
    # Towards the hand's side: nobody moves food through the own arm.
    over = replace(
        at,
        x=at.x + handling.side * math.cos(heading) * reach,
        depth=at.depth + math.sin(heading) * reach * top.deep,
    )
    if handling.variant == "lift":
        high = replace(over, lift=at.lift + RAISED)
        keys += [Key(0.78, high, "jerkless"), Key(1, replace(high, lift=high.lift + 0.05))]
    elif handling.variant == "drag":
        keys += [Key(0.82, over, "jerkless"), Key(1, over)]
    else:
        swing = 0.07 + 0.03 * handling.travel
        for step in range(1, 5):
            stroke = swing if step % 2 else -swing * 0.4
            keys.append(
                Key(
                    contact + 0.06 + 0.08 * step,
                    replace(at, x=at.x + handling.side * stroke),
                    "jerkless",
                )
            )
        high = replace(over, lift=at.lift + RAISED * 0.7)
        keys += [Key(0.95, high, "jerkless"), Key(1, high)]
    return tuple(keys)


def _carried(top: Worktop, tool: Keys) -> Keys:
    """Let the piece go with the tool from the contact on."""
    piece, start = top.piece, top.handling.contact + 0.06
    return (
        Key(0, piece),
        Key(start, piece),
        *(_with_piece(key, tool, piece) for key in tool if key.time > start),
    )


def _with_piece(key: Key, tool: Keys, piece: Pose) -> Key:
    contact = tool[3].pose
    pose = key.pose
    moved = replace(
        piece,
        x=piece.x + pose.x - contact.x,
        depth=piece.depth + pose.depth - contact.depth,
        lift=piece.lift + pose.lift - contact.lift,
    )
    return replace(key, pose=moved)


def _lost(top: Worktop, tool: Keys) -> Keys:
    """Let the piece come along for a part of the way, then slip, fall and roll."""
    piece, handling = top.piece, top.handling
    start = handling.contact + 0.06
    after = [_with_piece(key, tool, piece) for key in tool if key.time > start]
    first = after[0]
    share = 0.3 + 0.25 * handling.slip
    if handling.variant == "strokes":
        share = 1.0  # the first stroke pushes it, the second leaves it behind
    slipped = _between(piece, first.pose, share)
    moment = start + (first.time - start) * (0.35 + 0.3 * share)
    roll = handling.side * (0.5 + 0.5 * handling.slip)
    lying = replace(
        slipped,
        x=slipped.x - handling.side * 0.06,
        depth=piece.depth + (slipped.depth - piece.depth) * 0.8 + 0.02,
        lift=piece.lift,
        angle=piece.angle - roll,
    )
    rolled = replace(lying, x=lying.x - handling.side * 0.05, angle=piece.angle - 1.6 * roll)
    return (
        Key(0, piece),
        Key(start, piece),
        Key(moment, replace(slipped, angle=piece.angle - 0.3 * roll), "jerkless"),
        Key(moment + 0.09, lying, "fall"),
        Key(moment + 0.25, rolled, "jerkless"),
    )


def _between(first: Pose, second: Pose, share: float) -> Pose:
    return replace(
        first,
        x=first.x + (second.x - first.x) * share,
        depth=first.depth + (second.depth - first.depth) * share,
        lift=first.lift + (second.lift - first.lift) * share,
    )


def _other(top: Worktop) -> tuple[Keys, float, float]:
    """Do something with the tool that is no use of it; the food lies untouched."""
    handling, spot = top.handling, top.aside
    side, travel = handling.side, handling.travel
    air = replace(spot, lift=0.24, angle=0.0)
    far = _away(top, air)
    shifted = replace(spot, x=spot.x + side * (0.25 + 0.1 * travel))
    if handling.other == "lay":
        return (Key(0, far), Key(0.4, air, "jerkless"), Key(0.58, spot, "jerkless")), 0.0, 0.66
    if handling.other == "take":
        keys = (Key(0, spot), Key(0.42, spot), Key(0.6, air, "jerkless"), Key(1, far, "jerkless"))
        return keys, 0.36, 1.0
    if handling.other == "slide":
        return (Key(0, spot), Key(0.38, spot), Key(0.75, shifted, "jerkless")), 0.34, 0.82
    if handling.other == "turn":
        turned = replace(spot, angle=spot.angle + side * (1.2 + 0.5 * travel))
        return (Key(0, spot), Key(0.38, spot), Key(0.75, turned, "jerkless")), 0.34, 0.82
    if handling.other == "tap":
        down, raised = replace(spot, angle=0.0), replace(spot, lift=0.12, angle=0.0)
        taps = [Key(0.4 + 0.09 * i, raised if i % 2 else down, "jerkless") for i in range(6)]
        return (
            (Key(0, far), Key(0.32, raised, "jerkless"), *taps, Key(1, air, "jerkless")),
            0.0,
            1.0,
        )
    swung = [
        Key(0.36 + 0.11 * i, replace(air, angle=0.35 * (-1) ** i), "jerkless") for i in range(5)
    ]
    return (Key(0, far), Key(0.28, air, "jerkless"), *swung, Key(1, air, "jerkless")), 0.0, 1.0
