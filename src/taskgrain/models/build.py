"""From a shape and a seed to a network; the shape is stored beside the weights as JSON.

Every part draws its weights from its own generator, named by the part's role. So the encoder of
a seed has the same weights whichever head or decoder stands on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from taskgrain.config.checked import Count
from taskgrain.models.decoder import CaptionDecoder
from taskgrain.models.encoder import (
    ChannelInput,
    ChannelShape,
    ConvLayer,
    Reduction,
    TwoChannelEncoder,
    shape_from_json,
)
from taskgrain.models.encoder import EncoderShape as EncoderShape
from taskgrain.models.model import ClassificationHead, SourceModel, encoder_width
from taskgrain.models.pretrained.encoder import NetworkShape
from taskgrain.models.pretrained.opening import build_network
from taskgrain.randomness import derive_seed

Layers = Literal["compact", "paper"]
FirstWeights = Literal["scaled", "torch"]
INITIALISED = (nn.Conv3d, nn.BatchNorm3d, nn.Linear, nn.LSTM, nn.Embedding)
# Of a checkpoint's LSTM: all would be allocated, whatever a file says. The settings allow 8.
NumLayers = Annotated[int, Field(ge=0, le=64)]
SPATIAL, TEMPORAL = 1, 3  # frames that a kernel of the channel spans
# Two strides in time train on 244 clips a second, one on 161 (docs/log.md, "The compact encoder").
# The 2D channel sees every fourth frame: neighbours look alike.
COMPACT_TEMPORAL_STRIDES = (2, 2)  # of the first 3D layers; the others keep every step
COMPACT_FRAME_STRIDE = 4  # of the spatial channel: as many steps as the 3D layers leave
PAPER_POOLED = 3  # layers that are padded and halve height and width; the later ones do neither


@dataclass(frozen=True, slots=True)
class DecoderShape:
    """All that it takes to make a `CaptionDecoder`, its vocabulary apart."""

    word_width: Count
    lstm_width: Count
    num_layers: NumLayers
    attention: bool = False  # over the encoder's steps, anew before each word
    first_weights: FirstWeights = "scaled"  # as `let_features_speak`, or as torch draws them

    def to_json(self) -> dict[str, object]:
        """Return what `json.dumps` takes."""
        return asdict(self)


COMPACT_DECODER = DecoderShape(word_width=64, lstm_width=128, num_layers=1, attention=True)


def spatial_channel(
    widths: tuple[int, ...],
    layers: Layers,
    *,
    reduction: Reduction = "max",
    shown: ChannelInput = "pixels",
) -> ChannelShape:
    """Lay out the 2D channel, which sees one frame a step; without widths there is none.

    Args:
        widths: of the layers, first to last.
        layers: "compact": each halves height and width by its stride, and every fourth frame is
            looked at. "paper": every frame; the first three layers are padded and pooled, the
            later ones neither (docs/paper.md).
        reduction: what counts of the pixels that remain.
        shown: what the channel sees of its frames.
    """
    if layers == "paper":
        return ChannelShape(_paper_layers(widths, 0), SPATIAL, reduction=reduction, input=shown)
    flat = tuple(ConvLayer(width, stride=(1, 2, 2), padding=(0, 1, 1)) for width in widths)
    return ChannelShape(flat, SPATIAL, COMPACT_FRAME_STRIDE, reduction, shown)


def temporal_channel(
    widths: tuple[int, ...],
    layers: Layers,
    *,
    reduction: Reduction = "max",
    shown: ChannelInput = "pixels",
) -> ChannelShape:
    """Lay out the 3D channel, whose kernels span three frames; without widths there is none.

    Arguments are those of `spatial_channel`, and so are the layers; but no frame is left out, and
    the first two compact layers halve the number of frames too.
    """
    if layers == "paper":
        return ChannelShape(_paper_layers(widths, 1), TEMPORAL, reduction=reduction, input=shown)
    strides = (*COMPACT_TEMPORAL_STRIDES, *(1 for _ in widths))
    deep = (
        ConvLayer(width, stride=(stride, 2, 2))
        for width, stride in zip(widths, strides, strict=False)
    )
    return ChannelShape(tuple(deep), TEMPORAL, reduction=reduction, input=shown)


def build_encoder(shape: EncoderShape, seed: int) -> TwoChannelEncoder:
    """Build an encoder with the weights of a seed; global random numbers are left alone."""
    with torch.random.fork_rng(devices=[]):
        encoder = TwoChannelEncoder(shape)
        for role, part in encoder.named_children():
            _initialise(part, derive_seed(seed, "encoder", role))
    return encoder


def add_readouts(
    encoder: nn.Module,
    *,
    num_classes: int | None,
    vocabulary_size: int | None,
    decoder_shape: DecoderShape = COMPACT_DECODER,
    seed: int,
) -> SourceModel:
    """Put a head, a decoder or both on any encoder; see `SourceModel`.

    Raises:
        ValueError: if the encoder has no width.
    """
    width = encoder_width(encoder)
    head, decoder = None, None
    with torch.random.fork_rng(devices=[]):
        if num_classes is not None:
            head = ClassificationHead(width, num_classes=num_classes)
            _initialise(head, derive_seed(seed, "head"))
        if vocabulary_size is not None:
            decoder = CaptionDecoder(
                width,
                vocabulary_size=vocabulary_size,
                word_width=decoder_shape.word_width,
                lstm_width=decoder_shape.lstm_width,
                num_layers=decoder_shape.num_layers,
                attention=decoder_shape.attention,
            )
            _initialise(decoder, derive_seed(seed, "decoder"))
            if decoder_shape.first_weights == "scaled":
                decoder.let_features_speak()
    return SourceModel(encoder, head=head, decoder=decoder)


def _paper_layers(widths: tuple[int, ...], temporal_padding: int) -> tuple[ConvLayer, ...]:
    same, valid = (temporal_padding, 1, 1), (temporal_padding, 0, 0)
    # What the last pool leaves of 96 x 96 pixels is one number; the channel's reduction does it.
    return tuple(
        ConvLayer(width, padding=same, pool=(1, 2, 2))
        if index < PAPER_POOLED
        else ConvLayer(width, padding=valid)
        for index, width in enumerate(widths)
    )


def _initialise(part: nn.Module, seed: int) -> None:
    """Draw the weights of every layer of a part from one seed, in the order of the layers."""
    # Not torch.manual_seed, which would reseed the accelerators too.
    torch.default_generator.manual_seed(seed)
    for module in part.modules():
        if isinstance(module, INITIALISED):
            module.reset_parameters()


EncoderRecipe = EncoderShape | NetworkShape


def recipe_from_json(entries: Mapping[str, object]) -> EncoderRecipe:
    """Read what the `to_json` of either shape returned; pretrained networks have "network".

    Raises:
        CheckpointError: if an entry is missing or is not what it should be.
    """
    if "network" in entries:
        return shape_from_json(NetworkShape, entries)
    return EncoderShape.from_json(entries)


def build_from(recipe: EncoderRecipe, seed: int) -> nn.Module:
    """Build an encoder with the weights of a seed; no file is read, nothing is fetched.

    Raises:
        ConfigError: if a pretrained network needs a library that is not installed.
    """
    if isinstance(recipe, NetworkShape):
        return build_network(recipe, seed)
    return build_encoder(recipe, seed)
