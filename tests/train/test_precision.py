from __future__ import annotations

import pytest
import torch

from taskgrain.errors import ConfigError
from taskgrain.train.precision import resolve_precision

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
