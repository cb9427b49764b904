"""Features of every clip: what a frozen encoder computes, and what would need no encoder.

A frozen encoder is read in eval mode; its BatchNorm statistics may be re-estimated first.

The controls need no encoder: pixels, motion, and what lies outside of the motion altogether (outer
frames, length, size of the file). A target whose classes these separate can be answered without
seeing what happens in its clips.

Shapes: B clips of a batch, T frames, H W pixels, N clips in all, T' encoder steps, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal, Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from taskgrain.data.companions import bytes_of
from taskgrain.data.dataset import Batch
from taskgrain.data.decode import FRAME_RATE
from taskgrain.data.manifest import ClipRecord
from taskgrain.data.store import FrameStore
from taskgrain.errors import ResultError, list_problems
from taskgrain.models.model import in_eval_mode
from taskgrain.randomness import generator_for
from taskgrain.transfer.archive import Arrays
from taskgrain.transfer.features import CHANNEL_WIDTHS, FeatureSet, Place

ReadVideo = Callable[[Tensor], Mapping[Place, Tensor]]
"""Maps uint8 (B, T, H, W, 3), RGB, to float32 (B, D) or (B, T', D) at each place."""


@runtime_checkable
class HasChannels(Protocol):
    """An encoder that can be read before its LSTM."""

    @property
    def channel_widths(self) -> tuple[int, int]:
        """Return D_s and D_t; 0 for a channel that is absent."""
        ...

    def channel_features(self, video: Tensor) -> Tensor:
        """Map uint8 (B, T, H, W, 3), RGB, to float32 (B, T', D_s + D_t) before the LSTM."""
        ...

    def from_channels(self, seen: Tensor) -> Tensor:
        """Map the output of `channel_features` to the encoder's output, float (B, T', D)."""
        ...


def encoder_reader(
    encoder: nn.Module, places: Collection[Place], *, device: torch.device
) -> ReadVideo:
    """Return the function that reads a frozen encoder at some places, in one pass over a video.

    The encoder, which maps uint8 (B, T, H, W, 3), RGB, to float (B, T', D), is put into eval mode
    on `device`, and is to stay so.

    Raises:
        ValueError: if its channels are to be read and it has none.
    """
    # Places share a pass: reading before the LSTM too costs nothing beyond reading after it.
    encoder.eval().to(device)
    if "channels" not in places:
        return lambda video: {"output": encoder(video).float()}
    if not isinstance(encoder, HasChannels):
        raise ValueError(f"{type(encoder).__name__} has no channel_features to read")
    channels: HasChannels = encoder

    def read(video: Tensor) -> dict[Place, Tensor]:
        seen = channels.channel_features(video)
        features: dict[Place, Tensor] = {"channels": seen.float()}
        if "output" in places:
            features["output"] = channels.from_channels(seen).float()
        return features

    return read


def place_facts(encoder: nn.Module, place: Place) -> dict[str, object]:
    """Return the entries of the header at a place: the widths of the two channels."""
    if place == "channels" and isinstance(encoder, HasChannels):
        return {CHANNEL_WIDTHS: list(encoder.channel_widths)}
    return {}


def collect_places(
    read: ReadVideo, batches: Iterable[Batch], *, device: torch.device
) -> dict[str, NDArray[np.generic]]:
    """Apply `read` to the video of every batch, without autocast: a part of `extract_in_parts`.

    Returns:
        `clip`, text (N,), and at each place float32 (N, D) or (N, T', D), clip by clip.

    Raises:
        ValueError: if `read` does not return float32 with a row a clip, or if there are no clips.
    """
    clip_ids: list[str] = []
    of_place: dict[Place, list[Tensor]] = {}
    # In float32 also where training was not: equal weights have equal features, whoever calls.
    with torch.inference_mode(), torch.autocast(device.type, enabled=False):
        for batch in batches:
            for place, features in read(batch.video.to(device)).items():
                if features.dtype != torch.float32 or len(features) != len(batch.clip_ids):
                    raise ValueError(
                        f"features are {features.dtype} {tuple(features.shape)}; expected float32 "
                        f"with {len(batch.clip_ids)} rows"
                    )
                of_place.setdefault(place, []).append(features.cpu())
            clip_ids.extend(batch.clip_ids)
    if not clip_ids:
        raise ValueError("there are no clips to extract features from")
    arrays: dict[str, NDArray[np.generic]] = {"clip": np.array(clip_ids, dtype=np.str_)}
    return arrays | {place: torch.cat(each).numpy() for place, each in of_place.items()}


def feature_set(parts: Sequence[Arrays], place: Place, header: Mapping[str, object]) -> FeatureSet:
    """Join what `collect_places` returned for some parts, at one place.

    Raises:
        ResultError: naming the clips that came twice or whose features are not finite.
    """
    clip_ids = tuple(str(clip) for part in parts for clip in part["clip"])
    features = np.concatenate([part[place] for part in parts])
    return FeatureSet(clip_ids, features.astype(np.float32, copy=False), header)


# BatchNorm statistics. In eval mode a BatchNorm subtracts a mean and divides by a deviation that it
# stored while it was trained: of the source's clips, or 0 and 1 if it never was. Neither fits the
# clips of a target in another look. So the statistics can be re-estimated on unlabelled clips (Li
# et al. 2017, "Revisiting Batch Normalization For Practical Domain Adaptation"): the norms alone
# are put into training mode, clips go through once, and each norm stores over B batches
#     mean = (m_1 + ... + m_B) / B        variance = (v_1 + ... + v_B) / B
# with m_b and v_b the mean and the unbiased variance within batch b (torch's cumulative average).
#
# Since a norm in training mode divides by its batch's own statistics, the layers above it see
# standardised inputs in the same pass, and one pass serves all norms.
#
# What breaks it: batches that are sorted by class (within a batch clips then vary too little:
# callers draw their order), autocast (sums in bfloat16), and clips that are scored among those
# measured. With support and queries from one pool that could not be avoided, so such episodes skip
# these features (`study.testing.asks_episodes`).


def has_batch_norm(encoder: nn.Module) -> bool:
    """Whether an encoder has a BatchNorm, whose statistics could be re-estimated."""
    return any(isinstance(module, _BatchNorm) for module in encoder.modules())


@torch.no_grad()
def calibrate_batch_norm(encoder: nn.Module, batches: Iterable[Tensor]) -> None:
    """Re-estimate the statistics of every BatchNorm as the mean over batches, in float32.

    A random encoder's first statistics (mean 0, variance 1) fit no data, and make its features
    look worse than they are. Everything but the statistics is left as it was, the mode too; an
    encoder without BatchNorm is left alone.

    Args:
        encoder: on the device of the batches.
        batches: uint8 (B, T, H, W, 3) each, RGB; every batch counts alike.

    Raises:
        ValueError: if there is no batch.
    """
    norms = [module for module in encoder.modules() if isinstance(module, _BatchNorm)]
    momentum_of = {norm: norm.momentum for norm in norms}
    num_batches = 0
    with in_eval_mode(encoder):
        for norm in norms:
            norm.train()
        try:
            for video in batches:
                if num_batches == 0:
                    for norm in norms:
                        norm.reset_running_stats()
                        norm.momentum = None  # torch's word for a cumulative mean
                with torch.autocast(video.device.type, enabled=False):
                    encoder(video)
                num_batches += 1
        finally:
            for norm, momentum in momentum_of.items():
                norm.momentum = momentum
    if num_batches == 0:
        raise ValueError("no batch of clips to calibrate on")


PIXEL_FRAMES = 4  # spread over the clip, the first and the last among them
PIXEL_SIZE = 12  # pixels on a side
MOTION_BINS = 5  # equal parts of the clip's duration
MOTION_GRID = 8  # cells on a side
BRIGHTEST = 255.0


def raw_pixels(video: Tensor) -> Tensor:
    """Shrink four frames of each clip to 12 x 12 by averaging areas.

    Args:
        video: uint8 (B, T, H, W, 3), RGB, with T of at least 1.

    Returns:
        float32 (B, 4 * 3 * 12 * 12 = 1728) in [0, 1]; clips of less than four frames repeat some.
    """
    num_clips, num_frames = video.shape[:2]
    index = torch.linspace(0, num_frames - 1, PIXEL_FRAMES).round().long().to(video.device)
    frames = video[:, index].flatten(0, 1).permute(0, 3, 1, 2)  # (B*4, 3, H, W)
    small = F.adaptive_avg_pool2d(frames.float() / BRIGHTEST, PIXEL_SIZE)
    return small.reshape(num_clips, -1)


def motion_energy(video: Tensor) -> Tensor:
    """Average how much grey values change from frame to frame, on a grid in space and time.

    Args:
        video: uint8 (B, T, H, W, 3), RGB, with T of at least 2.

    Returns:
        float32 (B, 5 * 8 * 8 = 320) in [0, 1], five time bins of an 8 x 8 grid.

    Raises:
        ValueError: if a clip has a single frame: nothing moves in it.
    """
    if video.shape[1] < 2:
        raise ValueError(f"{video.shape[1]} frames; motion needs at least 2")
    grey = video.float().mean(dim=-1) / BRIGHTEST  # (B, T, H, W)
    change = grey.diff(dim=1).abs()  # (B, T-1, H, W)
    energy = F.adaptive_avg_pool3d(change, (MOTION_BINS, MOTION_GRID, MOTION_GRID))
    return energy.flatten(1)


Shortcut = Literal["first-frame", "last-frame", "first-and-last-frame", "duration", "byte-size"]
ReadClips = Callable[[FrameStore, Sequence[ClipRecord], Mapping[str, object]], FeatureSet]


def outer_frames(
    store: FrameStore,
    records: Sequence[ClipRecord],
    header: Mapping[str, object],
    *,
    ends: Sequence[Literal[0, -1]],
) -> FeatureSet:
    """Shrink the first frame of each stored clip, its last or both to 12 x 12 by averaging areas.

    The ends are 0 for the first frame and -1 for the last, which may be the same frame.

    Returns:
        float32 (N, len(ends) * 12 * 12 * 3), in [0, 1], in the order of the records.

    Raises:
        ValueError: if there are no clips, or the store lacks one.
    """
    _check(store, records)
    small = np.empty((len(records), len(ends), PIXEL_SIZE, PIXEL_SIZE, 3), np.float32)
    for row, record in zip(small, records, strict=True):
        last = store.num_frames(record.clip_id) - 1
        index = [last if end else 0 for end in ends]
        frames = store.read(record.clip_id, index, slice(None), slice(None))
        for shrunk, frame in zip(row, frames, strict=True):
            pixels = frame.astype(np.float32) / BRIGHTEST
            shrunk[:] = cv2.resize(pixels, (PIXEL_SIZE, PIXEL_SIZE), interpolation=cv2.INTER_AREA)
    return _feature_set(records, small.reshape(len(records), -1), header)


def duration(
    store: FrameStore, records: Sequence[ClipRecord], header: Mapping[str, object]
) -> FeatureSet:
    """Measure how long each stored clip is: float32 (N, 2), seconds and their natural logarithm.

    Raises:
        ValueError: if there are no clips, or the store lacks one.
    """
    _check(store, records)
    frames = np.array([store.num_frames(record.clip_id) for record in records])
    return _feature_set(records, _with_logarithm(frames / FRAME_RATE), header)


def byte_size(
    store: FrameStore, records: Sequence[ClipRecord], header: Mapping[str, object]
) -> FeatureSet:
    """Measure how large each clip's file is: float32 (N, 2), kilobytes and their natural logarithm.

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
    """Permute the frames of every clip, uint8 (B, T, H, W, 3), before they are read.

    The permutation depends on (seed, clip id) and the number of frames alone: it is the same in
    any order or size of batches, and for every source.
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
    "first-frame": partial(outer_frames, ends=(0,)),
    "last-frame": partial(outer_frames, ends=(-1,)),
    "first-and-last-frame": partial(outer_frames, ends=(0, -1)),
    "duration": duration,
    "byte-size": byte_size,
}
FLAT_CONTROLS: tuple[Literal["pixels", "motion-energy"] | Shortcut, ...] = (
    *("pixels", "motion-energy"),
    *SHORTCUTS,
)
"""Controls with one vector a clip, and no steps."""


def _check(store: FrameStore, records: Sequence[ClipRecord]) -> None:
    if not records:
        raise ValueError("there are no clips to take features from")
    missing = [record.clip_id for record in records if record.clip_id not in store]
    if missing:
        raise ValueError(f"the store lacks {len(missing)} clips, {missing[0]!r} among them")


def _with_logarithm(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Add the logarithm, which a linear probe cannot compute: (N,) above 0 -> (N, 2)."""
    return np.stack([values, np.log(values)], axis=1).astype(np.float32)


def _feature_set(
    records: Sequence[ClipRecord], features: NDArray[np.float32], header: Mapping[str, object]
) -> FeatureSet:
    return FeatureSet(tuple(record.clip_id for record in records), features, header)
