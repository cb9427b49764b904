from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import RidgeClassifier

from taskgrain.tabletop.dataset import WorldSpec, draw_clip, plan
from taskgrain.tabletop.film import Pixels

CLIPS = 960
CHANCE = 1 / 40


def _thumbnail(frame: Pixels) -> NDArray[np.float64]:
    return cv2.resize(frame, (12, 9), interpolation=cv2.INTER_AREA).astype(float).ravel()


def _motion_energy(video: Pixels) -> NDArray[np.float64]:
    """Mean absolute frame differences on an 8 x 6 grid in four parts of the clip."""
    grey = video.mean(axis=-1)
    change = np.abs(np.diff(grey, axis=0)).reshape(len(grey) - 1, 6, 8, 8, 8).mean(axis=(2, 4))
    parts = np.array_split(change, 4)
    return np.concatenate([part.mean(axis=0).ravel() for part in parts])


def _probe(features: NDArray[np.float64], category: NDArray[np.str_]) -> float:
    """Fit on the first two thirds, score on the last."""
    features = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-9)
    fitted = len(features) * 2 // 3
    probe = RidgeClassifier(alpha=300.0).fit(features[:fitted], category[:fitted])
    return float((probe.predict(features[fitted:]) == category[fitted:]).mean())


@pytest.mark.slow
def test_nothing_but_the_action_tells_the_category() -> None:
    clips = plan(WorldSpec("tabletop", 77, CLIPS, 0))
    category = np.array([clip.scene.category for clip in clips])
    first: list[NDArray[np.float64]] = []
    motion: list[NDArray[np.float64]] = []
    for clip in clips:
        video = draw_clip(clip.scene, width=64, height=48)
        first.append(_thumbnail(video[0]))
        motion.append(_motion_energy(video))
    duration = np.array([[clip.scene.num_frames] for clip in clips], dtype=float)
    # 320 scored clips: chance is 2.5 % with a standard deviation of 0.9 %.
    assert _probe(np.array(first), category) < 3 * CHANCE
    assert _probe(duration, category) < 2.5 * CHANCE
    # A person sees the action; so does, for a part, a grid of frame differences.
    assert 5 * CHANCE < _probe(np.array(motion), category) < 0.5
