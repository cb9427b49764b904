from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from taskgrain.models.build import build_encoder
from taskgrain.models.model import ClassificationHead, SourceModel, check_encoder
from tests.networks import compact_shape


def test_a_head_that_knows_nothing_gives_every_class_the_same_probability() -> None:
    head = ClassificationHead(6, num_classes=7)
    torch.nn.init.zeros_(head.linear.weight)
    torch.nn.init.zeros_(head.linear.bias)
    log_probs = head(torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(log_probs, torch.full((3, 7), -math.log(7)))


def test_log_probabilities_are_averaged_over_the_steps_not_logits() -> None:
    head = ClassificationHead(6, num_classes=3)
    features = 5 * torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0))
    by_step = [head.linear(features[:, step]).softmax(1).log() for step in range(4)]
    assert torch.allclose(head(features), sum(by_step, torch.zeros(2, 3)) / 4, atol=1e-5)
    assert not torch.allclose(
        head(features), head.linear(features).mean(1).log_softmax(1), atol=1e-2
    )


def test_the_order_of_the_steps_does_not_matter() -> None:
    head = ClassificationHead(6, num_classes=3)
    features = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(head(features), head(features.flip(1)), atol=1e-6)


def test_a_head_without_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="num_classes is 0"):
        ClassificationHead(6, num_classes=0)


VIDEO = torch.zeros(2, 4, 8, 8, 3, dtype=torch.uint8)


class Scripted(nn.Module):
    def __init__(self, width: object, features: object) -> None:
        super().__init__()
        self.width = width
        self.features = features

    def forward(self, video: Tensor) -> object:
        return self.features


@pytest.mark.parametrize("width", [None, 0, "wide", True])
def test_an_encoder_without_a_width_is_refused(width: object) -> None:
    with pytest.raises(ValueError, match=r"Scripted\.width is .* needs width: int"):
        SourceModel(Scripted(width, None))


@pytest.mark.parametrize(
    "features",
    [
        torch.zeros(2, 5),
        torch.zeros(2, 3, 6),
        torch.zeros(1, 3, 5),
        torch.zeros(2, 0, 5),
        torch.zeros(2, 3, 5, dtype=torch.long),
        (torch.zeros(2, 3, 5),),
    ],
)
def test_an_encoder_with_other_features_is_refused(features: object) -> None:
    with pytest.raises(ValueError, match=r"expected float \(B, T', width\) = \(2, T', 5\)"):
        check_encoder(Scripted(5, features), VIDEO)


def test_checking_an_encoder_changes_nothing_in_it() -> None:
    encoder = build_encoder(compact_shape(spatial_widths=(4, 6), temporal_widths=(4, 6)), 0).train()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    check_encoder(encoder, VIDEO)
    assert encoder.training
    after = encoder.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_model_without_readouts_gives_features_alone() -> None:
    model = SourceModel(
        build_encoder(compact_shape(spatial_widths=(4, 6), temporal_widths=(4, 6)), 0)
    )
    output = model(VIDEO, torch.zeros(2, 0, dtype=torch.long))
    assert output.features.shape == (2, 1, 256)
    assert output.log_probs is None
    assert output.token_logits is None
