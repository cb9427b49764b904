"""Drawing clips as files: ours against encoding alone, in one run.

The peer has the frames already and encodes them as PyAV's documentation does, with the same
options: what a clip costs beyond that is its drawing. CPU time, the best of several rounds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import get_args

import av
import cv2
from benchmarks.table import Row, main_of
from benchmarks.timing import best_seconds

from taskgrain.data.decode import FRAME_RATE, VP9_OPTIONS
from taskgrain.tabletop.dataset import ClipPlan, World, WorldSpec, draw_clip, plan, write_clip
from taskgrain.tabletop.film import Pixels

NUM_CLIPS, ROUNDS = 16, 10
WANTED = 0.5  # drawing a clip takes at most as long as encoding it


def encode_plainly(path: Path, video: Pixels) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=FRAME_RATE, options=VP9_OPTIONS)
        stream.height, stream.width = video.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in video:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def write_all(folder: Path, clips: Sequence[ClipPlan]) -> None:
    for clip in clips:
        write_clip(folder, clip)


def encode_all(path: Path, videos: Sequence[Pixels]) -> None:
    for video in videos:
        encode_plainly(path, video)


def measure(small: bool) -> list[Row]:
    rows: list[Row] = []
    num_clips = 2 if small else NUM_CLIPS
    cv2.setNumThreads(1)
    for world in get_args(World):
        clips = plan(WorldSpec(world=world, seed=0, train=num_clips, validation=0))
        videos = [draw_clip(clip.scene) for clip in clips]
        with tempfile.TemporaryDirectory() as folder:
            best = best_seconds(
                {
                    "ours": partial(write_all, Path(folder), clips),
                    "plain": partial(encode_all, Path(folder) / "plain.webm", videos),
                },
                rounds=1 if small else ROUNDS,
            )
        a_clip = best["ours"] / num_clips
        rows.append(
            Row(
                f"draw {num_clips} clips of {world} as files",
                best["ours"],
                "PyAV's plain encoding of their ready frames",
                best["plain"],
                wanted=WANTED,
                note=f"{1000 * a_clip:.0f} ms a clip",
            )
        )
    return rows


if __name__ == "__main__":
    main_of(measure, __doc__)
