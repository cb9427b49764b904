"""Draw a world into a folder by several processes; a stopped drawing goes on where it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from math import ceil
from pathlib import Path

from taskgrain.data.store import CLIPS_PER_SHARD
from taskgrain.jobs.executor import Cell, Worker
from taskgrain.jobs.workspace import claim, compute, workspace
from taskgrain.tabletop.dataset import (
    DRAW_SECONDS,
    ClipPlan,
    WorldSpec,
    clip_path,
    plan,
    write_annotations,
    write_clip,
)

STATE = ".rendering"  # removed once the dataset is whole


def render_dataset(root: Path, spec: WorldSpec, *, workers: int | None, quiet: bool) -> None:
    """Write a drawn dataset: annotations, videos/ and factors.jsonl.

    Raises:
        RunError: if the folder holds anything but a drawing of the same world.
        StoppedError: after Ctrl-C; the same call goes on from there.
    """
    state = root / STATE
    with workspace(root, tidy=True):
        claim(
            root,
            Path(STATE, "world.json"),
            json.dumps(asdict(spec), sort_keys=True),
            work="a drawing",
            more=", or give the same command to go on with a drawing that was stopped",
        )
        clips = plan(spec)
        cells = [
            _cell(root, state, number, clips[number * CLIPS_PER_SHARD :][:CLIPS_PER_SHARD])
            for number in range(ceil(len(clips) / CLIPS_PER_SHARD))
        ]
        compute(cells, state / "timings.jsonl", workers=workers, quiet=quiet)
        write_annotations(root, clips)
        shutil.rmtree(state)


def _cell(root: Path, state: Path, number: int, clips: Sequence[ClipPlan]) -> Cell:
    return Cell(
        f"prepare drawing {number:05d}",
        partial(_draw, root=root, clips=tuple(clips)),
        DRAW_SECONDS * len(clips),
        state / f"{number:05d}.done",
        clip_path(root, clips[-1].clip_id),
    )


def _draw(worker: Worker, root: Path, clips: Sequence[ClipPlan]) -> None:
    for clip in clips:
        write_clip(root, clip)
        worker.advance(DRAW_SECONDS)
