"""Features of clips as a file: who they belong to, what they are, where they came from.

Shapes: N clips, T' encoder steps, D width of the features.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskgrain.errors import ResultError, list_problems
from taskgrain.transfer.archive import read_arrays, write_arrays

BLOCK_BYTES = 1 << 20  # 1 MiB read at a time


@dataclass(frozen=True, slots=True, eq=False)
class FeatureSet:
    """Features of clips, one row a clip, in the order of `clip_ids`.

    Raises:
        ValueError: if the shapes do not fit.
        ResultError: naming the clips that come twice or whose features are not finite.
    """

    clip_ids: tuple[str, ...]
    features: NDArray[np.float32]  # (N, D), or (N, T', D) where every step was kept
    header: Mapping[str, object]  # where they came from; whatever JSON can hold

    def __post_init__(self) -> None:
        shape, count = self.features.shape, len(self.clip_ids)
        if self.features.dtype != np.float32 or len(shape) not in (2, 3) or shape[0] != count:
            raise ValueError(
                f"features are {self.features.dtype} {shape} for {count} clips; "
                "expected float32 (N, D) or (N, T', D)"
            )
        twice = [clip for clip, times in Counter(self.clip_ids).items() if times > 1]
        if twice:
            raise ResultError(list_problems([f"clip {clip} has features twice" for clip in twice]))
        finite = np.isfinite(self.features).reshape(count, -1).all(axis=1)
        if not finite.all():
            bad = [self.clip_ids[index] for index in np.flatnonzero(~finite)]
            raise ResultError(
                list_problems([f"the features of clip {clip} are not finite" for clip in bad])
            )

    def of(self, clip_ids: Sequence[str]) -> NDArray[np.float32]:
        """Give the features of these clips, in this order: float32 (n, D) or (n, T', D).

        Raises:
            ResultError: naming the clips that have none.
        """
        index_of = {clip: index for index, clip in enumerate(self.clip_ids)}
        missing = [clip for clip in clip_ids if clip not in index_of]
        if missing:
            raise ResultError(
                list_problems([f"no features of clip {clip}; extract them" for clip in missing])
            )
        index = np.fromiter((index_of[clip] for clip in clip_ids), dtype=np.int64)
        return self.features[index]


def mean_over_steps(features: FeatureSet) -> FeatureSet:
    """Average the T' steps of (N, T', D) features, summed in float64; (N, D) stay as they are."""
    if features.features.ndim == 2:
        return features
    mean = features.features.mean(axis=1, dtype=np.float64).astype(np.float32)
    return FeatureSet(features.clip_ids, mean, features.header)


def write_features(path: Path, features: FeatureSet) -> None:
    """Write an `.npz` with the entries `clip`, `features` and `header` (JSON); atomic, no pickle.

    Equal features give equal bytes.
    """
    header = json.dumps(features.header, sort_keys=True, allow_nan=False)
    write_arrays(
        path,
        {
            "clip": np.array(features.clip_ids, dtype=np.str_),
            "features": features.features,
            "header": np.array(header, dtype=np.str_),
        },
    )


def read_features(path: Path) -> FeatureSet:
    """Read features that `write_features` wrote, or that any program wrote in the same format.

    Raises:
        ResultError: naming the file and the entry that is missing or malformed.
    """
    arrays = read_arrays(path)
    for name in ("clip", "features", "header"):
        if name not in arrays:
            raise ResultError(f"{path}: no entry {name!r}; it has {', '.join(arrays) or 'none'}")
    clip, values = arrays["clip"], arrays["features"]
    if clip.ndim != 1 or clip.dtype.kind != "U":
        raise ResultError(f"{path}: clip is {clip.dtype} {clip.shape}; expected text (N,)")
    if values.dtype.kind != "f" or values.ndim not in (2, 3) or len(values) != len(clip):
        raise ResultError(
            f"{path}: features are {values.dtype} {values.shape}; "
            f"expected float ({len(clip)}, D) or ({len(clip)}, T', D)"
        )
    try:
        return FeatureSet(
            tuple(str(each) for each in clip),
            values.astype(np.float32),
            _read_header(arrays["header"]),
        )
    except (ValueError, ResultError) as error:
        raise ResultError(f"{path}: {error}") from None


def read_header(path: Path) -> dict[str, object] | None:
    """Read where features came from, and nothing else; None where no such features lie.

    What cannot be read is as good as absent: whoever asks would make it anew.
    """
    try:
        return _read_header(read_arrays(path, only="header")["header"])
    except (ResultError, KeyError, ValueError):
        return None


def fingerprint(
    *, weights_sha256: str, preprocessing: Mapping[str, object], clip_ids: Sequence[str]
) -> str:
    """Identify features by what determines them: weights, preprocessing, and clips in order.

    Args:
        weights_sha256: of the weights file's bytes (`file_sha256`), or any fixed text for
            features that have no weights.
        preprocessing: frame sampling, size, read-out: whatever JSON can hold.
        clip_ids: in the order of the features.

    Returns:
        64 hexadecimal digits.
    """
    parts = [weights_sha256, preprocessing, list(clip_ids)]
    text = json.dumps(parts, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Give the SHA-256 of a file's bytes: 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _read_header(entry: NDArray[np.generic]) -> dict[str, object]:
    """Parse a JSON object stored as an array of one text; ValueError where it is none."""
    header: object = json.loads(str(entry))
    if not isinstance(header, dict):
        raise ValueError("header is no JSON object")
    return header
