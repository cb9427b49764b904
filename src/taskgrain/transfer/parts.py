"""Long extractions in parts: one that was killed goes on after its last whole part.

Parts lie beside the file that they will become, in `OUTPUT.parts`, with the key of what determines
them: settings, weights, clips. Whoever joins them writes the output first, and then removes them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskgrain.data.files import write_text
from taskgrain.errors import ResultError
from taskgrain.transfer.archive import Arrays, read_arrays, write_arrays

PART_CLIPS = 128  # at least, of a part: what is lost at most when a process is killed


@dataclass(frozen=True, slots=True)
class Parts:
    """The whole parts of an output, in order: each is read when its turn comes, and not kept."""

    paths: tuple[Path, ...]

    def __iter__(self) -> Iterator[Arrays]:
        """Yield the arrays of each part."""
        return (read_arrays(path) for path in self.paths)

    def entries(self, name: str) -> Iterator[NDArray[np.generic]]:
        """Yield the array of a name of each part that has it."""
        for path in self.paths:
            yield from read_arrays(path, only=name).values()


def extract_in_parts(
    output: Path, make: Callable[[int], Arrays], *, num_parts: int, key: str
) -> Parts:
    """Make the parts that are not there yet, each written as it is made.

    Parts of another key, or damaged ones, are made anew. The parts stay until `remove_parts`.

    Args:
        output: the file that the parts will become; it is neither read nor written here.
        make: gives the arrays of a part by its number, 0 to `num_parts` - 1: the same ones
            whenever it is called. What it raises is passed on; the parts before are kept.
        num_parts: how many there are.
        key: text that is another for other settings, weights, clips or numbers of parts.

    Returns:
        The parts on the disk; one part at a time is in memory.
    """
    folder = _folder(output)
    if held_key(output) != key:
        remove_parts(output)
        write_text(folder / "key", key)
    paths = tuple(folder / f"{number:05d}.npz" for number in range(num_parts))
    for number, path in enumerate(paths):
        if not _is_whole(path):
            write_arrays(path, make(number), flush=False)
    return Parts(paths)


def held_key(output: Path) -> str | None:
    """Give the key of the parts that lie beside an output; None where there are none."""
    path = _folder(output) / "key"
    return path.read_text(encoding="utf-8") if path.is_file() else None


def remove_parts(output: Path) -> None:
    """Remove the parts beside an output, if there are any."""
    shutil.rmtree(_folder(output), ignore_errors=True)


def _is_whole(path: Path) -> bool:
    """Whether a part lies there that was not cut short by a full disk or a lost machine."""
    if not path.is_file():
        return False
    try:
        read_arrays(path)
    except ResultError:
        return False
    return True


def _folder(output: Path) -> Path:
    return output.with_name(f"{output.name}.parts")
