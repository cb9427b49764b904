"""BatchNorm statistics for an encoder that was never trained.

Shapes: B clips, T frames, H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def has_batch_norm(encoder: nn.Module) -> bool:
    """Whether an encoder has a BatchNorm, whose statistics could be re-estimated."""
    return any(isinstance(module, _BatchNorm) for module in encoder.modules())


@torch.no_grad()
def calibrate_batch_norm(encoder: nn.Module, batches: Iterable[Tensor]) -> None:
    """Re-estimate the statistics of every BatchNorm as the mean over batches, in float32.

    A random encoder's first statistics (mean 0, variance 1) fit no data, and make its features
    look worse than they are. Everything but the statistics is left as it was, the mode too; an
    encoder without BatchNorm is left alone.

    Args:
        encoder: on the device of the batches.
        batches: uint8 (B, T, H, W, 3) each, RGB; every batch counts alike.

    Raises:
        ValueError: if there is no batch.
    """
    norms = [module for module in encoder.modules() if isinstance(module, _BatchNorm)]
    was_training = {module: module.training for module in encoder.modules()}
    momentum_of = {norm: norm.momentum for norm in norms}
    encoder.eval()
    for norm in norms:
        norm.train()
    num_batches = 0
    try:
        for video in batches:
            if num_batches == 0:
                for norm in norms:
                    norm.reset_running_stats()
                    norm.momentum = None  # torch's word for a cumulative mean
            with torch.autocast(video.device.type, enabled=False):
                encoder(video)
            num_batches += 1
    finally:
        for norm, momentum in momentum_of.items():
            norm.momentum = momentum
        for module, mode in was_training.items():
            module.training = mode
    if num_batches == 0:
        raise ValueError("no batch of clips to calibrate on")
