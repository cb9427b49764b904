"""Draw docs/clips.webp, the moving picture at the top of the README: python docs/draw_clips.py"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from taskgrain.tabletop.dataset import World, WorldSpec, draw_clip, plan

WIDTH, HEIGHT, COLUMNS = 192, 144, 4
NUM_FRAMES, MILLISECONDS = 24, 83  # two seconds at 12 frames per second
SEED = 12
CLIPS: dict[World, int] = {"tabletop": 4, "kitchenware": 2, "kitchenware-far": 2}


def main() -> None:
    """Lay the first clips of each world side by side and write them as one animation."""
    clips = [
        clip
        for world, count in CLIPS.items()
        for clip in plan(WorldSpec(world=world, seed=SEED, train=count, validation=0))
    ]
    videos = [draw_clip(clip.scene, width=WIDTH, height=HEIGHT) for clip in clips]
    spread = [
        video[np.linspace(0, len(video) - 1, NUM_FRAMES).round().astype(int)] for video in videos
    ]
    rows = [np.concatenate(spread[i : i + COLUMNS], 2) for i in range(0, len(spread), COLUMNS)]
    frames = [Image.fromarray(frame) for frame in np.concatenate(rows, 1)]
    frames[0].save(
        Path(__file__).with_name("clips.webp"),
        save_all=True,
        append_images=frames[1:],
        duration=MILLISECONDS,
        loop=0,
        quality=55,
        method=6,
    )


if __name__ == "__main__":
    main()
