"""Which number format the encoder computes in, and whether bfloat16 can be trusted here.

On some CPUs PyTorch 2.13 computes the weight gradient of a convolution wrong in bf16 (pytorch
issue 169688): garbage where the input has fewer steps than the kernel but more than one, heaps
overwritten by longer kernels, a crash at stride 2 on a single pixel. Whether it shows depends on
what the memory held before, so every layer is tried several times, over memory that holds huge
numbers. A crash ends the process: whoever calls this does so in a process of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.amp import GradScaler

from taskgrain.errors import ConfigError

Precision = Literal["bf16", "fp16", "fp32"]
AUTOCAST: dict[Precision, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}
TRIALS = 4  # of each layer; half of the faulty ones were seen to pass a single trial
# Relative to float32's norm. Sound layers stay below .02, also where bf16 is emulated; what was
# seen of faulty ones was .3 and more, mostly 1e20.
LARGEST_ERROR = 0.1
HUGE = 3e38  # near the largest float32: sums over left-over memory cannot pass for a gradient
CONVOLUTIONS = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)


def resolve_precision(
    requested: Literal["auto", "bf16", "fp16", "fp32"], *, device: torch.device
) -> Precision:
    """Turn "auto" into bf16 on a CUDA device that computes it natively, else into fp32.

    On CPUs bf16 is used only where the settings name it: it was 1.3 times as fast where the
    processor has it, ten times slower where it is emulated, and some gradients are wrong
    (`gradient_errors`).

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
        ConfigError: if fp16 is requested on anything but CUDA.
    """
    if requested == "fp16" and device.type != "cuda":
        raise ConfigError(
            f'train.precision is "fp16", which is for CUDA devices; this run computes on '
            f'{device.type}: choose "auto", "fp32" or "bf16", or --device cuda'
        )


def make_scaler(precision: Precision, *, device: torch.device) -> GradScaler:
    """Make the scaler of the loss, so that small gradients survive fp16; off in other formats."""
    is_needed = precision == "fp16"
    return GradScaler(device.type if is_needed else "cpu", enabled=is_needed)


def named_device(name: str) -> torch.device:
    """Return the device of a name, whether or not this machine has it.

    Raises:
        ConfigError: if no device has that name.
    """
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"no device is called {name!r}; expected cpu, cuda or cuda:N") from error


def usable_device(name: str) -> torch.device:
    """Return the device of a name such as "cpu", "cuda" or "cuda:1", if this machine has it.

    Others, as "mps", are not supported: likelihoods and saliency are computed in float64.

    Raises:
        ConfigError: naming the device and those that there are.
    """
    there = ["cpu"]
    if torch.cuda.is_available():
        there += ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if name not in there:
        raise ConfigError(
            f"no device {name!r} to compute on here; expected one of {', '.join(there)}"
        )
    return torch.device(name)


@dataclass(frozen=True, slots=True)
class ConvolutionCall:
    """A convolution of a network, and the input that it gets."""

    name: str  # as `named_modules` has it: "temporal.layers.2.0"
    module: nn.Module
    shape: tuple[int, ...]  # of the input: (B, C, ...)
    strides: tuple[int, ...]  # of the input in memory, numbers

    def __str__(self) -> str:
        size = " x ".join(map(str, self.shape))
        return f"{self.name} ({self.module}, input {size})"


def convolution_calls(encoder: nn.Module, video: Tensor) -> list[ConvolutionCall]:
    """List the trained convolutions that an encoder calls, each with every size of its input.

    Args:
        encoder: on the CPU; its BatchNorm statistics are changed.
        video: uint8 (B, T, H, W, 3), as training batches have it.
    """
    calls: dict[ConvolutionCall, None] = {}
    handles = []
    for name, module in encoder.named_modules():
        if isinstance(module, CONVOLUTIONS) and _weights(module):

            def note(layer: nn.Module, inputs: tuple[Tensor, ...], name: str = name) -> None:
                layout = torch.empty_like(inputs[0], device="meta")  # its layout without overlaps
                calls[ConvolutionCall(name, layer, tuple(layout.shape), layout.stride())] = None

            handles.append(module.register_forward_pre_hook(note))
    try:
        with torch.no_grad():
            encoder(video)
    finally:
        for handle in handles:
            handle.remove()
    return list(calls)


def gradient_errors(call: ConvolutionCall) -> Iterator[float]:
    """Yield the error of a layer's weight gradient in bf16, once a trial.

    Input and upstream gradient are drawn from a normal distribution, others in each trial.

    Yields:
        The norm of the difference from the float32 gradient, relative to that gradient's norm;
        infinity where the bf16 gradient has a NaN or an infinite number.
    """
    # Shape and layout in memory are those of training: kernels are chosen by both.
    for trial in range(TRIALS):
        generator = torch.Generator().manual_seed(trial)
        drawn = torch.empty_strided(call.shape, call.strides)
        drawn.copy_(torch.randn(call.shape, generator=generator))
        exact = _weight_gradient(call, drawn, trial, is_bf16=False)
        rough = _weight_gradient(call, drawn, trial, is_bf16=True)
        if not torch.isfinite(rough).all():
            yield float("inf")
        else:
            yield float((rough - exact).norm() / exact.norm().clamp_min(1e-30))


def _weight_gradient(call: ConvolutionCall, drawn: Tensor, trial: int, *, is_bf16: bool) -> Tensor:
    """Compute the gradient of a layer's weight, float64 (P,), for an upstream one of the trial."""
    weights = _weights(call.module)
    drawn = drawn.detach().requires_grad_()  # as in a network: the input's gradient is needed too
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_bf16):
        answer = call.module(drawn)
    upstream = torch.randn(answer.shape, generator=torch.Generator().manual_seed(trial))
    _dirty(drawn.numel() + answer.numel())
    *gradients, _ = torch.autograd.grad(answer.float(), [*weights, drawn], upstream)
    return torch.cat([each.double().flatten() for each in gradients])


def _weights(layer: nn.Module) -> list[nn.Parameter]:
    """List the trained parameters of a layer but its bias."""
    return [each for each in layer.parameters() if each.requires_grad and each.ndim > 1]


def _dirty(count: int) -> None:
    """Leave freed memory behind that holds huge numbers, in blocks of several sizes."""
    blocks = [torch.full((max(count >> shift, 1),), HUGE) for shift in range(8)]
    del blocks
