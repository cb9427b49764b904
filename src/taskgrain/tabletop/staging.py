"""From a scene's factors to a stage, the script that runs on it, and the camera's path."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from taskgrain.tabletop.backdrop import Room, edge_x, ground_y
from taskgrain.tabletop.film import CameraPath, Floats
from taskgrain.tabletop.motion import Extent, Pose, Reach, Script, Stage
from taskgrain.tabletop.programs import PROGRAMS
from taskgrain.tabletop.scene import Camera, Layout, Scene, Thing
from taskgrain.tabletop.shapes import SPANS, WIDTHS, thing_size


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
        ...

    @property
    def camera(self) -> Camera:
        """How it is filmed."""
        ...

    @property
    def room(self) -> Room:
        """Where."""
        ...

    @property
    def layout(self) -> Layout:
        """Where in the room things are."""
        ...


def camera_path(scene: Filmed, moments: Floats, *, closing_zoom: float = 1.0) -> CameraPath:
    """Move the camera: drift and sway in every clip, and the zoom that a script asks for."""
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
    """Measure the cover: as large as the main thing asks for."""
    main, wide = extent_of(scene.main), WIDTHS[scene.cover.noun]
    height = max(1.1 * main.height, 1.12 * main.width / wide, SPANS["small"] / wide)
    return Extent(wide * height, height)
