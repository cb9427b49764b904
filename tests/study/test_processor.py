from __future__ import annotations

import platform
import re

import pytest

from taskgrain.study.settled import processor_kind

pytestmark = pytest.mark.slow


def test_the_kind_names_what_each_library_uses() -> None:
    kind = processor_kind()
    assert re.fullmatch(r"oneDNN \S.*, PyTorch [A-Z0-9]+, BLAS \S+", kind)
    assert "unknown" not in kind


def test_a_cuda_device_is_part_of_the_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: f"the card of {device}")
    assert processor_kind("cuda:1") == f"{processor_kind()}, CUDA the card of cuda:1"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="a cap of x86 processors")
def test_a_cap_of_onednn_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = processor_kind()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    capped = processor_kind()
    assert capped.startswith("oneDNN Intel SSE4.1,")
    assert capped != kind or kind.startswith("oneDNN Intel SSE4.1,")
