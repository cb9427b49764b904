"""Batches of clips in an order that depends on (seed, epoch) alone.

Shapes: B clips, T frames, H W pixels, L caption tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray

from taskgrain.data.batch import Batch
from taskgrain.data.sampling import FrameSampling, generator_for, see
from taskgrain.data.store import FrameStore
from taskgrain.labels.vocabulary import MAX_TOKENS, PAD


@dataclass(frozen=True, slots=True)
class Example:
    """A clip and what a source says of it."""

    clip_id: str
    target: int = -1  # index at the source's level; -1 where the source does not classify
    tokens: tuple[int, ...] = ()  # BOS ... EOS; empty where the source does not caption


class ClipBatches:
    """Examples as batches of nearly equal size, so that no last batch is too small to normalise.

    With a seed, each epoch has its own order and augmentation; without one, the order of the
    examples and the centre of each clip, for evaluation.
    """

    def __init__(
        self,
        store: FrameStore,
        examples: Sequence[Example],
        sampling: FrameSampling,
        *,
        batch_size: int,
        seed: int | None = None,
    ) -> None:
        """Take the examples whose clips the store holds.

        Raises:
            ValueError: if the batch size is below 1, or no clip is left.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected at least 1")
        self.examples = [example for example in examples if example.clip_id in store]
        if not self.examples:
            raise ValueError("no clip of these examples could be decoded")
        self.sampling = sampling
        self.steps_per_epoch = ceil(len(self.examples) / batch_size)
        self._store = store
        self._seed = seed
        self._captions = _padded([example.tokens for example in self.examples])
        self._targets = np.array([example.target for example in self.examples], np.int64)

    def batches(self, epoch: int = 0, first_step: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, from the given step on (a resumed epoch is the same)."""
        order = np.arange(len(self.examples))
        if self._seed is not None:
            order = generator_for(self._seed, epoch, "order").permutation(order)
        for chosen in np.array_split(order, self.steps_per_epoch)[first_step:]:
            yield self._batch(chosen, epoch)

    def _batch(self, chosen: NDArray[np.int64], epoch: int) -> Batch:
        clip_ids = tuple(self.examples[index].clip_id for index in chosen)
        sampling = self.sampling
        shape = (len(chosen), sampling.num_frames, sampling.height, sampling.width, 3)
        video = np.empty(shape, np.uint8)
        for row, clip_id in enumerate(clip_ids):
            rng = None if self._seed is None else generator_for(self._seed, epoch, clip_id)
            video[row] = see(self._store.frames(clip_id), sampling, rng)
        return Batch(
            clip_ids,
            torch.from_numpy(video),
            torch.from_numpy(self._targets[chosen]),
            torch.from_numpy(self._captions[chosen]),
        )


def _padded(captions: Sequence[tuple[int, ...]]) -> NDArray[np.int64]:
    """Right-pad captions to one length: int64 (N, L), L = 0 where none has a token."""
    length = MAX_TOKENS + 1 if any(captions) else 0  # BOS and at most MAX_TOKENS
    padded = np.full((len(captions), length), PAD, np.int64)
    for row, tokens in enumerate(captions):
        padded[row, : len(tokens)] = tokens
    return padded
