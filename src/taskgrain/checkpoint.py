"""A checkpoint: the weights of a model, and all that it takes to use them.

A folder of model.safetensors and model.json; docs/data-format.md, "A checkpoint".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from taskgrain.config.checked import read_as
from taskgrain.data.sampling import FrameSampling
from taskgrain.errors import CheckpointError, TaxonomyError
from taskgrain.labels.caption import CaptionForm
from taskgrain.labels.taxonomy import ACTION_GROUP, CATEGORY, Taxonomy
from taskgrain.labels.template import Words
from taskgrain.labels.vocabulary import Vocabulary
from taskgrain.models.build import (
    COMPACT_DECODER,
    DecoderShape,
    EncoderRecipe,
    add_readouts,
    build_from,
    recipe_from_json,
)
from taskgrain.models.model import SourceModel
from taskgrain.models.pretrained.encoder import NetworkShape
from taskgrain.models.weights import FirstWeightsLeftOut, check_fit, find_checkpoint, load_weights

FORMAT = 2  # of model.json
TAUGHT = "taskgrain-taught"  # how the format of a taught model's model.json begins


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """The content of model.json: all that it takes to use a checkpoint's weights."""

    source: str
    seed: int
    shape: EncoderRecipe | None  # None for an encoder of the user's own
    taxonomy: Taxonomy
    level: str | None  # whose names are the head's classes
    form: CaptionForm | None  # of the captions
    vocabulary: Vocabulary | None
    sampling: FrameSampling
    decoder_shape: DecoderShape = COMPACT_DECODER  # without a vocabulary it is not used

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.summary}>"

    @property
    def summary(self) -> str:
        """Return which model it is, what it answers and what it sees, in a line."""
        levels = [] if self.level is None else [self.level]
        if self.level == CATEGORY and ACTION_GROUP in self.taxonomy.levels:
            levels.append(ACTION_GROUP)
        answers = levels + ([] if self.form is None else [f"{self.form} caption"])
        size = self.sampling
        return (
            f"source {self.source!r}, seed {self.seed}; answers {', '.join(answers)}; sees "
            f"{size.num_frames} frames of {size.height} x {size.width} pixels"
        )

    def to_json(self) -> dict[str, object]:
        """Write as what `json.dumps` takes."""
        return {
            "format": FORMAT,
            "source": self.source,
            "seed": self.seed,
            "encoder": None if self.shape is None else self.shape.to_json(),
            "decoder": None if self.vocabulary is None else self.decoder_shape.to_json(),
            "taxonomy": self.taxonomy.to_json(),
            "level": self.level,
            "caption": self.form,
            "vocabulary": None if self.vocabulary is None else list(self.vocabulary.words),
            "words": None if self.vocabulary is None else self.vocabulary.rule,
            "sampling": asdict(self.sampling),
        }

    @classmethod
    def read(cls, path: Path) -> ModelDescription:
        """Read a model.json.

        Raises:
            CheckpointError: naming the file and what is missing or malformed in it.
        """
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise CheckpointError(
                f"{path}: {error.strerror}; expected a checkpoint folder with model.json and "
                "model.safetensors, as runs/NAME/checkpoints/SOURCE-seed-N/last"
            ) from error
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{path}: not JSON: {error}") from error
        try:
            return cls._of(stored)
        except (ValueError, TaxonomyError, CheckpointError) as error:
            raise CheckpointError(f"{path}: {error}; expected what a study wrote") from error

    @classmethod
    def _of(cls, entries: object) -> ModelDescription:
        if isinstance(entries, dict) and str(entries.get("format")).startswith(TAUGHT):
            raise ValueError(
                "holds what `taskgrain teach` wrote; `taskgrain describe`, `taskgrain export` and "
                "taskgrain.Predictor open it"
            )
        if not isinstance(entries, dict) or entries.get("format") != FORMAT:
            raise ValueError(
                f"its format is not {FORMAT}: not a checkpoint, or written by another version of "
                "taskgrain; use that version"
            )
        stored = read_as(_Stored, entries)
        if stored.level is not None:
            stored.taxonomy.names(stored.level)  # refuses a level that it lacks
        of_decoder = (stored.caption, stored.vocabulary, stored.words, stored.decoder)
        if None in of_decoder and any(each is not None for each in of_decoder):
            raise ValueError("caption, vocabulary, words and decoder: expected all four, or none")
        vocabulary = None
        if stored.vocabulary is not None and stored.words is not None:
            vocabulary = Vocabulary(stored.vocabulary, stored.words)
        return cls(
            source=stored.source,
            seed=stored.seed,
            shape=None if stored.encoder is None else recipe_from_json(stored.encoder),
            taxonomy=stored.taxonomy,
            level=stored.level,
            form=stored.caption,
            vocabulary=vocabulary,
            sampling=stored.sampling,
            decoder_shape=stored.decoder or COMPACT_DECODER,
        )


@dataclass(frozen=True, slots=True)
class _Stored:
    """What model.json holds, beside its format."""

    source: str
    seed: int
    encoder: Mapping[str, object] | None  # see `recipe_from_json`
    decoder: DecoderShape | None
    taxonomy: Taxonomy
    level: str | None
    caption: CaptionForm | None
    vocabulary: tuple[str, ...] | None
    words: Words | None
    sampling: FrameSampling


def load_model(
    folder: Path | str, *, encoder: nn.Module | None = None
) -> tuple[SourceModel, ModelDescription]:
    """Load a checkpoint folder: model.json and model.safetensors.

    Args:
        folder: as `checkpoints/SOURCE-seed-N/last` of a run; see `find_checkpoint`.
        encoder: an untrained module of the same kind, for a checkpoint of your own encoder.

    Raises:
        CheckpointError: if either file is missing, malformed or does not fit.
    """
    folder = find_checkpoint(folder)
    description = ModelDescription.read(folder / "model.json")
    if encoder is None and description.shape is None:
        raise CheckpointError(
            f"{folder}: was trained with an encoder of your own; pass one as encoder="
        )
    path = folder / "model.safetensors"
    try:
        if not isinstance(description.shape, NetworkShape):  # libraries compute while they build
            # First on the meta device, so that an absurdly large shape is rejected without memory.
            # Weights are not drawn: on meta that would import torch's compiler, which is slow.
            with torch.device("meta"), FirstWeightsLeftOut():
                check_fit(_untrained(description, encoder), path)
        with FirstWeightsLeftOut():
            model = _untrained(description, encoder)
    except (ValueError, RuntimeError) as error:  # an LSTM without units; numbers past counting
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{folder / 'model.json'}: describes no network: {reason}") from error
    load_weights(model, path)
    return model.eval(), description


def _untrained(description: ModelDescription, encoder: nn.Module | None) -> SourceModel:
    """Build the described model with untrained weights, on its own encoder or on yours."""
    level, vocabulary = description.level, description.vocabulary
    if encoder is None:
        assert description.shape is not None, "an encoder of the user's own is given"
        encoder = build_from(description.shape, seed=0)
    return add_readouts(
        encoder,
        num_classes=None if level is None else len(description.taxonomy.names(level)),
        vocabulary_size=None if vocabulary is None else len(vocabulary),
        decoder_shape=description.decoder_shape,
        seed=0,
    )
