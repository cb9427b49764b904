"""AdamW, and a learning rate that is a function of the step alone."""

from __future__ import annotations

import math

from torch import nn
from torch.optim import AdamW

WARM_UP_SHARE = 0.3  # of all steps
START_DIVISOR = 25.0  # the first step's rate is peak_lr / START_DIVISOR
END_DIVISOR = 1e4  # the last step's is that, divided again by END_DIVISOR
MATRIX_DIMENSIONS = 2


def make_optimizer(model: nn.Module, *, weight_decay: float) -> AdamW:
    """Make AdamW over a model's parameters, in the order of their names in the model.

    Weight decay holds for matrices and kernels; norms and biases, which have one dimension, are
    left alone. The learning rate is set at every step; see `one_cycle_lr`.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decayed = [parameter for parameter in trained if parameter.ndim >= MATRIX_DIMENSIONS]
    plain = [parameter for parameter in trained if parameter.ndim < MATRIX_DIMENSIONS]
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return AdamW([group for group in groups if group["params"]], lr=0.0)


def set_lr(optimizer: AdamW, lr: float) -> None:
    """Set the learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def one_cycle_lr(step: int, *, num_steps: int, peak_lr: float) -> float:
    """Give the learning rate of a step: up along a cosine, then down along a longer one.

    Args:
        step: 0 to num_steps - 1.
        num_steps: of the whole run.
        peak_lr: the highest rate.

    Raises:
        ValueError: if the run has no such step.
    """
    if not 0 <= step < num_steps:
        raise ValueError(f"step is {step}; expected 0 to {num_steps - 1}")
    first = peak_lr / START_DIVISOR
    last = first / END_DIVISOR
    top = WARM_UP_SHARE * (num_steps - 1)
    if step < top:
        return _cosine(first, peak_lr, step / top)
    return _cosine(peak_lr, last, (step - top) / max(num_steps - 1 - top, 1))


def _cosine(start: float, end: float, share: float) -> float:
    """Go from start to end along half a cosine; share is 0 to 1."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
