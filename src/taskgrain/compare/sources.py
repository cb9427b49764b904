"""Sources: what each is called, and the features of its seeds.

Shapes: N clips, T' steps, D width of the features.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskgrain.compare.array_file import HOW, read_named_arrays
from taskgrain.compare.labels import LabelTable
from taskgrain.errors import ConfigError, ResultError, list_problems
from taskgrain.transfer.features import FeatureSet

ID_LIKE = re.compile(
    r"(.*_)?u?ids?|(clip|video|vid|sample|file|path|name|key)(_?(name|path|file|key))?s?",
    re.IGNORECASE,
)
"""What an entry may be called that holds whose the rows are: clips, video_id, filenames, uid."""
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
        ConfigError: for fewer than two sources, a name or a file twice, or an empty one.
    """
    sources = tuple(_parse(argument) for argument in arguments)
    if len(sources) < 2:
        raise ConfigError(f"{len(sources)} source; a comparison takes at least 2 files of features")
    for what, given in (
        ("source", [source.name for source in sources]),
        ("file", [str(path.resolve()) for source in sources for path in source.paths]),
    ):
        twice = [each for each, times in Counter(given).items() if times > 1]
        if twice:
            hint = "; name them: NAME=FILE" if what == "source" else ""
            raise ConfigError(f"{what} {twice[0]} is given twice{hint}")
    return sources


def _parse(argument: str) -> SourceFiles:
    name, equals, files = argument.partition("=")
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
    clip_ids = labels.clip_ids if ordered else _clip_ids(path, arrays["clip"], len(values))
    with np.errstate(over="ignore"):
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
    """Leave alone what else a file may hold, unless it looks like the ids under another name.

    Raises:
        ValueError: if it does: rows would be given to other clips.
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


def _clip_ids(path: Path, clip: NDArray[np.generic], count: int) -> tuple[str, ...]:
    if clip.shape != (count,):
        raise ResultError(f"{path}: clip is {clip.shape} for {count} features; expected ({count},)")
    if clip.dtype.kind in "iuU":
        return tuple(str(each) for each in clip.tolist())
    if clip.dtype.kind == "S":
        try:
            return tuple(bytes(each).decode("utf-8") for each in clip.tolist())
        except UnicodeDecodeError as error:
            raise ResultError(f"{path}: clip: an id is not UTF-8 ({error.reason})") from None
    raise ResultError(f"{path}: clip is {clip.dtype}; expected ids as text or whole numbers")


def _shape(features: NDArray[np.float32]) -> str:
    return f"(N, {', '.join(str(each) for each in features.shape[1:])})"
