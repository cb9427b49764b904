"""The encoders of a study: from its settings, or from a function of the user's own."""

from __future__ import annotations

from torch import nn

from taskgrain.config.networks import Encoder
from taskgrain.models.build import EncoderShape, build_encoder, compact_shape
from taskgrain.study.inputs import Inputs


def new_encoder(
    inputs: Inputs, source: str | None, seed: int
) -> tuple[nn.Module, EncoderShape | None]:
    """Make a source's untrained encoder of a seed, and the shape that rebuilds it where we can.

    Args:
        inputs: of the study.
        source: whose encoder; None for the study's own, which controls are measured with.
        seed: of the weights.
    """
    if inputs.encoder_factory is not None:
        return inputs.encoder_factory(seed), None
    study = inputs.study
    settings = study.encoder if source is None else study.encoder_of(inputs.source(source))
    shape = shape_of(settings)
    return build_encoder(shape, seed), shape


def own_encoder(inputs: Inputs, seed: int) -> nn.Module | None:
    """Make the encoder that a checkpoint cannot rebuild by itself: one of the user's own."""
    return None if inputs.encoder_factory is None else inputs.encoder_factory(seed)


def shape_of(settings: Encoder) -> EncoderShape:
    """Turn settings into the shape of the two-channel encoder."""
    return compact_shape(
        spatial_widths=settings.spatial_widths,
        temporal_widths=settings.temporal_widths,
        lstm_width=settings.lstm_width,
    )
