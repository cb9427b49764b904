"""Settings of what is learned: training, sources, encoders of every kind, the caption decoder."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from taskgrain.config.checked import Name, Part, Settings, Share
from taskgrain.labels.caption import CaptionForm
from taskgrain.labels.taxonomy import CATEGORY
from taskgrain.labels.vocabulary import MAX_BEAMS


class Train(Settings):
    """How each source is learned; the same for all of them."""

    epochs: int = Field(10, ge=1, description="passes over the training clips")
    passes: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (),
        description="clip passes of a training, in place of epochs; of several, least first, each "
        "is a training of its own with a whole schedule: all are scored, the last is tested",
    )
    batch_size: int = Field(16, ge=2, description="clips of a forward pass")
    accumulate: int = Field(1, ge=1, description="batches of an optimiser step")
    optimizer: Literal["adamw", "adam", "sgd"] = Field("adamw", description="how weights move")
    # One rate for every source: where .001 or .004 was ahead, it was by what one seed cannot tell
    # from noise (docs/log.md, "The recipe").
    learning_rate: float = Field(2e-3, gt=0, le=1, description="the highest of the schedule")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    weight_decay: float = Field(0.01, ge=0, description="not on norms and biases")
    schedule: Literal["one-cycle", "cosine", "plateau", "constant"] = Field(
        "one-cycle",
        description="of the rate: over all steps (cosine: after a twentieth of rising), or by "
        "validation (plateau)",
    )
    plateau_factor: float = Field(0.1, gt=0, lt=1, description="plateau: rate times this ...")
    plateau_patience: int = Field(
        2, ge=0, description="plateau: ... after so many epochs without a better score"
    )
    least_learning_rate: float = Field(
        1e-8, gt=0, description="plateau: training ends when the rate falls below"
    )
    early_stopping: int | None = Field(
        None, ge=1, description="end after so many epochs without a better score; absent: never"
    )
    max_gradient_norm: float = Field(
        1.0, ge=0, description="longer gradients are scaled down to it; 0: never"
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="share of a label's probability that is spread over all labels"
    )
    hidden_captions: Share = Field(
        0.0,
        description="share of captions whose tokens are all predicted at once, from the clip alone",
    )
    balanced: bool = Field(
        False, description="draw clips so that every class of the head comes equally often"
    )
    # The authors' code counts the padding after the end. Masked, a clip weighs as many tokens as
    # its caption has (docs/deviations.md).
    padding: Literal["masked", "counted"] = Field(
        "masked", description="whether the caption loss counts the padding after the end"
    )
    words: Literal["taskgrain", "paper"] = Field(
        "taskgrain", description="how captions become words; paper: upper case, A to Z alone"
    )
    min_word_count: int = Field(
        1, ge=1, description="words rarer than this in training captions become <unk>"
    )
    # Never bf16 on a CPU unless it is named: torch 2.13 computes some weight gradients wrong there
    # (`train.precision`).
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        description="of the convolutions; auto is fp32 on CPUs, bf16 on CUDA devices that have it; "
        "bf16 on a CPU is checked before the run; fp16 is for CUDA devices",
    )
    tensorboard: bool = Field(
        False, description="also write TensorBoard's files beside each checkpoint (extra tracking)"
    )

    @model_validator(mode="after")
    def _passes_rise(self) -> Self:
        for fewer, more in pairwise(self.passes):
            if fewer >= more:
                raise ValueError(f"passes goes from {fewer} to {more}; least first, none twice")
        if not self.fewer_passes:
            return self
        if self.early_stopping is not None or self.schedule == "plateau":
            sooner = "schedule" if self.early_stopping is None else "early_stopping"
            raise ValueError(
                f"passes asks for {len(self.passes)} trainings of stated lengths, and {sooner} may "
                f"end them sooner; leave {sooner} out, or give passes one number"
            )
        return self

    @property
    def fewer_passes(self) -> tuple[int, ...]:
        """Passes of the trainings that are scored on their own labels alone."""
        return self.passes[:-1]

    def passes_over(self, num_clips: int) -> int:
        """Return the clip passes of the training that is tested."""
        return self.passes[-1] if self.passes else self.epochs * num_clips

    @model_validator(mode="after")
    def _plateau_has_room(self) -> Self:
        if self.schedule == "plateau" and self.least_learning_rate >= self.learning_rate:
            raise ValueError(
                f"the rate begins at {self.learning_rate:g}, not above least_learning_rate, "
                f"{self.least_learning_rate:g}, where training ends"
            )
        return self


class Source(Settings):
    """What an encoder is trained on: a level to classify, a caption form, or both."""

    name: Part = Field(description="name in results and tables")
    classify: Name | None = Field(None, description="level of the taxonomy, or absent")
    regrouped: bool = Field(
        False,
        description="put the categories at random into groups of the sizes of the level's, drawn "
        "from the seed: as many bits, no meaning",
    )
    caption: CaptionForm | None = Field(None, description="caption form, or absent")
    classification_weight: float | None = Field(
        None,
        alias="lambda",
        gt=0,
        lt=1,
        description="lambda of the joint loss; only where a source does both",
    )
    encoder: Part | None = Field(
        None, description="the encoder of that name in [encoders]; absent: [encoder]"
    )
    warm_start: str | None = Field(
        None, description="source of this study, or checkpoint folder, whose weights it begins with"
    )
    warm_start_parts: Literal["encoder", "all"] = Field(
        "encoder", description="which weights: the encoder's alone, or head and decoder too"
    )
    twin_of: Part | None = Field(
        None,
        description="a source whose settings it shares: same labels, clips and order, other first "
        "weights; their difference is A/A, and enters no claim",
    )

    @property
    def is_frozen(self) -> bool:
        """Whether nothing is learned: the encoder's features are tested as they come."""
        return self.classify is None and self.caption is None

    @model_validator(mode="after")
    def _has_a_task(self) -> Self:
        if self.is_frozen and self.encoder is None:
            raise ValueError(
                'a source needs "classify", "caption" or both, or a pretrained "encoder"'
            )
        if self.regrouped and self.classify in (None, CATEGORY):
            raise ValueError(
                '"regrouped" needs "classify" with a level of groups, as "action-group": their '
                "number and sizes are matched"
            )
        if self.warm_start is None and self.warm_start_parts != "encoder":
            raise ValueError('"warm_start_parts" needs "warm_start"')
        joint = self.classify is not None and self.caption is not None
        if joint and self.classification_weight is None:
            raise ValueError('a source that classifies and captions needs "lambda"')
        if not joint and self.classification_weight is not None:
            raise ValueError('"lambda" belongs to a source that classifies and captions')
        return self


