from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from torch import Tensor, nn

from taskgrain.config.load import load_study
from taskgrain.errors import ConfigError
from taskgrain.names import ChosenControl, Readout
from taskgrain.study.folder import RunFolder
from taskgrain.study.inputs import EncoderFactory, Inputs
from taskgrain.study.subjects import (
    check_subjects,
    extractions,
    place_of,
    places_of,
    readouts_of,
    subjects,
)

ALL_READOUTS = "transfer.readouts=[" + ", ".join(f'"{each}"' for each in get_args(Readout)) + "]"
CHANNELS = (
    "encoders={flat={temporal_widths=[]}, deep={spatial_widths=[]}}",
    'sources=[{name="categories", classify="category"}, '
    '{name="flat", classify="category", encoder="flat"}, '
    '{name="deep", classify="category", encoder="deep"}]',
    'primary.versus="deep"',
)
FROZEN = (
    'encoders={image={network="torchvision", model="resnet18"}, '
    'drawn={network="torchvision", model="resnet18", weights="random"}}',
    'sources=[{name="categories", classify="category"}, '
    '{name="image", encoder="image"}, {name="drawn", encoder="drawn"}]',
    'primary.versus="image"',
)


class Plain(nn.Module):
    """A user's encoder, with a norm or without."""

    width = 3

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, video: Tensor) -> Tensor:
        return video.float().mean((2, 3))


def with_norm(seed: int) -> nn.Module:
    return Plain(nn.BatchNorm1d(3))


def without_norm(seed: int) -> nn.Module:
    return Plain(nn.LayerNorm(3))


def made(*changes: str, encoder: EncoderFactory | None = None) -> Inputs:
    study = load_study("smoke", list(changes))
    return Inputs(study, RunFolder(Path("run")), {}, encoder, "cpu", "fp32")


def test_the_packaged_studies_test_the_same_subjects_in_the_same_order() -> None:
    controls = 'transfer.controls=["random-encoder", "pixels", "shuffled-time", "duration"]'
    sources = 'sources=["action-groups", "categories"]'
    assert [
        (key.name, key.read_as) for key in subjects(made("seeds=[0, 7]", controls, sources))
    ] == [
        ("action-groups-seed-0", "lstm-mean"),
        ("action-groups-seed-7", "lstm-mean"),
        ("categories-seed-0", "lstm-mean"),
        ("categories-seed-7", "lstm-mean"),
        ("random-encoder-seed-0", "lstm-mean"),
        ("random-encoder-seed-7", "lstm-mean"),
        ("random-encoder-seed-0-channels-mean", "channels-mean"),
        ("random-encoder-seed-7-channels-mean", "channels-mean"),
        ("action-groups-seed-0-shuffled-time", "lstm-mean"),
        ("action-groups-seed-7-shuffled-time", "lstm-mean"),
        ("categories-seed-0-shuffled-time", "lstm-mean"),
        ("categories-seed-7-shuffled-time", "lstm-mean"),
        ("pixels", "flat"),
        ("duration", "flat"),
    ]


def test_features_are_extracted_once_for_all_readouts_and_norms() -> None:
    inputs = made(ALL_READOUTS, 'transfer.batch_norm=["source", "target"]')
    found = extractions(subjects(inputs))
    assert len(found) == 6  # three sources, the random encoder, pixels, motion energy
    for features, keys in found.items():
        flat = features.kind in ("pixels", "motion-energy")
        assert len(keys) == (1 if flat else 2 * len(get_args(Readout)))
        assert places_of(keys) == (("output",) if flat else ("output", "channels"))
        assert {place_of(key) for key in keys} == set(places_of(keys))
    keys = next(iter(found.values()))
    assert [key.read_as for key in keys[:2]] == ["lstm-mean", "lstm-mean+target-norm"]


def test_no_two_subjects_share_a_name() -> None:
    every = ", ".join(f'"{each}"' for each in get_args(ChosenControl))
    names = ("a", "a-seed-0", "a-seed-0-lstm-last", "pixels", "b-frozen", "a-target-norm")
    sources = ", ".join(f'{{name="{name}", classify="category"}}' for name in names)
    frozen = ", ".join(f'{{name="{name}", encoder="image"}}' for name in ("b", "a-seed-1-frozen"))
    keys = subjects(
        made(
            ALL_READOUTS,
            *("seeds=[0, 1]", f"transfer.controls=[{every}]"),
            'encoders={image={network="torchvision", model="resnet18"}}',
            f"sources=[{sources}, {frozen}]",
            *('primary.source="a"', 'primary.versus="pixels"'),
        )
    )
    assert len(keys) > 190
    assert len({key.name for key in keys}) == len(keys) == len(set(keys))
    features = {key.features for key in keys}
    assert len({key.name for key in features}) == len(features)


def test_a_readout_is_tested_on_every_source_that_has_it() -> None:
    inputs = made(ALL_READOUTS, *CHANNELS)
    check_subjects(inputs)
    of_source = {
        name: {key.readout for key in subjects(inputs) if key.source == name}
        for name in ("categories", "flat", "deep")
    }
    every = set(get_args(Readout))
    assert of_source["categories"] == every
    assert of_source["flat"] == every - {"temporal-mean"}
    assert of_source["deep"] == every - {"spatial-mean"}


