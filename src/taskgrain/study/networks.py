"""The networks of a study: how each is built, what its inputs are divided by, how long it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import count
from typing import TYPE_CHECKING

from torch import nn

from taskgrain.checkpoint import ModelDescription
from taskgrain.config.clips import Video
from taskgrain.config.learning import Decoder, Encoder
from taskgrain.config.settings import Study
from taskgrain.data.manifest import Split
from taskgrain.data.store import FrameStore
from taskgrain.decoding import BeamSettings
from taskgrain.errors import ConfigError, list_problems
from taskgrain.models.build import (
    DecoderShape,
    EncoderRecipe,
    EncoderShape,
    add_readouts,
    build_encoder,
    spatial_channel,
    temporal_channel,
)
from taskgrain.models.encoder import (
    UNMEASURED,
    ChangeDeviations,
    Pixels,
    changes_shown,
    measure_changes,
)
from taskgrain.models.model import SourceModel
from taskgrain.models.pretrained.opening import WantedNetwork, make_ready, open_encoder
from taskgrain.randomness import derive_seed
from taskgrain.study.datasets import SOURCE
from taskgrain.study.inputs import Inputs, batches_in_order, drawn_once
from taskgrain.study.sources import SourceTask
from taskgrain.transfer.extract import FLAT_CONTROLS

if TYPE_CHECKING:
    from taskgrain.study.subjects import FeaturesKey


def new_model(
    inputs: Inputs,
    task: SourceTask,
    *,
    encoder_of: str | None,
    seed: int,
    changes: ChangeDeviations = UNMEASURED,
) -> tuple[SourceModel, ModelDescription]:
    """Make the untrained model of a task, and the description that its checkpoints carry.

    The encoder is that of a source, or of the study (None); `changes` are those of the clips that
    are learned from, where the encoder is shown changes.
    """
    weights = weights_seed(inputs, encoder_of, seed)
    encoder, shape = new_encoder(inputs, encoder_of, weights, changes=changes)
    decoder_shape, vocabulary = decoder_shape_of(inputs.study.decoder), task.vocabulary
    model = add_readouts(
        encoder,
        num_classes=task.num_classes,
        vocabulary_size=None if vocabulary is None else len(vocabulary),
        decoder_shape=decoder_shape,
        seed=weights,
    )
    return model, ModelDescription(
        source=task.name,
        seed=seed,
        shape=shape,
        taxonomy=task.taxonomy,
        level=task.level,
        form=task.form,
        vocabulary=vocabulary,
        sampling=inputs.sampling,
        decoder_shape=decoder_shape,
    )


def weights_seed(inputs: Inputs, source: str | None, seed: int) -> int:
    """Return the seed of a source's first weights: a twin's come from a stream of their own."""
    if source is None or inputs.source(source).twin_of is None:
        return seed
    return derive_seed(seed, "twin", source)


def new_encoder(
    inputs: Inputs,
    source: str | None,
    seed: int,
    *,
    changes: ChangeDeviations = UNMEASURED,
) -> tuple[nn.Module, EncoderRecipe | None]:
    """Make a source's encoder of a seed before any training, and the recipe that rebuilds it.

    The two-channel encoder is then untrained; a pretrained network has the weights of its settings.

    Args:
        inputs: of the study.
        source: whose encoder; None for the study's own, which controls are measured with.
        seed: of the weights that are drawn.
        changes: of the clips that are learned from, where the encoder is shown changes.

    Raises:
        ConfigError: if a pretrained network's library or weights are not there.
        CheckpointError: if such weights are not whole.
    """
    # A user's own encoder has no recipe: checkpoints hold its weights, and whoever loads them has
    # to make it again (`own_encoder`).
    if inputs.encoder_factory is not None:
        return inputs.encoder_factory(seed), None
    return encoder_from(encoder_settings(inputs, source), seed, changes=changes)


def encoder_settings(inputs: Inputs, source: str | None) -> Encoder:
    """Return the settings of a source's encoder; None: of the study's own."""
    study = inputs.study
    return study.encoder if source is None else study.encoder_of(inputs.source(source))


def encoder_from(
    settings: Encoder, seed: int, *, changes: ChangeDeviations = UNMEASURED
) -> tuple[nn.Module, EncoderRecipe]:
    """Make an encoder from its settings, and its recipe; raises the errors of `new_encoder`."""
    if settings.network == "two-channel":
        shape = shape_of(settings, changes)
        return build_encoder(shape, seed), shape
    return open_encoder(wanted_network(settings), seed)


def drawn(settings: Encoder) -> Encoder:
    """Return settings that draw the weights: no published weights are loaded for a shape alone."""
    if settings.network == "two-channel":
        return settings
    return settings.model_copy(update={"weights": "random"})


def own_encoder(inputs: Inputs, seed: int) -> nn.Module | None:
    """Make the user's own encoder, which a checkpoint cannot rebuild by itself."""
    return None if inputs.encoder_factory is None else inputs.encoder_factory(seed)


