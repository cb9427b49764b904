"""How long an encoder takes for a clip on one CPU thread: for the plan and the time left.

Measured on two AVX2 cores in float32: the compact encoder, and ResNet-18 and r3d_18 beside each
other (docs/log.md, "What a large encoder takes").
"""

from __future__ import annotations

from functools import cache

from taskgrain.config.clips import Video
from taskgrain.config.networks import Encoder
from taskgrain.models.model import SourceModel
from taskgrain.study.inputs import Inputs
from taskgrain.study.networks import drawn, encoder_from, encoder_settings
from taskgrain.study.subjects import FeaturesKey
from taskgrain.transfer.extract import FLAT_CONTROLS

PASS_SECONDS = 1 / 190  # a clip of `quick` forward, backward and in the optimizer
EXTRACT_SECONDS = 1 / 500  # a clip of `quick` through the frozen encoder
COMPACT_GFLOPS = 0.038  # what that clip takes forward
PASS_GFLOPS_PER_SECOND = 25.0  # forward arithmetic of large encoders while they are trained
EXTRACT_GFLOPS_PER_SECOND = 160.0  # and frozen
# EfficientNet-Lite0 frozen: filters of one channel wait for memory. 12.3 GFLOP a clip, 0.8 s.
CHANNELWISE_GFLOPS_PER_SECOND = 15.0


def pass_seconds(inputs: Inputs, source: str | None) -> float:
    """Estimate what one training clip takes a source's encoder; None: the study's own."""
    return PASS_SECONDS + _gflops_above(inputs, source) / PASS_GFLOPS_PER_SECOND


def extract_seconds(inputs: Inputs, key: FeaturesKey) -> float:
    """Estimate what one clip takes whatever gives these features."""
    if key.kind in FLAT_CONTROLS:
        return EXTRACT_SECONDS
    is_channelwise = encoder_settings(inputs, key.source).network == "imagenet"
    rate = CHANNELWISE_GFLOPS_PER_SECOND if is_channelwise else EXTRACT_GFLOPS_PER_SECOND
    return EXTRACT_SECONDS + _gflops_above(inputs, key.source) / rate


def _gflops_above(inputs: Inputs, source: str | None) -> float:
    """Return a clip's forward arithmetic above the compact encoder's; of a user's own, nothing."""
    study = inputs.study
    settings = encoder_settings(inputs, source)
    if inputs.encoder_factory is not None or _is_small(settings, study.video):
        return 0.0
    return max(0.0, _forward_gflops(settings, study.video) - COMPACT_GFLOPS)


def _is_small(settings: Encoder, video: Video) -> bool:
    """Whether it can take no more than the compact encoder; spares the counting, of seconds."""
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
    from taskgrain.study.cost import count_forward  # seconds to import

    counted = count_forward(lambda: SourceModel(encoder_from(drawn(settings), 0)[0]), video)
    return counted.flops / 1e9
