"""The settings of a study, as frozen models; every key of a study file is a field here.

Modules below never see these: `study` turns them into plain arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from taskgrain.labels.caption import CaptionForm

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Part = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
"""A name that others are joined to by dots and slashes: a source, a target, a factor."""

RESERVED_TARGETS = ("source", "source-validation")  # the names of the source's own clips
Shots = Annotated[int, Field(ge=1)] | Literal["all"]
Probe = Literal[
    "nearest-mean",
    "k-nn",
    "ridge",
    "rbf-ridge",
    "logistic-regression",
    "logistic-regression-cv",
    "mlp",
    "recurrent",
    "attentive",
]
Control = Literal[
    "majority",
    "random-encoder",
    "pixels",
    "motion-energy",
    "permuted-labels",
    "shuffled-time",
    "first-frame",
    "last-frame",
    "first-and-last-frame",
    "duration",
    "byte-size",
]


class Settings(BaseModel):
    """A frozen table of settings that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


Levels = Mapping[Name, Mapping[str, Annotated[tuple[str, ...], Field(min_length=1)]]]


class SourceData(Settings):
    """The clips that the encoders learn from: the embedded world, or a dataset of your own."""

    root: Path | None = Field(
        None, description="folder of your own dataset; world, seed and sizes are then not used"
    )
    store: Path | None = Field(
        None, description="frames of your own dataset, as `taskgrain pack` wrote them"
    )
    levels: Levels = Field(
        {}, description="levels of your own, finest first: level -> name -> its categories"
    )
    mirror: Mapping[str, str] = Field(
        {},
        description="category -> its mirror image, or itself; Something-Something's are known",
    )
    world: Literal["tabletop"] | None = Field(
        None, description="the embedded world to draw: tabletop, unless there is a root"
    )
    seed: int = Field(0, ge=0, description="seed of the drawn clips")
    train: int = Field(3000, ge=2, description="clips to learn from")
    validation: int = Field(400, ge=1, description="clips to score the sources on")

    @model_validator(mode="after")
    def _store_has_a_root(self) -> Self:
        _refuse_store_without_root(self)
        return self

    @model_validator(mode="after")
    def _levels_name_a_category_once(self) -> Self:
        for level, names in self.levels.items():
            seen: dict[str, str] = {}
            for name, categories in names.items():
                for category in categories:
                    if category in seen:
                        raise ValueError(
                            f"levels.{level} has {category!r} twice, in {seen[category]!r} and in "
                            f"{name!r}"
                        )
                    seen[category] = name
        return self


class Target(Settings):
    """A task on which frozen features are tested."""

    name: Part = Field(description="name in results and tables")
    root: Path | None = Field(
        None, description="folder of your own target: train = support pool, validation = scored"
    )
    store: Path | None = Field(
        None, description="frames of your own target, as `taskgrain pack` wrote them"
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

    @model_validator(mode="after")
    def _store_has_a_root(self) -> Self:
        _refuse_store_without_root(self)
        return self


def _refuse_store_without_root(section: SourceData | Target) -> None:
    """Refuse frames without the annotations that say what they show."""
    if section.store is not None and section.root is None:
        raise ValueError('"store" needs "root", the dataset that it was packed from')


class Video(Settings):
    """What the encoder sees of a clip, in frames and pixels."""

    num_frames: int = Field(16, ge=2, le=512, description="frames of a clip")
    store_height: int = Field(56, ge=8, le=1024, description="pixels of the stored frames")
    store_width: int = Field(56, ge=8, le=1024, description="pixels of the stored frames")
    height: int = Field(48, ge=8, le=1024, description="pixels of the crop")
    width: int = Field(48, ge=8, le=1024, description="pixels of the crop")
    stride: int | None = Field(
        None,
        ge=1,
        le=64,
        description="stored frames (12 a second) to the next; absent: spread over the clip",
    )
    fit: Literal["stretch", "crop"] = Field(
        "stretch", description="how clips take the stored size: stretch, or crop to keep the aspect"
    )

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
    min_word_count: int = Field(
        1, ge=1, description="words rarer than this in training captions become <unk>"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of the convolutions; auto is bf16 where the processor has it"
    )


Share = Annotated[float, Field(ge=0, le=1)]


class Augment(Settings):
    """What training varies of a clip, drawn from (seed, epoch, clip); scoring sees the centre."""

    frame_jitter: bool = Field(
        True, description="draw the frame of each span, or where a strided window begins"
    )
    rate_jitter: float = Field(
        0.0, ge=0, lt=1, description="r: frame rate times 1 - r to 1 + r; spread: 1 - r to 1 of it"
    )
    crop_scale: tuple[Annotated[float, Field(gt=0, le=1)], ...] | None = Field(
        None,
        min_length=2,
        max_length=2,
        description="random resized crop: least and most share of the area; absent: fixed size",
    )
    crop_aspect: tuple[Annotated[float, Field(gt=0, le=10)], ...] = Field(
        (0.75, 4 / 3),
        min_length=2,
        max_length=2,
        description="least and most width / height of a resized crop, relative to the frame",
    )
    mirror: Share = Field(
        0.0, description="probability, for clips whose label and caption can be mirrored"
    )
    brightness: Share = Field(0.0, description="b: a factor of 1 - b to 1 + b")
    contrast: Share = Field(0.0, description="the same, about the clip's mean luma")
    saturation: Share = Field(0.0, description="the same, about each pixel's luma")
    hue: float = Field(0.0, ge=0, le=0.5, description="at most this share of the colour circle")

    @model_validator(mode="after")
    def _ranges_rise(self) -> Self:
        for key, pair in (("crop_scale", self.crop_scale), ("crop_aspect", self.crop_aspect)):
            if pair is not None and pair[0] > pair[1]:
                raise ValueError(f"{key} goes from {pair[0]} down to {pair[1]}; least first")
        return self


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
    augment: Augment = Augment()
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
