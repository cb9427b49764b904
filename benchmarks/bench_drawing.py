"""Drawing clips as files: ours against encoding alone, in one run.

The peer has the frames already and encodes them as PyAV's documentation does, with the same
options: what a clip costs beyond that is its drawing. CPU time, the best of several rounds.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from pathlib import Path
from typing import get_args

import av
import cv2

from taskgrain.data.encode import FRAME_RATE, VP9_OPTIONS
from taskgrain.tabletop.dataset import World, WorldSpec, draw_clip, plan, write_clip
from taskgrain.tabletop.film import Pixels

NUM_CLIPS, ROUNDS = 16, 10


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


def compare(world: World, folder: Path) -> None:
    clips = plan(WorldSpec(world=world, seed=0, train=NUM_CLIPS, validation=0))
    videos = [draw_clip(clip.scene) for clip in clips]
    ours, drawing, plain = ([float("inf")] * NUM_CLIPS for _ in range(3))
    for _ in range(ROUNDS):
        for index, clip in enumerate(clips):
            times = [time.process_time()]
            write_clip(folder, clip)
            times.append(time.process_time())
            draw_clip(clip.scene)
            times.append(time.process_time())
            encode_plainly(folder / "plain.webm", videos[index])
            times.append(time.process_time())
            spent = [after - before for before, after in itertools.pairwise(times)]
            for best, seconds in zip((ours, drawing, plain), spent, strict=True):
                best[index] = min(best[index], seconds)
    total, drawn, peer = (sum(best) / NUM_CLIPS * 1e3 for best in (ours, drawing, plain))
    print(f"draw a clip of {world} as a file: {total:.1f} ms, {drawn:.1f} of it for the frames")
    print(f"  {total / peer:.2f} times PyAV's plain encoding of ready frames ({peer:.1f} ms)")


def main() -> None:
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        for world in get_args(World):
            compare(world, Path(folder))


if __name__ == "__main__":
    main()
