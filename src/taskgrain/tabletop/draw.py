"""Draw a scene of the tabletop: a pure function of the scene and the size of the frames.

The scene's factors become a stage, the script that runs on it, and the camera's path.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from taskgrain.tabletop.backdrop import Room, depth_scale, draw_room, edge_x, ground_y
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
from taskgrain.tabletop.hand import Posture, Skin, draw_hand
from taskgrain.tabletop.motion import Extent, Key, Keys, Pose, Reach, Script, Stage, track
from taskgrain.tabletop.pen import tone
from taskgrain.tabletop.programs import PROGRAMS
from taskgrain.tabletop.scene import SKIN_TONES, SLEEVES, Camera, Layout, Scene, Thing
from taskgrain.tabletop.shapes import SPANS, colour_of, draw_thing, thing_size, wide_of

SHADOW_DARKNESS = 120  # alpha under a thing that stands on the table, of 255
SHADOW_RADIUS = 24  # pixels of the shadow's sprite, which is stretched as needed
REAR_DEPTH = 0.03


def render(scene: Scene, *, width: int, height: int) -> Pixels:
    """Draw every frame of a scene.

    Args:
        scene: what to draw.
        width: of a frame, pixels.
        height: of a frame, pixels; the picture is composed for 4 : 3.

    Returns:
        uint8 (T, H, W, 3), RGB; the same bits for the same arguments.
    """
    script, stage = direct(scene)
    moments = action_moments(scene)
    camera = camera_path(scene, moments, closing_zoom=script.closing_zoom)
    actors = cast(scene, script, stage, height=height)
    tracks = [track(actor.keys, moments, softness=scene.manner.ease) for actor in actors]
    shadow = draw_shadow()
    room = draw_room(scene.room, width=width, height=height)
    layers: list[Layer] = []
    lying: list[Layer] = []  # shadows that never move
    for actor, rows in zip(actors, tracks, strict=True):
        if len(actor.keys) == 1:
            lying.append(shadow_below(scene, actor, rows[:1], shadow))
        else:
            layers.append(shadow_below(scene, actor, rows, shadow))
        layers.append(placed(scene, actor, rows))
    imprint(room, lying)
    layers += _hands(scene, script, moments, height=height)
    layers += occluder(scene, shadow, camera)
    return expose(room, layers, camera, width=width, height=height, finish=finish_of(scene.camera))


def finish_of(camera: Camera) -> Finish:
    """Read what lens and sensor add."""
    return Finish(
        vignette=camera.vignette,
        grain=camera.grain,
        brightness=camera.brightness,
        warmth=camera.warmth,
        seed=camera.grain_seed,
    )


@dataclass(frozen=True, slots=True)
class Actor:
    """A thing with its motion."""

    sprite: Sprite
    extent: Extent
    keys: Keys
    before: float = 0.0  # depth that it is drawn in front of its own


def cast(scene: Scene, script: Script, stage: Stage, *, height: int) -> list[Actor]:
    """Draw every thing of a scene, each with its keys."""
    light = scene.camera.light
    pose = stage.home if script.second_at_home else stage.companion
    actors = [
        draw_standing(scene.main, script.main, light=light, height=height),
        draw_standing(scene.second, (Key(0, pose),), light=light, height=height),
    ]
    wanted = scene.layout.clutter - 1 - int(script.starts_on_table)
    poses = _free_places(scene, script, stage)
    for thing, pose in list(zip((scene.third, scene.fourth), poses, strict=False))[:wanted]:
        actors.append(draw_standing(thing, (Key(0, pose),), light=light, height=height))
    if script.cover:
        extent = cover_extent(scene)
        span = max(extent.width, extent.height)
        sprite = _sprite(scene.cover, span, light=light, height=height, covers=True)
        actors.append(Actor(sprite, extent, script.cover, before=0.01))
    return actors


def _free_places(scene: Scene, script: Script, stage: Stage) -> list[Pose]:
    """List where further things may stand: the companion's place first where it is free."""
    side = scene.room.edge_side
    across = -0.55 + 0.85 * scene.layout.rear_x
    rear = [Pose(side * x, REAR_DEPTH) for x in (across, (across + 0.97) % 0.85 - 0.55)]
    return [stage.companion, *rear] if script.second_at_home else rear


