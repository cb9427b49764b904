"""Networks that tests and benchmarks build without a study, and how probable captions are."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from taskgrain.decoding import NEVER_SAID, Step
from taskgrain.labels.vocabulary import PAD
from taskgrain.models.build import (
    COMPACT_DECODER,
    DecoderShape,
    add_readouts,
    build_encoder,
    spatial_channel,
    temporal_channel,
)
from taskgrain.models.encoder import UNMEASURED, ChangeDeviations, EncoderShape, Pixels
from taskgrain.models.model import SourceModel

State = TypeVar("State")

# What the packaged studies say of the compact encoder and of the paper's.
COMPACT_WIDTHS = (8, 24, 48, 64)
COMPACT_PIXELS = Pixels(mean=120.0, deviation=60.0)
PAPER_PIXELS = Pixels(mean=0.0, deviation=64.0)
PAPER_DECODER = DecoderShape(word_width=256, lstm_width=1024, num_layers=2, first_weights="torch")


def paper_widths(k: int) -> tuple[int, ...]:
    """Return the widths of a channel of the authors' code from its base width; () from 0."""
    return (k, 2 * k, 4 * k, 8 * k, 8 * k, 8 * k) if k else ()


def compact_shape(
    *,
    spatial_widths: tuple[int, ...] = COMPACT_WIDTHS,
    temporal_widths: tuple[int, ...] = COMPACT_WIDTHS,
    lstm_width: int = 128,
    changes: ChangeDeviations = UNMEASURED,
) -> EncoderShape:
    """Lay out the small encoder that trains on a CPU; 16 frames become 4 steps.

    The 3D channel sees what differs from frame to frame, the 2D channel has centred frames beside
    its pixels (docs/log.md, "The recipe").

    Args:
        spatial_widths: of the 2D layers, first to last; none: no 2D channel.
        temporal_widths: of the 3D layers, likewise.
        lstm_width: units in each direction.
        changes: of the clips that are learned from, as `measure_changes` measures them.
    """
    return EncoderShape(
        spatial=spatial_channel(spatial_widths, "compact", shown="pixels-and-centred"),
        temporal=temporal_channel(temporal_widths, "compact", shown="difference"),
        lstm_width=lstm_width,
        feature_width=0,
        dropout=0.0,
        pixels=replace(
            COMPACT_PIXELS,
            centred_deviation=changes.centred,
            difference_deviation=changes.difference,
        ),
    )


def paper_shape(k2: int, k3: int) -> EncoderShape:
    """Lay out the encoder of the authors' code; see docs/paper.md.

    Args:
        k2: base width of the spatial channel, which gives 8 * k2 features; 0 leaves it out.
        k3: base width of the temporal channel, likewise.
    """
    return EncoderShape(
        spatial=spatial_channel(paper_widths(k2), "paper"),
        temporal=temporal_channel(paper_widths(k3), "paper"),
        lstm_width=512,
        feature_width=1024,
        dropout=0.5,
        pixels=PAPER_PIXELS,
    )


def build_model(
    shape: EncoderShape,
    *,
    num_classes: int | None,
    vocabulary_size: int | None,
    decoder_shape: DecoderShape = COMPACT_DECODER,
    seed: int,
) -> SourceModel:
    """Build an encoder with a head, a decoder or both; None leaves one out.

    Args:
        shape: of the encoder.
        num_classes: K at the source's level.
        vocabulary_size: V, with the four specials.
        decoder_shape: sizes of the decoder.
        seed: of all weights; those of the encoder do not depend on head and decoder.
    """
    return add_readouts(
        build_encoder(shape, seed),
        num_classes=num_classes,
        vocabulary_size=vocabulary_size,
        decoder_shape=decoder_shape,
        seed=seed,
    )


def score_captions(step: Step[State], start: State, captions: Tensor) -> Tensor:
    """Compute the log-probability of each caption, long (B, L) with BOS first, by itself: (B,)."""
    total = torch.zeros(captions.shape[0], dtype=torch.float64)
    state = start
    for token, following in zip(captions.T[:-1], captions.T[1:], strict=True):
        logits, state = step(token, state)
        allowed = logits.double().clone()
        allowed[:, list(NEVER_SAID)] = float("-inf")
        log_probs = allowed.log_softmax(dim=1).gather(1, following[:, None])[:, 0]
        total += log_probs.masked_fill(following == PAD, 0.0)
    return total
