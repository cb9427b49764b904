"""The record of each epoch as TensorBoard reads it; its package is the extra `tracking`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from taskgrain.errors import ConfigError
from taskgrain.train.run_log import EpochRecord


class TensorBoardLog:
    """Event files in a folder, one point an epoch, in step with the state that training resumes."""

    def __init__(self, folder: Path, *, step: int) -> None:
        """Go on after a step; what an earlier process wrote of later steps is no longer shown.

        Raises:
            ConfigError: without the package.
        """
        require_tensorboard()
        from torch.utils.tensorboard import SummaryWriter

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
        ConfigError: saying how to install it.
    """
    if find_spec("tensorboard") is None:
        raise ConfigError(
            "train.tensorboard: the package tensorboard is not installed; "
            'pip install "taskgrain[tracking]", or set train.tensorboard = false'
        )
