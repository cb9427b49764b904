"""The state from which training resumes: tensors and a JSON file that belong together.

`train.loop` says what has to be in it, and why.

The JSON file names the tensors' digest, so a pair is whole or is not taken. The pair before it is
kept: whenever the process is killed, one whole pair can be found. The JSON holds where the run
stands (`Position`) and the settings that it must share with its beginning (`kept_options`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from taskgrain.config.checked import Count, read_as
from taskgrain.data.files import make_folder, naming
from taskgrain.errors import CheckpointError, RunError
from taskgrain.losses import LossSums
from taskgrain.models.weights import read_tensors, save_tensors, to_store
from taskgrain.train.optim import Plateau
from taskgrain.train.step import Shares, TrainingOptions

TENSORS, ENTRIES = "training.safetensors", "training.json"
PREVIOUS = "previous-"
DIGEST = "tensors_sha256"
FORMAT, FORMAT_KEY = 1, "format"
MOMENTS = ("exp_avg", "exp_avg_sq", "momentum_buffer")  # what Adam and SGD keep of a parameter
STEP = "step"  # Adam's count of updates
CHANGES_NO_NUMBER = ("save_seconds", "tensorboard")  # options that a resumed run may change
# Option -> its key in the JSON file, where they differ. The rate was called peak_lr before it had
# the name of its setting; states keep the key, so that a training that was begun before goes on.
STORED_NAMES = {"learning_rate": "peak_lr"}


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Tensors by name, on the CPU, and everything else as JSON."""

    tensors: Mapping[str, Tensor]
    entries: Mapping[str, object]


def save_state(folder: Path, state: TrainingState) -> None:
    """Store a state; the one stored before stays beside it until the next."""
    make_folder(folder)
    tensors, entries = folder / f".{TENSORS}.new", folder / f".{ENTRIES}.new"
    try:
        save_tensors(to_store(state.tensors), tensors)
        stored = {**state.entries, FORMAT_KEY: FORMAT, DIGEST: _digest(tensors)}
        text = json.dumps(stored, indent=1, allow_nan=False) + "\n"
        with naming(folder / ENTRIES, entries):
            entries.write_text(text, encoding="utf-8")
        for path in (tensors, entries):
            with naming(path), path.open("rb") as file:
                os.fsync(file.fileno())
        # Four renames, after both new files are on the disk: the old JSON file and then its tensors
        # become the pair before, and the new tensors and then their JSON file the latest pair.
        # Killed between any two of these lines, a JSON file still finds its tensors by digest.
        # A latest state that is not whole never takes the place of the one before it.
        latest = folder / TENSORS
        digest = _digest(latest) if latest.is_file() else None
        if _names(folder / ENTRIES, digest):
            (folder / ENTRIES).replace(folder / (PREVIOUS + ENTRIES))
        if _names(folder / (PREVIOUS + ENTRIES), digest):
            latest.replace(folder / (PREVIOUS + TENSORS))
        tensors.replace(folder / TENSORS)
        entries.replace(folder / ENTRIES)
    finally:
        with contextlib.suppress(OSError):  # of a folder that is gone; the first error counts
            tensors.unlink(missing_ok=True)
            entries.unlink(missing_ok=True)


def load_state(folder: Path) -> TrainingState | None:
    """Read the latest whole state; None where none was ever completed.

    Falling back to the state before the latest issues a RuntimeWarning.

    Raises:
        CheckpointError: if states were stored and not one of them is whole.
    """
    named = [folder / (prefix + ENTRIES) for prefix in ("", PREVIOUS)]
    existing = [path for path in named if path.is_file()]
    for path in existing:
        state = _read_pair(folder, path)
        if state is not None:
            if path != named[0] or not _is_tidy(folder, state):
                warnings.warn(
                    f"{folder}: the latest training state is not whole; "
                    f"going on from step {state.entries.get('step')}",
                    RuntimeWarning,
                    stacklevel=2,
                )
            return state
    if existing:
        raise CheckpointError(
            f"{folder}: no training state is whole ({', '.join(p.name for p in existing)}); "
            "remove the folder to start this training anew"
        )
    return None


