"""Features of clips on disk: one file for each clip and encoder, found by what determines them.

A file is named after the clip's content and lies in a folder named after the encoder, so that a
clip that is moved or renamed is found again, and one that is changed is not. Files appear whole or
not at all; several processes may share a cache, as equal names hold equal features. A file that is
damaged or belongs to something else counts as absent, and is written over.
"""

from __future__ import annotations

import lzma
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskgrain.data.files import check_writable
from taskgrain.errors import ResultError
from taskgrain.transfer.archive import read_arrays, write_arrays

MOST_BYTES = 64 << 20  # of a file that is read: ours have some kilobytes
# What reading raises of damaged archives, of entries that are compressed or encrypted in unknown
# ways, and of arrays that declare what cannot be.
UNREADABLE = (
    *(ResultError, LookupError, ArithmeticError, MemoryError, RuntimeError, TypeError),
    *(struct.error, zlib.error, lzma.LZMAError),
)
NAME_DIGITS = 32  # of a key, in the name of a folder; the file holds all 64


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """What is kept of one clip and one encoder."""

    values: NDArray[np.generic]  # features, float32 (D,), or a signature, uint8 (S, G, G)
    problem: str  # what of a truncated clip is missing; "" of a whole one


class FeatureCache:
    """A folder of entries; without a folder nothing is found and nothing kept."""

    def __init__(self, folder: Path | None) -> None:
        """Keep the folder; it is made when the first entry is written.

        Raises:
            ConfigError: if it could not be written to.
        """
        self._folder = folder
        if folder is not None:
            check_writable(folder / "entry")

    def find(self, key: str, content: str | None) -> Entry | None:
        """Return the entry of a clip; None where there is none that is whole.

        Args:
            key: 64 hexadecimal digits: of the encoder and all that else determines the values.
            content: 64 hexadecimal digits: SHA-256 of the clip; None where it cannot be read.
        """
        path = self._path(key, content)
        if path is None or not path.is_file():
            return None
        try:
            if path.stat().st_size > MOST_BYTES:
                return None
            arrays = read_arrays(path)
        except UNREADABLE:
            return None
        names = {
            name: str(arrays[name]) for name in ("key", "content", "problem") if name in arrays
        }
        values = arrays.get("values")
        is_ours = names.get("key") == key and names.get("content") == content
        if values is None or not is_ours or "problem" not in names:
            return None
        return Entry(values, names["problem"])

    def keep(self, key: str, content: str | None, entry: Entry) -> None:
        """Write an entry, all of it or nothing.

        Raises:
            OSError: if it cannot be written, as on a full disk.
        """
        path = self._path(key, content)
        if path is None:
            return
        texts = {"key": key, "content": content, "problem": entry.problem}
        named = {name: np.array(text, np.str_) for name, text in texts.items()}
        write_arrays(path, {**named, "values": entry.values}, flush=False)

    def _path(self, key: str, content: str | None) -> Path | None:
        if self._folder is None or content is None:
            return None
        return self._folder / key[:NAME_DIGITS] / f"{content}.npz"
