"""What every cell of a study gets: settings turned into the arguments of the layers below."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from torch import nn

from taskgrain.config.learning import Source
from taskgrain.config.settings import Study
from taskgrain.data.augment import Augmentation
from taskgrain.data.dataset import ClipBatches, Example
from taskgrain.data.sampling import FrameSampling
from taskgrain.data.store import FrameStore
from taskgrain.labels.symmetry import SSV2_MIRROR
from taskgrain.randomness import generator_for
from taskgrain.study.datasets import SOURCE, Dataset
from taskgrain.study.folder import RunFolder
from taskgrain.study.seed_clips import SeedClips, seed_clips
from taskgrain.train.precision import Precision

Item = TypeVar("Item")
EncoderFactory = Callable[[int], nn.Module]
"""Makes a user's own encoder from a seed: a function of a module, so that workers can import it.

The encoder has `width: int` and `forward(video: uint8 (B, T, H, W, 3)) -> float (B, T', width)`.
"""


@dataclass(frozen=True)
class Inputs:
    """A study laid out in its folder; pickled into every worker."""

    study: Study
    folder: RunFolder
    datasets: Mapping[str, Dataset]
    encoder_factory: EncoderFactory | None  # None for the packaged encoder
    device: str
    precision: Precision

    @property
    def sampling(self) -> FrameSampling:
        """Return how frames and pixels of a clip are sampled for an encoder."""
        video = self.study.video
        return FrameSampling(
            video.num_frames,
            video.store_height,
            video.store_width,
            video.height,
            video.width,
            video.stride,
            video.fit,
        )

    @property
    def augmentation(self) -> Augmentation:
        """Return how training varies a clip."""
        settings = self.study.augment
        return Augmentation(
            rate_jitter=settings.rate_jitter,
            crop_scale=None if settings.crop_scale is None else _pair(settings.crop_scale),
            crop_aspect=_pair(settings.crop_aspect),
            mirror=settings.mirror,
            brightness=settings.brightness,
            contrast=settings.contrast,
            saturation=settings.saturation,
            hue=settings.hue,
        )

    def source(self, name: str) -> Source:
        """Find a source by its name."""
        return next(source for source in self.study.sources if source.name == name)

    def clips(self, seed: int) -> SeedClips:
        """Divide the source's clips: what a seed learns from, and what is kept from it."""
        # Computed anew wherever it is needed, from the annotations and the seed alone: there is no
        # file of it that could belong to another seed or be out of date.
        return seed_clips(self.study.data, self.datasets[SOURCE].manifest(), seed)

    def checkpoint(self, source: str, seed: int, passes: int | None = None) -> Path:
        """Find the checkpoint that is tested: the last, all having equal steps, or the best."""
        return self.folder.checkpoint(source, seed, passes) / self.study.transfer.checkpoint


def batches_in_order(inputs: Inputs, clip_ids: Sequence[str], store: FrameStore) -> ClipBatches:
    """Batch clips as they are seen by frozen encoders: in their order, the centre of each."""
    return ClipBatches(
        store,
        [Example(clip) for clip in clip_ids],
        inputs.sampling,
        batch_size=inputs.study.train.batch_size,
    )


def drawn_once(items: Sequence[Item], most: int, stream: str) -> list[Item]:
    """Draw up to so many items, in their order; the same for all sources and seeds of a study."""
    drawn = generator_for(0, 0, stream).permutation(len(items))[:most]
    return [items[index] for index in sorted(drawn)]


def mirror_images(study: Study) -> Mapping[str, str] | None:
    """Return category -> its mirror image, where training mirrors clips."""
    return {**SSV2_MIRROR, **study.data.mirror} if study.augment.mirror else None


def _pair(values: tuple[float, ...]) -> tuple[float, float]:
    low, high = values
    return low, high
