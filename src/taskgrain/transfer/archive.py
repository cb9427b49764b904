"""`.npz` files that are equal byte for byte when their contents are, without pickle."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from taskgrain.data.files import atomic_path
from taskgrain.errors import ResultError

ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip entry can have
UNIX = 3  # zip's number for the system that wrote an entry
READABLE_FILE = 0o644 << 16  # zip keeps the mode in the upper half

Arrays = Mapping[str, NDArray[np.generic]]


def write_arrays(path: Path, arrays: Arrays, *, flush: bool = True) -> None:
    """Write named arrays as an `.npz`, all of it or nothing, in the order given.

    `numpy.savez` would stamp every entry with the time, and pickle what it cannot store. `flush`
    is that of `atomic_path`.
    """
    with (
        atomic_path(path, flush=flush) as partial,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive,
    ):
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=ZIP_EPOCH)
            entry.create_system = UNIX
            entry.external_attr = READABLE_FILE
            with archive.open(entry, "w", force_zip64=True) as stream:
                npy_format.write_array(stream, np.asarray(array, order="C"), allow_pickle=False)


def read_arrays(path: Path, *, only: str | None = None) -> dict[str, NDArray[np.generic]]:
    """Read every array of an `.npz`, or only the one of a name, if it is there.

    Raises:
        ResultError: if there is no such file, or it is no archive of plain arrays.
    """
    try:
        with path.open("rb") as stream:
            if not zipfile.is_zipfile(stream):  # numpy would also take a lone .npy, or a pickle
                raise ResultError(f"{path}: not an .npz of plain arrays")
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as archive:
                names = [name for name in archive.files if only in (None, name)]
                return {name: archive[name] for name in names}
    except FileNotFoundError:
        raise ResultError(f"{path}: no such file") from None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ResultError(f"{path}: not an .npz of plain arrays ({error})") from None
