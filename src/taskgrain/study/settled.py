"""What a run resolves once and keeps: number format, kind of device, whose encoder, processors.

The kind of processor decides the bits of a result. The libraries choose their instructions when
they load, and environment variables can cap them (ONEDNN_MAX_CPU_ISA, ATEN_CPU_CAPABILITY,
OPENBLAS_CORETYPE) while /proc/cpuinfo stays the same. So the libraries themselves are asked.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

import torch
from threadpoolctl import threadpool_info

from taskgrain.config.settings import Study
from taskgrain.data.files import write_text
from taskgrain.errors import RunError
from taskgrain.study.folder import RunFolder
from taskgrain.study.inputs import EncoderFactory
from taskgrain.study.own_encoder import identify_encoder
from taskgrain.train.precision import Precision, resolve_precision, usable_device

SETTLED = "settled.json"
PACKAGED = "the packaged two-channel encoder"
# oneDNN tells which instructions it uses in its log alone, as its first work begins.
FIRST_WORK = "import torch; torch.nn.Conv2d(3, 8, 3)(torch.zeros(2, 3, 16, 16))"
ISA = re.compile(r"cpu,isa:(.+)")


def settle(
    study: Study, folder: RunFolder, *, encoder: EncoderFactory | None, device: str
) -> Precision:
    """Resolve what the study leaves open, or check that the run began with the same.

    Raises:
        ConfigError: if there is no such device, or an encoder of the user's own is no module.
        RunError: naming what differs from how the run began.
    """
    where = usable_device(device)
    precision = resolve_precision(study.train.precision, device=where)
    found = {
        "precision": precision,
        "device": where.type,
        "encoder": PACKAGED if encoder is None else identify_encoder(encoder, study.seeds[0]),
    }
    held = _held(folder)
    if not held:
        _write(folder, found)
        return precision
    changed = [f"{key}: {held.get(key)} before, {found[key]} now"
               for key in found if found[key] != held.get(key)]  # fmt: skip
    if changed:
        raise RunError(
            f"{folder.root} was begun otherwise ({'; '.join(changed)}); go on as it was begun, or "
            "choose another --out"
        )
    return precision


def keep_to_processor(folder: RunFolder, *, device: str, mix: bool) -> None:
    """Note the kind of this processor, or check that the run was computed on no other.

    Before the first cell is done nothing was computed: the run is then this processor's.

    Args:
        folder: of the run.
        device: where encoders compute, as torch names it.
        mix: whether a run of other kinds goes on here all the same; its rows then say so.

    Raises:
        RunError: naming what differs from the kinds that it was computed on.
    """
    has_begun = any((folder.root / "cells").glob("*.done"))
    kind, known = processor_kind(device), processors(folder) if has_begun else []
    if kind not in known:
        if known and not mix:
            changed = "; ".join(_changed(each, kind) for each in known)
            raise RunError(
                f"{folder.root} was computed on another kind of processor ({changed}), which "
                "rounds otherwise; go on there, choose another --out, or give --mix-processors: "
                "the report and results_frame then say so"
            )
        _write(folder, {**_held(folder), "processors": [*known, kind]})


def _changed(before: str, now: str) -> str:
    """Name the libraries that use other instructions: "oneDNN Intel AVX2 before, SSE4.1 now"."""
    parts = [
        f"{one} before, {other} now"
        for one, other in zip_longest(before.split(", "), now.split(", "), fillvalue="nothing")
        if one != other
    ]
    return ", ".join(parts)


def processors(folder: RunFolder) -> list[str]:
    """List the kinds of processor that the run was computed on, the first first."""
    return list(_held(folder).get("processors", []))


def _held(folder: RunFolder) -> dict[str, Any]:
    """Read what the run has settled so far; nothing of a new run."""
    path = folder.root / SETTLED
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _write(folder: RunFolder, found: Mapping[str, object]) -> None:
    write_text(folder.root / SETTLED, json.dumps(found, indent=1) + "\n")


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
