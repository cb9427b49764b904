from __future__ import annotations

from pathlib import Path

import pytest

from taskgrain.config.load import load_study
from taskgrain.study import pace
from taskgrain.study.folder import RunFolder
from taskgrain.study.inputs import Inputs
from taskgrain.study.pace import EXTRACT_SECONDS, PASS_SECONDS, extract_seconds, pass_seconds
from taskgrain.study.subjects import FeaturesKey

IMAGE = "encoders={image={network='torchvision', model='resnet18', weights='random'}}"
SOURCES = "sources=['categories', {name='image', classify='group', encoder='image'}]"


def inputs_of(*changes: str) -> Inputs:
    study = load_study("quick", [IMAGE, SOURCES, "primary.versus=image", *changes])
    return Inputs(study, RunFolder(Path("run")), {}, None, "cpu", "fp32")


def test_the_compact_encoder_is_not_counted_to_know_its_pace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "_forward_gflops", None)
    inputs = inputs_of("encoder.spatial_widths=[4, 6]", "video.height=32")
    assert pass_seconds(inputs, "categories") == pass_seconds(inputs, None) == PASS_SECONDS
    assert extract_seconds(inputs, FeaturesKey("source", "categories", 0)) == EXTRACT_SECONDS


def test_what_the_compact_encoder_takes_is_what_its_count_says() -> None:
    study = inputs_of().study
    assert pace._forward_gflops(study.encoder, study.video) == pytest.approx(
        pace.COMPACT_GFLOPS, rel=0.02
    )


@pytest.mark.slow
def test_filters_of_one_channel_are_reckoned_with_by_their_own_pace() -> None:
    """The ImageNet network took .8 s for 16 frames, a tenth of its arithmetic's usual pace."""
    light = "encoders={light={network='imagenet', model='efficientnet-lite0', weights='random'}}"
    sources = "sources=['categories', {name='light', encoder='light'}]"
    inputs = inputs_of(light, sources, "primary.versus=light")
    seconds = extract_seconds(inputs, FeaturesKey("source", "light", 0))
    assert seconds == pytest.approx(0.8, rel=0.1)


@pytest.mark.slow
def test_a_larger_encoder_or_clip_takes_longer_and_controls_without_one_do_not() -> None:
    inputs = inputs_of("video.num_frames=4")
    image = pass_seconds(inputs, "image")
    assert image > 20 * PASS_SECONDS
    # 1.81 billion products of ResNet-18 at 224 x 224 (the publishers' count), four frames.
    gflops = (image - PASS_SECONDS) * pace.PASS_GFLOPS_PER_SECOND + pace.COMPACT_GFLOPS
    assert gflops == pytest.approx(4 * 2 * 1.81, rel=0.02)
    assert extract_seconds(inputs, FeaturesKey("source", "image")) > 20 * EXTRACT_SECONDS
    assert extract_seconds(inputs, FeaturesKey("pixels")) == EXTRACT_SECONDS
    large = inputs_of("encoder.spatial_widths=[64, 96, 192, 256]")
    assert pass_seconds(large, "categories") > PASS_SECONDS
    assert extract_seconds(large, FeaturesKey("random-encoder", None, 0)) > EXTRACT_SECONDS
