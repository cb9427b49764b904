"""The settings of a study, as frozen models; every key of a study file is a field here.

Modules below never see these: `study` turns them into plain arguments.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from taskgrain.labels.caption import CaptionForm

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Part = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
"""A name that others are joined to by dots and slashes: a source, a target, a factor."""

RESERVED_TARGETS = ("source", "source-validation")  # the names of the source's own clips
Shots = Annotated[int, Field(ge=1)] | Literal["all"]
Probe = Literal["nearest-mean", "logistic-regression"]
Control = Literal["majority", "random-encoder", "pixels", "motion-energy", "permuted-labels"]


class Settings(BaseModel):
    """A frozen table of settings that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class SourceData(Settings):
    """The clips that the encoders learn from: the embedded world, or a dataset of your own."""

    root: Path | None = Field(
        None, description="folder of your own dataset; the keys below are then not used"
    )
    world: Literal["tabletop"] | None = Field(
        None, description="the embedded world to draw: tabletop, unless there is a root"
    )
    seed: int = Field(0, ge=0, description="seed of the drawn clips")
    train: int = Field(3000, ge=2, description="clips to learn from")
    validation: int = Field(400, ge=1, description="clips to score the sources on")


class Target(Settings):
    """A task on which frozen features are tested."""

    name: Part = Field(description="name in results and tables")
    root: Path | None = Field(
        None, description="folder of your own target: train = support pool, validation = scored"
    )
    world: Literal["kitchenware"] | None = Field(
        None, description="the embedded target world: kitchenware, unless there is a root"
    )
    seed: int = Field(0, ge=0, description="seed of the drawn clips")
    support: int = Field(390, ge=2, description="clips in the pool that support draws come from")
    scored: int = Field(1105, ge=2, description="clips that are scored")
    factors: tuple[Part, ...] = Field(
        (), description="factors of factors.jsonl to read out beside the category"
    )


class Video(Settings):
    """What the encoder sees of a clip, in frames and pixels."""

    num_frames: int = Field(16, ge=2, le=512, description="frames, spread over the clip")
    store_height: int = Field(56, ge=8, le=1024, description="pixels of the stored frames")
    store_width: int = Field(56, ge=8, le=1024, description="pixels of the stored frames")
    height: int = Field(48, ge=8, le=1024, description="pixels of the crop")
    width: int = Field(48, ge=8, le=1024, description="pixels of the crop")

    @model_validator(mode="after")
    def _crop_fits(self) -> Self:
        if self.height > self.store_height or self.width > self.store_width:
            raise ValueError(
                f"a crop of {self.height} x {self.width} does not fit into stored frames of "
                f"{self.store_height} x {self.store_width}"
            )
        return self


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


class Transfer(Settings):
    """How frozen features are tested."""

    probes: tuple[Probe, ...] = Field(
        ("nearest-mean", "logistic-regression"), min_length=1, description="probes to fit"
    )
    shots: tuple[Shots, ...] = Field(
        (1, 5, 10, "all"), min_length=1, description="support clips a class"
    )
    draws: int = Field(50, ge=2, description="support draws at each number of shots")
    seed: int = Field(0, ge=0, description="seed of the support draws")
    controls: tuple[Control, ...] = Field(
        ("majority", "random-encoder", "pixels", "motion-energy", "permuted-labels"),
        description="what would show a result to be false",
    )


class Primary(Settings):
    """The one comparison that answers the study's question, fixed before the run."""

    source: Name = Field(description="the finer source")
    versus: Name = Field(description="the source it is compared with")
    target: Name = Field(description="the target task")
    probe: Probe = Field("logistic-regression", description="the probe that is compared")
    shots: Shots = Field(5, description="support clips a class")
    metric: Literal["top-1", "mean-per-class"] = Field(
        "mean-per-class", description="the metric that is compared"
    )


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


class Study(Settings):
    """One study: a question, the data, the sources, the targets and how they are measured."""

    name: Name = Field(description="name of the study and of its default run folder")
    question: str = Field(description="what the study asks")
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (0,), min_length=1, description="one encoder a source and seed"
    )
    data: SourceData = SourceData()
    video: Video = Video()
    encoder: Encoder = Encoder()
    train: Train = Train()
    sources: tuple[Source, ...] = Field(LADDER, min_length=1, description="what encoders learn")
    targets: tuple[Target, ...] = Field(min_length=1, description="where features are tested")
    transfer: Transfer = Transfer()
    primary: Primary
    examples: int = Field(12, ge=0, le=48, description="clips shown in the report")

    @model_validator(mode="after")
    def _names_are_told_apart(self) -> Self:
        for what, values in (
            ("sources", tuple(source.name for source in self.sources)),
            ("targets", tuple(target.name for target in self.targets)),
            ("seeds", self.seeds),
            ("transfer.shots", self.transfer.shots),
            ("transfer.probes", self.transfer.probes),
        ):
            twice = [value for value in values if values.count(value) > 1]
            if twice:
                raise ValueError(f"{what} names {twice[0]!r} twice")
        for target in self.targets:
            if target.name in RESERVED_TARGETS:
                raise ValueError(f"a target cannot be called {target.name!r}; choose another name")
        return self

    @model_validator(mode="after")
    def _primary_is_measured(self) -> Self:
        primary = self.primary
        sources = [source.name for source in self.sources]
        targets = [target.name for target in self.targets]
        for key, name, known in (
            ("primary.source", primary.source, sources),
            ("primary.versus", primary.versus, sources),
            ("primary.target", primary.target, targets),
        ):
            if name not in known:
                raise ValueError(f"{key} is {name!r}; this study has {', '.join(known)}")
        if primary.source == primary.versus:
            raise ValueError(f"primary compares {primary.source!r} with itself")
        if primary.shots not in self.transfer.shots:
            raise ValueError(f"primary.shots is {primary.shots}, not among transfer.shots")
        if primary.probe not in self.transfer.probes:
            raise ValueError(f"primary.probe is {primary.probe!r}, not in transfer.probes")
        return self
