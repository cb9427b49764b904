"""What moves the weights, and how far: the optimizer, fp16's scaler, and each step's rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import SGD, Adam, AdamW, Optimizer

OptimizerKind = Literal["adamw", "adam", "sgd"]
Schedule = Literal["one-cycle", "cosine", "plateau", "constant"]
MATRIX_DIMENSIONS = 2
LEAST_SCALE = 2.0**-10  # of the loss under fp16; it begins at 2**16 and is halved at each overflow
WARM_UP_SHARE = 0.3  # of all steps, one cycle
START_DIVISOR = 25.0  # the first step's rate is learning_rate / START_DIVISOR
END_DIVISOR = 1e4  # the last step's is that, divided again by END_DIVISOR
COSINE_WARM_UP_SHARE = 0.05  # of all steps
# The schedules are functions of the step's number, and no objects that count, so that a resumed run
# needs none of their state. One cycle is that of Smith and Topin (2017) as torch's OneCycleLR has
# it; the cosine that of Loshchilov and Hutter (2017), without restarts.
BETTER = 1e-4  # a score is better if above the best by this share of it, as in torch
ROUNDING = 1e-9  # relative: 1e-4 * 0.1**4 is not below 1e-8


@dataclass(frozen=True, slots=True)
class Descent:
    """An optimizer, and the scaler of its loss; a scaler that is not enabled does nothing."""

    optimizer: Optimizer
    scaler: GradScaler

    def update(self, parameters: Sequence[nn.Parameter], *, max_norm: float) -> float:
        """Move the weights along their gradient, which is scaled down first if it is too long.

        Under fp16 an overflown gradient moves nothing, and the next loss is scaled less.

        Args:
            parameters: those of the model.
            max_norm: of the whole gradient; 0 lets it be as long as it is.

        Returns:
            The norm of the gradient before it was scaled down; where it is not finite, no weight
            was moved.
        """
        # The norm is that of the true gradient, whatever the loss was scaled by.
        self.scaler.unscale_(self.optimizer)
        norm = get_total_norm([each.grad for each in parameters if each.grad is not None])
        # An enabled scaler has to see an overflow too: it leaves the step out by itself, and halves
        # its scale. Without one nothing but this condition keeps a NaN from the weights.
        if self.scaler.is_enabled() or torch.isfinite(norm):
            if max_norm > 0:
                clip_grads_with_norm_(parameters, max_norm, norm)
            self.scaler.step(self.optimizer)
            self.scaler.update()
        return float(norm)

    def scaled(self, loss: Tensor) -> Tensor:
        """Scale a loss, float (), before its gradient is taken."""
        scaled: Tensor = self.scaler.scale(loss)
        return scaled

    @property
    def is_lost(self) -> bool:
        """Whether the gradient overflows float16 even where the loss is hardly scaled."""
        return self.scaler.is_enabled() and self.scaler.get_scale() < LEAST_SCALE


def make_optimizer(
    model: nn.Module, *, weight_decay: float, kind: OptimizerKind = "adamw", momentum: float = 0.9
) -> Optimizer:
    """Make an optimizer over a model's parameters, in the order of their names in the model.

    Weight decay holds for matrices and kernels; norms and biases, which have one dimension, are
    left alone. AdamW takes it off the weights, the others add it to the gradient (L2). The
    learning rate is set at every step.

    Args:
        model: parameters that need no gradient are left out.
        weight_decay: 0 or more.
        kind: "adam" is the paper's.
        momentum: of sgd alone, 0 to 1.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decayed = [parameter for parameter in trained if parameter.ndim >= MATRIX_DIMENSIONS]
    plain = [parameter for parameter in trained if parameter.ndim < MATRIX_DIMENSIONS]
    groups = [
        group
        for group in (
            {"params": decayed, "weight_decay": weight_decay},
            {"params": plain, "weight_decay": 0.0},
        )
        if group["params"]
    ]
    # All tensors of a group at once: the same bits, and a fifth of the time on a CPU, where torch
    # would go through them one by one.
    match kind:
        case "adamw":
            return AdamW(groups, lr=0.0, foreach=True)
        case "adam":
            return Adam(groups, lr=0.0, foreach=True)
        case "sgd":
            return SGD(groups, lr=0.0, momentum=momentum, foreach=True)


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Set the learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def lr_at(step: int, *, schedule: Schedule, num_steps: int, learning_rate: float) -> float:
    """Compute the learning rate of a step, before any plateau has lowered it.

    Args:
        step: 0 to num_steps - 1.
        schedule: its shape. "one-cycle" goes up along a cosine, then down along a longer one;
            "cosine" up along a line that begins above 0, then down along a cosine that would end
            at 0; "constant" is flat, and "plateau" too.
        num_steps: of the whole run, were it never ended early.
        learning_rate: the highest of the schedule.

    Raises:
        ValueError: if the run has no such step.
    """
    if not 0 <= step < num_steps:
        raise ValueError(f"step is {step}; expected 0 to {num_steps - 1}")
    match schedule:
        case "one-cycle":
            first = learning_rate / START_DIVISOR
            last = first / END_DIVISOR
            top = WARM_UP_SHARE * (num_steps - 1)  # of a run of one step 0: its rate is the highest
            if step < top:
                return _half_cosine(first, learning_rate, step / top)
            return _half_cosine(learning_rate, last, (step - top) / max(num_steps - 1 - top, 1))
        case "cosine":
            warm_up = round(COSINE_WARM_UP_SHARE * num_steps)
            if step < warm_up:
                return learning_rate * (step + 1) / (warm_up + 1)
            return _half_cosine(learning_rate, 0.0, (step - warm_up) / (num_steps - warm_up))
        case "plateau" | "constant":
            return learning_rate


