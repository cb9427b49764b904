"""The seal of a study: which clips it is tested on is decided by its finished weights.

A study that names a seal was frozen in a commit first. Its encoder seeds come from that commit, and
the seed of its sealed targets from a hash of study, commit and every weight that is tested: nobody
could have tuned on clips that did not exist before the last weight was learned. Each opening is a
line in `seals.jsonl` beside the run folder, so that a run which was thrown away still counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from taskgrain.config.settings import Study
from taskgrain.config.testing import sealed_number
from taskgrain.data.files import naming, write_text
from taskgrain.errors import RunError
from taskgrain.study.folder import PLACES, RunFolder
from taskgrain.study.trained_controls import RANDOM_LABELS

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
    """Hash the settings of a study; where its data lie is no part of them."""
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
    learned = [source.name for source in study.sources if not source.is_frozen]
    if RANDOM_LABELS in study.transfer.controls:
        learned.append(RANDOM_LABELS)
    for name in learned:
        for seed in study.seeds:
            yield folder.checkpoint(name, seed) / study.transfer.checkpoint / "model.safetensors"