def shape_of(settings: Encoder, changes: ChangeDeviations = UNMEASURED) -> EncoderShape:
    """Turn settings into the shape of the two-channel encoder, with what it divides changes by."""
    layers, reduction = settings.layers, settings.reduction
    shown = (settings.spatial_input, settings.temporal_input)
    kinds = {change for each in shown for change in changes_shown(each)}
    return EncoderShape(
        spatial=spatial_channel(
            settings.spatial_widths, layers, reduction=reduction, shown=settings.spatial_input
        ),
        temporal=temporal_channel(
            settings.temporal_widths, layers, reduction=reduction, shown=settings.temporal_input
        ),
        lstm_width=settings.lstm_width,
        feature_width=settings.feature_width,
        dropout=settings.dropout,
        pixels=Pixels(
            settings.pixel_mean,
            settings.pixel_deviation,
            centred_deviation=changes.centred if "centred" in kinds else None,
            difference_deviation=changes.difference if "difference" in kinds else None,
        ),
    )


def wanted_network(settings: Encoder) -> WantedNetwork:
    """Turn settings into the request for a pretrained network."""
    assert settings.network != "two-channel", "it is not a pretrained network"
    assert settings.model is not None, "its settings were refused without one"
    return WantedNetwork(
        settings.network,
        settings.model,
        weights=settings.weights,
        single_frame=settings.single_frame,
        lstm_width=settings.lstm_width if settings.recurrent else 0,
    )


def beams_of(settings: Decoder) -> BeamSettings:
    """Turn settings into how the captions of trained sources are looked for."""
    return BeamSettings(settings.beam_width, settings.length_penalty)


def decoder_shape_of(settings: Decoder) -> DecoderShape:
    """Turn settings into the shape of the caption decoder."""
    return DecoderShape(
        word_width=settings.word_width,
        lstm_width=settings.lstm_width,
        num_layers=settings.num_layers,
        attention=settings.attention,
        first_weights=settings.first_weights,
    )


def check_networks(study: Study) -> None:
    """Refuse encoders whose layers would leave nothing of the frames.

    Raises:
        ConfigError: naming the encoder, the layer, and frames that are large enough.
    """
    for where, settings in _encoders(study).items():
        if settings.network == "two-channel":
            _check_pixels(where, shape_of(settings), study.video.height, study.video.width)


def make_networks_ready(study: Study) -> None:
    """Find the files of every pretrained encoder, and download those that are to be, once.

    Raises:
        ConfigError: naming every encoder whose library or weights are not there.
    """
    problems = _not_ready(_encoders(study))
    if problems:
        raise ConfigError(list_problems(problems))


def missing_weights(study: Study) -> list[str]:
    """Name every pretrained encoder that could not be opened now; nothing is downloaded."""
    encoders = _encoders(study)
    kept = {where: each for where, each in encoders.items() if each.weights != "download"}
    return _not_ready(kept)


def _encoders(study: Study) -> dict[str, Encoder]:
    """Return every encoder of a study by the name of its setting."""
    named = {f"encoders.{name}": settings for name, settings in study.encoders.items()}
    return {"encoder": study.encoder, **named}


def _not_ready(encoders: Mapping[str, Encoder]) -> list[str]:
    """Phrase what pretrained networks lack, those that lack the same together."""
    problems: dict[str, list[str]] = {}  # what is wrong -> the encoders that it is wrong with
    for where, settings in encoders.items():
        if settings.network == "two-channel":
            continue
        try:
            make_ready(wanted_network(settings))
        except ConfigError as error:
            problems.setdefault(str(error), []).append(where)
    return [f"{', '.join(named)}: {problem}" for problem, named in problems.items()]


def _check_pixels(where: str, shape: EncoderShape, height: int, width: int) -> None:
    for name, channel in (("spatial", shape.spatial), ("temporal", shape.temporal)):
        fitting, wanted = channel.layers_that_fit(height, width), len(channel.layers)
        if fitting < wanted:
            least = next(size for size in count(1) if channel.layers_that_fit(size, size) == wanted)
            raise ConfigError(
                f"{where}: frames of {height} x {width} pixels are too small for its {name} "
                f"channel: nothing is left of them in layer {fitting + 1} of {wanted}; give "
                f"video.height and video.width {least} pixels or more, or leave layers out"
            )


