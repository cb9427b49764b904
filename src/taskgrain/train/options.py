"""How to train, as plain values; what of them a resumed run must share with its beginning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from taskgrain.errors import CheckpointError, RunError
from taskgrain.losses import LossWeights
from taskgrain.train.optimizer import OptimizerKind
from taskgrain.train.precision import Precision
from taskgrain.train.schedule import USUAL_RULE, PlateauRule, Schedule

CHANGES_NO_NUMBER = ("save_seconds", "tensorboard")
STORED_NAMES = {"learning_rate": "peak_lr"}  # option -> its key in a training state


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How to train, the same for every step; named as in `config.learning.Train` where it is there.

    All but `CHANGES_NO_NUMBER` belongs to what a result came from.
    """

    epochs: int  # at most: a plateau or early stopping may end training before
    weights: LossWeights
    learning_rate: float  # the highest of the schedule
    weight_decay: float
    seed: int  # of dropout and of the captions that are hidden; weights and clips have their own
    precision: Precision = "fp32"
    device: str = "cpu"
    optimizer: OptimizerKind = "adamw"
    momentum: float = 0.9  # of sgd
    schedule: Schedule = "one-cycle"
    plateau: PlateauRule = USUAL_RULE  # of the schedule of that name
    early_stopping: int | None = None  # epochs without a better score; None never stops early
    accumulate: int = 1  # batches of a step; an epoch's last step may have fewer
    max_gradient_norm: float = 1.0  # 0 lets gradients be as long as they are
    counts_padding: bool = False  # in the caption loss; see `losses.padding_as_ends`
    hidden_captions: float = 0.0  # share of captions that are learned with their words hidden
    num_steps: int | None = None  # of the whole run, in place of epochs; the last may be cut short
    share_every: int = 25  # steps from one measurement of the gradient shares to the next
    tensorboard: bool = False  # also write each epoch into the folder's `tensorboard/`
    save_seconds: float = 300.0  # at most this much work is lost when the process is killed


def settings_of(options: TrainingOptions, steps_per_epoch: int) -> dict[str, object]:
    """Return, as JSON takes it, what must not change while a run is resumed."""
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
        raise CheckpointError(f"{folder}: the training state does not say its settings")
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
