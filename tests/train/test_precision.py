from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from taskgrain.errors import ConfigError
from taskgrain.train.precision import (
    LARGEST_ERROR,
    TRIALS,
    ConvolutionCall,
    convolution_calls,
    gradient_errors,
    resolve_precision,
)

CPU = torch.device("cpu")


def test_what_is_asked_for_is_given() -> None:
    assert resolve_precision("bf16", device=CPU) == "bf16"
    assert resolve_precision("fp32", device=CPU) == "fp32"


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_fp16_is_refused_where_there_is_no_cuda(device: str) -> None:
    assert resolve_precision("fp16", device=torch.device("cuda")) == "fp16"
    with pytest.raises(ConfigError, match=rf'"fp16", which is for CUDA .* computes on {device}'):
        resolve_precision("fp16", device=torch.device(device))


def test_auto_is_float32_on_every_cpu() -> None:
    assert resolve_precision("auto", device=CPU) == "fp32"


def test_another_kind_of_device_computes_in_float32() -> None:
    assert resolve_precision("auto", device=torch.device("meta")) == "fp32"


class Wrong(torch.autograd.Function):
    """Passes a weight on, and adds to its gradient."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, addition: float) -> Tensor:
        ctx.addition = addition
        return weight.clone()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        return upstream + ctx.addition * upstream.norm(), None


class Faulty(nn.Conv3d):
    """A convolution whose weight gradient is wrong in bf16 alone."""

    addition = 1.0

    def forward(self, given: Tensor) -> Tensor:
        if not torch.is_autocast_enabled("cpu"):
            return super().forward(given)
        weight = Wrong.apply(self.weight, self.addition)
        return self._conv_forward(given, weight, self.bias)


class Two(nn.Module):
    """Calls its first layer twice, with inputs of two sizes, and never its last; one is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 3, padding=1)
        self.second = nn.Sequential(nn.ReLU(), nn.Conv2d(3, 2, 1))
        self.frozen = nn.Conv2d(2, 2, 1).requires_grad_(False)
        self.never = nn.Conv2d(1, 1, 1)

    def forward(self, video: Tensor) -> Tensor:
        frames = video.flatten(0, 1).permute(0, 3, 1, 2).float()
        again: Tensor = self.first(self.first(frames)[:, :, ::2, ::2])
        answer: Tensor = self.frozen(self.second(again))
        return answer.flatten(1)[:, None]


def call_of(layer: nn.Module, shape: tuple[int, ...]) -> ConvolutionCall:
    return ConvolutionCall("layer", layer, shape, torch.empty(shape).stride())


def test_every_trained_convolution_is_found_with_every_size_of_its_input() -> None:
    calls = convolution_calls(Two(), torch.zeros(2, 3, 8, 6, 3, dtype=torch.uint8))
    assert [(call.name, call.shape) for call in calls] == [
        ("first", (6, 3, 8, 6)),
        ("first", (6, 3, 4, 3)),
        ("second.1", (6, 3, 4, 3)),
    ]


def test_a_sound_layer_differs_by_rounding_alone_in_every_trial() -> None:
    torch.manual_seed(0)
    errors = list(gradient_errors(call_of(nn.Conv2d(4, 6, 3, padding=1), (8, 4, 10, 10))))
    assert len(errors) == TRIALS
    assert all(1e-4 < error < LARGEST_ERROR / 2 for error in errors)


@pytest.mark.parametrize("addition", [0.5, 1e26, float("inf"), float("nan")])
def test_a_wrong_gradient_is_far_from_float32(addition: float) -> None:
    torch.manual_seed(0)
    layer = Faulty(2, 3, 3, padding=1)
    layer.addition = addition
    assert all(error > LARGEST_ERROR for error in gradient_errors(call_of(layer, (2, 2, 2, 6, 6))))


def test_a_layer_is_named_with_its_input() -> None:
    call = call_of(nn.Conv3d(2, 3, 3), (1, 2, 4, 5, 6))
    assert str(call) == (
        "layer (Conv3d(2, 3, kernel_size=(3, 3, 3), stride=(1, 1, 1)), input 1 x 2 x 4 x 5 x 6)"
    )
