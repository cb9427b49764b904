"""Settings of what is learned: encoders, training, and the sources that they learn from."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from taskgrain.config.base import Name, Part, Settings
from taskgrain.labels.caption import CaptionForm

Widths = tuple[Annotated[int, Field(ge=1, le=4096)], ...]


class Encoder(Settings):
    """The two-channel encoder; a channel without widths is absent."""

    spatial_widths: Widths = Field((8, 24, 48, 64), description="2D layers, first to last")
    temporal_widths: Widths = Field((8, 24, 48, 64), description="3D layers, first to last")
    lstm_width: int = Field(128, ge=1, le=4096, description="units of the LSTM in each direction")

    @model_validator(mode="after")
    def _has_a_channel(self) -> Self:
        if not self.spatial_widths and not self.temporal_widths:
            raise ValueError("both channels are without layers; give at least one its widths")
        return self


class Train(Settings):
    """How each source is learned; the same for all of them."""

    epochs: int = Field(10, ge=1, description="passes over the training clips")
    batch_size: int = Field(16, ge=2, description="clips of an optimiser step")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="peak of the one-cycle schedule")
    weight_decay: float = Field(0.01, ge=0, description="AdamW; not on norms and biases")
    min_word_count: int = Field(
        1, ge=1, description="words rarer than this in training captions become <unk>"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of the convolutions; auto is bf16 where the processor has it"
    )


class Source(Settings):
    """What an encoder is trained on: a level to classify, a caption form, or both."""

    name: Part = Field(description="name in results and tables")
    classify: Name | None = Field(None, description="level of the taxonomy, or absent")
    caption: CaptionForm | None = Field(None, description="caption form, or absent")
    classification_weight: float | None = Field(
        None,
        alias="lambda",
        gt=0,
        lt=1,
        description="lambda of the joint loss; only where a source does both",
    )

    @model_validator(mode="after")
    def _has_a_task(self) -> Self:
        if self.classify is None and self.caption is None:
            raise ValueError('a source needs "classify", "caption" or both')
        joint = self.classify is not None and self.caption is not None
        if joint and self.classification_weight is None:
            raise ValueError('a source that classifies and captions needs "lambda"')
        if not joint and self.classification_weight is not None:
            raise ValueError('"lambda" belongs to a source that classifies and captions')
        return self


LADDER: tuple[Source, ...] = (
    Source.model_validate({"name": "action-groups", "classify": "action-group"}),
    Source.model_validate({"name": "categories", "classify": "category"}),
    Source.model_validate({"name": "captions-simplified", "caption": "simplified"}),
    Source.model_validate({"name": "captions-full", "caption": "full"}),
    Source.model_validate(
        {"name": "joint-simplified", "classify": "category", "caption": "simplified", "lambda": 0.5}
    ),
    Source.model_validate(
        {"name": "joint-full", "classify": "category", "caption": "full", "lambda": 0.5}
    ),
)
"""The packaged sources, from coarse to fine; a study names them or brings its own."""
