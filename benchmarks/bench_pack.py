"""Packing a dataset: two processes against one, start-up and all, in one run.

The clips are links to a few drawn ones: what matters is that there are enough of them for
starting the processes, about a second, not to count.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from benchmarks.table import Row, main_of

from taskgrain.tabletop.dataset import WorldSpec, clip_path, plan, write_clip
from taskgrain.tools.pack.packing import PackSettings, pack_dataset

NUM_CLIPS, NUM_DRAWN, ROUNDS, SIZE, WANTED = 1600, 16, 3, 56, 1.3


def write_dataset(root: Path, num_clips: int) -> None:
    """Draw a few clips, and write a dataset that names each of them many times."""
    drawn = []
    for clip in plan(WorldSpec(world="tabletop", seed=0, train=NUM_DRAWN, validation=0)):
        write_clip(root / "drawn", clip)
        drawn.append(clip_path(root / "drawn", clip.clip_id))
    (root / "videos").mkdir()
    rows = []
    for n in range(num_clips):
        os.link(drawn[n % NUM_DRAWN], root / "videos" / f"{n}.webm")
        rows.append({"id": str(n), "label": "moving", "template": "Moving", "placeholders": []})
    (root / "train.json").write_text(json.dumps(rows[1:]))
    (root / "validation.json").write_text(json.dumps(rows[:1]))


def pack_seconds(root: Path, workers: int) -> float:
    # Seconds on the wall: the work is that of several processes.
    settings = PackSettings(SIZE, SIZE, encoding="raw")
    with tempfile.TemporaryDirectory(dir=root) as store:
        return pack_dataset(root, Path(store), settings, workers=workers, quiet=True).seconds


def measure(small: bool) -> list[Row]:
    num_clips = 40 if small else NUM_CLIPS
    best: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_dataset(root, num_clips)
        for _ in range(1 if small else ROUNDS):
            for workers in (1, 2):
                seconds = pack_seconds(root, workers)
                best[workers] = min(best.get(workers, seconds), seconds)
    what = f"pack {num_clips:,} clips to {SIZE} x {SIZE} with two processes"
    return [Row(what, best[2], "one process", best[1], wanted=WANTED)]


if __name__ == "__main__":
    main_of(measure, __doc__)
