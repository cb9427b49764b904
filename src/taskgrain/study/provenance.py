"""What a result came from: versions, commit, command, machine, and the seal of its targets.

A study that names a seal was frozen in a commit first. Its encoder seeds come from that commit, and
the seed of its sealed targets from a hash of study, commit and every weight that is tested: nobody
could have tuned on clips that did not exist before the last weight was learned. Each opening is a
line in `seals.jsonl` beside the run folder, so that a run which was thrown away still counts.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from taskgrain.config.settings import Study
from taskgrain.data.decode import FRAME_RATE
from taskgrain.data.files import naming, write_text
from taskgrain.errors import ConfigError, RunError
from taskgrain.randomness import sealed_number
from taskgrain.study.folder import PLACES, RunFolder
from taskgrain.study.inputs import Inputs
from taskgrain.study.settled import processors
from taskgrain.study.trained_controls import RANDOM_LABELS
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
    """Describe the seal of a study with sealed targets; an empty entry for other studies."""
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
    # An installed package may lie within the checkout of another project (a venv does): only where
    # git tracks its files is the commit theirs.
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


SEAL = "seal.json"  # in the run folder
SEALS = "seals.jsonl"  # beside the run folder, of all runs there


@dataclass(frozen=True, slots=True)
class OpenSeal:
    """What a seal was opened with, and what came out of it."""

    study: str  # its name
    run: str  # the run folder's name
    commit: str  # that froze the study
    settings: str  # SHA-256 of the study's settings
    weights: str  # SHA-256 over the SHA-256 of every weight file that is tested
    seed: int  # of the clips of every sealed target
    number: int  # place among the seals of studies of this name that were opened beside the run


def is_sealed(study: Study) -> bool:
    """Whether a study has targets whose clips are decided by its weights."""
    return any(target.sealed for target in study.targets)


def before_opening(study: Study) -> Study:
    """Return a study without its sealed targets: what can be computed before the seal is opened."""
    return study.model_copy(
        update={"targets": tuple(each for each in study.targets if not each.sealed)}
    )


def after_opening(study: Study, seal: OpenSeal | None) -> Study:
    """Return a study whose sealed targets have the seed that came out of the seal."""
    if seal is None:
        return study
    targets = (
        each.model_copy(update={"seed": seal.seed}) if each.sealed else each
        for each in study.targets
    )
    return study.model_copy(update={"targets": tuple(targets)})


def read_seal(folder: RunFolder) -> OpenSeal | None:
    """Read the seal of a run; None where it was not opened."""
    path = folder.root / SEAL
    return OpenSeal(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def open_seal(study: Study, folder: RunFolder) -> OpenSeal:
    """Open the seal of a study whose weights are finished, or check the one that is open.

    Raises:
        RunError: if the weights, or the settings, are no longer those that the seal was opened
            with.
    """
    assert study.seal is not None, "a study with sealed targets has a seal"
    settings, weights = _settings_sha256(study), _weights_sha256(study, folder)
    held = read_seal(folder)
    if held is not None:
        if (held.settings, held.weights) != (settings, weights):
            what = "settings" if held.settings != settings else "weights"
            raise RunError(
                f"{folder.root / SEAL}: the {what} of this run are not those that its seal was "
                "opened with, so its targets would not be theirs; bring the old ones back, or "
                "choose another --out"
            )
        return held
    # A run that was killed after its line was written finds that line again.
    before = opened_seals(folder, study.name)
    known = [seal for seal in before if (seal.settings, seal.weights) == (settings, weights)]
    seal = OpenSeal(
        study.name,
        folder.root.resolve().name,
        study.seal.commit,
        settings,
        weights,
        seed=sealed_number(settings, study.seal.commit, weights, "targets"),
        number=known[0].number if known else len(before) + 1,
    )
    if not known:
        seals = _seals_file(folder)
        with naming(seals), seals.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(seal)) + "\n")
    write_text(folder.root / SEAL, json.dumps(asdict(seal), indent=1) + "\n")
    return seal


def opened_seals(folder: RunFolder, study: str) -> list[OpenSeal]:
    """List the seals of a study, by its name, that were opened beside a run folder.

    Raises:
        RunError: naming the line of `seals.jsonl` that cannot be read.
    """
    path = _seals_file(folder)
    if not path.is_file():
        return []
    seals = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            seals.append(OpenSeal(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise RunError(
                f"{path}:{number}: not a line of opened seals ({error}); mend or remove the line: "
                "the file is the record of every seal that was opened here"
            ) from None
    return [seal for seal in seals if seal.study == study]


def _seals_file(folder: RunFolder) -> Path:
    return folder.root.resolve().parent / SEALS


def _settings_sha256(study: Study) -> str:
    """Hash the settings of a study without the places of its data."""
    # A run goes on where its data have moved, and so does its seal.
    settings = study.model_dump(mode="json", by_alias=True)
    held_out = settings["data"].get("hold_out") or {}
    for section in (settings["data"], held_out, *settings["targets"]):
        for place in PLACES:
            section.pop(place, None)
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _weights_sha256(study: Study, folder: RunFolder) -> str:
    """Hash the weights of every encoder that was trained and is tested."""
    digest = hashlib.sha256()
    for path in _weight_files(study, folder):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _weight_files(study: Study, folder: RunFolder) -> Iterator[Path]:
    # The order is part of the digest, and so of the seed of the targets: that of the study file.
    learned = [source.name for source in study.trained]
    if RANDOM_LABELS in study.transfer.controls:
        learned.append(RANDOM_LABELS)
    for name in learned:
        for seed in study.seeds:
            yield folder.checkpoint(name, seed) / study.transfer.checkpoint / "model.safetensors"
