"""Which number format the encoder computes in, decided once before a run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch.amp import GradScaler

from taskgrain.errors import ConfigError

Precision = Literal["bf16", "fp16", "fp32"]
AUTOCAST: dict[Precision, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}
CPU_FACTS = Path("/proc/cpuinfo")
# x86 processors and ARM ones name their bfloat16 arithmetic so.
NATIVE_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})


def resolve_precision(
    requested: Literal["auto", "bf16", "fp16", "fp32"], *, device: torch.device
) -> Precision:
    """Turn "auto" into bf16 where the processor computes it natively, else into fp32.

    Elsewhere bf16 is emulated, and was measured ten times slower than fp32. What is asked for
    by name is given as it is.

    Raises:
        ConfigError: as `check_precision`.
    """
    check_precision(requested, device=device)
    if requested != "auto":
        return requested
    return "bf16" if has_native_bf16(device) else "fp32"


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


def has_native_bf16(device: torch.device) -> bool:
    """Say whether the device computes bfloat16 natively; False where that cannot be read."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu" or not CPU_FACTS.is_file():
        return False
    return bool(NATIVE_FLAGS & cpu_flags(CPU_FACTS.read_text(encoding="utf-8", errors="replace")))


def cpu_flags(facts: str) -> frozenset[str]:
    """Read the flags of the first processor in a text like /proc/cpuinfo."""
    for line in facts.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()
