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

from taskgrain.data.augment import Augmentation, Drawing, apply_view, draw_view
from taskgrain.data.batch import Batch
from taskgrain.data.sampling import FrameSampling, central_window, generator_for
from taskgrain.data.store import FrameStore
from taskgrain.labels.vocabulary import MAX_TOKENS, PAD

Tokens = tuple[int, ...]  # BOS ... EOS


@dataclass(frozen=True, slots=True)
class Label:
    """What a source says of a clip."""

    target: int = -1  # index at the source's level; -1 where the source does not classify
    captions: tuple[Tokens, ...] = ()  # empty where the source does not caption


@dataclass(frozen=True, slots=True)
class Example:
    """A clip, what a source says of it, and what it says of its mirror image."""

    clip_id: str
    label: Label = Label()
    mirrored: Label | None = None  # None where the clip must not be mirrored


class ClipBatches:
    """Examples as batches of nearly equal size, so that no last batch is too small to normalise.

    With a seed, each epoch has its own order and augmentation; without one, the order of the
    examples, the centre of each clip and its first caption, for evaluation.
    """

    def __init__(
        self,
        store: FrameStore,
        examples: Sequence[Example],
        sampling: FrameSampling,
        *,
        batch_size: int,
        seed: int | None = None,
        augmentation: Augmentation | None = None,
    ) -> None:
        """Take the examples whose clips the store holds.

        Raises:
            ValueError: if the batch size is below 1, no clip is left, or clips would be augmented
                without a seed.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected at least 1")
        if seed is None and augmentation is not None:
            raise ValueError("an augmentation needs the seed that it is drawn from")
        self.examples = [example for example in examples if example.clip_id in store]
        if not self.examples:
            raise ValueError("no clip of these examples could be decoded")
        self.sampling = sampling
        self.steps_per_epoch = ceil(len(self.examples) / batch_size)
        self._store = store
        self._seed = seed
        self._augmentation = augmentation or Augmentation()
        has_captions = any(example.label.captions for example in self.examples)
        self._length = MAX_TOKENS + 1 if has_captions else 0  # BOS and at most MAX_TOKENS

    def batches(self, epoch: int = 0, first_step: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, from the given step on (a resumed epoch is the same)."""
        order = np.arange(len(self.examples))
        if self._seed is not None:
            order = generator_for(self._seed, epoch, "order").permutation(order)
        for chosen in np.array_split(order, self.steps_per_epoch)[first_step:]:
            yield self._batch([self.examples[index] for index in chosen], epoch)

    def _batch(self, chosen: Sequence[Example], epoch: int) -> Batch:
        sampling = self.sampling
        shape = (len(chosen), sampling.num_frames, sampling.height, sampling.width, 3)
        video = np.empty(shape, np.uint8)
        target = np.empty(len(chosen), np.int64)
        caption = np.full((len(chosen), self._length), PAD, np.int64)
        for row, example in enumerate(chosen):
            if self._seed is None:
                video[row], label = self._centre(example.clip_id), example.label
                picked = 0
            else:
                drawing = Drawing(self._seed, epoch, example.clip_id)
                video[row], label = self._varied(example, drawing)
                picked = _pick(len(label.captions), drawing)
            target[row] = label.target
            if label.captions:
                tokens = label.captions[picked]
                caption[row, : len(tokens)] = tokens
        return Batch(
            tuple(example.clip_id for example in chosen),
            torch.from_numpy(video),
            torch.from_numpy(target),
            torch.from_numpy(caption),
        )

    def _centre(self, clip_id: str) -> NDArray[np.uint8]:
        window = central_window(self._store.num_frames(clip_id), self.sampling)
        return self._store.read(clip_id, window.frames, window.rows, window.columns)

    def _varied(self, example: Example, drawing: Drawing) -> tuple[NDArray[np.uint8], Label]:
        """Give a clip as training sees it in this epoch, and the label of what is then seen."""
        num_stored = self._store.num_frames(example.clip_id)
        view = draw_view(num_stored, self.sampling, self._augmentation, drawing)
        mirrored = example.mirrored if view.is_mirrored else None
        window = view.window
        cut = self._store.read(example.clip_id, window.frames, window.rows, window.columns)
        seen = apply_view(cut, view, self.sampling, mirrors=mirrored is not None)
        return seen, mirrored or example.label


def _pick(num_captions: int, drawing: Drawing) -> int:
    """Draw which of a clip's captions this epoch learns from."""
    if num_captions < 2:
        return 0
    rng = generator_for(drawing.seed, drawing.epoch, f"{drawing.clip_id}/caption")
    return int(rng.integers(num_captions))
