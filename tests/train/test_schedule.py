from __future__ import annotations

from itertools import product
from math import ceil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from taskgrain.train.schedule import Plateau, PlateauRule, Schedule, lr_at, steps_of


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
