"""What a headline says of a run beside its numbers: how large the encoder is, and which seal it is.

Neither stands in a row: the first is read from a checkpoint, whose weights stay where they are, the
second from the seals that were opened.
"""

from __future__ import annotations

import json
import re
from math import prod
from pathlib import Path

from safetensors import SafetensorError, safe_open

WEIGHTS = "model.safetensors"
ENCODER = "encoder."  # what the names of its weights begin with
NOT_LEARNED = ("running_mean", "running_var", "num_batches_tracked")  # of BatchNorm
SHOWN_BY = "encoder.inputs."  # the scale of pixels: measured, not learned
FLOATS = ("F64", "F32", "F16", "BF16")
NUMBER_OF = re.compile(r"([0-9]+) of ([0-9]+)")  # how provenance.json says it


def encoder_parameters(run_dir: Path, source: str) -> int | None:
    """Count the numbers that the encoder of a source learned, from names and shapes alone.

    Returns:
        None where the run folder holds no checkpoint of the source.
    """
    for path in sorted((run_dir / "checkpoints").glob(f"{source}-seed-*/*/{WEIGHTS}")):
        try:
            with safe_open(path, framework="np") as weights:
                slices = {name: weights.get_slice(name) for name in weights.keys()}  # noqa: SIM118
                return sum(
                    prod(each.get_shape())
                    for name, each in slices.items()
                    if _is_learned(name) and each.get_dtype() in FLOATS
                )
        except (OSError, SafetensorError):
            continue
    return None


def _is_learned(name: str) -> bool:
    is_state = name.startswith(SHOWN_BY) or name.rpartition(".")[2] in NOT_LEARNED
    return name.startswith(ENCODER) and not is_state


def seal_words(run_dir: Path, study: str, opened: str) -> str | None:
    """Return the place of a run's seal among those of its study, "1 of 2"; None without a seal.

    As many count as the run knew of when it ended, or as are listed beside the run folder now, if
    these are more.

    Args:
        run_dir: the run folder.
        study: its study's name.
        opened: how provenance.json counts the seals, "1 of 1 of this study"; "" where it does not.
    """
    number = _object(run_dir / "seal.json").get("number")
    if not isinstance(number, int):
        return None
    known = NUMBER_OF.match(opened)
    path = run_dir.resolve().parent / "seals.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    beside = sum(_loads(line).get("study") == study for line in lines)
    return f"{number} of {max(number, beside, int(known[2]) if known else 0)}"


def _object(path: Path) -> dict[str, object]:
    return _loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _loads(text: str) -> dict[str, object]:
    """Parse a JSON object; an empty one for anything else, as a run may be unfinished."""
    try:
        loaded: object = json.loads(text)
    except ValueError:
        return {}
    return loaded if isinstance(loaded, dict) else {}