# The joint sources weigh both tasks alike. The authors' lambda is 0.1; what it changes is a
# question of its own, which the study `joint` asks (docs/deviations.md).
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


Widths = tuple[Annotated[int, Field(ge=1, le=4096)], ...]


class Encoder(Settings):
    """One encoder: the two-channel one, or a pretrained network by its name."""

    network: Literal["two-channel", "torchvision", "huggingface", "imagenet"] = Field(
        "two-channel",
        description="two-channel, or a model of one of these libraries; imagenet: the network of "
        "the extra imagenet",
    )
    layers: Literal["compact", "paper"] = Field(
        "compact", description="two-channel: strides, padding and pooling of its layers"
    )
    # With the strides of `compact` 2.4 times as fast as widths 16, 32, 64, 64 with one stride in
    # time on a processor without AVX-512, where the quick study has to end within fifteen minutes
    # too (docs/log.md, "The compact encoder").
    spatial_widths: Widths = Field(
        (8, 24, 48, 64), description="two-channel: 2D layers, first to last; none: no 2D channel"
    )
    temporal_widths: Widths = Field(
        (8, 24, 48, 64), description="two-channel: 3D layers, first to last; none: no 3D channel"
    )
    # What the channels see, the largest pixel and the decoder's attention were chosen by what they
    # teach sources of their own labels, on development seeds (docs/log.md, "The recipe").
    spatial_input: Literal["pixels", "pixels-and-centred"] = Field(
        "pixels-and-centred",
        description="two-channel: what its 2D layers see of a frame; centred: the frame minus the "
        "clip's mean over time",
    )
    temporal_input: Literal["pixels", "centred", "difference"] = Field(
        "difference",
        description="two-channel: what its 3D layers see of a frame; centred: as above; "
        "difference: the frame minus the one before; both have the deviation of the source's clips",
    )
    reduction: Literal["mean", "max"] = Field(
        "max", description="two-channel: what counts of the pixels that the last layers leave"
    )
    lstm_width: int = Field(128, ge=1, le=4096, description="units of the LSTM in each direction")
    feature_width: int = Field(
        0, ge=0, le=8192, description="two-channel: width of the layer after the LSTM; 0: none"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="two-channel: share after that layer")
    pixel_mean: float = Field(
        120.0, ge=0, le=255, description="two-channel: grey level taken off every pixel"
    )
    pixel_deviation: float = Field(
        60.0, gt=0, le=255, description="two-channel: grey levels that become 1"
    )
    model: str | None = Field(
        None,
        description="torchvision's name (resnet18), a Hugging Face model's name or folder, or "
        "efficientnet-lite0 of imagenet",
    )
    weights: Literal["cached", "download", "random"] = Field(
        "cached",
        description="of a pretrained network: as on this machine, fetched if need be, or drawn",
    )
    recurrent: bool = Field(
        False, description="of a pretrained network: an LSTM over its steps, as lstm_width says"
    )
    single_frame: bool = Field(
        False, description="of an image network: it sees the middle frame of a clip alone"
    )

    @model_validator(mode="after")
    def _is_one_network(self) -> Self:
        if self.network == "two-channel":
            if not self.spatial_widths and not self.temporal_widths:
                raise ValueError("both channels are without layers; give at least one its widths")
            _refuse_set(self, PRETRAINED, "belongs to a pretrained network; set network")
            return self
        if not self.model:
            raise ValueError(f'network = "{self.network}" needs "model", the name of its network')
        _refuse_set(self, TWO_CHANNEL, "belongs to the two-channel network")
        if not self.recurrent:
            _refuse_set(self, ("lstm_width",), 'needs "recurrent", without which there is no LSTM')
        if self.single_frame and (self.recurrent or self.network == "huggingface"):
            raise ValueError('"single_frame" is for an image network, without LSTM')
        return self


