"""What every cell of a study is given: settings turned into the arguments of the layers below."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from taskgrain.config.settings import Source, Study
from taskgrain.data.sampling import FrameSampling
from taskgrain.study.datasets import Dataset
from taskgrain.study.folder import RunFolder
from taskgrain.train.precision import Precision

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
        """Give what the encoder sees of a clip."""
        video = self.study.video
        return FrameSampling(
            video.num_frames, video.store_height, video.store_width, video.height, video.width
        )

    def source(self, name: str) -> Source:
        """Find a source by its name."""
        return next(source for source in self.study.sources if source.name == name)

    def checkpoint(self, source: str, seed: int) -> Path:
        """Find the checkpoint that transfer uses: the last, so that all had equal steps."""
        return self.folder.checkpoint(source, seed) / "last"
