"""Lessons of drawn clips, as real files: what is filmed in one go shares all but what is done.

Clips of a recording have the same room, light, arm and camera (its drift and grain too), and differ
in their things, where these are, and how and how fast they are moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from taskgrain.data.decode import write_webm
from taskgrain.randomness import Draws
from taskgrain.tabletop.dataset import draw_clip
from taskgrain.tabletop.scene import Scene, sample_arm, sample_camera, sample_room, sample_scene
from taskgrain.teaching.folds import TaughtClips
from taskgrain.teaching.lesson import read_lesson
from taskgrain.teaching.seeing import encoder_named
from taskgrain.teaching.teach import taught_clips
from tests.teaching.making import featured

TAUGHT = (
    "Lifting something up completely without letting it drop down",
    "Pulling something from left to right",
    "Pushing something so that it falls off the table",
    "Turning something upside down",
)
UNSEEN = "Covering something with something"
WIDTH, HEIGHT, NUM_FRAMES = 64, 48, 16  # as few as the encoders look at: a third of the time


def room_name(recording: int) -> str:
    """Name the folder of a recording's clips, the same below every action."""
    return f"room {recording:03}"


@dataclass(frozen=True)
class DrawnClip:
    """A clip before it is drawn."""

    action: str
    recording: int
    number: int  # among the clips of its action and recording
    scene: Scene

    @property
    def file(self) -> str:
        return f"{self.action}/{room_name(self.recording)}/{self.number}.webm"


def drawn_clips(
    seed: int, recordings: Iterable[int], per_recording: int, *, actions: Sequence[str]
) -> Iterator[DrawnClip]:
    """Plan some clips of every action in every recording.

    A clip depends on its seed, recording, action and number alone.
    """
    for recording in recordings:
        draws = Draws("drawn lesson", seed, recording)
        arm, camera, room = (
            sample_arm(draws.within("arm")),
            sample_camera(draws.within("camera")),
            sample_room(draws.within("room")),
        )
        for action in actions:
            for number in range(per_recording):
                drawn = sample_scene(action, draws.within(f"{action}/{number}"))
                scene = replace(drawn, num_frames=NUM_FRAMES, arm=arm, camera=camera, room=room)
                yield DrawnClip(action, recording, number, scene)


def write_clips(folder: Path, clips: Iterable[DrawnClip]) -> Path:
    """Draw clips as ACTION/RECORDING/CLIP.webm."""
    for clip in clips:
        write_webm(folder / clip.file, draw_clip(clip.scene, width=WIDTH, height=HEIGHT))
    return folder


def read_clips(folder: Path, encoder: str) -> TaughtClips:
    """Read the features and the recordings of written clips, as `teach` does."""
    lesson = read_lesson(folder)
    return taught_clips(lesson, featured(lesson, [encoder_named(encoder)]))[encoder]