def draw_standing(thing: Thing, keys: Keys, *, light: float, height: int) -> Actor:
    """Draw a thing of its usual size, with its motion."""
    sprite = _sprite(thing, SPANS[thing.size], light=light, height=height)
    return Actor(sprite, extent_of(thing), keys)


def _sprite(
    thing: Thing, span: float, *, light: float, height: int, covers: bool = False
) -> Sprite:
    return draw_thing(
        thing.noun,
        tone(colour_of(thing.colour), thing.shade),
        span=span,
        light=light,
        frame_height=height,
        covers=covers,
    )


def placed(scene: Filmed, actor: Actor, rows: Floats) -> Layer:
    """Place an actor in every frame; rows: float (T, 5), x, depth, lift, angle, grow."""
    x, depth, lift, angle, grow = rows.T
    scale = depth_scale(depth) * grow
    base = ground_y(scene.room, depth) - lift * depth_scale(depth)
    middle = base - actor.extent.height / 2 * scale
    return Layer(actor.sprite, x, middle, depth + actor.before, angle=angle, scale=scale)


def shadow_below(scene: Filmed, actor: Actor, rows: Floats, shadow: Sprite) -> Layer:
    """Place an actor's shadow on the table, wherever the table is below."""
    x, depth, lift, _, grow = rows.T
    beside = x * scene.room.edge_side > np.abs(edge_x(scene.room, depth))
    width = actor.extent.width * depth_scale(depth) * grow
    height = np.maximum(lift, 0.0)
    return Layer(
        shadow,
        x - scene.camera.light * (0.1 * width + 0.4 * height),
        ground_y(scene.room, depth) - 0.01,
        depth - 0.02,
        scale=width * 1.25,
        squash=0.3,
        opacity=np.where(beside, 0.0, np.maximum(0.25, 1.0 - 2.2 * height)),
    )


def _hands(scene: Scene, script: Script, moments: Floats, *, height: int) -> list[Layer]:
    """Place the hand: a layer for each posture, there while the hand holds it."""
    if not script.hand:
        return []
    arm, reach = scene.arm, script.reach
    look = Skin(SKIN_TONES[arm.skin], SLEEVES[arm.sleeve], bare=arm.bare, striped=arm.striped)
    held = [_posture(script, moment) for moment in moments.tolist()]
    x, depth, lift, _, grow = track(script.hand, moments, softness=scene.manner.ease).T
    return [
        Layer(
            draw_hand(posture, look, from_right=reach.side > 0, frame_height=height),
            x,
            ground_y(scene.room, depth) - lift * depth_scale(depth),
            depth,
            angle=-reach.pitch if reach.side > 0 else math.pi + reach.pitch,
            scale=arm.size * depth_scale(depth) * grow,
            opacity=np.array([float(each == posture) for each in held]),
        )
        for posture in sorted(set(held))
    ]


def _posture(script: Script, moment: float) -> Posture:
    return [posture for time, posture in script.postures if time <= moment][-1]


