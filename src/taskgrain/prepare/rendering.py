"""Draw a world into a folder by several processes; a stopped drawing goes on where it was."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from math import ceil
from pathlib import Path

from taskgrain.data.files import write_text
from taskgrain.data.store import CLIPS_PER_SHARD
from taskgrain.errors import RunError
from taskgrain.jobs.executor import Cell, Worker, run_cells
from taskgrain.jobs.lock import locked
from taskgrain.jobs.progress import Reporter
from taskgrain.jobs.signals import sigterm_stops
from taskgrain.tabletop.dataset import (
    ClipPlan,
    WorldSpec,
    clip_path,
    plan,
    write_annotations,
    write_clip,
)

DRAW_SECONDS = 0.04  # a clip of 30 frames on one thread, VP9 included
STATE = ".rendering"  # removed once the dataset is whole


def render_dataset(root: Path, spec: WorldSpec, *, workers: int | None, quiet: bool) -> None:
    """Write a drawn dataset: annotations, videos/ and factors.jsonl.

    Raises:
        RunError: if the folder holds anything but a drawing of the same world.
        StoppedError: after Ctrl-C; the same call goes on from there.
    """
    state = root / STATE
    with locked(root):
        _claim(root, state, spec)
        clips = plan(spec)
        cells = [
            _cell(root, state, number, clips[number * CLIPS_PER_SHARD :][:CLIPS_PER_SHARD])
            for number in range(ceil(len(clips) / CLIPS_PER_SHARD))
        ]
        with Reporter(cells, state / "timings.jsonl", quiet=quiet) as reporter:
            run_cells(cells, workers=workers or os.cpu_count() or 1, monitor=reporter)
        write_annotations(root, clips)
        shutil.rmtree(state)
    (root / ".lock").unlink(missing_ok=True)


def _claim(root: Path, state: Path, spec: WorldSpec) -> None:
    wanted = json.dumps(asdict(spec), sort_keys=True)
    mark = state / "world.json"
    if mark.is_file() and mark.read_text(encoding="utf-8") == wanted:
        return
    others = sorted(path.name for path in root.iterdir() if path.name != ".lock")
    if others:
        raise RunError(
            f"{root} holds other files ({others[0]}, ...); choose an empty folder, or give the "
            "same command to go on with a drawing that was stopped"
        )
    write_text(mark, wanted)


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
