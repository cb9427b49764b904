from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import nn

from taskgrain.checkpoint import ModelDescription
from taskgrain.config.learning import Decoder, Encoder, Source
from taskgrain.config.load import load_study
from taskgrain.config.settings import Study
from taskgrain.data.opening import read_manifest
from taskgrain.errors import ConfigError
from taskgrain.models.build import COMPACT_DECODER, build_encoder
from taskgrain.models.encoder import TwoChannelEncoder
from taskgrain.study import networks
from taskgrain.study.folder import RunFolder
from taskgrain.study.inputs import Inputs
from taskgrain.study.networks import (
    EXTRACT_SECONDS,
    PASS_SECONDS,
    check_networks,
    decoder_shape_of,
    extract_seconds,
    make_networks_ready,
    missing_weights,
    new_encoder,
    new_model,
    pass_seconds,
    shape_of,
)
from taskgrain.study.run import run_study
from taskgrain.study.sources import source_task
from taskgrain.study.subjects import FeaturesKey
from tests.making import PULL, PUSH, row, write_annotations
from tests.networks import PAPER_DECODER, compact_shape, paper_shape, paper_widths

QUICK = load_study("quick")
PAPER = {
    "layers": "paper",
    "lstm_width": 512,
    "feature_width": 1024,
    "dropout": 0.5,
    "spatial_input": "pixels",
    "temporal_input": "pixels",
    "pixel_mean": 0.0,
    "pixel_deviation": 64.0,
}


def with_settings(**changes: object) -> Study:
    return Study.model_validate({**QUICK.model_dump(by_alias=True), **changes})


def inputs_of(study: Study) -> Inputs:
    return Inputs(study, RunFolder(Path()), {}, None, "cpu", "fp32")


# Features of 2D and 3D; parameters of 2D convolutions, 3D convolutions, LSTM, FC and all of them:
# the table of docs/paper.md.
WIDTHS = [
    (256, 0, 1_570_560, 0, 3_153_920, 1_049_600, 5_774_080),
    (512, 0, 6_274_560, 0, 4_202_496, 1_049_600, 11_526_656),
    (384, 128, 3_530_880, 1_177_824, 4_202_496, 1_049_600, 9_960_800),
    (256, 256, 1_570_560, 4_705_728, 4_202_496, 1_049_600, 11_528_384),
    (128, 384, 393_600, 10_583_712, 4_202_496, 1_049_600, 16_229_408),
    (0, 256, 0, 4_705_728, 3_153_920, 1_049_600, 8_909_248),
    (0, 512, 0, 18_811_776, 4_202_496, 1_049_600, 24_063_872),
]


@pytest.mark.parametrize("numbers", WIDTHS, ids=lambda n: f"2D {n[0]} + 3D {n[1]}")
def test_settings_give_the_papers_encoder_in_each_width(numbers: tuple[int, ...]) -> None:
    spatial, temporal, *counts = numbers
    k2, k3 = spatial // 8, temporal // 8
    settings = Encoder.model_validate(
        {**PAPER, "spatial_widths": paper_widths(k2), "temporal_widths": paper_widths(k3)}
    )
    assert shape_of(settings) == paper_shape(k2, k3)
    with torch.device("meta"):  # counts only: no weight is drawn
        encoder = TwoChannelEncoder(shape_of(settings))
    parts = (encoder.spatial, encoder.temporal, encoder.lstm, encoder.out, encoder)
    found = [sum(p.numel() for p in part.parameters()) if part else 0 for part in parts]
    assert found == counts
    assert encoder.width == 1024


def test_settings_left_alone_give_the_compact_networks() -> None:
    assert shape_of(Encoder()) == compact_shape()
    assert decoder_shape_of(Decoder()) == COMPACT_DECODER


def test_the_packaged_study_of_the_paper_has_its_networks() -> None:
    study = load_study("paper-ssv2")
    assert shape_of(study.encoder) == paper_shape(32, 32)
    assert decoder_shape_of(study.decoder) == PAPER_DECODER
    check_networks(study)


def test_every_setting_of_an_encoder_reaches_it() -> None:
    settings = Encoder(
        spatial_widths=(3, 5),
        temporal_widths=(4,),
        lstm_width=6,
        feature_width=7,
        dropout=0.25,
        pixel_mean=1.0,
        pixel_deviation=2.0,
    )
    encoder = build_encoder(shape_of(settings), 0)
    assert encoder.width == 7
    assert encoder.lstm.hidden_size == 6
    assert encoder.lstm.input_size == 9
    assert isinstance(encoder.out, torch.nn.Sequential)
    assert isinstance(encoder.out[2], torch.nn.Dropout)
    assert encoder.out[2].p == 0.25
    assert (float(encoder.inputs.pixel_mean), float(encoder.inputs.pixel_scale)) == (1.0, 0.5)


