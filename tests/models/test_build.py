from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from taskgrain.errors import CheckpointError
from taskgrain.models.build import (
    COMPACT_DECODER,
    DecoderShape,
    EncoderShape,
    FirstWeights,
    add_readouts,
    build_encoder,
)
from taskgrain.models.decoder import WORD_SCALE
from taskgrain.models.encoder import shape_from_json
from tests.networks import PAPER_DECODER, build_model, compact_shape, paper_shape

TINY = compact_shape(spatial_widths=(4, 6), temporal_widths=(4, 6), lstm_width=8)
ATTENTIVE = DecoderShape(word_width=5, lstm_width=6, num_layers=2, attention=True)


def bits(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same_bits(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def test_every_source_of_a_seed_starts_from_the_same_encoder() -> None:
    alone = bits(build_encoder(TINY, 3))
    tasks: list[tuple[int | None, int | None]] = [(5, None), (50, None), (None, 30), (50, 60)]
    for num_classes, vocabulary_size in tasks:
        model = build_model(TINY, num_classes=num_classes, vocabulary_size=vocabulary_size, seed=3)
        assert same_bits(alone, bits(model.encoder))


def test_the_head_of_a_seed_does_not_depend_on_the_decoder() -> None:
    alone = build_model(TINY, num_classes=5, vocabulary_size=None, seed=3)
    joint = build_model(TINY, num_classes=5, vocabulary_size=9, seed=3)
    assert alone.head is not None
    assert joint.head is not None
    assert same_bits(bits(alone.head), bits(joint.head))
    assert alone.decoder is None
    assert joint.decoder is not None


def test_a_channel_of_a_seed_does_not_depend_on_the_other_channel() -> None:
    both = build_encoder(TINY, 3)
    alone = build_encoder(compact_shape(spatial_widths=(), temporal_widths=(4, 6), lstm_width=8), 3)
    assert both.temporal is not None
    assert alone.temporal is not None
    assert alone.spatial is None
    assert same_bits(bits(both.temporal), bits(alone.temporal))


def test_another_seed_gives_other_weights_in_every_layer() -> None:
    left, right = build_encoder(TINY, 0), build_encoder(TINY, 1)
    weights = [name for name, p in left.named_parameters() if p.ndim > 1]
    assert len(weights) == 8
    for name in weights:
        assert not torch.equal(left.get_parameter(name), right.get_parameter(name))


def test_global_randomness_neither_matters_nor_changes() -> None:
    torch.manual_seed(0)
    before = bits(build_model(TINY, num_classes=5, vocabulary_size=9, seed=3))
    drawn = torch.rand(3)
    torch.manual_seed(0)
    undisturbed = torch.rand(3)
    after = bits(build_model(TINY, num_classes=5, vocabulary_size=9, seed=3))
    assert torch.equal(drawn, undisturbed)
    assert same_bits(before, after)


@pytest.mark.parametrize(
    "shape", [TINY, compact_shape(spatial_widths=()), paper_shape(32, 0), paper_shape(16, 48)]
)
def test_a_shape_survives_json(shape: EncoderShape) -> None:
    assert EncoderShape.from_json(json.loads(json.dumps(shape.to_json()))) == shape


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("lstm_width", "wide", 'lstm_width: found "wide"; expected a whole number'),
        ("dropout", None, "dropout: found null; expected a number"),
        ("pixels", 3, "pixels: found 3; expected a table"),
        ("spatial", {"layers": 1}, "spatial.layers: found 1; expected a list in brackets"),
        (
            "temporal",
            {"layers": [], "temporal_kernel": 3, "frame_stride": 1, "reduction": "sum"},
            "temporal.reduction: found \"sum\"; expected 'max' or 'mean'",
        ),
        (
            "temporal",
            {"layers": [{"width": 3, "stride": [1, 2]}]},
            r"temporal.layers\[0\].stride\[2\]: is missing",
        ),
        (
            "temporal",
            {"layers": [{"width": 3, "stride": [1, 2, 2], "padding": [0, -1, 0]}]},
            r"temporal.layers\[0\].padding\[1\]: found -1; expected at least 0",
        ),
    ],
)
def test_a_malformed_shape_is_refused(key: str, value: object, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        EncoderShape.from_json({**TINY.to_json(), key: value})


@pytest.mark.parametrize("shape", [COMPACT_DECODER, PAPER_DECODER, ATTENTIVE])
def test_the_shape_of_a_decoder_survives_json(shape: DecoderShape) -> None:
    assert shape_from_json(DecoderShape, json.loads(json.dumps(shape.to_json()))) == shape


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("word_width", -1, "word_width: found -1; expected at least 0"),
        ("attention", 1, "attention: found 1; expected true or false"),
        ("first_weights", "he", "first_weights: found \"he\"; expected 'scaled' or 'torch'"),
    ],
)
def test_a_malformed_shape_of_a_decoder_is_refused(key: str, value: object, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        shape_from_json(DecoderShape, {**COMPACT_DECODER.to_json(), key: value})


def test_the_decoder_is_built_as_its_shape_says() -> None:
    model = build_model(TINY, num_classes=None, vocabulary_size=9, decoder_shape=ATTENTIVE, seed=3)
    decoder = model.decoder
    assert decoder is not None
    assert decoder.words.weight.shape == (9, 5)
    assert (decoder.num_layers, decoder.lstm.hidden_size) == (2, 6)
    assert decoder.lstm.input_size == 5 + 6 + 16  # word, condition, what attention finds
    assert decoder.attention is not None


def test_first_weights_are_scaled_or_torchs_own() -> None:
    def words(first_weights: FirstWeights) -> Tensor:
        shape = replace(COMPACT_DECODER, first_weights=first_weights)
        model = build_model(TINY, num_classes=None, vocabulary_size=9, decoder_shape=shape, seed=3)
        assert model.decoder is not None
        return model.decoder.words.weight

    assert torch.equal(words("scaled"), words("torch") * WORD_SCALE)


class OwnEncoder(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.width = 7
        self.linear = torch.nn.Linear(3, 7)

    def forward(self, video: Tensor) -> Tensor:
        features: Tensor = self.linear(video.float().mean((2, 3)) / 255)
        return features


def test_anyones_encoder_takes_a_head_and_a_decoder() -> None:
    model = add_readouts(OwnEncoder(), num_classes=4, vocabulary_size=9, seed=0)
    video = torch.zeros(2, 3, 8, 8, 3, dtype=torch.uint8)
    output = model(video, torch.tensor([[1, 4, 2], [1, 2, 0]]))
    assert output.log_probs.shape == (2, 4)
    assert output.token_logits.shape == (2, 2, 9)
