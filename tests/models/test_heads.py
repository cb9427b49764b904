from __future__ import annotations

import math

import pytest
import torch

from taskgrain.models.heads import ClassificationHead


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