def _half_cosine(start: float, end: float, share: float) -> float:
    """Go from start to end along half a cosine; share is 0 to 1."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def steps_of(passes: int, *, num_clips: int, num_batches: int, accumulate: int) -> int:
    """Return the steps in which at least so many clips are seen, the last epoch cut short.

    Args:
        passes: clips to see, each as often as it comes.
        num_clips: of an epoch.
        num_batches: of an epoch, of nearly equal size.
        accumulate: batches of a step; an epoch's last step may have fewer.
    """
    # Rounded up throughout: a training sees as many clips as its passes say, or a few more. Every
    # source is rounded alike, so that those of equal clips have equal steps.
    epochs, rest = divmod(passes, num_clips)
    batches = -(-rest * num_batches // num_clips)
    return epochs * -(-num_batches // accumulate) + -(-batches // accumulate)


@dataclass(frozen=True, slots=True)
class PlateauRule:
    """When the rate is lowered, and when so far that training ends."""

    factor: float = 0.1
    patience: int = 2  # epochs without a better score that are borne
    least_lr: float = 1e-8  # training ends when the rate falls below


USUAL_RULE = PlateauRule()


@dataclass(frozen=True, slots=True)
class Plateau:
    """How validation scores lowered the rate so far: torch's ReduceLROnPlateau, mode "max".

    Without torch's `eps`, which would never let a rate of 1e-8 fall.
    """

    best: float | None = None
    bad_epochs: int = 0  # since the best, or since the rate was last lowered
    num_reductions: int = 0

    def after(self, score: float, rule: PlateauRule) -> Plateau:
        """Return the plateau after one more epoch, of a validation score from 0 to 1."""
        if self.best is None or score > self.best * (1 + BETTER):
            return Plateau(score, 0, self.num_reductions)
        if self.bad_epochs + 1 > rule.patience:
            return Plateau(self.best, 0, self.num_reductions + 1)
        return Plateau(self.best, self.bad_epochs + 1, self.num_reductions)

    def lowered(self, lr: float, rule: PlateauRule) -> float:
        """Return a rate lowered once for each reduction so far."""
        return lr * rule.factor**self.num_reductions

    def is_over(self, lr: float, rule: PlateauRule) -> bool:
        """Whether a rate has fallen below the least."""
        return self.lowered(lr, rule) < rule.least_lr * (1 - ROUNDING)