TWO_CHANNEL = (
    *("layers", "spatial_widths", "temporal_widths", "feature_width", "dropout"),
    *("spatial_input", "temporal_input", "reduction", "pixel_mean", "pixel_deviation"),
)
PRETRAINED = ("model", "weights", "recurrent", "single_frame")


def _refuse_set(encoder: Encoder, keys: tuple[str, ...], why: str) -> None:
    """Refuse settings that would do nothing; those left at their defaults are in every file."""
    for key in keys:
        if getattr(encoder, key) != Encoder.model_fields[key].default:
            raise ValueError(f'"{key}" {why}')


class Decoder(Settings):
    """The caption decoder of every source that has one."""

    word_width: int = Field(64, ge=1, le=4096, description="numbers of a word's embedding")
    lstm_width: int = Field(128, ge=1, le=4096, description="units of its LSTM")
    num_layers: int = Field(1, ge=1, le=8, description="layers of its LSTM")
    attention: bool = Field(
        True, description="look at the encoder's steps anew before each word (additive attention)"
    )
    # With torch's own first weights the decoder learns to speak before it looks: 1.21 against 1.08
    # nats a token after four epochs (docs/log.md, "The decoder's first weights").
    first_weights: Literal["scaled", "torch"] = Field(
        "scaled", description="scaled so that the clip is heard beside the words, or torch's own"
    )
    # Beams moved development captions by no more than chance does (docs/log.md, "Beam search").
    beam_width: int = Field(
        1,
        ge=1,
        le=MAX_BEAMS,
        description="beginnings of a caption that are followed side by side when a trained source "
        "is scored and shown (beam search); 1 takes the most probable word each time (greedy), as "
        "validation during training does",
    )
    length_penalty: float = Field(
        0.0,
        ge=0,
        le=2,
        description="of several beams: whole captions compare by log-probability / tokens ** this",
    )

    @model_validator(mode="after")
    def _has_beams_to_compare(self) -> Self:
        if self.length_penalty > 0 and self.beam_width == 1:
            raise ValueError("length_penalty compares beams; it needs beam_width of 2 or more")
        return self
