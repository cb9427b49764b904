"""A scene of the far look: no background, skin tone, camera style or noun of the source world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from taskgrain.randomness import Draws
from taskgrain.tabletop.kitchen.doing import FOODS, HANDLES, Doing, Handling, sample_handling
from taskgrain.tabletop.scene import sample_num_frames

WORLD = "kitchenware-far"
PATTERNS = ("checks", "tiles", "steel", "dots", "slate", "mat")
GROUNDS = (
    (226, 224, 214),
    (92, 122, 148),
    (168, 62, 66),
    (74, 104, 84),
    (58, 60, 70),
    (214, 184, 126),
)
SECOND_GROUNDS = ((190, 70, 70), (236, 236, 230), (240, 226, 196), (206, 196, 130), (88, 92, 104))
DISHES = ("plate", "board", "pan", "tray")
GLOVES = ((245, 214, 196), (196, 140, 110), (96, 60, 46), (70, 130, 190), (232, 232, 236))
CUFFS = ((248, 248, 244), (36, 36, 40), (60, 90, 70), (200, 160, 60))


@dataclass(frozen=True, slots=True)
class Table:
    """What lies on the table, seen from above; screen units."""

    pattern: str
    ground: int  # index into GROUNDS
    second_ground: int  # index into SECOND_GROUNDS
    cell: float  # period of the pattern
    texture_seed: int
    dish: str
    dish_tone: float
    dish_x: float
    dish_y: float
    food: str
    food_scale: float
    food_angle: float
    bite_x: float  # of the piece on its dish
    bite_y: float
    others: int  # further pieces of the food
    others_seed: int


@dataclass(frozen=True, slots=True)
class Look:
    """Hand, tool and how it was filmed."""

    glove: int  # index into GLOVES
    cuff: int  # index into CUFFS
    bare: float
    hand_size: float
    handle: int  # index into HANDLES
    tool_size: float
    zoom: float
    shake: float  # screen units
    shake_phase: float
    roll: float
    light: int
    brightness: float
    warmth: float
    grain: float
    grain_seed: int


@dataclass(frozen=True, slots=True)
class FarScene(Doing):
    """Everything that decides a clip of the far look."""

    world: ClassVar = WORLD
    parts: ClassVar = {"table": Table, "handling": Handling, "look": Look}

    table: Table
    handling: Handling
    look: Look


def sample_far_scene(motion: str, tool: str, draws: Draws) -> FarScene:
    """Draw a scene of a motion and a tool; no other factor depends on either."""
    return FarScene(
        motion=motion,
        tool=tool,
        num_frames=sample_num_frames(draws),
        table=_sample_table(draws.within("table")),
        handling=sample_handling(draws.within("handling")),
        look=_sample_look(draws.within("look")),
    )


def _sample_table(draws: Draws) -> Table:
    return Table(
        pattern=draws.choice("pattern", PATTERNS),
        ground=draws.choice("ground", range(len(GROUNDS))),
        second_ground=draws.choice("second_ground", range(len(SECOND_GROUNDS))),
        cell=draws.uniform("cell", 0.1, 0.2),
        texture_seed=draws.integer("texture_seed") % 2**31,
        dish=draws.choice("dish", DISHES),
        dish_tone=draws.uniform("dish_tone", 0.8, 1.1),
        dish_x=draws.uniform("dish_x", -0.16, 0.16),
        dish_y=draws.uniform("dish_y", 0.06, 0.18),
        food=draws.choice("food", FOODS),
        food_scale=draws.uniform("food_scale", 0.9, 1.15),
        food_angle=draws.uniform("food_angle", -0.6, 0.6),
        bite_x=draws.uniform("bite_x", -0.09, 0.09),
        bite_y=draws.uniform("bite_y", -0.05, 0.05),
        others=draws.choice("others", (0, 1, 2)),
        others_seed=draws.integer("others_seed") % 2**31,
    )


def _sample_look(draws: Draws) -> Look:
    return Look(
        glove=draws.choice("glove", range(len(GLOVES))),
        cuff=draws.choice("cuff", range(len(CUFFS))),
        bare=draws.uniform("bare", 0.1, 1.5),
        hand_size=draws.uniform("hand_size", 0.95, 1.15),
        handle=draws.choice("handle", range(len(HANDLES))),
        tool_size=draws.uniform("tool_size", 0.92, 1.12),
        zoom=draws.uniform("zoom", 0.95, 1.12),
        shake=draws.uniform("shake", 0.004, 0.016),
        shake_phase=draws.uniform("shake_phase", 0.0, 6.2832),
        roll=draws.uniform("roll", -0.14, 0.14),
        light=draws.choice("light", (-1, 1)),
        brightness=draws.uniform("brightness", 0.85, 1.15),
        warmth=draws.uniform("warmth", -0.16, 0.1),
        grain=draws.uniform("grain", 1.0, 3.5),
        grain_seed=draws.integer("grain_seed") % 2**31,
    )