def test_frames_that_the_layers_leave_nothing_of_are_refused_before_training() -> None:
    video = {"store_height": 56, "store_width": 56, "height": 55, "width": 56}
    small = with_settings(
        encoders={"big": PAPER | {"spatial_widths": paper_widths(2)}}, video=video
    )
    with pytest.raises(ConfigError) as caught:
        check_networks(small)
    assert str(caught.value) == (
        "encoders.big: frames of 55 x 56 pixels are too small for its spatial channel: nothing is "
        "left of them in layer 6 of 6; give video.height and video.width 56 pixels or more, or "
        "leave layers out"
    )
    large = with_settings(encoders=small.encoders, video={**video, "height": 56})
    check_networks(large)
    encoder = new_encoder(inputs_of(large), None, 0)[0]
    assert encoder(torch.zeros(1, 2, 56, 56, 3, dtype=torch.uint8)).shape[0] == 1


@pytest.fixture
def speaking(tmp_path: Path) -> tuple[Inputs, ModelDescription, torch.nn.Module]:
    rows: list[object] = [row("1", PUSH, "a cup"), row("2", PULL, "a box")]
    manifest = read_manifest(write_annotations(tmp_path, rows, [row("3", PUSH, "a cup")]))
    source = Source.model_validate(
        {
            "name": "small",
            "classify": "category",
            "caption": "full",
            "lambda": 0.5,
            "encoder": "tiny",
        }
    )
    study = with_settings(
        sources=[source.model_dump(by_alias=True), *QUICK.model_dump(by_alias=True)["sources"]],
        encoders={"tiny": {"spatial_widths": [3], "temporal_widths": [], "lstm_width": 5}},
        decoder={"word_width": 4, "lstm_width": 6, "num_layers": 2, "attention": True},
        train={**QUICK.train.model_dump(), "words": "paper"},
    )
    inputs = inputs_of(study)
    task = source_task(source, manifest, words=study.train.words)
    model, description = new_model(inputs, task, encoder_of="small", seed=7)
    return inputs, description, model


def test_a_new_model_is_what_its_description_rebuilds(
    speaking: tuple[Inputs, ModelDescription, torch.nn.Module], tmp_path: Path
) -> None:
    inputs, description, model = speaking
    assert description.shape == compact_shape(spatial_widths=(3,), temporal_widths=(), lstm_width=5)
    assert description.decoder_shape == decoder_shape_of(inputs.study.decoder)
    assert description.decoder_shape.attention
    assert (description.source, description.seed) == ("small", 7)
    assert description.vocabulary is not None
    assert description.vocabulary.rule == "paper"
    assert description.sampling == inputs.sampling
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert shapes["head.linear.weight"] == (2, 10)
    assert shapes["decoder.words.weight"] == (len(description.vocabulary), 4)
    assert shapes["decoder.attention.key.weight"] == (6, 10)


def test_a_seed_draws_every_weight_of_a_new_model_anew(
    speaking: tuple[Inputs, ModelDescription, torch.nn.Module], tmp_path: Path
) -> None:
    inputs, _, model = speaking
    manifest = read_manifest(tmp_path)
    task = source_task(inputs.source("small"), manifest, words="paper")
    again, other = (new_model(inputs, task, encoder_of="small", seed=seed)[0] for seed in (7, 8))
    for name, drawn in model.named_parameters():
        assert torch.equal(again.get_parameter(name), drawn), name
        if drawn.ndim > 1:  # norms and biases may begin with a constant
            assert not torch.equal(other.get_parameter(name), drawn), name


def test_a_source_without_an_encoder_of_its_own_has_the_studys(
    speaking: tuple[Inputs, ModelDescription, torch.nn.Module],
) -> None:
    inputs, _, _ = speaking
    other = inputs.study.sources[1].name
    assert new_encoder(inputs, other, 0)[1] == new_encoder(inputs, None, 0)[1] == compact_shape()


