"""Draw a scene of the near look: a pure function of the scene and the size of the frames."""

from __future__ import annotations

import math

import numpy as np

from taskgrain.tabletop.backdrop import depth_scale, draw_room, ground_y
from taskgrain.tabletop.draw import (
    Actor,
    camera_path,
    draw_shadow,
    draw_standing,
    extent_of,
    finish_of,
    occluder,
    placed,
    shadow_below,
)
from taskgrain.tabletop.film import Floats, Layer, Pixels, Sprite, expose, imprint
from taskgrain.tabletop.hand import Skin, draw_hand
from taskgrain.tabletop.kitchen.doing import HANDLES
from taskgrain.tabletop.kitchen.motion import (
    OUT_OF_SIGHT,
    KitchenScript,
    Worktop,
    direct_kitchen,
    hand_gone,
    moments_of,
    tremor_of,
)
from taskgrain.tabletop.kitchen.near import NearScene
from taskgrain.tabletop.kitchen.shapes import GRIP, TOOL_LENGTH, draw_food, draw_tool, foot_of
from taskgrain.tabletop.motion import Extent, Key, Pose, track
from taskgrain.tabletop.scene import SKIN_TONES, SLEEVES

# What differs between the looks is here and in `far_draw`; motions, tools and foods are shared, so
# that clips of a seed are pairs.
TOOL_SCALE = 0.66  # of the far look's tools, which are seen from closer
FOOD_WIDTH = 0.21  # frame heights, of a piece of scale 1
FOOD_MIDDLE = 0.09  # height of its middle above the table
ASIDE = 0.1  # by which the main place lies away from the hand's side: it needs more room there
CLEARANCE = 0.13  # how far above the food a pretending tool stays
LEAST_PITCH, PITCH_SHARE = 14.0, 0.62  # degrees; of the pitch that arms have in the source


def render_near(scene: NearScene, *, width: int, height: int) -> Pixels:
    """Draw every frame of a scene of the near look, as `draw.render`: uint8 (T, H, W, 3), RGB."""
    top = near_worktop(scene)
    script = direct_kitchen(top)
    moments = moments_of(scene.num_frames, scene.handling)
    camera = camera_path(scene, moments)
    food_track = track(script.food, moments, softness=1.0)
    tool_track = track(script.tool, moments, softness=1.0)
    tool_track[:, [0, 2]] += tremor_of(scene.num_frames, scene.handling)
    shadow = draw_shadow()
    room = draw_room(scene.room, width=width, height=height)
    standing = _standing(scene, top, height=height)
    lying = [
        shadow_below(scene, actor, track(actor.keys, moments[:1], softness=1.0), shadow)
        for actor in standing
    ]
    imprint(room, lying)
    food = _food(scene, script, height=height)
    layers = [
        *(placed(scene, each, track(each.keys, moments, softness=1.0)) for each in standing),
        shadow_below(scene, food, food_track, shadow),
        placed(scene, food, food_track),
        _handled(scene, tool_track, height=height),
        _holding(scene, script, tool_track, moments, height=height),
        *occluder(scene, shadow, camera),
    ]
    return expose(room, layers, camera, width=width, height=height, finish=finish_of(scene.camera))


def near_worktop(scene: NearScene) -> Worktop:
    """Set up the work at the main place of the table."""
    handling, layout = scene.handling, scene.layout
    home = Pose(scene.room.edge_side * layout.offset - ASIDE * handling.side, layout.depth)
    piece = Pose(home.x, home.depth, 0.0, scene.utensil.food_angle)
    pitch = _pitch(scene)
    beside = Pose(
        home.x + handling.side * 0.02,
        home.depth + (0.2 if home.depth < 0.64 else -0.24),
        0.012,
        handling.side * pitch,  # lying, it is level
    )
    return Worktop(
        motion=scene.motion,
        handling=handling,
        piece=piece,
        aside=beside,
        arm=(handling.side * math.cos(pitch), 0.0, math.sin(pitch)),
        deep=0.8,
        touch=FOOD_MIDDLE * scene.utensil.food_scale,
        clearance=CLEARANCE,
    )


def _pitch(scene: NearScene) -> float:
    """Compute how steeply arm and tool come down, radians."""
    return math.radians(LEAST_PITCH + PITCH_SHARE * scene.arm.pitch)


def _standing(scene: NearScene, top: Worktop, *, height: int) -> list[Actor]:
    """Draw the things that nobody touches: where the source has its companion and its rear."""
    layout, room = scene.layout, scene.room
    apart = (FOOD_WIDTH + extent_of(scene.second).width) / 2 * 0.85 + layout.gap
    across = max(-0.5, room.edge_side * top.piece.x - apart)
    poses = (
        Pose(room.edge_side * across, layout.depth - layout.companion_depth),
        Pose(room.edge_side * (-0.55 + 0.85 * layout.rear_x), 0.03),
    )
    things = (scene.second, scene.third)
    return [
        draw_standing(thing, (Key(0, pose),), light=scene.camera.light, height=height)
        for thing, pose in list(zip(things, poses, strict=True))[: layout.clutter - 1]
    ]


def _food(scene: NearScene, script: KitchenScript, *, height: int) -> Actor:
    scale = scene.utensil.food_scale
    sprite = draw_food(
        scene.utensil.food, scale=scale, light=scene.camera.light, frame_height=height
    )
    foot = foot_of(sprite)
    return Actor(sprite, Extent(FOOD_WIDTH * scale, 2 * foot), script.food)


def _turn_of(scene: NearScene, angle: Floats) -> Floats:
    """Compute the direction from the tool's tip to its handle, radians, clockwise."""
    pitch = _pitch(scene)
    return (-pitch if scene.handling.side > 0 else math.pi + pitch) + angle


def _handled(scene: NearScene, rows: Floats, *, height: int) -> Layer:
    x, depth, lift, angle, _ = rows.T
    sprite: Sprite = draw_tool(
        scene.tool,
        HANDLES[scene.utensil.handle],
        light=scene.camera.light,
        from_right=scene.handling.side > 0,
        frame_height=height,
    )
    return Layer(
        sprite,
        x,
        ground_y(scene.room, depth) - lift * depth_scale(depth),
        depth + 0.02,
        angle=_turn_of(scene, angle),
        scale=_tool_scale(scene) * depth_scale(depth),
    )


def _tool_scale(scene: NearScene) -> float:
    return TOOL_SCALE * scene.utensil.tool_size


def _holding(
    scene: NearScene, script: KitchenScript, rows: Floats, moments: Floats, *, height: int
) -> Layer:
    """Place the hand at the handle, or on its way there and back."""
    arm = scene.arm
    look = Skin(SKIN_TONES[arm.skin], SLEEVES[arm.sleeve], bare=arm.bare, striped=arm.striped)
    x, depth, lift, angle, _ = rows.T
    gone = hand_gone(script, moments)
    tool, reach = _turn_of(scene, angle), _turn_of(scene, np.zeros_like(angle))
    along = GRIP * TOOL_LENGTH * _tool_scale(scene) * depth_scale(depth)
    away = gone * gone * OUT_OF_SIGHT
    return Layer(
        draw_hand("grip", look, from_right=scene.handling.side > 0, frame_height=height),
        x + np.cos(tool) * along + np.cos(reach) * away,
        ground_y(scene.room, depth)
        - lift * depth_scale(depth)
        + np.sin(tool) * along
        + np.sin(reach) * away,
        depth + 0.03,
        angle=reach + 0.5 * angle,
        scale=arm.size * depth_scale(depth),
    )
