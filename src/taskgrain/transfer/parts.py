"""Long extractions in parts: one that was killed goes on after its last whole part.

Parts lie beside the file that they will become, in `OUTPUT.parts`, with the key of what determines
them: settings, weights, clips. Whoever joins them writes the output first, and then removes them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from taskgrain.data.files import write_text
from taskgrain.errors import ResultError
from taskgrain.transfer.archive import Arrays, read_arrays, write_arrays

PART_CLIPS = 128  # at least, of a part: what is lost at most when a process is killed


def extract_in_parts(
    output: Path, make: Callable[[int], Arrays], *, num_parts: int, key: str
) -> list[Arrays]:
    """Make the parts that are not there yet, each written as it is made; give all in order.

    Parts of another key, or damaged ones, are made anew. The parts stay until `remove_parts`.

    Args:
        output: the file that the parts will become; it is neither read nor written here.
        make: gives the arrays of a part by its number, 0 to `num_parts` - 1: the same ones
            whenever it is called. What it raises is passed on; the parts before are kept.
        num_parts: how many there are.
        key: text that is another for other settings, weights, clips or numbers of parts.

    Returns:
        The arrays of each part.
    """
    folder = _folder(output)
    if held_key(output) != key:
        remove_parts(output)
        write_text(folder / "key", key)
    return [_part(folder / f"{number:05d}.npz", make, number) for number in range(num_parts)]


def held_key(output: Path) -> str | None:
    """Give the key of the parts that lie beside an output; None where there are none."""
    path = _folder(output) / "key"
    return path.read_text(encoding="utf-8") if path.is_file() else None


def remove_parts(output: Path) -> None:
    """Remove the parts beside an output, if there are any."""
    shutil.rmtree(_folder(output), ignore_errors=True)


def _part(path: Path, make: Callable[[int], Arrays], number: int) -> Arrays:
    if path.is_file():
        try:
            return read_arrays(path)
        except ResultError:
            pass  # cut short by a full disk or a lost machine: made again below
    arrays = make(number)
    write_arrays(path, arrays, flush=False)
    return arrays


def _folder(output: Path) -> Path:
    return output.with_name(f"{output.name}.parts")
