"""Long videos of two actions, and a model that was taught them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskgrain.data.sampling import see_given
from taskgrain.teaching.folds import NONE, TaughtClips
from taskgrain.teaching.model import TaughtModel
from taskgrain.teaching.seeing import encode_clips, encoder_named
from taskgrain.teaching.taught import SeenWith, teach_classifier, write_taught

CLASSES = ("shake above", "shake below")
ROWS = (4, 36)
SWING = 16  # frames of a movement to and fro


def scene(action: int, num_frames: int, *, phase: int = 0, ground: int = 40) -> NDArray[np.uint8]:
    """A square that moves to and fro above or below, or with NONE stays where it is."""
    frames = np.full((num_frames, 48, 48, 3), ground, np.uint8)
    for t in range(num_frames):
        column = 4 * abs((t + phase) % SWING - SWING // 2) if action != NONE else 20
        row = ROWS[action] if action != NONE else 20
        frames[t, row : row + 8, column : column + 8] = (230, 220, 60)
    return frames


def film(*parts: tuple[int, int]) -> NDArray[np.uint8]:
    """One scene after the other: action and number of frames of each."""
    return np.concatenate([scene(action, num_frames) for action, num_frames in parts])


def taught_model(*, why_not: str | None = None) -> TaughtModel:
    """Teach a second of each action, in every phase, and stillness as none of them."""
    encoder = encoder_named("motion-energy")
    labels, clips = [], []
    for phase in range(12):
        for action in (0, 1, NONE):
            labels.append(action)
            clips.append(scene(action, 12, phase=phase, ground=30 + 5 * phase))
    shown = [{each: see_given(clip, each) for each in encoder.samplings} for clip in clips]
    features = encode_clips(encoder, shown).astype(np.float64)
    recordings = np.arange(len(clips)) // 3
    taught = teach_classifier(
        TaughtClips(features, np.array(labels, dtype=np.int64), recordings, len(CLASSES)),
        CLASSES,
        seen=SeenWith("motion-energy", encoder.fingerprint, 1.0),
        alpha=0.05,
        why_not=why_not,
    )
    return TaughtModel(taught, encoder)


def model_folder(folder: Path, *, why_not: str | None = None) -> Path:
    """Write the taught model as `teach` does."""
    folder.mkdir(parents=True)
    write_taught(taught_model(why_not=why_not).taught, folder)
    return folder
