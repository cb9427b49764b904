"""What a run resolves once and keeps: number format, kind of device, and whose encoder."""

from __future__ import annotations

import hashlib
import json

import torch

from taskgrain.config.settings import Study
from taskgrain.data.files import write_text
from taskgrain.errors import RunError
from taskgrain.study.folder import RunFolder
from taskgrain.study.inputs import EncoderFactory
from taskgrain.train.precision import Precision, resolve_precision, usable_device

PACKAGED = "the packaged two-channel encoder"


def settle(
    study: Study, folder: RunFolder, *, encoder: EncoderFactory | None, device: str
) -> Precision:
    """Resolve what the study leaves open, or check that the run began with the same.

    Raises:
        ConfigError: if there is no such device.
        RunError: naming what differs from how the run began.
    """
    where = usable_device(device)
    precision = resolve_precision(study.train.precision, device=where)
    found = {
        "precision": precision,
        "device": where.type,
        "encoder": _identify(encoder, study.seeds[0]),
    }
    path = folder.root / "settled.json"
    if not path.is_file():
        write_text(path, json.dumps(found, indent=1) + "\n")
        return precision
    held = json.loads(path.read_text(encoding="utf-8"))
    changed = [f"{key}: {held.get(key)} before, {found[key]} now"
               for key in found if found[key] != held.get(key)]  # fmt: skip
    if changed:
        raise RunError(
            f"{folder.root} was begun otherwise ({'; '.join(changed)}); go on as it was begun, or "
            "choose another --out"
        )
    return precision


def _identify(encoder: EncoderFactory | None, seed: int) -> str:
    """Name an encoder by where it is made and by the names and shapes of its weights."""
    if encoder is None:
        return PACKAGED
    with torch.random.fork_rng():
        weights = encoder(seed).state_dict()
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
    return f"{encoder.__module__}.{encoder.__qualname__} {digest.hexdigest()[:16]}"
