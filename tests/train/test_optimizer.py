from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from taskgrain.models.build import build_model, compact_shape
from taskgrain.train.optimizer import Descent, OptimizerKind, make_optimizer, set_lr
from taskgrain.train.precision import make_scaler


def test_norms_and_biases_do_not_decay() -> None:
    model = build_model(
        compact_shape(spatial_widths=(4,), temporal_widths=(4,)),
        num_classes=3,
        vocabulary_size=9,
        seed=0,
    )
    optimizer = make_optimizer(model, weight_decay=0.3)
    decay_of = {
        id(parameter): group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    named = dict(model.named_parameters())
    assert len(decay_of) == len(named)
    for name, parameter in named.items():
        is_plain = "bias" in name or ".1.weight" in name  # a BatchNorm follows each convolution
        assert decay_of[id(parameter)] == (0.0 if is_plain else 0.3), name


def test_frozen_parameters_are_left_out() -> None:
    model = torch.nn.Linear(2, 3)
    model.weight.requires_grad_(False)
    groups = make_optimizer(model, weight_decay=0.1).param_groups
    assert [len(group["params"]) for group in groups] == [1]


CPU = torch.device("cpu")


def moved(kind: OptimizerKind, gradients: list[float], decay: float = 0.0) -> float:
    """Where a weight of 1 ends after steps at rate 0.1 along these gradients."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    descent = Descent(
        make_optimizer(model, weight_decay=decay, kind=kind, momentum=0.5),
        make_scaler("fp32", device=CPU),
    )
    set_lr(descent.optimizer, 0.1)
    for gradient in gradients:
        model.weight.grad = torch.full((1, 1), gradient)
        descent.update(list(model.parameters()), max_norm=0)
    return float(model.weight.detach())


def test_sgd_has_momentum_and_its_decay_is_part_of_the_gradient() -> None:
    assert moved("sgd", [2.0, 0.0]) == pytest.approx(1 - 0.1 * 2 - 0.1 * (0.5 * 2))
    assert moved("sgd", [2.0], decay=0.5) == pytest.approx(1 - 0.1 * (2 + 0.5))


def test_decay_is_scaled_away_by_adam_and_not_by_adamw() -> None:
    # Adam's first step is the rate times the sign of the gradient, L2 term included.
    assert moved("adam", [2.0], decay=0.5) == pytest.approx(0.9)
    assert moved("adam", [0.0], decay=0.5) == pytest.approx(0.9)
    assert moved("adamw", [0.0], decay=0.5) == pytest.approx(1 - 0.1 * 0.5)


@pytest.mark.parametrize(("max_norm", "factor"), [(0.0, 1.0), (10.0, 1.0), (2.5, 0.5)])
def test_gradients_are_scaled_down_to_the_norm_and_never_up(max_norm: float, factor: float) -> None:
    model = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(model.weight)
    descent = Descent(
        make_optimizer(model, weight_decay=0, kind="sgd"), make_scaler("fp32", device=CPU)
    )
    set_lr(descent.optimizer, 1.0)
    model.weight.grad = torch.tensor([[3.0, 4.0]])
    assert descent.update(list(model.parameters()), max_norm=max_norm) == 5.0
    assert torch.allclose(model.weight.detach(), -factor * torch.tensor([[3.0, 4.0]]))


@pytest.mark.parametrize("max_norm", [0.0, 1.0])
def test_a_gradient_that_is_no_number_moves_nothing(max_norm: float) -> None:
    model = nn.Linear(2, 1)
    before = model.weight.detach().clone()
    descent = Descent(make_optimizer(model, weight_decay=0), make_scaler("fp32", device=CPU))
    set_lr(descent.optimizer, 1.0)
    model.weight.grad = torch.tensor([[math.inf, 0.0]])
    assert not math.isfinite(descent.update(list(model.parameters()), max_norm=max_norm))
    assert torch.equal(model.weight, before)


def test_under_fp16_an_overflow_is_left_out_and_the_loss_scaled_less() -> None:
    model = nn.Linear(2, 1, bias=False)
    before = model.weight.detach().clone()
    descent = Descent(
        make_optimizer(model, weight_decay=0, kind="sgd"), make_scaler("fp16", device=CPU)
    )
    set_lr(descent.optimizer, 1.0)
    descent.scaled(model.weight.sum() * math.inf).backward()
    descent.update(list(model.parameters()), max_norm=1.0)
    assert torch.equal(model.weight, before)
    assert descent.scaler.get_scale() == 2.0**15
    descent.optimizer.zero_grad()
    descent.scaled(3 * model.weight.sum()).backward()
    assert descent.update(list(model.parameters()), max_norm=0) == pytest.approx(math.sqrt(18))
    assert torch.allclose(model.weight, before - 3)
    assert not descent.is_lost
    for _ in range(27):
        descent.optimizer.zero_grad()
        descent.scaled(model.weight.sum() * math.inf).backward()
        descent.update(list(model.parameters()), max_norm=0)
    assert descent.is_lost
