"""The kind of processor that a run computes on, as far as it decides the bits of a result.

The libraries choose their instructions when they load, and environment variables can cap them
(ONEDNN_MAX_CPU_ISA, ATEN_CPU_CAPABILITY, OPENBLAS_CORETYPE) where /proc/cpuinfo says the same. So
the libraries themselves are asked.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

import torch
from threadpoolctl import threadpool_info

# oneDNN tells which instructions it uses in its log alone, as its first work begins.
FIRST_WORK = "import torch; torch.nn.Conv2d(3, 8, 3)(torch.zeros(2, 3, 16, 16))"
ISA = re.compile(r"cpu,isa:(.+)")


def processor_kind(device: str = "cpu") -> str:
    """Return what oneDNN, PyTorch, the BLAS library and a CUDA device are, as one line.

    Such as "oneDNN Intel AVX2, PyTorch AVX2, BLAS Haswell", and ", CUDA NVIDIA H200" where encoders
    compute there. Takes about two seconds: oneDNN is asked in a process of its own.

    Args:
        device: where encoders compute, as torch names it; one that is there.
    """
    blas = sorted({_architecture(each) for each in threadpool_info() if each["user_api"] == "blas"})
    parts = {
        "oneDNN": _onednn_isa(),
        "PyTorch": torch.backends.cpu.get_cpu_capability(),
        "BLAS": "/".join(blas),
    }
    if torch.device(device).type == "cuda":
        parts["CUDA"] = torch.cuda.get_device_name(device)
    return ", ".join(f"{name} {kind or 'unknown'}" for name, kind in parts.items())


def _architecture(library: dict[str, object]) -> str:
    """Name the kernels that a BLAS library chose; not every library tells."""
    return str(library.get("architecture") or library.get("internal_api") or "unknown")


def _onednn_isa() -> str | None:
    """Read oneDNN's instructions from its log; None where PyTorch has no oneDNN or logs nothing."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", FIRST_WORK],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, "ONEDNN_VERBOSE": "1", "DNNL_VERBOSE": "1"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = ISA.search(done.stdout)
    return None if found is None else found[1].strip()
