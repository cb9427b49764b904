"""Draw a scene of the far look: a pure function of the scene and the size of the frames."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from taskgrain.tabletop.film import (
    CameraPath,
    Finish,
    Floats,
    Layer,
    Pixels,
    Sprite,
    expose,
    imprint,
)
from taskgrain.tabletop.hand import Skin, draw_hand
from taskgrain.tabletop.kitchen.doing import HANDLES
from taskgrain.tabletop.kitchen.far import CUFFS, GLOVES, FarScene
from taskgrain.tabletop.kitchen.motion import (
    OUT_OF_SIGHT,
    KitchenScript,
    Worktop,
    direct_kitchen,
    hand_gone,
    moments_of,
    tremor_of,
)
from taskgrain.tabletop.kitchen.shapes import (
    GRIP,
    TOOL_LENGTH,
    draw_cloth,
    draw_dish,
    draw_food,
    draw_tool,
    scattered,
    shadow_of,
)
from taskgrain.tabletop.motion import Pose, track

CLEARANCE = 0.1  # how far above the food a pretending tool stays


def render_far(scene: FarScene, *, width: int, height: int) -> Pixels:
    """Draw every frame of a scene of the far look, as `draw.render`: uint8 (T, H, W, 3), RGB."""
    script = direct_kitchen(far_worktop(scene))
    moments = moments_of(scene.num_frames, scene.handling)
    tool_track = track(script.tool, moments, softness=1.0)
    food_track = track(script.food, moments, softness=1.0)
    tool_track[:, :2] += tremor_of(scene.num_frames, scene.handling)
    look = scene.look
    food = draw_food(
        scene.table.food, scale=scene.table.food_scale, light=look.light, frame_height=height
    )
    tool = draw_tool(
        scene.tool,
        HANDLES[look.handle],
        light=look.light,
        from_right=scene.handling.side > 0,
        frame_height=height,
    )
    hand = _hand(scene, height)
    food_shadow, tool_shadow = shadow_of(food), shadow_of(tool)
    cloth = draw_cloth(scene, width=width, height=height)
    # What nobody touches is drawn once a clip, not once a frame.
    _lay_table(cloth, scene, food, food_shadow, height=height)
    layers = [
        *_lying(scene, food, food_shadow, food_track),
        *_handled(scene, tool, tool_shadow, tool_track),
        _holding(scene, script, hand, tool_track, moments=moments),
    ]
    return expose(
        cloth,
        layers,
        _camera_path(scene),
        width=width,
        height=height,
        finish=Finish(
            vignette=0.0,
            grain=look.grain,
            brightness=look.brightness,
            warmth=look.warmth,
            seed=look.grain_seed,
        ),
    )


def far_worktop(scene: FarScene) -> Worktop:
    """Set up the work; a pose's depth is the screen y of the point of the table, from above."""
    table, handling = scene.table, scene.handling
    piece = Pose(table.dish_x + table.bite_x, table.dish_y + table.bite_y, 0.02, table.food_angle)
    # Beside the dish, below or above the piece.
    aside = Pose(table.dish_x - handling.side * 0.1, table.dish_y + 0.24, 0.02)
    if table.dish_y > 0.09:
        aside = replace(aside, depth=table.dish_y - 0.3)
    pitch = math.radians(handling.pitch)
    return Worktop(
        motion=scene.motion,
        handling=handling,
        piece=piece,
        aside=aside,
        arm=(handling.side * math.cos(pitch), math.sin(pitch), 0.0),
        deep=0.7,
        touch=0.03,
        clearance=CLEARANCE,
    )


def _camera_path(scene: FarScene) -> CameraPath:
    """Film from a shaking hand: no zoom and no drift, unlike the source."""
    time = np.arange(scene.num_frames) + scene.look.shake_phase
    shake = scene.look.shake
    return CameraPath(
        # The hand's side needs more room than the other.
        x=0.13 * scene.handling.side + shake * (np.sin(1.9 * time) + 0.6 * np.sin(3.1 * time + 1)),
        y=shake * (np.cos(2.3 * time) + 0.6 * np.sin(1.3 * time)),
        zoom=np.full(scene.num_frames, scene.look.zoom),
        roll=scene.look.roll + 0.5 * shake * np.sin(2.7 * time),
    )


def _hand(scene: FarScene, height: int) -> Sprite:
    look = scene.look
    skin = Skin(GLOVES[look.glove], CUFFS[look.cuff], bare=look.bare, striped=False)
    return draw_hand("grip", skin, from_right=scene.handling.side > 0, frame_height=height)


def _lay_table(
    cloth: Pixels, scene: FarScene, food: Sprite, shadow: Sprite, *, height: int
) -> None:
    """Imprint the dish and the pieces that nobody touches, with their shadows, into the cloth."""
    table = scene.table
    dish = draw_dish(table.dish, shade=table.dish_tone, light=scene.look.light, frame_height=height)
    below = shadow_of(dish)
    x, y = table.dish_x, table.dish_y
    pieces = scattered(np.random.default_rng(table.others_seed), table.others)
    layers = [
        Layer(below, x - scene.look.light * 0.02, y + 0.025, 0.0),
        Layer(dish, x, y, 0.1),
        *(
            Layer(shadow, x + across, y + down + 0.012, 0.15, angle=angle)
            for across, down, angle in pieces
        ),
        *(Layer(food, x + across, y + down, 0.2, angle=angle) for across, down, angle in pieces),
    ]
    imprint(cloth, layers)


def _lying(scene: FarScene, sprite: Sprite, shadow: Sprite, rows: Floats) -> list[Layer]:
    x, y, lift, angle, _ = rows.T
    return [
        Layer(shadow, x - scene.look.light * 0.35 * lift, y + 0.01, 0.25, angle=angle),
        Layer(sprite, x, y - lift, 0.3, angle=angle, scale=1.0 + 0.3 * lift),
    ]


def _turn_of(scene: FarScene, angle: Floats) -> Floats:
    """Compute the direction from the tool's tip to its handle, radians, clockwise."""
    pitch = math.radians(scene.handling.pitch)
    return (pitch if scene.handling.side > 0 else math.pi - pitch) + angle


def _handled(scene: FarScene, tool: Sprite, shadow: Sprite, rows: Floats) -> list[Layer]:
    x, y, lift, angle, _ = rows.T
    turn = _turn_of(scene, angle)
    size = scene.look.tool_size
    aside = scene.look.light * 0.35 * lift
    return [
        Layer(shadow, x - aside, y + 0.015, 0.35, angle=turn, scale=size),
        Layer(tool, x, y - lift, 0.4, angle=turn, scale=size),
    ]


def _holding(
    scene: FarScene, script: KitchenScript, hand: Sprite, rows: Floats, *, moments: Floats
) -> Layer:
    """Place the hand at the handle, or on its way there and back."""
    x, y, lift, angle, _ = rows.T
    gone = hand_gone(script, moments)
    turn = _turn_of(scene, angle)
    along = GRIP * TOOL_LENGTH * scene.look.tool_size + gone * gone * OUT_OF_SIGHT
    return Layer(
        hand,
        x + np.cos(turn) * along,
        y - lift + np.sin(turn) * along,
        0.5,
        angle=turn,
        scale=scene.look.hand_size,
    )
