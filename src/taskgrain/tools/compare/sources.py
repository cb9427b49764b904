"""Sources: what each is called, the features of its seeds, and which clips have none.

Arrays may come from any program: they are read without pickle, and never more of them than their
headers promise.

Shapes: N clips, T' steps, D width of the features.
"""

from __future__ import annotations

import io
import math
import re
import tokenize
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from taskgrain.errors import ConfigError, ManifestError, ResultError, list_problems
from taskgrain.tools.compare.labels import LabelTable
from taskgrain.transfer.features import FeatureSet
from taskgrain.transfer.task import TargetTask

ID_LIKE = re.compile(
    r"(.*_)?u?ids?|(clip|video|vid|sample|file|path|name|key)(_?(name|path|file|key))?s?",
    re.IGNORECASE,
)
"""Names under which files hold the ids of their rows: clips, video_id, filenames, uid."""
MAX_BYTES = 16 << 30  # of one array, 16 GiB: a million clips of 4,096 float32
HEAD_BYTES = 16_384  # numpy's longest header and its magic
ENDING = ".npy"

# Files of other formats that are passed as features, by their first bytes.
OTHERS = {
    b"\x80": "a pickle, which may run code when it is read",
    b"\x89HDF": "an HDF5 file",
    b"MATLAB": "a MATLAB file",
}
HOW = "save it by numpy.savez(path, clip=ids, features=array), ids as text, array of floats"
NUMBERS = "fiub"  # numpy's letters for kinds of dtype


@dataclass(frozen=True, slots=True)
class SourceFiles:
    """A source's name and a file of features for each of its encoder seeds."""

    name: str
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SourceFeatures:
    """A source's features, one set a seed, all of one width."""

    name: str
    seeds: tuple[FeatureSet, ...]  # (N, D) or (N, T', D)
    by_order: bool  # whether a file had no ids, and its rows were taken to be those of the labels


def parse_sources(arguments: Sequence[str]) -> tuple[SourceFiles, ...]:
    """Read `FILE` (called by its stem) or `NAME=FILE,FILE,...` (a file for each seed).

    Raises:
        ConfigError: for no source, a name or a file twice, or an empty one.
    """
    sources = tuple(_parse(argument) for argument in arguments)
    if not sources:
        raise ConfigError("no source; expected at least one file of features")
    for what, names in (
        ("source", [source.name for source in sources]),
        ("file", [str(path.resolve()) for source in sources for path in source.paths]),
    ):
        twice = [each for each, times in Counter(names).items() if times > 1]
        if twice:
            hint = "; name them: NAME=FILE" if what == "source" else ""
            raise ConfigError(f"{what} {twice[0]} is given twice{hint}")
    return sources


def _parse(argument: str) -> SourceFiles:
    name, equals, files = argument.partition("=")
    # Paths may hold "=" and "," themselves: what is there under the whole of a text is that file.
    if Path(argument).exists() or not equals or "/" in name:
        if "," in argument and not Path(argument).exists():
            raise ConfigError(f"{argument}: several seeds of a source take a name: NAME=FILE,FILE")
        return _named(Path(argument).stem, (Path(argument),), argument)
    paths = (Path(files),) if Path(files).exists() else tuple(map(Path, files.split(",")))
    if not all(file.strip() for file in files.split(",")):
        raise ConfigError(f"{argument}: a file is missing; expected NAME=FILE,FILE,...")
    return _named(name.strip(), paths, argument)


def _named(name: str, paths: tuple[Path, ...], argument: str) -> SourceFiles:
    if not name or not name.isprintable():
        raise ConfigError(f"{argument!r}: no name for a source; expected NAME=FILE")
    return SourceFiles(name, paths)


def read_source(files: SourceFiles, labels: LabelTable) -> SourceFeatures:
    """Read the features of every seed.

    A file is an `.npz` with the entries `clip` (N ids) and `features` (N, D) or (N, T', D), as
    `taskgrain` writes them; or an `.npy`, or `.npz` without `clip`, with as many rows as the labels
    have, which are then taken to be in the order of the labels.

    Raises:
        ResultError: naming file and entry: no such file, another format or shape, ids twice,
            features that are not finite, seeds of different widths.
    """
    seeds: list[FeatureSet] = []
    by_order = False
    for path in files.paths:
        features, ordered = _read(path, labels)
        by_order |= ordered
        if seeds and features.features.shape[1:] != seeds[0].features.shape[1:]:
            raise ResultError(
                f"{path}: features are {_shape(features.features)}, those of {files.paths[0]} "
                f"{_shape(seeds[0].features)}; seeds of one source have the same width"
            )
        seeds.append(features)
    return SourceFeatures(files.name, tuple(seeds), by_order)


def _read(path: Path, labels: LabelTable) -> tuple[FeatureSet, bool]:
    arrays = read_named_arrays(path, _wanted)
    values = _features(path, arrays)
    ordered = "clip" not in arrays
    if ordered and len(values) != len(labels.clip_ids):
        raise ResultError(
            f"{path}: no entry 'clip' with the ids, and {len(values)} rows to the "
            f"{len(labels.clip_ids)} of {labels.path}, so whose they are is not known; {HOW}"
        )
    clip_ids = labels.clip_ids if ordered else read_texts(path, "clip", arrays["clip"], len(values))
    with np.errstate(over="ignore"):  # what becomes infinite here is refused in the next lines
        narrow = values.astype(np.float32)
    if np.isinf(narrow).any() and not np.isinf(values).any():
        raise ResultError(
            f"{path}: features are larger than float32 holds, up to 3.4e38; scale them"
        )
    try:
        return FeatureSet(clip_ids, narrow, {}), ordered
    except ResultError as error:
        lines = str(error).split("\n")
        raise ResultError(list_problems([f"{path}: {line}" for line in lines])) from None


