from __future__ import annotations

import math
from itertools import product
from math import ceil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from taskgrain.train.optim import (
    Descent,
    OptimizerKind,
    Plateau,
    PlateauRule,
    Schedule,
    lr_at,
    make_optimizer,
    set_lr,
    steps_of,
)
from taskgrain.train.precision import make_scaler
from tests.networks import build_model, compact_shape


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


@given(st.integers(1, 300), st.floats(1e-6, 1.0))
def test_the_rate_rises_once_and_falls_once(num_steps: int, peak_lr: float) -> None:
    rates = [
        lr_at(step, schedule="one-cycle", num_steps=num_steps, learning_rate=peak_lr)
        for step in range(num_steps)
    ]
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert all(0 < rate <= peak_lr for rate in rates)


def test_the_rate_starts_low_peaks_and_ends_near_nothing() -> None:
    def rate(step: int) -> float:
        return lr_at(step, schedule="one-cycle", num_steps=101, learning_rate=0.5)

    assert rate(0) == pytest.approx(0.5 / 25)
    assert rate(30) == pytest.approx(0.5)
    assert rate(100) == pytest.approx(0.5 / 25 / 1e4)


def test_the_rate_is_that_of_torchs_own_schedule() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.5, total_steps=101)
    for step in range(101):
        # torch puts its peak one step earlier: 0.3 * 101 - 1 = 29.3, not 30.
        ours = lr_at(step, schedule="one-cycle", num_steps=101, learning_rate=0.5)
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"], abs=0.03)
        optimizer.step()
        if step < 100:
            schedule.step()


@pytest.mark.parametrize("step", [-1, 10])
def test_a_step_outside_the_run_has_no_rate(step: int) -> None:
    with pytest.raises(ValueError, match="expected 0 to 9"):
        lr_at(step, schedule="one-cycle", num_steps=10, learning_rate=0.1)


@given(st.integers(1, 300))
def test_the_cosine_warms_up_and_falls_towards_nothing(num_steps: int) -> None:
    rates = [
        lr_at(step, schedule="cosine", num_steps=num_steps, learning_rate=0.5)
        for step in range(num_steps)
    ]
    top = rates.index(max(rates))
    assert top == round(0.05 * num_steps)
    assert rates[top] == 0.5
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert min(rates) > 0
    assert num_steps < 100 or rates[-1] < 1e-3


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_a_flat_rate_is_flat(schedule: Schedule) -> None:
    rates = {lr_at(step, schedule=schedule, num_steps=9, learning_rate=0.3) for step in range(9)}
    assert rates == {0.3}


@given(
    st.lists(st.sampled_from([0.0, 0.1, 0.1 + 5e-6, 0.1 + 5e-5, 0.3, 0.5]), max_size=40),
    st.integers(0, 4),
)
def test_the_plateau_is_torchs_own(scores: list[float], patience: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max", factor=0.1, patience=patience, eps=0
    )
    rule, ours = PlateauRule(0.1, patience, 1e-300), Plateau()
    for score in scores:
        theirs.step(score)
        ours = ours.after(score, rule)
        assert ours.lowered(0.5, rule) == pytest.approx(optimizer.param_groups[0]["lr"])


def test_a_plateau_ends_training_once_the_rate_is_below_the_least() -> None:
    rule, plateau = PlateauRule(0.1, patience=0, least_lr=1e-8), Plateau(best=1.0)
    rates = []
    while not plateau.is_over(1e-4, rule):
        rates.append(plateau.lowered(1e-4, rule))
        plateau = plateau.after(0.5, rule)
    assert rates == pytest.approx([1e-4, 1e-5, 1e-6, 1e-7, 1e-8])


def test_a_training_of_counted_passes_sees_at_least_as_many_clips() -> None:
    for num_clips, batch_size, accumulate in product((7, 32, 33), (4, 16), (1, 3)):
        num_batches = ceil(num_clips / batch_size)
        sizes = [len(part) for part in np.array_split(np.arange(num_clips), num_batches)]
        for passes in range(1, 3 * num_clips):
            steps = steps_of(
                passes, num_clips=num_clips, num_batches=num_batches, accumulate=accumulate
            )
            seen: list[int] = []  # clips of each step, epoch after epoch
            while len(seen) < steps:
                seen += [
                    sum(sizes[first : first + accumulate])
                    for first in range(0, num_batches, accumulate)
                ]
            total = sum(seen[:steps])
            assert total >= passes, (num_clips, batch_size, accumulate, passes)
            assert total - seen[steps - 1] < passes + batch_size
