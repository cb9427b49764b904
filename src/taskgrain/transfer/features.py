"""Features of clips as a file, and the read-outs: what of them is tested, as views.

Features are extracted once; a read-out takes the steps, the last one, their mean and deviation, or
one channel of them. The file holds clip ids, features, and where they came from.

Shapes: N clips, T' encoder steps, D width of the features, D_s and D_t widths of the two channels.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from taskgrain.errors import ResultError, list_problems
from taskgrain.transfer.archive import Blocks, Parts, read_arrays, write_arrays

if TYPE_CHECKING:
    from taskgrain.names import Readout

BLOCK_BYTES = 1 << 20  # 1 MiB read at a time
FACTS = ("label", "recording", "split")  # of a clip, and the entries of a file that hold them
Facts = Mapping[str, Mapping[str, str]]
"""What is known of clips beside their features: entry of the file -> clip id -> text."""


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
        _refuse_twice(self.clip_ids)
        _refuse_not_finite(self.clip_ids, self.features)

    def of(self, clip_ids: Sequence[str]) -> NDArray[np.float32]:
        """Return the features of these clips, in this order: float32 (n, D) or (n, T', D).

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


def _refuse_twice(clip_ids: Sequence[str]) -> None:
    twice = [clip for clip, times in Counter(clip_ids).items() if times > 1]
    if twice:
        raise ResultError(list_problems([f"clip {clip} has features twice" for clip in twice]))


def _refuse_not_finite(clip_ids: Sequence[str], features: NDArray[np.float32]) -> None:
    """Refuse clips with NaN or infinite features; looks at about a million numbers at a time."""
    # A mask of all of them would let memory grow with the clips.
    step = max(1, BLOCK_BYTES // max(1, features[:1].size))
    bad: list[str] = []
    for first in range(0, len(features), step):
        block = features[first : first + step]
        finite = np.isfinite(block.reshape(len(block), -1)).all(axis=1)
        bad += [clip_ids[first + index] for index in np.flatnonzero(~finite).tolist()]
    if bad:
        raise ResultError(
            list_problems([f"the features of clip {clip} are not finite" for clip in bad])
        )


def mean_over_steps(features: FeatureSet) -> FeatureSet:
    """Average the T' steps of (N, T', D) features; (N, D) stay as they are."""
    if features.features.ndim == 2:
        return features
    return replace(features, features=flat(features.features, joins_steps=False))


def flat(features: NDArray[np.float32], *, joins_steps: bool) -> NDArray[np.float32]:
    """Collapse the steps of (N, T', D) for probes that take one vector a clip; (N, D) stay.

    Returns:
        All steps side by side (N, T' * D), or else their mean (N, D), summed in float64.
    """
    if features.ndim == 2:
        return features
    if joins_steps:
        return features.reshape(len(features), -1)
    return features.mean(axis=1, dtype=np.float64).astype(np.float32)


def write_features(path: Path, features: FeatureSet, facts: Facts | None = None) -> None:
    """Write an `.npz` with the entries `clip`, `features` and `header` (JSON); atomic, no pickle.

    Equal features and facts give equal bytes.

    Args:
        path: of the file.
        features: to write.
        facts: what is known of the clips, an entry each: text (N,), "" where it is not known.
    """
    _write(path, features.clip_ids, features.features, features.header, facts or {})


def write_feature_parts(
    path: Path,
    parts: Parts,
    place: str,
    header: Mapping[str, object],
    facts: Facts | None = None,
) -> tuple[int, ...]:
    """Write what `write_features` would write of the parts put together, one in memory at a time.

    Each part has the entry `clip`, text (n,), and at `place` float32 (n, D) or (n, T', D); a part
    without a clip need not have the latter.

    Returns:
        The shape of all features, (N, D) or (N, T', D).

    Raises:
        ResultError: naming the clips that come twice or whose features are not finite.
        ValueError: if no part has features, or their shapes differ.
    """
    # The parts are read twice: their shape stands before their numbers in the file, and what is
    # refused is refused before anything is written.
    clip_ids = [str(clip) for block in parts.entries("clip") for clip in block]
    _refuse_twice(clip_ids)
    rows, shapes = 0, set()
    for block in _blocks(parts, place):
        _refuse_not_finite(clip_ids[rows : rows + len(block)], block)
        rows += len(block)
        shapes.add(block.shape[1:])
    if rows != len(clip_ids) or len(shapes) != 1:
        raise ValueError(
            f"the parts have {rows} features of shapes {sorted(shapes)} for {len(clip_ids)} clips; "
            "expected as many, all of one shape"
        )
    shape = (rows, *shapes.pop())
    blocks = Blocks(shape, np.dtype(np.float32), _blocks(parts, place))
    _write(path, clip_ids, blocks, header, facts or {})
    return shape


def _blocks(parts: Parts, place: str) -> Iterator[NDArray[np.float32]]:
    return (each.astype(np.float32, copy=False) for each in parts.entries(place) if len(each))


def _write(
    path: Path,
    clip_ids: Sequence[str],
    features: NDArray[np.float32] | Blocks,
    header: Mapping[str, object],
    facts: Facts,
) -> None:
    text = json.dumps(header, sort_keys=True, allow_nan=False)
    write_arrays(
        path,
        {
            "clip": np.array(clip_ids, dtype=np.str_),
            **fact_arrays(clip_ids, facts),
            "features": features,
            "header": np.array(text, dtype=np.str_),
        },
    )


def fact_arrays(clip_ids: Sequence[str], facts: Facts) -> dict[str, NDArray[np.str_]]:
    """Return the entries of a file that hold what is known of its clips: text (N,) each."""
    return {
        name: np.array([of_clip.get(clip, "") for clip in clip_ids], dtype=np.str_)
        for name, of_clip in facts.items()
    }


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
            values.astype(np.float32, copy=False),
            _read_header(arrays["header"]),
        )
    except (ValueError, ResultError) as error:
        raise ResultError(f"{path}: {error}") from None


def read_header(path: Path) -> dict[str, object] | None:
    """Read where features came from, and nothing else; None where no such features lie.

    A file that cannot be read counts as absent: the caller computes the features anew.
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
    """Compute the SHA-256 of a file's bytes: 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _read_header(entry: NDArray[np.generic]) -> dict[str, object]:
    """Parse a JSON object stored as an array of one text; ValueError for anything else."""
    header: object = json.loads(str(entry))
    if not isinstance(header, dict):
        raise ValueError("header is no JSON object")
    return header


Place = Literal["output", "channels"]
"""Where an encoder is read: at its output, or at its channels before the LSTM."""

PLACE_OF: Mapping[Readout, Place] = {
    "lstm-mean": "output",
    "lstm-mean-deviation": "output",
    "lstm-last": "output",
    "lstm-steps": "output",
    "channels-mean": "channels",
    "spatial-mean": "channels",
    "temporal-mean": "channels",
}
ONE_VECTOR: frozenset[Readout] = frozenset({"lstm-mean-deviation", "lstm-last"})
"""Those that leave one vector of a clip, and no steps."""
CHANNEL_WIDTHS = "channel_widths"  # the header's entry for [D_s, D_t]


def read_out(features: FeatureSet, readout: Readout) -> FeatureSet:
    """Return the part of features that a read-out takes.

    "-mean" and "lstm-steps" keep every step: a probe that reads steps gets all of them, and
    others their mean, or of "lstm-steps" all of them side by side (`flat`). "lstm-last"
    is the last step alone: there the forward direction of a bidirectional LSTM has read the whole
    clip, the backward one the last step only. "lstm-mean-deviation" has the mean and, beside it,
    the deviation over the steps (both in float64, divided by T'): how much each feature changes.
    An encoder without an LSTM is read in the same way.

    Args:
        features: float32 (N, T', D) of `PLACE_OF[readout]`; of the channels, the spatial one's
            D_s features first, and both widths in the header.
        readout: its name.

    Returns:
        float32 (N, T', D), (N, T', D_s), (N, T', D_t), for "lstm-last" (N, D), or
        for "lstm-mean-deviation" (N, 2 D).

    Raises:
        ValueError: if the features have no steps, or the channel is absent.
    """
    values = features.features
    if values.ndim != 3:
        raise ValueError(f"features are {values.shape}; {readout} needs those of every step")
    if readout == "lstm-last":
        return replace(features, features=values[:, -1])
    # Beside the mean, how much each feature changes: the mean of an image network's frames says
    # little of motion (docs/deviations.md).
    if readout == "lstm-mean-deviation":
        wide = values.astype(np.float64)
        both = np.concatenate([wide.mean(axis=1), wide.std(axis=1)], axis=1)
        return replace(features, features=both.astype(np.float32))
    if readout in ("spatial-mean", "temporal-mean"):
        spatial, temporal = _widths(features)
        first, width = (0, spatial) if readout == "spatial-mean" else (spatial, temporal)
        if not width:
            raise ValueError(f"{readout}: the encoder has no such channel")
        return replace(features, features=values[:, :, first : first + width])
    return features


def joins_steps(readout: str) -> bool:
    """Whether a probe that reads no steps gets them side by side, rather than their mean."""
    return readout == "lstm-steps"


def _widths(features: FeatureSet) -> tuple[int, int]:
    widths, width = features.header.get(CHANNEL_WIDTHS), features.features.shape[2]
    if not isinstance(widths, list | tuple) or len(widths) != 2 or sum(widths) != width:
        raise ValueError(
            f"the header's {CHANNEL_WIDTHS} are {widths!r}; expected two that add up to {width}"
        )
    return int(widths[0]), int(widths[1])
