"""Keeping frames raw or as JPEG: bytes, reading and loss, in one table.

What `taskgrain pack --encoding auto` decides by. A read is what training does: 16 frames of a
clip, cut to 112 x 112, clips in random order, files in the page cache.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
from benchmarks.table import Row, main_of

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


def measure(small: bool) -> list[Row]:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records = []
        spec = WorldSpec(world="tabletop", seed=0, train=2 if small else NUM_CLIPS, validation=0)
        for clip in plan(spec):
            write_clip(folder, clip)
            file = clip_path(folder, clip.clip_id).relative_to(folder).as_posix()
            records.append(
                ClipRecord(clip.clip_id, Split.TRAIN, "Moving", (), ("moving",), folder, file)
            )
        clip_ids = [record.clip_id for record in records]
        stores = {encoding: write_store(folder, records, encoding) for encoding in ENCODINGS}
        (_, raw), *_ = stores.items()
        raw_ms = read_ms(raw, clip_ids)
        for encoding, store in stores.items():
            kilobytes = frames_path(place_of(folder, encoding), 0).stat().st_size / len(records)
            rows.append(
                Row(
                    f"read {NUM_FRAMES} frames of {SIZE} x {SIZE}, {words_of(encoding)}",
                    read_ms(store, clip_ids),
                    "raw",
                    raw_ms,
                    unit="ms",
                    note=f"{kilobytes / 1e3:.0f} kB a clip, {psnr(store, raw, clip_ids):.1f} dB",
                )
            )
    return rows


def place_of(folder: Path, encoding: Encoding) -> Path:
    return folder / f"{encoding.name}-{encoding.quality}"


def words_of(encoding: Encoding) -> str:
    return encoding.name if encoding.quality is None else f"jpeg {encoding.quality}"


def write_store(folder: Path, records: list[ClipRecord], encoding: Encoding) -> FrameStore:
    place = place_of(folder, encoding)
    write_shard(place, 0, records, FrameFormat(SIZE, SIZE, encoding))
    return FrameStore(place, 1)


if __name__ == "__main__":
    main_of(measure, __doc__)