MEASURED_CLIPS = 500  # of the source: the deviation is then known to a few percent


def measured_changes(inputs: Inputs, source: str | None, *, seed: int) -> ChangeDeviations:
    """Measure the source's training clips, as a frozen encoder would see them.

    Some of the clips that a seed learns from are drawn, the same for all sources: every cell of the
    seed measures the same numbers. Seeds that learn from the same clips have equal numbers too.

    Returns:
        `UNMEASURED`, without a look at the clips, where the encoder is shown no changes.
    """
    settings = encoder_settings(inputs, source)
    if inputs.encoder_factory is not None or not shows_changes(settings):
        return UNMEASURED
    store = inputs.datasets[SOURCE].frames()
    records = inputs.clips(seed).learned.split(Split.TRAIN)
    usable = [record.clip_id for record in records if record.clip_id in store]
    return changes_of(inputs, usable, store)


def changes_of(inputs: Inputs, usable: Sequence[str], store: FrameStore) -> ChangeDeviations:
    """Measure some clips, or 500 drawn of them, as a frozen encoder would see them."""
    clips = drawn_once(usable, MEASURED_CLIPS, "changes")
    return measure_changes(
        batch.video for batch in batches_in_order(inputs, clips, store).batches()
    )


def shows_changes(settings: Encoder) -> bool:
    """Whether a channel of the encoder sees how far clips change."""
    kinds = (settings.spatial_input, settings.temporal_input)
    return settings.network == "two-channel" and any(changes_shown(kind) for kind in kinds)


# Seconds on one thread, measured on two AVX2 cores in float32: the compact encoder, and ResNet-18
# and r3d_18 beside each other (docs/log.md, "What a large encoder takes").
PASS_SECONDS = 1 / 190  # a clip of `quick` forward, backward and in the optimizer
EXTRACT_SECONDS = 1 / 500  # a clip of `quick` through the frozen encoder
COMPACT_GFLOPS = 0.038  # what that clip takes forward
PASS_GFLOPS_PER_SECOND = 25.0  # forward arithmetic of large encoders while they are trained
EXTRACT_GFLOPS_PER_SECOND = 160.0  # and frozen
# EfficientNet-Lite0 frozen: filters of one channel wait for memory. 12.3 GFLOP a clip, 0.8 s.
CHANNELWISE_GFLOPS_PER_SECOND = 15.0


def pass_seconds(inputs: Inputs, source: str | None) -> float:
    """Estimate how long a source's encoder trains on one clip; None: the study's own encoder."""
    return PASS_SECONDS + _gflops_above(inputs, source) / PASS_GFLOPS_PER_SECOND


def extract_seconds(inputs: Inputs, key: FeaturesKey) -> float:
    """Estimate how long the extraction of these features takes for a clip."""
    if key.kind in FLAT_CONTROLS:
        return EXTRACT_SECONDS
    is_channelwise = encoder_settings(inputs, key.source).network == "imagenet"
    rate = CHANNELWISE_GFLOPS_PER_SECOND if is_channelwise else EXTRACT_GFLOPS_PER_SECOND
    return EXTRACT_SECONDS + _gflops_above(inputs, key.source) / rate


def _gflops_above(inputs: Inputs, source: str | None) -> float:
    """Return the GFLOPs a clip beyond the compact encoder's; 0 for a user's own encoder."""
    study = inputs.study
    settings = encoder_settings(inputs, source)
    if inputs.encoder_factory is not None or _is_small(settings, study.video):
        return 0.0
    return max(0.0, _forward_gflops(settings, study.video) - COMPACT_GFLOPS)


def _is_small(settings: Encoder, video: Video) -> bool:
    """Whether an encoder is within the compact one's sizes; counting would take seconds."""
    usual, clip = Encoder(), Video()
    return (
        settings.network == "two-channel"
        and settings.layers == usual.layers
        and _is_within(settings.spatial_widths, usual.spatial_widths)
        and _is_within(settings.temporal_widths, usual.temporal_widths)
        and settings.lstm_width <= usual.lstm_width
        and video.num_frames * video.height * video.width
        <= clip.num_frames * clip.height * clip.width
    )


def _is_within(widths: tuple[int, ...], limits: tuple[int, ...]) -> bool:
    return len(widths) <= len(limits) and all(
        width <= limit for width, limit in zip(widths, limits, strict=False)
    )


@cache
def _forward_gflops(settings: Encoder, video: Video) -> float:
    from taskgrain.study.cost import count_forward  # seconds to import, and it imports this file

    counted = count_forward(lambda: SourceModel(encoder_from(drawn(settings), 0)[0]), video)
    return counted.flops / 1e9
