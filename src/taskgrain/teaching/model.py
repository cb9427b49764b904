"""A taught classifier together with its encoder: clips in, answers out.

Shapes: S frames of a clip, H' W' its pixels, N clips, D width of the features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskgrain.data.sampling import names_of
from taskgrain.errors import CheckpointError
from taskgrain.teaching.seeing import (
    LessonEncoder,
    encode_clips,
    encode_given,
    encoder_named,
    see_clip,
)
from taskgrain.teaching.taught import ENCODER, Taught, TaughtAnswer, read_taught


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
        return f"<TaughtModel: {self.summary}>"

    @property
    def summary(self) -> str:
        """Return what it answers, and by what, in a line."""
        end = " or none of these" if self.taught.facts.abstains else ""
        return f"answers {', '.join(self.classes)}{end}; features of {self.taught.facts.encoder}"

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

        Raises:
            ValueError: as `predict`.
        """
        names = names_of(clips, names)
        if not len(clips):
            return np.zeros((0, self.taught.facts.width), np.float32)
        return encode_given(self.encoder, clips, names)
