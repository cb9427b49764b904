"""A taught classifier together with its encoder: clips in, answers out.

Shapes: S frames of a clip, H' W' its pixels, N clips, D width of the features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskgrain.data.sampling import FrameSampling, check_clips, names_of, see_given
from taskgrain.errors import CheckpointError
from taskgrain.teaching.seeing import (
    CLIPS_TOGETHER,
    LessonEncoder,
    encode_clips,
    encoder_named,
    see_clip,
)
from taskgrain.teaching.taught import ENCODER, Taught, TaughtAnswer, read_taught

Shown = Mapping[FrameSampling, NDArray[np.uint8]]
"""What the parts of an encoder are shown of one clip: (T, H, W, 3) each."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one clip."""

    clip: str
    answer: TaughtAnswer
    problem: str | None = None  # of a clip that was read as far as it goes

    def to_json(self) -> dict[str, object]:
        """Write as what `json.dumps` takes; docs/data-format.md, "An answer of a taught model"."""
        return asdict(self)


class TaughtModel:
    """What `teach` wrote, ready to answer."""

    def __init__(self, taught: Taught, encoder: LessonEncoder) -> None:
        """Keep a taught classifier and the encoder of its features; see `from_folder`."""
        self.taught = taught
        self.encoder = encoder

    @classmethod
    def from_folder(cls, folder: Path | str, *, device: str = "cpu") -> TaughtModel:
        """Open the folder that `teach` wrote.

        Raises:
            CheckpointError: if its files are missing or damaged, or the encoder on this machine
                is not the one that it was taught with.
            ConfigError: if the encoder's weights are not on this machine.
        """
        folder = Path(folder)
        taught = read_taught(folder)
        name = taught.facts.encoder
        encoder = encoder_named(str(folder / name) if name == ENCODER else name, device=device)
        if encoder.fingerprint != taught.facts.fingerprint:
            raise CheckpointError(
                f"{folder}: {name} on this machine has other weights or settings than the "
                f"{name} that this model was taught with; teach it anew from its clips"
            )
        return cls(taught, encoder)

    def __repr__(self) -> str:
        classes = ", ".join(self.classes)
        return f"<TaughtModel: {classes}; features of {self.taught.facts.encoder}>"

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in alphabetical order."""
        return self.taught.facts.classes

    def predict_file(self, path: Path | str) -> Prediction:
        """Answer a video file. A truncated file is read as far as it goes; see `problem`.

        Raises:
            ClipError: if it cannot be decoded.
        """
        seen = see_clip(Path(path), self.encoder.samplings)
        (answer,) = self.taught.answer(encode_clips(self.encoder, [seen.shown]))
        return Prediction(str(path), answer, seen.problem or None)

    def predict(
        self, clips: Sequence[NDArray[np.uint8]], names: Sequence[str] | None = None
    ) -> list[Prediction]:
        """Answer clips; an empty list gives an empty list.

        Args:
            clips: uint8 (S, H', W', 3) each, RGB, 12 frames a second as a rule, of any size.
            names: one for each clip; None names them "clip 0", "clip 1", ...

        Raises:
            ValueError: if a clip is anything else, or names do not fit.
        """
        names = names_of(clips, names)
        answers = self.taught.answer(self.features(clips, names))
        return [Prediction(name, each) for name, each in zip(names, answers, strict=True)]

    def features(
        self, clips: Sequence[NDArray[np.uint8]], names: Sequence[str] | None = None
    ) -> NDArray[np.float32]:
        """Compute the features that the classifier reads.

        Args:
            clips: as in `predict`.
            names: as in `predict`, for messages.

        Returns:
            float32 (N, D), a row a clip; (0, D) of no clips.
        """
        names = names_of(clips, names)
        for sampling in self.encoder.samplings:
            check_clips(clips, names, sampling, resize=True)
        shown = [{each: see_given(clip, each) for each in self.encoder.samplings} for clip in clips]
        parts = [
            encode_clips(self.encoder, shown[start : start + CLIPS_TOGETHER])
            for start in range(0, len(shown), CLIPS_TOGETHER)
        ]
        return (
            np.concatenate(parts) if parts else np.zeros((0, self.taught.facts.width), np.float32)
        )
