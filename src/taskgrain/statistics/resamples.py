"""Resamples of clips kept in a file, where memory is not to grow with the number of clips."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Draw = tuple[NDArray[np.int64], int, NDArray[np.uint8]]
"""Units of a stratum, the first of some resamples, and how often each of these holds each unit."""


class StoredDraws:
    """Draws in a file without a name, which is gone with the process however that ends.

    Raises:
        OSError: if the file cannot be made or written: the disk is full, the folder read-only.
    """

    def __init__(self, folder: Path, draws: Iterable[Draw]) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (kept for every reading)
        weakref.finalize(self, self._file.close)
        self._parts: list[tuple[NDArray[np.int64], int, tuple[int, ...]]] = []
        for units, first, counts in draws:
            self._file.write(counts.data)
            self._parts.append((units, first, counts.shape))
        self._file.flush()

    def __iter__(self) -> Iterator[Draw]:
        """Yield the draws in the order in which they came, one in memory at a time."""
        offset = 0
        for units, first, shape in self._parts:
            size = shape[0] * shape[1]
            counts = np.frombuffer(os.pread(self._file.fileno(), size, offset), np.uint8)
            yield units, first, counts.reshape(shape)
            offset += size
