"""Decoding clips: ours against PyAV's plain loop of `to_ndarray`, in one run.

Both turn the same 128 x 96 VP9 clips into RGB frames. The plain loop is the one of PyAV's
documentation; beside it stands the same loop with one thread to decode.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
from benchmarks.table import Row, main_of
from benchmarks.timing import best_seconds

from taskgrain.data.decode import decode_clip
from taskgrain.tabletop.dataset import HEIGHT, WIDTH, WorldSpec, clip_path, plan, write_clip

NUM_CLIPS, ROUNDS = 24, 10
WANTED = {"PyAV's plain loop": 4.0, "the same, one decoding thread": 3.0}


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


def read_all(reader: Callable[[Path], int], paths: list[Path]) -> int:
    return sum(map(reader, paths))


def measure(small: bool) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        spec = WorldSpec(world="tabletop", seed=0, train=2 if small else NUM_CLIPS, validation=0)
        clips = plan(spec)
        for clip in clips:
            write_clip(Path(folder), clip)
        paths = [clip_path(Path(folder), clip.clip_id) for clip in clips]
        best = best_seconds(
            {name: partial(read_all, reader, paths) for name, reader in READERS.items()},
            rounds=1 if small else ROUNDS,
        )
    what = f"decode {len(paths)} clips of {WIDTH} x {HEIGHT}"
    own, *others = best.items()
    return [Row(what, own[1], name, seconds, wanted=WANTED.get(name)) for name, seconds in others]


if __name__ == "__main__":
    main_of(measure, __doc__)
