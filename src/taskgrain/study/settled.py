"""What a run resolves once and keeps: number format, device, encoder, processors, its own data.

A run never mixes the old with the new: whoever goes on with it finds the same, or is refused.

The kind of processor decides the bits of a result. The libraries choose their instructions when
they load, and environment variables can cap them (ONEDNN_MAX_CPU_ISA, ATEN_CPU_CAPABILITY,
OPENBLAS_CORETYPE) while /proc/cpuinfo stays the same. So the libraries themselves report it.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import cache, partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_info
from torch import nn

from taskgrain.config.settings import Study
from taskgrain.data.companions import read_ledger
from taskgrain.data.files import write_text
from taskgrain.data.manifest import Manifest
from taskgrain.data.videos import stamp_of
from taskgrain.errors import ConfigError, RunError
from taskgrain.jobs.starting import why_not_importable
from taskgrain.study.datasets import Dataset
from taskgrain.study.folder import RunFolder
from taskgrain.study.inputs import EncoderFactory
from taskgrain.train.precision import Precision, resolve_precision, usable_device

SETTLED = "settled.json"
PACKAGED = "the packaged two-channel encoder"
# Only the log of oneDNN names its instructions, when its first work begins.
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
    settled = {
        "precision": precision,
        "device": where.type,
        "encoder": PACKAGED if encoder is None else identify_encoder(encoder, study.seeds[0]),
    }
    path = folder.root / SETTLED
    held = _held(path)
    if not held:
        _write(path, settled)
        return precision
    changed = [f"{key}: {held.get(key)} before, {settled[key]} now"
               for key in settled if settled[key] != held.get(key)]  # fmt: skip
    if changed:
        raise RunError(
            f"{folder.root} was begun otherwise ({'; '.join(changed)}); go on as it was begun, or "
            "choose another --out"
        )
    return precision


def keep_to_processor(folder: RunFolder, *, device: str, mix: bool) -> None:
    """Note the kind of this processor, or check that the run was computed on no other.

    Before the first cell is done nothing was computed: the run is then this processor's. With `mix`
    a run of other kinds goes on here all the same; its rows then name them.

    Raises:
        RunError: naming what differs from the kinds that it was computed on.
    """
    kind, known = processor_kind(device), processors(folder) if folder.has_begun else []
    if kind not in known:
        if known and not mix:
            changed = "; ".join(_changed(each, kind) for each in known)
            raise RunError(
                f"{folder.root} was computed on another kind of processor ({changed}), which "
                "rounds otherwise; go on there, choose another --out, or give --mix-processors: "
                "the report and results_frame then say so"
            )
        path = folder.root / SETTLED
        _write(path, {**_held(path), "processors": [*known, kind]})


def _changed(before: str, now: str) -> str:
    """Name the libraries that use other instructions: "oneDNN Intel AVX2 before, SSE4.1 now"."""
    return ", ".join(
        f"{one} before, {other} now"
        for one, other in zip_longest(before.split(", "), now.split(", "), fillvalue="nothing")
        if one != other
    )


def processors(folder: RunFolder) -> list[str]:
    """List the kinds of processor that the run was computed on, in the order of their first use."""
    return list(_held(folder.root / SETTLED).get("processors", []))


def _held(path: Path) -> dict[str, Any]:
    """Read the notes of the run so far; empty for a new run."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _write(path: Path, notes: Mapping[str, object]) -> None:
    write_text(path, json.dumps(notes, indent=1) + "\n")


def processor_kind(device: str = "cpu") -> str:
    """Return what oneDNN, PyTorch, the BLAS library and a CUDA device are, as one line.

    Such as "oneDNN Intel AVX2, PyTorch AVX2, BLAS Haswell", and ", CUDA NVIDIA H200" where encoders
    compute on that device. The first call takes about two seconds: oneDNN reports it from another
    process.
    """
    blas = sorted({_architecture(each) for each in threadpool_info() if each["user_api"] == "blas"})
    parts = {
        "oneDNN": _onednn_isa(_onednn_variables()),
        "PyTorch": torch.backends.cpu.get_cpu_capability(),
        "BLAS": "/".join(blas),
    }
    if torch.device(device).type == "cuda":
        parts["CUDA"] = torch.cuda.get_device_name(device)
    return ", ".join(f"{name} {kind or 'unknown'}" for name, kind in parts.items())


def _architecture(library: dict[str, object]) -> str:
    """Name the kernels that a BLAS library chose; not every library reports them."""
    return str(library.get("architecture") or library.get("internal_api") or "unknown")


def _onednn_variables() -> tuple[tuple[str, str], ...]:
    """Return the environment variables that oneDNN reads, its caps among them, in their order."""
    begins = ("ONEDNN_", "DNNL_")
    return tuple(sorted(each for each in os.environ.items() if each[0].startswith(begins)))