def capture(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """Collect every tensor of a model and of its optimizer, by name."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):  # without momentum SGD keeps a None
                tensors[f"optimizer.{name}.{key}"] = value
    return tensors


def restore(model: nn.Module, optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `capture` collected, exactly.

    Raises:
        CheckpointError: naming the first tensor that does not fit the model, which is then
            as it was.
    """
    weights = {
        name.removeprefix("model."): tensor
        for name, tensor in tensors.items()
        if name.startswith("model.")
    }
    expected = model.state_dict()
    for name in (*expected, *weights):
        if name not in weights or name not in expected:
            raise CheckpointError(f"training state: weight {name} is on one side only")
        stored, wanted = weights[name], expected[name]
        if (stored.shape, stored.dtype) != (wanted.shape, wanted.dtype):
            raise CheckpointError(
                f"training state: weight {name} has shape {tuple(stored.shape)}, {stored.dtype}; "
                f"expected {tuple(wanted.shape)}, {wanted.dtype}"
            )
    # Everything was compared above: from here on nothing can fail half-way.
    model.load_state_dict(weights, strict=True)
    for name, parameter in model.named_parameters():
        prefix = f"optimizer.{name}."
        for key in MOMENTS:
            if prefix + key in tensors:
                # A moment lies in memory and on the device as its parameter does.
                moment = torch.empty_like(parameter, requires_grad=False)
                optimizer.state[parameter][key] = moment.copy_(tensors[prefix + key])
        # Adam counts its updates on the CPU, wherever the parameter lies.
        if prefix + STEP in tensors:
            optimizer.state[parameter][STEP] = tensors[prefix + STEP].clone()


def _read_pair(folder: Path, path: Path) -> TrainingState | None:
    """Read a JSON file and the tensors it names, under either name; None if they are not whole."""
    entries = _entries(path)
    if entries is None:
        return None
    for prefix in ("", PREVIOUS):
        tensors = folder / (prefix + TENSORS)
        if tensors.is_file() and _digest(tensors) == entries.get(DIGEST):
            return TrainingState(read_tensors(tensors), entries)
    return None


def _entries(path: Path) -> dict[str, object] | None:
    """Read a JSON file of this format; None for any other file."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # a JSONDecodeError is a ValueError, bad UTF-8 too
        return None
    if not isinstance(entries, dict) or entries.get(FORMAT_KEY) != FORMAT:
        return None
    return entries


def _names(path: Path, digest: str | None) -> bool:
    """Whether a JSON file is whole and names the tensors of a digest."""
    entries = _entries(path)
    return entries is not None and digest is not None and entries.get(DIGEST) == digest


def _is_tidy(folder: Path, state: TrainingState) -> bool:
    """Whether the tensors of the latest JSON file are the latest tensors."""
    latest = folder / TENSORS
    return latest.is_file() and _digest(latest) == state.entries[DIGEST]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(slots=True)
class Position:
    """The counts of a run; the loop moves them on."""

    step: Count = 0  # steps done
    clip_passes: Count = 0  # clips trained on
    sums: LossSums = field(default_factory=LossSums)  # of the running epoch
    shares: Shares = field(default_factory=Shares)  # likewise
    best_epoch: int | None = None  # 1 is the first
    best_score: float | None = None
    plateau: Plateau = field(default_factory=Plateau)  # moved on by the schedule of that name alone

    def to_json(self) -> dict[str, object]:
        """Return what `json.dumps` takes and `from_json` reads; floats keep every bit."""
        return asdict(self)

    @classmethod
    def from_json(cls, entries: Mapping[str, object], folder: Path) -> Position:
        """Read what `to_json` returned, among the other entries of a training state.

        Raises:
            CheckpointError: naming the folder and each entry that is not what it should be.
        """
        try:
            return read_as(cls, entries)
        except ValueError as error:
            raise CheckpointError(f"{folder}: training state: {error}") from None


def kept_options(options: TrainingOptions, steps_per_epoch: int) -> dict[str, object]:
    """Return the options that must not change when a run is resumed, as JSON."""
    # The kind of device, not its number: what began on cuda:0 may go on on cuda:1.
    settings = {
        STORED_NAMES.get(name, name): value
        for name, value in asdict(options).items()
        if name not in CHANGES_NO_NUMBER
    }
    settings["device"] = torch.device(options.device).type
    return {**settings, "steps_per_epoch": steps_per_epoch}


def refuse_other_settings(stored: object, now: Mapping[str, object], folder: Path) -> None:
    """Compare the settings of a training state with those of the run that would go on from it.

    Raises:
        CheckpointError: if the state holds no settings.
        RunError: naming every difference.
    """
    if not isinstance(stored, dict):
        raise CheckpointError(f"{folder}: the training state has no settings")
    names = {stored_name: name for name, stored_name in STORED_NAMES.items()}
    differences = [
        f"{names.get(key, key)} was {stored.get(key)!r}, is {now.get(key)!r}"
        for key in sorted({*stored, *now})
        if stored.get(key) != now.get(key)
    ]
    if differences:
        raise RunError(
            f"{folder}: this training was begun with other settings: "
            f"{'; '.join(differences)}. Choose another folder, or the old settings"
        )
