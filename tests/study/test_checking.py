from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from taskgrain.config.load import load_study
from taskgrain.errors import ConfigError, RunError
from taskgrain.study.checking import check_bf16, layer_fault
from taskgrain.study.folder import RunFolder
from taskgrain.study.inputs import Inputs
from taskgrain.train.precision import Precision

SHAPE = (2, 3, 8, 8, 3)


class Infinite(torch.autograd.Function):
    """Passes a weight on, and makes its gradient infinite."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        return weight.clone()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        return upstream / 0


class Faulty(nn.Conv2d):
    """A convolution that bf16 alone breaks: a wrong gradient, or the end of the process."""

    ends_the_process = False

    def forward(self, given: Tensor) -> Tensor:
        if not torch.is_autocast_enabled("cpu"):
            return super().forward(given)
        if self.ends_the_process:
            os._exit(7)
        return self._conv_forward(given, Infinite.apply(self.weight), self.bias)


class Encoder(nn.Module):
    """Two convolutions over the frames of a clip, the second of the given kind."""

    width = 4

    def __init__(self, second: type[nn.Conv2d]) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), second(4, 4, 3))

    def forward(self, video: Tensor) -> Tensor:
        frames = video.flatten(0, 1).permute(0, 3, 1, 2).float()
        features: Tensor = self.layers(frames).mean((2, 3)).unflatten(0, video.shape[:2])
        return features


def sound(seed: int = 0) -> Encoder:
    return Encoder(nn.Conv2d)


def faulty(seed: int = 0) -> Encoder:
    return Encoder(Faulty)


def crashing() -> Encoder:
    encoder = Encoder(Faulty)
    second = encoder.layers[2]
    assert isinstance(second, Faulty)
    second.ends_the_process = True
    return encoder


def unbuildable() -> Encoder:
    os._exit(9)


def laid_out(tmp_path: Path, precision: Precision, device: str = "cpu") -> Inputs:
    return Inputs(load_study("smoke", []), RunFolder(tmp_path), {}, faulty, device, precision)


@pytest.mark.slow
def test_a_sound_encoder_has_no_fault() -> None:
    assert layer_fault(sound, SHAPE) is None


@pytest.mark.slow
def test_a_wrong_gradient_is_named_by_its_layer() -> None:
    fault = layer_fault(faulty, SHAPE)
    assert fault is not None
    assert fault.startswith("layers.2 (Faulty(4, 4, kernel_size=(3, 3)")
    assert "input 6 x 4 x 8 x 8): the weight gradient is inf times" in fault


@pytest.mark.slow
def test_a_crash_is_named_by_the_layer_that_was_tried() -> None:
    fault = layer_fault(crashing, SHAPE)
    assert fault is not None
    assert fault.startswith("the process ended with 7 while it tried layers.2 (")


@pytest.mark.slow
def test_a_process_that_dies_before_any_layer_is_no_fault_of_a_layer() -> None:
    with pytest.raises(RunError, match=r"a worker process died as it started \(exit code 9\)"):
        layer_fault(unbuildable, SHAPE)


@pytest.mark.slow
def test_a_study_in_bf16_is_refused_with_the_layer(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        check_bf16(laid_out(tmp_path, "bf16"))
    assert 'train.precision is "bf16"' in str(caught.value)
    assert "encoder of source 'action-groups' in it: layers.2 (" in str(caught.value)
    assert str(caught.value).endswith('set train.precision = "fp32"')


@pytest.mark.parametrize(("precision", "device"), [("fp32", "cpu"), ("bf16", "cuda")])
def test_other_precisions_and_devices_are_not_checked(
    precision: Precision, device: str, tmp_path: Path
) -> None:
    check_bf16(laid_out(tmp_path, precision, device))
