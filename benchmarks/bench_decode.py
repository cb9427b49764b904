"""Decoding clips: ours against PyAV's plain loop of `to_ndarray`, in one run.

Both turn the same 128 x 96 VP9 clips into RGB frames on one thread.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av

from taskgrain.data.decode import decode_clip
from taskgrain.tabletop.dataset import HEIGHT, WIDTH, WorldSpec, clip_path, plan, write_clip

NUM_CLIPS, ROUNDS = 24, 5


def plain(path: Path) -> int:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        return len([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])


def ours(path: Path) -> int:
    return len(decode_clip(path, height=HEIGHT, width=WIDTH).frames)


def frames_per_second(decode: Callable[[Path], int], paths: list[Path]) -> float:
    started = time.perf_counter()
    frames = sum(decode(path) for path in paths)
    return frames / (time.perf_counter() - started)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        clips = plan(WorldSpec(world="tabletop", seed=0, train=NUM_CLIPS, validation=0))
        for clip in clips:
            write_clip(Path(folder), clip)
        paths = [clip_path(Path(folder), clip.clip_id) for clip in clips]
        rounds = [(frames_per_second(ours, paths), frames_per_second(plain, paths))
                  for _ in range(ROUNDS)]  # fmt: skip
    best_ours, best_plain = (max(values) for values in zip(*rounds, strict=True))
    print(
        f"decode {WIDTH} x {HEIGHT}: {best_ours:.0f} frames/s against {best_plain:.0f}: "
        f"{best_ours / best_plain:.1f} times PyAV's plain loop"
    )


if __name__ == "__main__":
    main()
