from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from taskgrain.models.build import build_model, compact_shape
from taskgrain.train.optimizer import make_optimizer, one_cycle_lr


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


@given(st.integers(1, 300), st.floats(1e-6, 1.0))
def test_the_rate_rises_once_and_falls_once(num_steps: int, peak_lr: float) -> None:
    rates = [one_cycle_lr(step, num_steps=num_steps, peak_lr=peak_lr) for step in range(num_steps)]
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert all(0 < rate <= peak_lr for rate in rates)


def test_the_rate_starts_low_peaks_and_ends_near_nothing() -> None:
    def rate(step: int) -> float:
        return one_cycle_lr(step, num_steps=101, peak_lr=0.5)

    assert rate(0) == pytest.approx(0.5 / 25)
    assert rate(30) == pytest.approx(0.5)
    assert rate(100) == pytest.approx(0.5 / 25 / 1e4)


def test_the_rate_is_that_of_torchs_own_schedule() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.5, total_steps=101)
    for step in range(101):
        # torch puts its peak one step earlier: 0.3 * 101 - 1 = 29.3, not 30.
        ours = one_cycle_lr(step, num_steps=101, peak_lr=0.5)
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"], abs=0.03)
        optimizer.step()
        if step < 100:
            schedule.step()


@pytest.mark.parametrize("step", [-1, 10])
def test_a_step_outside_the_run_has_no_rate(step: int) -> None:
    with pytest.raises(ValueError, match="expected 0 to 9"):
        one_cycle_lr(step, num_steps=10, peak_lr=0.1)