@functools.cache
def draw_shadow() -> Sprite:
    """Draw a soft dark disc, one unit wide."""
    size = SHADOW_RADIUS * 3
    disc = np.zeros((size, size), np.uint8)
    centre = (size // 2, size // 2)
    cv2.circle(disc, centre, SHADOW_RADIUS, SHADOW_DARKNESS, -1)
    soft = np.asarray(cv2.GaussianBlur(disc, (0, 0), 5.0), np.uint8)
    middle = (size - 1) / 2
    return Sprite(soft, middle, middle, 2.0 * SHADOW_RADIUS)


def occluder(scene: Filmed, shadow: Sprite, camera: CameraPath) -> list[Layer]:
    """Put something dark and out of focus into a lower corner, where it stays: it is near."""
    if scene.camera.occluder == "none":
        return []
    side = -1 if scene.camera.occluder == "left" else 1
    x, y = camera.x + side * 0.66 / camera.zoom, camera.y + 0.5 / camera.zoom
    blob = Layer(shadow, x, y, 9.0, scale=0.5 / camera.zoom)
    return [blob, blob]


def direct(scene: Scene) -> tuple[Script, Stage]:
    """Set the stage of a scene and run its template's program on it."""
    room, layout = scene.room, scene.layout
    home = Pose(room.edge_side * layout.offset, layout.depth)
    main, second = extent_of(scene.main), extent_of(scene.second)
    apart = (main.width + second.width) / 2 * 0.85 + layout.gap
    # The companion stands away from the edge, so that it is never in the way of a fall.
    across = max(-0.5, room.edge_side * home.x - apart)
    stage = Stage(
        home=home,
        companion=Pose(room.edge_side * across, layout.depth - layout.companion_depth),
        main=main,
        second=second,
        cover=cover_extent(scene),
        edge_side=room.edge_side,
        edge=edge_x(room, layout.depth),
        direction=scene.manner.direction,
        travel=scene.manner.travel,
        height=scene.manner.height,
        stays=scene.manner.stays,
        reach=Reach(scene.arm.side, math.radians(scene.arm.pitch)),
    )
    return PROGRAMS[scene.template](stage), stage


def action_moments(scene: Scene) -> Floats:
    """Return the action's time in each frame: float (T,) in [0, 1]."""
    share = np.arange(scene.num_frames) / (scene.num_frames - 1)
    manner = scene.manner
    done = np.clip((share - manner.start) / (manner.finish - manner.start), 0.0, 1.0)
    return done**manner.pace


class Filmed(Protocol):
    """A scene in a room of the source world, before one of its cameras."""

    @property
    def num_frames(self) -> int:
        """Frames of the clip."""

    @property
    def camera(self) -> Camera:
        """How it is filmed."""

    @property
    def room(self) -> Room:
        """Where."""

    @property
    def layout(self) -> Layout:
        """Where in the room things are."""


def camera_path(scene: Filmed, moments: Floats, *, closing_zoom: float = 1.0) -> CameraPath:
    """Move the camera: drift and sway in every clip, and the zoom of the script."""
    camera = scene.camera
    share = np.linspace(-0.5, 0.5, scene.num_frames)
    swing = np.arange(scene.num_frames) * 0.9 + camera.sway_phase
    softened = moments**2 * (3 - 2 * moments)
    approach = closing_zoom**softened
    # The closer the camera is, the more it is turned to the main place.
    turned = softened if closing_zoom > 1 else np.zeros_like(softened)
    home_x = scene.room.edge_side * scene.layout.offset
    home_y = ground_y(scene.room, scene.layout.depth) - 0.18
    # The table's edge is kept in view.
    x = (
        0.09 * scene.room.edge_side
        + camera.x
        + camera.drift_x * share
        + camera.sway * np.sin(swing)
    )
    y = camera.y + camera.drift_y * share + camera.sway * np.cos(swing * 1.3)
    return CameraPath(
        x=x + turned * (home_x - x) * 0.8,
        y=y + turned * (home_y - y) * 0.8,
        zoom=camera.zoom * (1 + camera.drift_zoom * share) * approach,
        roll=np.full(scene.num_frames, camera.roll),
    )


def extent_of(thing: Thing) -> Extent:
    """Measure a thing, frame heights."""
    return Extent(*thing_size(thing.noun, thing.size))


def cover_extent(scene: Scene) -> Extent:
    """Measure the cover: as large as the main thing needs."""
    main, wide = extent_of(scene.main), wide_of(scene.cover.noun)
    height = max(1.1 * main.height, 1.12 * main.width / wide, SPANS["small"] / wide)
    return Extent(wide * height, height)
