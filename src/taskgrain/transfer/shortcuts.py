"""Features that would give a target away: outer frames, length, size of file, frames out of order.

A target whose classes these tell apart can be answered without seeing what happens in its clips.

Shapes: N clips, B clips of a batch, T frames, H W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from taskgrain.data.dataset import Batch
from taskgrain.data.decode import FRAME_RATE
from taskgrain.data.ledger import bytes_of
from taskgrain.data.manifest import ClipRecord
from taskgrain.data.sampling import generator_for
from taskgrain.data.store import FrameStore
from taskgrain.errors import ResultError, list_problems
from taskgrain.transfer.controls import BRIGHTEST, PIXEL_SIZE
from taskgrain.transfer.features import FeatureSet

Shortcut = Literal["first-frame", "last-frame", "first-and-last-frame", "duration", "byte-size"]
ReadClips = Callable[[FrameStore, Sequence[ClipRecord], Mapping[str, object]], FeatureSet]


def outer_frames(
    store: FrameStore,
    records: Sequence[ClipRecord],
    header: Mapping[str, object],
    *,
    places: Sequence[Literal[0, -1]],
) -> FeatureSet:
    """Shrink the first frame of each stored clip, its last or both to 12 x 12 by averaging areas.

    Args:
        store: holds every clip.
        records: the clips.
        header: where the features come from.
        places: 0 for the first frame, -1 for the last; a clip of one frame has it for both.

    Returns:
        float32 (N, len(places) * 12 * 12 * 3), in [0, 1], in the order of the records.

    Raises:
        ValueError: if there are no clips, or the store lacks one.
    """
    _check(store, records)
    small = np.empty((len(records), len(places), PIXEL_SIZE, PIXEL_SIZE, 3), np.float32)
    for row, record in zip(small, records, strict=True):
        last = store.num_frames(record.clip_id) - 1
        index = [last if place else 0 for place in places]
        frames = store.read(record.clip_id, index, slice(None), slice(None))
        for cell, frame in zip(row, frames, strict=True):
            pixels = frame.astype(np.float32) / BRIGHTEST
            cell[:] = cv2.resize(pixels, (PIXEL_SIZE, PIXEL_SIZE), interpolation=cv2.INTER_AREA)
    return _feature_set(records, small.reshape(len(records), -1), header)


def duration(
    store: FrameStore, records: Sequence[ClipRecord], header: Mapping[str, object]
) -> FeatureSet:
    """Give how long each stored clip is: float32 (N, 2), seconds and their natural logarithm.

    Raises:
        ValueError: if there are no clips, or the store lacks one.
    """
    _check(store, records)
    frames = np.array([store.num_frames(record.clip_id) for record in records])
    return _feature_set(records, _with_logarithm(frames / FRAME_RATE), header)


def byte_size(
    store: FrameStore, records: Sequence[ClipRecord], header: Mapping[str, object]
) -> FeatureSet:
    """Give how large each clip's file is: float32 (N, 2), kilobytes and their natural logarithm.

    Of a folder of frames all files count.

    Raises:
        ValueError: if there are no clips, or the store lacks one.
        ResultError: naming the clips whose files are gone, or empty.
    """
    _check(store, records)
    sizes = [bytes_of(record.path) for record in records]
    gone = [record for record, size in zip(records, sizes, strict=True) if not size]
    if gone:
        raise ResultError(
            list_problems(
                [f"{each.path}: no file to take the size of; leave byte-size out" for each in gone]
            )
        )
    return _feature_set(records, _with_logarithm(np.array(sizes, np.float64) / 1000), header)


def shuffled_time(batches: Iterable[Batch], *, seed: int) -> Iterator[Batch]:
    """Permute the frames of every clip, before whatever reads them.

    The permutation depends on (seed, clip id) and the number of frames alone: it is the same in
    any order or size of batches, and for every source.

    Args:
        batches: clips, video uint8 (B, T, H, W, 3).
        seed: of the permutations.

    Yields:
        The same batches with other videos of the same shape.
    """
    for batch in batches:
        num_frames = batch.video.shape[1]
        order = np.stack(
            [
                generator_for(seed, 0, f"shuffled time {clip}").permutation(num_frames)
                for clip in batch.clip_ids
            ]
        )  # (B, T)
        index = torch.from_numpy(order).to(batch.video.device)
        clips = torch.arange(len(order), device=batch.video.device)
        yield replace(batch, video=batch.video[clips[:, None], index])


SHORTCUTS: dict[Shortcut, ReadClips] = {
    "first-frame": partial(outer_frames, places=(0,)),
    "last-frame": partial(outer_frames, places=(-1,)),
    "first-and-last-frame": partial(outer_frames, places=(0, -1)),
    "duration": duration,
    "byte-size": byte_size,
}


def _check(store: FrameStore, records: Sequence[ClipRecord]) -> None:
    if not records:
        raise ValueError("there are no clips to take features from")
    missing = [record.clip_id for record in records if record.clip_id not in store]
    if missing:
        raise ValueError(f"the store lacks {len(missing)} clips, {missing[0]!r} among them")


def _with_logarithm(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Add what a linear probe cannot make of one number: (N,) above 0 -> (N, 2)."""
    return np.stack([values, np.log(values)], axis=1).astype(np.float32)


def _feature_set(
    records: Sequence[ClipRecord], features: NDArray[np.float32], header: Mapping[str, object]
) -> FeatureSet:
    return FeatureSet(tuple(record.clip_id for record in records), features, header)
