"""Which number format the encoder computes in, decided once before a run."""

from __future__ import annotations

from typing import Literal

import torch
from torch.amp import GradScaler

from taskgrain.errors import ConfigError

Precision = Literal["bf16", "fp16", "fp32"]
AUTOCAST: dict[Precision, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_precision(
    requested: Literal["auto", "bf16", "fp16", "fp32"], *, device: torch.device
) -> Precision:
    """Turn "auto" into bf16 on a CUDA device that computes it natively, else into fp32.

    On CPUs bf16 is for those who ask for it by name: it was 1.3 times as fast where the processor
    has it, ten times slower where it is emulated, and some gradients are wrong (`train.bf16`).

    Raises:
        ConfigError: as `check_precision`.
    """
    check_precision(requested, device=device)
    if requested != "auto":
        return requested
    is_native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if is_native else "fp32"


def check_precision(
    requested: Literal["auto", "bf16", "fp16", "fp32"], *, device: torch.device
) -> None:
    """Refuse a number format that a kind of device is not for; the device may be elsewhere.

    Raises:
        ConfigError: if fp16 is asked for on anything but CUDA.
    """
    if requested == "fp16" and device.type != "cuda":
        raise ConfigError(
            f'train.precision is "fp16", which is for CUDA devices; this run computes on '
            f'{device.type}: choose "auto", "fp32" or "bf16", or --device cuda'
        )


def make_scaler(precision: Precision, *, device: torch.device) -> GradScaler:
    """Make what scales the loss, so that small gradients survive fp16; off in other formats."""
    is_needed = precision == "fp16"
    return GradScaler(device.type if is_needed else "cpu", enabled=is_needed)


def named_device(name: str) -> torch.device:
    """Give the device of a name, whether or not this machine has it.

    Raises:
        ConfigError: if it is no device's name.
    """
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"no device is called {name!r}; expected cpu, cuda or cuda:N") from error


def usable_device(name: str) -> torch.device:
    """Give the device of a name such as "cpu", "cuda" or "cuda:1", if this machine has it.

    Others, as "mps", are none of ours: likelihoods and saliency are computed in float64.

    Raises:
        ConfigError: naming what was asked for and what there is.
    """
    there = ["cpu"]
    if torch.cuda.is_available():
        there += ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if name not in there:
        raise ConfigError(
            f"no device {name!r} to compute on here; expected one of {', '.join(there)}"
        )
    return torch.device(name)
