"""Batches of clips in an order that depends on (seed, epoch) alone.

Shapes: B clips, T frames, H W pixels, L caption tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taskgrain.data.augment import Augmentation, Drawing, apply_view, draw_view
from taskgrain.data.sampling import FrameSampling, central_window
from taskgrain.data.store import FrameStore
from taskgrain.labels.vocabulary import MAX_TOKENS, PAD
from taskgrain.randomness import generator_for


@dataclass(frozen=True, slots=True)
class Batch:
    """Clips with their labels at one source's grain."""

    clip_ids: tuple[str, ...]
    video: Tensor  # uint8 (B, T, H, W, 3), RGB
    target: Tensor  # long (B,), index at the source's level; -1 where it does not classify
    # long (B, L), BOS first, right-padded with PAD; L = 0 where it does not caption
    caption: Tensor


Tokens = tuple[int, ...]  # BOS ... EOS


@dataclass(frozen=True, slots=True)
class Label:
    """The label of a clip at a source's grain."""

    target: int = -1  # index at the source's level; -1 where the source does not classify
    captions: tuple[Tokens, ...] = ()  # empty where the source does not caption


@dataclass(frozen=True, slots=True)
class Example:
    """A clip with its label, and the label of its mirror image."""

    clip_id: str
    label: Label = Label()
    mirrored: Label | None = None  # None where the clip must not be mirrored


@dataclass(frozen=True, slots=True)
class Variation:
    """What differs from epoch to epoch of training: the order of the clips, and how they are shown.

    If balanced, an epoch is as long as before, but every class comes equally often (within one
    clip): some clips of a large class are drawn; clips of a small class come several times, each
    time cut differently.
    """

    seed: int  # every draw depends on it and on the epoch alone
    augmentation: Augmentation = field(default_factory=Augmentation)
    is_balanced: bool = False


class ClipBatches:
    """Examples as batches of nearly equal size, so that no last batch is too small to normalise.

    Without a variation, for evaluation: the order of the examples, the centre of each clip and
    its first caption.
    """

    def __init__(
        self,
        store: FrameStore,
        examples: Sequence[Example],
        sampling: FrameSampling,
        *,
        batch_size: int,
        variation: Variation | None = None,
    ) -> None:
        """Keep the examples whose clips are in the store.

        Raises:
            ValueError: if the batch size is below 1, no clip is left, or classes are to be
                balanced and a clip has none.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected at least 1")
        self.examples = [example for example in examples if example.clip_id in store]
        if not self.examples:
            raise ValueError("no clip of these examples could be decoded")
        self.sampling = sampling
        self.batch_size = batch_size
        self.steps_per_epoch = ceil(len(self.examples) / batch_size)
        self._store = store
        self.variation = variation
        self._targets = np.array([example.label.target for example in self.examples], np.int64)
        if variation is not None and variation.is_balanced and (self._targets < 0).any():
            raise ValueError("a clip without a class cannot be balanced against others")
        has_captions = any(example.label.captions for example in self.examples)
        # All captions at full length: where their padding counts as ends, a batch cut to its
        # longest caption would count fewer of them (`losses.padding_as_ends`).
        self._length = MAX_TOKENS + 1 if has_captions else 0  # BOS and at most MAX_TOKENS

    def batches(self, epoch: int = 0, first_step: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from a step on; a resumed epoch has the same batches."""
        order = self._order(epoch)
        again = _times_before(order)
        for rows in np.array_split(np.arange(len(order)), self.steps_per_epoch)[first_step:]:
            drawn = [(self.examples[order[row]], again[row]) for row in rows]
            yield self._batch(drawn, epoch)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """Return the examples' indices in the order of an epoch: int64 (N,)."""
        in_place = np.arange(len(self.examples))
        if self.variation is None:
            return in_place
        rng = generator_for(self.variation.seed, epoch, "order")
        if self.variation.is_balanced:
            return rng.permutation(_balanced(self._targets, rng))
        return rng.permutation(in_place)

    def _batch(self, drawn: Sequence[tuple[Example, int]], epoch: int) -> Batch:
        chosen = [example for example, _ in drawn]
        sampling = self.sampling
        shape = (len(chosen), sampling.num_frames, sampling.height, sampling.width, 3)
        video = np.empty(shape, np.uint8)
        target = np.empty(len(chosen), np.int64)
        caption = np.full((len(chosen), self._length), PAD, np.int64)
        for row, (example, again) in enumerate(drawn):
            if self.variation is None:
                video[row], label = self._centre(example.clip_id), example.label
                picked = 0
            else:
                # A clip that an epoch shows twice is cut differently the second time; the first
                # time draws as it would alone.
                name = f"{example.clip_id}/again-{again}" if again else example.clip_id
                drawing = Drawing(self.variation.seed, epoch, name)
                video[row], label = self._varied(example, self.variation.augmentation, drawing)
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

    def _varied(
        self, example: Example, augmentation: Augmentation, drawing: Drawing
    ) -> tuple[NDArray[np.uint8], Label]:
        """Return a clip as training sees it in this epoch, and the label of what is then seen."""
        num_stored = self._store.num_frames(example.clip_id)
        view = draw_view(num_stored, self.sampling, augmentation, drawing)
        mirrored = example.mirrored if view.is_mirrored else None
        window = view.window
        cut = self._store.read(example.clip_id, window.frames, window.rows, window.columns)
        seen = apply_view(cut, view, self.sampling, mirrors=mirrored is not None)
        return seen, mirrored or example.label


def _balanced(targets: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw N of N clips, int64 (N,), so that every class comes as often as any other, or once more.

    `targets` are the classes of the clips, (N,).
    """
    classes = np.unique(targets)
    # N // K clips of every class, and one more of N % K classes that are drawn.
    each, left = divmod(len(targets), len(classes))
    once_more = set(rng.choice(classes, left, replace=False).tolist())
    drawn: list[NDArray[np.int64]] = []
    for index in classes.tolist():
        members = np.flatnonzero(targets == index)
        rounds, rest = divmod(each + (index in once_more), len(members))
        drawn += [np.tile(members, rounds), rng.permutation(members)[:rest]]
    return np.concatenate(drawn)


def _times_before(order: NDArray[np.int64]) -> list[int]:
    """Return for each place of an order how often its clip came before."""
    seen: Counter[int] = Counter()
    times: list[int] = []
    for index in order.tolist():
        times.append(seen[index])
        seen[index] += 1
    return times


def _pick(num_captions: int, drawing: Drawing) -> int:
    """Draw which of a clip's captions this epoch learns from."""
    if num_captions < 2:
        return 0
    rng = generator_for(drawing.seed, drawing.epoch, f"{drawing.clip_id}/caption")
    return int(rng.integers(num_captions))
