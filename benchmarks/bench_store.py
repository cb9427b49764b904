"""Keeping frames raw or as JPEG: bytes, reading and loss, in one table.

What `taskgrain pack --encoding auto` decides by. A read is what training does: 16 frames of a
clip, cut to 112 x 112, clips in random order, files in the page cache.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from taskgrain.data.manifest import ClipRecord, Split
from taskgrain.data.store import RAW, Encoding, FrameFormat, FrameStore, frames_path, write_shard
from taskgrain.tabletop.dataset import WorldSpec, clip_path, plan, write_clip

NUM_CLIPS, ROUNDS, SIZE, CROP, NUM_FRAMES = 48, 5, 128, 112, 16
ENCODINGS = (RAW, Encoding(85), Encoding(90), Encoding(95))


def read_ms(store: FrameStore, clip_ids: list[str]) -> float:
    rng = np.random.default_rng(0)
    cut = slice(8, 8 + CROP)
    best = np.inf
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for clip_id in rng.permutation(clip_ids).tolist():
            indices = np.linspace(0, store.num_frames(clip_id) - 1, NUM_FRAMES).astype(np.int64)
            store.read(clip_id, indices, cut, cut)
        best = min(best, time.perf_counter() - started)
    return best / len(clip_ids) * 1e3


def psnr(store: FrameStore, truth: FrameStore, clip_ids: list[str]) -> float:
    errors = [
        np.square(store.frames(clip_id).astype(float) - truth.frames(clip_id)).mean()
        for clip_id in clip_ids
    ]
    error = float(np.mean(errors))
    return 10 * np.log10(255**2 / error) if error else np.inf


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records = []
        for clip in plan(WorldSpec(world="tabletop", seed=0, train=NUM_CLIPS, validation=0)):
            write_clip(folder, clip)
            file = clip_path(folder, clip.clip_id).relative_to(folder).as_posix()
            records.append(
                ClipRecord(clip.clip_id, Split.TRAIN, "Moving", (), ("moving",), folder, file)
            )
        clip_ids = [record.clip_id for record in records]
        print(f"store of {SIZE} x {SIZE}, {NUM_CLIPS} clips; a read is {NUM_FRAMES} frames")
        print(f"{'encoding':<10}{'kB a clip':>10}{'write ms':>10}{'read ms':>10}{'PSNR dB':>9}")
        truth: FrameStore | None = None
        for encoding in ENCODINGS:
            place = folder / f"{encoding.name}-{encoding.quality}"
            started = time.perf_counter()
            write_shard(place, 0, records, FrameFormat(SIZE, SIZE, encoding))
            write_ms = (time.perf_counter() - started) / NUM_CLIPS * 1e3
            store = FrameStore(place, 1)
            truth = truth or store
            kilobytes = frames_path(place, 0).stat().st_size / NUM_CLIPS / 1e3
            said = encoding.name if encoding.quality is None else f"jpeg {encoding.quality}"
            print(
                f"{said:<10}{kilobytes:>10.0f}{write_ms:>10.1f}{read_ms(store, clip_ids):>10.2f}"
                f"{psnr(store, truth, clip_ids):>9.1f}"
            )


if __name__ == "__main__":
    main()
