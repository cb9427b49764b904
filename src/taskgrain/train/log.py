"""The results of each epoch: a JSON line an epoch, in step with the state; TensorBoard's files too.

TensorBoard's package is the extra `tracking`.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from taskgrain.config.checked import read_as
from taskgrain.data.files import make_folder, naming, write_text
from taskgrain.errors import CheckpointError, ConfigError

Values = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """The results of one epoch; None where the source has no such task."""

    epoch: int  # 1 is the first
    step: int  # steps done since the start of the run
    clip_passes: int  # clips trained on since the start of the run
    lr: float  # of the epoch's last step
    terms: Values  # classification (nats a clip), captioning (nats a token): training, unweighted
    shares: Values  # each weighted term's share of the gradient at the encoder's output, 0 to 1
    validation: Values  # "top-1", "exact-match", 0 to 1
    validation_terms: Values  # as `terms`, on the validation clips


def append_record(path: Path, record: EpochRecord) -> None:
    """Add an epoch to the log and flush it to the disk."""
    make_folder(path.parent)
    with naming(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(record), allow_nan=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def drop_records_after(path: Path, step: int) -> None:
    """Forget the epochs that ended after a step, and a last line that was cut off."""
    # The loop writes an epoch's line before its state. Killed in between, the log is an epoch ahead
    # of the state, and the epoch that is computed again would stand in it twice.
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    kept = [
        line
        for number, line in enumerate(whole, start=1)
        if _parse(path, number, line).step <= step
    ]
    if len(kept) < len(lines):
        write_text(path, "".join(kept))


def read_records(path: Path) -> list[EpochRecord]:
    """Read the epochs of a log, first to last; none where there is no log yet.

    Raises:
        CheckpointError: naming file and line, if one is no epoch.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [_parse(path, number, line) for number, line in enumerate(lines, start=1)]


def _parse(path: Path, number: int, line: str) -> EpochRecord:
    try:
        return read_as(EpochRecord, json.loads(line))
    except ValueError as error:
        raise CheckpointError(f"{path}:{number}: not the record of an epoch ({error})") from error


class TensorBoardLog:
    """Event files in a folder, one point an epoch, in step with the state that training resumes."""

    def __init__(self, folder: Path, *, step: int) -> None:
        """Go on after a step; what an earlier process wrote of later steps is no longer shown.

        Raises:
            ConfigError: without the package.
        """
        require_tensorboard()
        from torch.utils.tensorboard import SummaryWriter

        # Event files are only appended to: points after the step stay in an older file, and
        # `purge_step` has TensorBoard hide them.
        self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    def append(self, record: EpochRecord) -> None:
        """Add an epoch at its last step, and flush it to the disk."""
        groups = {
            "loss": record.terms,
            "validation-loss": record.validation_terms,
            "validation": record.validation,
            "gradient-share": record.shares,
        }
        for group, values in groups.items():
            for name, value in values.items():
                if value is not None:
                    self._writer.add_scalar(f"{group}/{name}", value, record.step)
        self._writer.add_scalar("learning-rate", record.lr, record.step)
        self._writer.add_scalar("epoch", record.epoch, record.step)
        self._writer.flush()

    def close(self) -> None:
        """End the event file."""
        self._writer.close()


def require_tensorboard() -> None:
    """Look for TensorBoard's package without loading it.

    Raises:
        ConfigError: with the command that installs it.
    """
    if find_spec("tensorboard") is None:
        raise ConfigError(
            "train.tensorboard: the package tensorboard is not installed; "
            'pip install "taskgrain[tracking]", or set train.tensorboard = false'
        )