def test_an_endpoint_whose_sources_lack_its_readout_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"primary\.readout is 'spatial-mean'.*'deep' has lstm"):
        check_subjects(made(ALL_READOUTS, *CHANNELS, 'primary.readout="spatial-mean"'))
    family = 'family=[{source="flat", versus="categories", target="kitchenware", readout="%s"}]'
    check_subjects(made(ALL_READOUTS, *CHANNELS, family % "spatial-mean"))
    with pytest.raises(ConfigError, match=r"family\[0\]\.readout is 'temporal-mean'.*'flat'"):
        check_subjects(made(ALL_READOUTS, *CHANNELS, family % "temporal-mean"))


def test_a_readout_that_no_source_has_is_refused() -> None:
    readouts = 'transfer.readouts=["lstm-mean", "temporal-mean"]'
    with pytest.raises(ConfigError, match="'temporal-mean' reads a channel"):
        check_subjects(made(readouts, "encoder.temporal_widths=[]"))
    with pytest.raises(ConfigError, match="'temporal-mean' reads a channel"):
        check_subjects(made(readouts, encoder=with_norm))


@pytest.mark.parametrize("readout", ["lstm-last", "lstm-mean-deviation"])
def test_a_readout_without_steps_needs_a_probe_that_reads_none(readout: str) -> None:
    changes = (f'transfer.readouts=["lstm-mean", "{readout}"]', "transfer.controls=[]")
    alone = ('transfer.probes=["recurrent"]', 'primary.probe="recurrent"')
    with pytest.raises(ConfigError, match=f"{readout} has none"):
        check_subjects(made(*changes, *alone))
    both = ('transfer.probes=["recurrent", "ridge"]', 'primary.probe="recurrent"')
    check_subjects(made(*changes, *both))
    with pytest.raises(ConfigError, match=r"primary\.probe is 'recurrent'"):
        check_subjects(made(*changes, *both, f'primary.readout="{readout}"'))


@pytest.mark.parametrize(
    "name", ["random-encoder", "random-labels", "pixels", "majority", "chance"]
)
def test_a_source_with_the_name_of_a_control_is_refused(name: str) -> None:
    sources = f'sources=["action-groups", {{name="{name}", classify="category"}}]'
    with pytest.raises(ConfigError, match=f"'{name}' is the name of a control"):
        check_subjects(made(sources, f'primary.source="{name}"'))


def test_frozen_weights_that_were_never_drawn_serve_every_seed() -> None:
    keys = subjects(made("seeds=[3, 4]", *FROZEN, 'transfer.controls=["shuffled-time"]'))
    of_source = {name: [k for k in keys if k.source == name] for name in ("image", "drawn")}
    assert [key.seed for key in of_source["image"]] == [3, 4, 3, 4]
    assert [key.features.name for key in of_source["image"]] == [
        *["image-frozen"] * 2,
        *["image-frozen-shuffled-time"] * 2,
    ]
    assert len({key.features for key in of_source["drawn"]}) == 4


def test_norms_are_re_estimated_where_there_are_norms() -> None:
    norms = 'transfer.batch_norm=["source", "target"]'
    for encoder, expected in ((with_norm, 2), (without_norm, 1)):
        keys = subjects(made(norms, encoder=encoder))
        assert len([key for key in keys if key.source == "categories"]) == expected
    shuffled = subjects(made(norms, 'transfer.controls=["shuffled-time"]'))
    assert {key.batch_norm for key in shuffled if key.kind == "shuffled-time"} == {"source"}


def test_an_encoder_of_ones_own_is_read_at_its_output() -> None:
    assert readouts_of(made(encoder=with_norm), None) == (
        "lstm-mean",
        "lstm-mean-deviation",
        "lstm-last",
        "lstm-steps",
    )
    readouts = {key.readout for key in subjects(made(ALL_READOUTS, encoder=with_norm))}
    assert readouts == {"lstm-mean", "lstm-mean-deviation", "lstm-last", "lstm-steps", "flat"}


def test_published_weights_are_no_sample_of_encoders_to_test_against_each_other() -> None:
    frozen = (
        'encoders={image={network="torchvision", model="resnet18"}, '
        'video={network="torchvision", model="r3d_18"}}',
        'sources=["categories", {name="image", encoder="image"}, {name="video", encoder="video"}]',
        'primary.versus="image"',
    )
    check_subjects(made(*frozen, "seeds=[0,1]"))
    alone = 'primary.source="video"'
    check_subjects(made(*frozen, alone))  # one seed: nothing is tested over seeds
    with pytest.raises(ConfigError, match="primary compares 'video' with 'image', whose published"):
        check_subjects(made(*frozen, alone, "seeds=[0,1]"))


@pytest.mark.parametrize("ends", ['train.schedule="plateau"', "train.early_stopping=2"])
@pytest.mark.parametrize(
    ("control", "said"),
    [
        ("random-labels", "random-labels has to see the clips as often"),
        ("from-scratch", "from-scratch learns from the support alone and has no clips to validate"),
    ],
)
def test_controls_that_are_trained_need_trainings_of_a_stated_length(
    ends: str, control: str, said: str
) -> None:
    asked = f'transfer.controls=["{control}"]'
    check_subjects(made(asked))
    with pytest.raises(ConfigError, match=said):
        check_subjects(made(asked, ends))
