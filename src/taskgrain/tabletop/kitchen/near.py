"""A scene of the near look: the source world's rooms, hands and cameras, with tools and foods.

The paper's target was filmed by the people who filmed its source, with the same kind of cameras.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from taskgrain.randomness import Draws
from taskgrain.tabletop.backdrop import Room
from taskgrain.tabletop.kitchen.doing import FOODS, HANDLES, WORLD, Doing, Handling, sample_handling
from taskgrain.tabletop.scene import (
    Arm,
    Camera,
    Layout,
    Thing,
    sample_arm,
    sample_camera,
    sample_layout,
    sample_num_frames,
    sample_room,
    sample_thing,
)


@dataclass(frozen=True, slots=True)
class Utensil:
    """The tool and what it is used on."""

    handle: int  # index into HANDLES
    tool_size: float
    food: str  # one of FOODS
    food_scale: float
    food_angle: float  # radians


@dataclass(frozen=True, slots=True)
class NearScene(Doing):
    """Everything that decides a clip of the near look."""

    world: ClassVar = WORLD
    parts: ClassVar = {
        **{"utensil": Utensil, "handling": Handling, "second": Thing, "third": Thing},
        **{"layout": Layout, "arm": Arm, "camera": Camera, "room": Room},
    }

    utensil: Utensil
    handling: Handling
    second: Thing
    third: Thing
    layout: Layout
    arm: Arm
    camera: Camera
    room: Room


def sample_near_scene(motion: str, tool: str, draws: Draws) -> NearScene:
    """Draw a scene of a motion and a tool; no other factor depends on either.

    The same draws give the far look the same handling: clips of the two looks are pairs.
    """
    return NearScene(
        motion=motion,
        tool=tool,
        num_frames=sample_num_frames(draws),
        utensil=_sample_utensil(draws.within("utensil")),
        handling=sample_handling(draws.within("handling")),
        second=sample_thing(draws.within("second")),
        third=sample_thing(draws.within("third")),
        layout=sample_layout(draws.within("layout")),
        arm=sample_arm(draws.within("arm")),
        camera=sample_camera(draws.within("camera")),
        room=sample_room(draws.within("room")),
    )


def _sample_utensil(draws: Draws) -> Utensil:
    return Utensil(
        handle=draws.choice("handle", range(len(HANDLES))),
        tool_size=draws.uniform("tool_size", 0.92, 1.12),
        food=draws.choice("food", FOODS),
        food_scale=draws.uniform("food_scale", 0.9, 1.15),
        food_angle=draws.uniform("food_angle", -0.3, 0.3),
    )