@pytest.mark.slow
def test_a_network_from_elsewhere_is_opened_as_its_settings_say() -> None:
    if find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    study = with_settings(
        encoders={
            "image": {
                "network": "torchvision",
                "model": "resnet18",
                "weights": "random",
                "recurrent": True,
                "lstm_width": 6,
            }
        },
        sources=[
            {"name": "elsewhere", "classify": "category", "encoder": "image"},
            *QUICK.model_dump(by_alias=True)["sources"],
        ],
    )
    encoder, recipe = new_encoder(inputs_of(study), "elsewhere", 0)
    assert recipe is not None
    assert recipe.lstm_width == 6
    with torch.no_grad():
        features = encoder(torch.zeros(1, 2, 48, 48, 3, dtype=torch.uint8))
    assert features.shape == (1, 2, 12)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("torchvision") is None, reason="needs torchvision")
def test_weights_that_are_nowhere_are_named_all_at_once_before_the_first_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    encoders = {
        "image": {"network": "torchvision", "model": "resnet18"},
        "frame": {"network": "torchvision", "model": "resnet18", "single_frame": True},
        "clip": {"network": "torchvision", "model": "r3d_18"},
        "drawn": {"network": "torchvision", "model": "r3d_18", "weights": "random"},
    }
    with pytest.raises(ConfigError) as caught:
        make_networks_ready(with_settings(encoders=encoders))
    lines = str(caught.value).split("\n")
    assert lines == missing_weights(with_settings(encoders=encoders))
    assert len(lines) == 2
    assert lines[0].startswith(f"encoders.image, encoders.frame: {tmp_path}")
    assert "r3d_18-b3b3357e.pth: no such file" in lines[1]


def test_an_encoder_of_ones_own_beside_a_named_one_is_refused(tmp_path: Path) -> None:
    sources = "sources=['action-groups', {name='wide', classify='category', encoder='other'}]"
    study = load_study("smoke", [sources, "encoders={other={lstm_width=8}}", "primary.source=wide"])
    with pytest.raises(ConfigError, match="'wide' wants the encoder 'other', but run_study"):
        run_study(study, tmp_path / "run", encoder=lambda seed: nn.Identity())
    assert not (tmp_path / "run").exists()


IMAGE = "encoders={image={network='torchvision', model='resnet18', weights='random'}}"
SOURCES = "sources=['categories', {name='image', classify='group', encoder='image'}]"


def inputs_with(*changes: str) -> Inputs:
    study = load_study("quick", [IMAGE, SOURCES, "primary.versus=image", *changes])
    return Inputs(study, RunFolder(Path("run")), {}, None, "cpu", "fp32")


def test_the_compact_encoder_is_not_counted_to_know_its_pace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(networks, "_forward_gflops", None)
    inputs = inputs_with("encoder.spatial_widths=[4, 6]", "video.height=32")
    assert pass_seconds(inputs, "categories") == pass_seconds(inputs, None) == PASS_SECONDS
    assert extract_seconds(inputs, FeaturesKey("source", "categories", 0)) == EXTRACT_SECONDS


def test_what_the_compact_encoder_takes_is_what_its_count_says() -> None:
    study = inputs_with().study
    assert networks._forward_gflops(study.encoder, study.video) == pytest.approx(
        networks.COMPACT_GFLOPS, rel=0.02
    )


@pytest.mark.slow
def test_filters_of_one_channel_are_reckoned_with_by_their_own_pace() -> None:
    """The ImageNet network took .8 s for 16 frames, a tenth of its arithmetic's usual networks."""
    light = "encoders={light={network='imagenet', model='efficientnet-lite0', weights='random'}}"
    sources = "sources=['categories', {name='light', encoder='light'}]"
    inputs = inputs_with(light, sources, "primary.versus=light")
    seconds = extract_seconds(inputs, FeaturesKey("source", "light", 0))
    assert seconds == pytest.approx(0.8, rel=0.1)


@pytest.mark.slow
def test_a_larger_encoder_or_clip_takes_longer_and_controls_without_one_do_not() -> None:
    inputs = inputs_with("video.num_frames=4")
    image = pass_seconds(inputs, "image")
    assert image > 20 * PASS_SECONDS
    # 1.81 billion products of ResNet-18 at 224 x 224 (the publishers' count), four frames.
    gflops = (image - PASS_SECONDS) * networks.PASS_GFLOPS_PER_SECOND + networks.COMPACT_GFLOPS
    assert gflops == pytest.approx(4 * 2 * 1.81, rel=0.02)
    assert extract_seconds(inputs, FeaturesKey("source", "image")) > 20 * EXTRACT_SECONDS
    assert extract_seconds(inputs, FeaturesKey("pixels")) == EXTRACT_SECONDS
    large = inputs_with("encoder.spatial_widths=[64, 96, 192, 256]")
    assert pass_seconds(large, "categories") > PASS_SECONDS
    assert extract_seconds(large, FeaturesKey("random-encoder", None, 0)) > EXTRACT_SECONDS
