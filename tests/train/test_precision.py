from __future__ import annotations

import pytest
import torch

from taskgrain.errors import ConfigError
from taskgrain.train.precision import cpu_flags, has_native_bf16, resolve_precision

CPU = torch.device("cpu")


def test_what_is_asked_for_is_given() -> None:
    assert resolve_precision("bf16", device=CPU) == "bf16"
    assert resolve_precision("fp32", device=CPU) == "fp32"


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_fp16_is_refused_where_there_is_no_cuda(device: str) -> None:
    assert resolve_precision("fp16", device=torch.device("cuda")) == "fp16"
    with pytest.raises(ConfigError, match=rf'"fp16", which is for CUDA .* computes on {device}'):
        resolve_precision("fp16", device=torch.device(device))


def test_auto_is_bf16_exactly_where_the_processor_has_it() -> None:
    assert resolve_precision("auto", device=CPU) == ("bf16" if has_native_bf16(CPU) else "fp32")


def test_another_kind_of_device_computes_in_float32() -> None:
    assert resolve_precision("auto", device=torch.device("meta")) == "fp32"


@pytest.mark.parametrize(
    ("facts", "flags"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512_bf16\nflags: other", {"fpu", "avx512_bf16"}),
        ("Features\t: fp asimd bf16\n", {"fp", "asimd", "bf16"}),
        ("nothing of the kind", set()),
    ],
)
def test_flags_are_those_of_the_first_processor(facts: str, flags: set[str]) -> None:
    assert cpu_flags(facts) == flags
