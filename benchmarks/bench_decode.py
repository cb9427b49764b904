"""Decoding clips: ours against PyAV's plain loop of `to_ndarray`, in one run.

Both turn the same 128 x 96 VP9 clips into RGB frames. The plain loop is the one of PyAV's
documentation; beside it stands the same loop with one thread to decode.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av

from taskgrain.data.decode import decode_clip
from taskgrain.tabletop.dataset import HEIGHT, WIDTH, WorldSpec, clip_path, plan, write_clip

NUM_CLIPS, ROUNDS = 24, 10


def plain(path: Path) -> int:
    with av.open(str(path)) as container:
        return len([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def plain_one_thread(path: Path) -> int:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        return len([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])


def bare(path: Path) -> int:
    """Decode without a picture to show for it: what no reader can go below."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        return sum(1 for _ in container.decode(stream))


def ours(path: Path) -> int:
    return len(decode_clip(path, height=HEIGHT, width=WIDTH).frames)


READERS: dict[str, Callable[[Path], int]] = {
    "taskgrain": ours,
    "PyAV's plain loop": plain,
    "the same, one decoding thread": plain_one_thread,
    "decoding alone, no pixels": bare,
}


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
        best = dict.fromkeys(READERS, 0.0)
        for _ in range(ROUNDS):
            for name, reader in READERS.items():
                best[name] = max(best[name], frames_per_second(reader, paths))
    own = best["taskgrain"]
    print(f"decode {WIDTH} x {HEIGHT}: {own:.0f} frames/s")
    for name, speed in list(best.items())[1:]:
        print(f"  {own / speed:.1f} times {name} ({speed:.0f} frames/s)")


if __name__ == "__main__":
    main()
