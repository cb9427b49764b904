"""Read arrays that any program wrote, without pickle and never more than their headers promise."""

from __future__ import annotations

import io
import math
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from taskgrain.errors import ResultError

MAX_BYTES = 16 << 30  # of one array, 16 GiB: a million clips of 4,096 float32
HEAD_BYTES = 16_384  # numpy's longest header and its magic
ENDING = ".npy"

# What else is found under the name of features, by how it begins.
OTHERS = {
    b"\x80": "a pickle, which may run code when it is read",
    b"\x89HDF": "an HDF5 file",
    b"MATLAB": "a MATLAB file",
}
HOW = "save it by numpy.savez(path, clip=ids, features=array), ids as text, array of floats"


def read_named_arrays(
    path: Path, choose: Callable[[list[str]], Collection[str]]
) -> dict[str, NDArray[np.generic]]:
    """Read some arrays of an `.npz`, or the one array of an `.npy` under the name "array".

    What the file is, is seen from its first bytes.

    Args:
        path: of the file.
        choose: given the names that an `.npz` holds, says which to read.

    Raises:
        ResultError: naming the file, and the entry if it is one's fault: another format, cut or
            damaged, pickled objects, more than 16 GiB, a header that promises other bytes.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
            stream.seek(0)
            if start.startswith(npy_format.MAGIC_PREFIX):
                return {"array": _read_array(stream, path.stat().st_size)}
            if start.startswith(b"PK"):
                return _read_archive(stream, choose)
            kind = next((words for magic, words in OTHERS.items() if start.startswith(magic)), "")
            raise ValueError(f"{kind or 'neither an .npz nor an .npy'}; {HOW}")
    except FileNotFoundError:
        raise ResultError(f"{path}: no such file") from None
    except (zipfile.BadZipFile, zlib.error) as error:
        raise ResultError(f"{path}: cut or damaged ({error}); write it again") from None
    except (ValueError, EOFError, RuntimeError) as error:
        raise ResultError(f"{path}: {error}") from None


def _read_archive(
    stream: IO[bytes], choose: Callable[[list[str]], Collection[str]]
) -> dict[str, NDArray[np.generic]]:
    with zipfile.ZipFile(stream) as archive:
        names = [entry.filename for entry in archive.infolist()]
        if any(name.endswith("data.pkl") for name in names):
            raise ValueError(f"a PyTorch file, whose pickle may run code when it is read; {HOW}")
        arrays: dict[str, NDArray[np.generic]] = {}
        wanted = choose([name.removesuffix(ENDING) for name in names if name.endswith(ENDING)])
        for entry in archive.infolist():
            name = entry.filename.removesuffix(ENDING)
            if name == entry.filename or name not in wanted:
                continue
            if name in arrays:
                raise ValueError(f"entry {name!r} is there twice")
            try:
                with archive.open(entry) as part:
                    arrays[name] = _read_array(part, entry.file_size)
            except (ValueError, EOFError, zlib.error, OSError) as error:
                raise ValueError(f"entry {name!r}: {error}") from None
        return arrays


def _read_array(stream: IO[bytes], size: int) -> NDArray[np.generic]:
    """Read one array in `size` bytes, once its header has been checked against them.

    Raises:
        ValueError: saying what is wrong with it.
    """
    head = io.BytesIO(stream.read(HEAD_BYTES))
    shape, dtype = _read_header(head)
    if dtype.hasobject:
        raise ValueError(f"an array of Python objects, pickled, may run code when read; {HOW}")
    promised = math.prod(shape) * dtype.itemsize
    if promised > MAX_BYTES:
        raise ValueError(f"{promised >> 30} GiB; expected at most {MAX_BYTES >> 30}")
    held = size - head.tell()
    if promised != held:
        raise ValueError(
            f"{shape} of {dtype} take {promised} bytes, {held} are there: cut or damaged"
        )
    stream.seek(0)
    return npy_format.read_array(stream, allow_pickle=False)


def _read_header(head: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    version = npy_format.read_magic(head)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"an array of version {version}; {HOW}")
    read = (
        npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    )
    try:
        shape, _, dtype = read(head)
    except (TypeError, RecursionError, MemoryError, tokenize.TokenError, UnicodeError) as error:
        raise ValueError(f"a header that is none ({type(error).__name__})") from None
    if any(length < 0 for length in shape):
        raise ValueError(f"shape {shape}; expected lengths of at least 0")
    return shape, dtype
