"""`.npz` files that are equal byte for byte when their contents are, and long ones made in parts.

Arrays are stored without pickle and without the time. An extraction that was killed goes on after
its last whole part: parts lie beside the file that they will become, in `OUTPUT.parts`, with the
key of what determines them: settings, weights, clips. Whoever joins them writes the output first,
and then removes them.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from taskgrain.data.files import atomic_path, write_text
from taskgrain.errors import ResultError

ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip entry can have
UNIX = 3  # zip's number for the system that wrote an entry
READABLE_FILE = 0o644 << 16  # zip keeps the mode in the upper half

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Blocks:
    """An array that is written block after block, so that it never lies in memory whole."""

    shape: tuple[int, ...]  # (N, ...)
    dtype: np.dtype[np.generic]
    blocks: Iterable[NDArray[np.generic]]  # (n, ...) each, of this dtype; N rows together


@dataclass(frozen=True, slots=True)
class StoredArray:
    """An array of an `.npz` that is read whenever it is needed, and not kept."""

    path: Path
    name: str
    shape: tuple[int, ...]

    def read(self) -> NDArray[np.generic]:
        """Read the array.

        Raises:
            ResultError: if the file is not there any more, or not what it was.
        """
        array = read_arrays(self.path, only=self.name).get(self.name)
        if array is None or array.shape != self.shape:
            raise ResultError(
                f"{self.path}: another file than it was when it was opened; run the command again"
            )
        return array


def write_arrays(
    path: Path,
    arrays: Mapping[str, NDArray[np.generic] | Blocks],
    *,
    flush: bool = True,
    compress: bool = False,
) -> None:
    """Write named arrays as an `.npz`, all of it or nothing, in their order.

    `numpy.savez` would stamp every entry with the time, and pickle what it cannot store. `flush`
    is that of `atomic_path`. Entries are compressed by deflate if `compress` is set: with one
    version of zlib equal arrays still are equal bytes.
    """
    with (
        atomic_path(path, flush=flush) as partial,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive,
    ):
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=ZIP_EPOCH)
            entry.create_system = UNIX
            entry.external_attr = READABLE_FILE
            entry.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
            # The size is not known before the entry is written. Without ZIP64 from the start one of
            # more than 2 GiB would fail when it is nearly done.
            with archive.open(entry, "w", force_zip64=True) as stream:
                if isinstance(array, Blocks):
                    _write_blocks(stream, array)
                else:
                    npy_format.write_array(stream, np.asarray(array, order="C"), allow_pickle=False)


def _write_blocks(stream: IO[bytes], array: Blocks) -> None:
    """Write the bytes that `write_array` would write of the blocks put together."""
    descr = npy_format.dtype_to_descr(array.dtype)
    header = {"descr": descr, "fortran_order": False, "shape": array.shape}
    npy_format.write_array_header_1_0(stream, header)
    rows = 0
    for block in array.blocks:
        assert block.dtype == array.dtype, "blocks are of one dtype"
        assert block.shape[1:] == array.shape[1:], "blocks differ in their rows alone"
        stream.write(np.ascontiguousarray(block).data)
        rows += len(block)
    assert rows == array.shape[0], "blocks have as many rows as the array"


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


def stored_shape(path: Path, name: str) -> tuple[int, ...]:
    """Read the shape of an array of an `.npz`, and nothing of its contents.

    Raises:
        ResultError: if there is no such file or array, or it is no archive of plain arrays.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as stream:
            # numpy writes a third version only for names of fields that are not Latin, which plain
            # arrays have none of.
            version = npy_format.read_magic(stream)
            read = {
                (1, 0): npy_format.read_array_header_1_0,
                (2, 0): npy_format.read_array_header_2_0,
            }[version]
            return tuple(read(stream)[0])
    except FileNotFoundError:
        raise ResultError(f"{path}: no such file") from None
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ResultError(f"{path}: no plain array {name!r} in it ({error})") from None


PART_CLIPS = 128  # at least, of a part: what is lost at most when a process is killed


@dataclass(frozen=True, slots=True)
class Parts:
    """The whole parts of an output, in order: each is read when its turn comes, and not kept."""

    paths: tuple[Path, ...]

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
        make: returns the arrays of a part by its number, 0 to `num_parts` - 1: the same ones
            whenever it is called. What it raises is passed on; the parts before are kept.
        num_parts: how many there are.
        key: text that is another for other settings, weights, clips or numbers of parts.

    Returns:
        The parts on the disk; one part at a time is in memory.
    """
    folder = _folder(output)
    # The key is written before the first part: no part can lie beside a key that is not its own.
    if held_key(output) != key:
        remove_parts(output)
        write_text(folder / "key", key)
    paths = tuple(folder / f"{number:05d}.npz" for number in range(num_parts))
    for number, path in enumerate(paths):
        if not _is_whole(path):
            # Not flushed to the disk: a part that a power cut damages is made anew.
            write_arrays(path, make(number), flush=False)
    return Parts(paths)


def held_key(output: Path) -> str | None:
    """Read the key of the parts that lie beside an output; None where there are none."""
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
