"""What moves the weights: AdamW, Adam or SGD, and the scaler that fp16 needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import SGD, Adam, AdamW, Optimizer

OptimizerKind = Literal["adamw", "adam", "sgd"]
MATRIX_DIMENSIONS = 2
LEAST_SCALE = 2.0**-10  # of the loss under fp16; it begins at 2**16 and is halved at each overflow


@dataclass(frozen=True, slots=True)
class Descent:
    """An optimizer, and the scaler of its loss; a scaler that is not enabled does nothing."""

    optimizer: Optimizer
    scaler: GradScaler

    def update(self, parameters: Sequence[nn.Parameter], *, max_norm: float) -> float:
        """Move the weights along their gradients, of which longer ones are scaled down first.

        Under fp16 an overflown gradient moves nothing, and the next loss is scaled less.

        Args:
            parameters: those of the model.
            max_norm: of the whole gradient; 0 lets it be as long as it is.

        Returns:
            The norm of the gradient before it was scaled down; where it is not finite, no weight
            was moved.
        """
        self.scaler.unscale_(self.optimizer)
        norm = get_total_norm([each.grad for each in parameters if each.grad is not None])
        found = float(norm)
        if self.scaler.is_enabled() or torch.isfinite(norm):
            if max_norm > 0:
                clip_grads_with_norm_(parameters, max_norm, norm)
            self.scaler.step(self.optimizer)
            self.scaler.update()
        return found

    def scaled(self, loss: Tensor) -> Tensor:
        """Scale a loss, float (), before its gradient is taken."""
        scaled: Tensor = self.scaler.scale(loss)
        return scaled

    @property
    def is_lost(self) -> bool:
        """Whether even a loss that is hardly scaled overflows float16."""
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
