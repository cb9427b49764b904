"""Every error that a user can cause. The command line prints its message, exit code 2.

TaskgrainError
├── ConfigError        the study file and dotted key, what was found, the nearest known key
├── ManifestError      file and line, what is wrong, what was expected; up to ten at once
├── ClipError          clip id or path, and what the file holds instead of a video
├── TaxonomyError      the unknown name, and a known one
├── CheckpointError    the path, and the first weight or entry that does not fit
├── ResultError        which result is missing or malformed
│   └── ProbeError     why a probe has no answer on these features
└── RunError           the run folder is locked or holds another study's results, or workers
                       cannot start, or one died

A wrong argument from Python is a ValueError; a state that cannot occur is an assert.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

MAX_PROBLEMS_SHOWN = 10
OF_TRAIN: Mapping[str, str] = {  # module -> the package of the extra `train` that brings it
    "torch": "torch",
    "av": "av",
    "cv2": "opencv-python-headless",
}


class TaskgrainError(Exception):
    """Something that the user can mend; its text says where, what, and what to do."""


class ConfigError(TaskgrainError):
    """A study file or a setting that cannot be used."""


class ManifestError(TaskgrainError):
    """A dataset's annotations that cannot be read."""


class ClipError(TaskgrainError):
    """A clip that cannot be decoded as it stands."""


class TaxonomyError(TaskgrainError):
    """A category or level that the taxonomy does not have."""


class CheckpointError(TaskgrainError):
    """A checkpoint that is not whole or does not fit."""


class ResultError(TaskgrainError):
    """A result that is missing or malformed."""


class ProbeError(ResultError):
    """A probe that cannot be fitted on some features, or whose answers are not finite.

    It speaks of one probe on one source; `transfer.fitting` makes it the problem of those answers.
    """


class RunError(TaskgrainError):
    """A run folder that cannot be written to, or workers that could not go on."""


class StoppedError(Exception):
    """The user asked to stop; what was done so far is kept, and the same command goes on."""


def how_to_install(module: str | None) -> str | None:
    """Return what to do about a module that cannot be found, if an extra brings it; else None."""
    if module is None or module.partition(".")[0] not in OF_TRAIN:
        return None
    return (
        f"this needs {OF_TRAIN[module.partition('.')[0]]}, which is not installed here; "
        "pip install 'taskgrain[train]' adds what trains encoders and reads video"
    )


def list_problems(problems: Sequence[str]) -> str:
    """Join the problems, one a line, at most ten of them; the rest is counted."""
    shown = list(problems[:MAX_PROBLEMS_SHOWN])
    if len(problems) > MAX_PROBLEMS_SHOWN:
        shown.append(f"... and {len(problems) - MAX_PROBLEMS_SHOWN} more")
    return "\n".join(shown)


def nearest(name: str, known: Iterable[str]) -> str:
    """Phrase the known name closest to a mistaken one: '; did you mean "..."?', or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""
