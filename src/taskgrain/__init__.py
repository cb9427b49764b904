"""taskgrain: how fine should labels be, if the features learned from them serve another task?

The public names are loaded when they are first used, so that `import taskgrain` is quick and a
program that only reads labels or results never loads torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from taskgrain.version import package_version

if TYPE_CHECKING:
    from taskgrain.config.load import load_study
    from taskgrain.errors import TaskgrainError
    from taskgrain.predict import Predictor, teach, teach_clips
    from taskgrain.report.best import best_checkpoint
    from taskgrain.report.frame import results_frame
    from taskgrain.report.html import write_report
    from taskgrain.results import read_rows
    from taskgrain.study.run import run_study

    __version__: str

__all__ = [
    "Predictor",
    "TaskgrainError",
    "__version__",
    "best_checkpoint",
    "load_study",
    "read_rows",
    "results_frame",
    "run_study",
    "teach",
    "teach_clips",
    "write_report",
]


_HOME = {
    "Predictor": "taskgrain.predict",
    "TaskgrainError": "taskgrain.errors",
    "best_checkpoint": "taskgrain.report.best",
    "load_study": "taskgrain.config.load",
    "read_rows": "taskgrain.results",
    "results_frame": "taskgrain.report.frame",
    "run_study": "taskgrain.study.run",
    "teach": "taskgrain.predict",
    "teach_clips": "taskgrain.predict",
    "write_report": "taskgrain.report.html",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        return package_version()
    if name not in _HOME:
        raise AttributeError(f"module 'taskgrain' has no attribute {name!r}")
    try:
        return getattr(import_module(_HOME[name]), name)
    except ModuleNotFoundError as error:
        from taskgrain.errors import how_to_install

        advice = how_to_install(error.name)
        if advice is None:
            raise
        raise ModuleNotFoundError(f"taskgrain.{name}: {advice}", name=error.name) from error


def __dir__() -> list[str]:
    return list(__all__)
