"""What a result came from: versions, commit, command, machine."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from taskgrain.config.settings import Study
from taskgrain.data.decode import FRAME_RATE
from taskgrain.errors import ConfigError
from taskgrain.study.inputs import Inputs
from taskgrain.study.seal import opened_seals, read_seal
from taskgrain.study.settled import processors
from taskgrain.version import package_version

LIBRARIES = (
    *("torch", "numpy", "scipy", "scikit-learn", "av", "opencv-python-headless"),
    *("safetensors", "pydantic"),
)
CPU_FACTS = Path("/proc/cpuinfo")
PACKAGE = Path(__file__).parents[1]  # its folder, in a checkout or where it is installed


def describe_run(
    inputs: Inputs, *, workers: int, seconds: float, begun_at: str | None
) -> dict[str, object]:
    """Describe a finished run, for provenance.json; `begun_at` is the commit it began with."""
    device = torch.device(inputs.device)
    return {
        "taskgrain": package_version(),
        "commit": begun_at,
        "command": command(),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": _processor(),
            "cores": os.cpu_count(),
            "device": str(device),
        },
        "same_bits": {
            "for": "the same seeds, settings, clips and library versions",
            "processors": processors(inputs.folder),
            "precision": inputs.precision,
        },
        "decoder": f"PyAV {_version('av')}, resampled to {FRAME_RATE} frames per second",
        **_seal_of(inputs),
        "workers": workers,
        "seconds": round(seconds, 1),
        "clips": {
            name: {
                "world": None if dataset.world is None else dataset.world.world,
                "clips": dataset.num_clips,
            }
            for name, dataset in inputs.datasets.items()
        },
    }


def _seal_of(inputs: Inputs) -> dict[str, object]:
    """Describe the seal of a study with sealed targets; nothing of another."""
    seal = read_seal(inputs.folder)
    if seal is None:
        return {}
    opened = max(seal.number, len(opened_seals(inputs.folder, seal.study)))
    return {
        "seal": {
            "opened": f"{seal.number} of {opened} of this study",
            "frozen in commit": seal.commit,
            "computed by the frozen code": _runs_code_of(seal.commit),
            "weights": seal.weights,
            "seed of the sealed targets": seal.seed,
        }
    }


def check_frozen_commit(study: Study) -> None:
    """Refuse a seal whose commit the checkout does not have; outside a checkout no commit is known.

    Raises:
        ConfigError: naming the commit.
    """
    if study.seal is None or commit() is None:
        return
    if _git(PACKAGE, "cat-file", "-e", study.seal.commit) is None:
        raise ConfigError(
            f"seal.commit is {study.seal.commit}, which is no commit of this checkout; name the "
            "one that froze the study: git rev-parse HEAD"
        )


def _runs_code_of(frozen: str) -> str:
    """Return whether the package's files are those of a commit: "yes", "no" or "unknown"."""
    if commit() is None:
        return "unknown"
    changed = _git(PACKAGE, "diff", "--name-only", frozen, "--", ".")
    return "unknown" if changed is None else "no" if changed else "yes"


def commit() -> str | None:
    """Return the commit of the checkout that taskgrain runs from; "+" where files differ."""
    revision = _git(PACKAGE, "rev-parse", "--short=12", "HEAD")
    if not revision or _git(PACKAGE, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    return revision + ("+" if _git(PACKAGE, "status", "--porcelain", "--", ".") else "")


def command() -> str:
    """Return the command as it was typed, the program's folder left out."""
    program = Path(sys.argv[0]).name
    return shlex.join(["taskgrain" if program == "__main__.py" else program, *sys.argv[1:]])


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    if CPU_FACTS.is_file():
        for line in CPU_FACTS.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