def _wanted(names: list[str]) -> Sequence[str]:
    """Choose the entries to read; others are ignored unless they look like ids under another name.

    Raises:
        ValueError: if one does: features would be assigned to the wrong clips.
    """
    others = [name for name in names if name != "features"]
    like_ids = [name for name in others if ID_LIKE.fullmatch(name)]
    if "features" in names and "clip" not in names and like_ids:
        raise ValueError(
            f"no entry 'clip', but one {like_ids[0]!r} beside the features: if those are the ids, "
            "call it 'clip'; if the rows are in the order of the labels, leave it out"
        )
    return ("clip", "features") if "features" in names else names


def _features(path: Path, arrays: Mapping[str, NDArray[np.generic]]) -> NDArray[np.generic]:
    names = [name for name in arrays if name not in ("clip", "header")]
    if "features" in arrays:
        name = "features"
    elif len(names) == 1 and "clip" not in arrays:
        name = names[0]
    else:
        raise ResultError(
            f"{path}: no entry 'features'; it has {', '.join(arrays) or 'none'}; {HOW}"
        )
    values = arrays[name]
    if values.dtype.kind not in NUMBERS:
        raise ResultError(f"{path}: features are {values.dtype}; expected real numbers; {HOW}")
    if values.ndim not in (2, 3) or 0 in values.shape:
        raise ResultError(
            f"{path}: features are {values.shape}; expected (N, D), or (N, T, D) with T steps"
        )
    return values


def read_texts(path: Path, name: str, texts: NDArray[np.generic], count: int) -> tuple[str, ...]:
    """Return an entry of texts or whole numbers, one of each clip, as text.

    Raises:
        ResultError: naming file and entry, if it is of another length or type.
    """
    if texts.shape != (count,):
        raise ResultError(
            f"{path}: {name} is {texts.shape} for {count} features; expected ({count},)"
        )
    if texts.dtype.kind in "iuU":
        return tuple(str(each) for each in texts.tolist())
    if texts.dtype.kind == "S":
        try:
            return tuple(bytes(each).decode("utf-8") for each in texts.tolist())
        except UnicodeDecodeError as error:
            what = "an id" if name == "clip" else "one"
            raise ResultError(f"{path}: {name}: {what} is not UTF-8 ({error.reason})") from None
    what = "ids" if name == "clip" else f"a {name} of each clip"
    raise ResultError(f"{path}: {name} is {texts.dtype}; expected {what} as text or whole numbers")


def _shape(features: NDArray[np.float32]) -> str:
    return f"(N, {', '.join(str(each) for each in features.shape[1:])})"


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which clips one seed of one source has no features of, and how many features are unused."""

    source: str
    seed: int
    scored: tuple[str, ...]  # without features: they count as wrong
    support: tuple[str, ...]  # without features: drawn for no source
    unused: int  # features of clips that are neither scored nor support


def coverage_of(sources: Sequence[SourceFeatures], task: TargetTask) -> tuple[Coverage, ...]:
    """Compare every file of features with the clips of the task."""
    known = {*task.support_ids, *task.query_ids}
    found = []
    for source in sources:
        for seed, features in enumerate(source.seeds):
            held = set(features.clip_ids)
            found.append(
                Coverage(
                    source.name,
                    seed,
                    tuple(clip for clip in task.query_ids if clip not in held),
                    tuple(clip for clip in task.support_ids if clip not in held),
                    len(held - known),
                )
            )
    return tuple(found)


def check_coverage(sources: Sequence[SourceFeatures], table: LabelTable) -> None:
    """Check that each source has features of some labelled clip, and all of a common one.

    Raises:
        ManifestError: with an id of either side, and what tells them apart where that can be seen.
    """
    labelled = set(table.clip_ids)
    common = set(labelled)
    for source in sources:
        for features in source.seeds:
            held = set(features.clip_ids)
            if not held & labelled:
                raise ManifestError(
                    f"{source.name}: has features of no clip of {table.path}; its ids are like "
                    f"{features.clip_ids[0]!r}, those of the labels like {table.clip_ids[0]!r}"
                    f"{_hint(held, labelled)}"
                )
            common &= held
    if not common:
        raise ManifestError(f"{table.path}: no clip of it has features in every source")


def _hint(held: set[str], labelled: set[str]) -> str:
    """Return what would make the ids fit."""
    stems = {PurePosixPath(clip).stem for clip in labelled}
    if {PurePosixPath(clip).stem for clip in held} & stems:
        return "; without folders and file endings they fit: write them the same way"
    if {clip.lstrip("0") for clip in held} & {clip.lstrip("0") for clip in labelled}:
        return "; without leading zeros they fit: write them the same way"
    return ""


def read_named_arrays(
    path: Path, choose: Callable[[list[str]], Collection[str]]
) -> dict[str, NDArray[np.generic]]:
    """Read some arrays of an `.npz`, or the one array of an `.npy` under the name "array".

    The format is recognised by the first bytes of the file, not by its name.

    Args:
        path: of the file.
        choose: returns which to read of the names that an `.npz` holds.

    Raises:
        ResultError: naming the file, and the entry if one is at fault: another format, cut or
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
        ValueError: naming what is wrong with it.
    """
    # The header is checked before the array is read: it may promise more bytes than memory holds.
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
        raise ValueError(f"an invalid header ({type(error).__name__})") from None
    if any(length < 0 for length in shape):
        raise ValueError(f"shape {shape}; expected lengths of at least 0")
    return shape, dtype