@cache
def _onednn_isa(variables: tuple[tuple[str, str], ...]) -> str | None:
    """Read oneDNN's instructions from its log; None where PyTorch has no oneDNN or logs nothing.

    Args:
        variables: those of `_onednn_variables`; the answer is kept for each set of them.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", FIRST_WORK],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, **dict(variables), "ONEDNN_VERBOSE": "1", "DNNL_VERBOSE": "1"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = ISA.search(done.stdout)
    return None if match is None else match[1].strip()


def keep_to_data(folder: RunFolder, datasets: Mapping[str, Dataset]) -> None:
    """Note what the user's own datasets are, or check that they are what the run began with.

    Before the first cell is done nothing was computed: data may then be mended freely.

    Raises:
        RunError: naming the dataset and what of it has changed.
    """
    for name, dataset in datasets.items():
        if dataset.world is not None or dataset.is_held_out:
            continue
        identity = _identity(dataset)
        path = folder.root / "data" / f"{name}.json"
        held = _held(path) if folder.has_begun else {}
        if not held:
            _write(path, identity)
        elif changed := [key for key in identity if identity[key] != held.get(key)]:
            raise RunError(
                f"{dataset.root}: its {' and '.join(changed)} changed since this run began; "
                "choose another --out, or bring the old files back"
            )


def _identity(dataset: Dataset) -> dict[str, object]:
    # What `check` or decoding finds out of a clip is no change of the data; what the user leaves
    # out by hand is.
    manifest = dataset.manifest()
    identity: dict[str, object] = {
        "annotations": _annotations_sha256(manifest),
        "exclusions by hand": _excluded_by_hand(manifest.root),
    }
    if dataset.is_packed:  # its videos are not looked at, and need not be there
        facts = (dataset.store / "store.json").read_bytes()
        return {**identity, "packed store": hashlib.sha256(facts).hexdigest()}
    return {**identity, "videos": _videos_sha256(manifest)}


def _annotations_sha256(manifest: Manifest) -> str:
    """Hash the annotations of the clips, whatever files they were read from."""
    digest = hashlib.sha256()
    for record in manifest.records:
        written = (record.clip_id, record.split, record.template, record.placeholders)
        digest.update(json.dumps([*written, record.captions, record.file]).encode())
    taxonomy, factors = manifest.taxonomy.to_json(), dict(manifest.factors)
    digest.update(json.dumps([taxonomy, factors], sort_keys=True, default=dict).encode())
    return digest.hexdigest()


def _excluded_by_hand(root: Path) -> list[str]:
    """List the clips that the user leaves out; what `check` found, decoding finds as well."""
    lines, _ = read_ledger(root)
    return sorted(line.clip for line in lines if line.by_hand)


def _videos_sha256(manifest: Manifest) -> str:
    """Hash the sizes of the clips' files; their content is not read."""
    stamps = ((record.clip_id, stamp_of(record.path)) for record in manifest.records)
    sizes = {clip_id: None if stamp is None else stamp.bytes for clip_id, stamp in stamps}
    return hashlib.sha256(json.dumps(sizes, sort_keys=True).encode()).hexdigest()


def check_encoder_factory(encoder: EncoderFactory) -> None:
    """Refuse, before any work, a factory that worker processes could not make an encoder with.

    Raises:
        ConfigError: naming it, why workers cannot import it, and what to do.
    """
    if isinstance(encoder, nn.Module):
        raise ConfigError(
            f"encoder is a module, {type(encoder).__name__}; expected a function that makes one "
            "from a seed, for every source and seed begins with an encoder of its own"
        )
    if not callable(encoder):
        raise ConfigError(
            f"encoder is {encoder!r}; expected a function that makes a torch.nn.Module from a seed"
        )
    if not _takes_a_seed(encoder):
        raise ConfigError(
            f"encoder {factory_name(encoder)} cannot be called with one argument; expected a "
            "function of a seed (a whole number), as def make(seed)"
        )
    problem = why_not_importable(encoder)
    if problem is not None:
        raise ConfigError(
            f"encoder {factory_name(encoder)}: worker processes cannot import it: {problem}; "
            "define it with def at the top of a module (a .py file), and import it from there"
        )


def _takes_a_seed(encoder: EncoderFactory) -> bool:
    """Whether one argument fits; True where the signature is unknown."""
    try:
        signature = inspect.signature(encoder)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(0)
    except TypeError:
        return False
    return True


def identify_encoder(encoder: EncoderFactory, seed: int) -> str:
    """Name an encoder by where it is made and by the names and shapes of its weights.

    Raises:
        ConfigError: if it does not make a module.
    """
    with torch.random.fork_rng():  # an encoder of the user's own may draw from torch's generator
        made = encoder(seed)
    if not isinstance(made, nn.Module):
        raise ConfigError(
            f"encoder {factory_name(encoder)} made a {type(made).__name__}; expected a "
            "torch.nn.Module"
        )
    # Names, types and shapes, not numbers: these depend on the seed, and on what was trained since.
    weights = made.state_dict()
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
    return f"{factory_name(encoder)} {digest.hexdigest()[:16]}"


def factory_name(encoder: object) -> str:
    """Name a function by its module, a partial by its function, an instance by its class."""
    if isinstance(encoder, partial):
        return factory_name(encoder.func)
    named = encoder if hasattr(encoder, "__qualname__") else type(encoder)
    return f"{named.__module__}.{named.__qualname__}"
