"""Clips in, a file of features out: each video is decoded once, and a stopped run goes on.

Shapes: B clips of a batch, T frames, N clips in all, T' steps, D width.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from math import ceil
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from taskgrain.data.dataset import Batch
from taskgrain.data.decode import DecodedClip
from taskgrain.data.files import make_folder
from taskgrain.data.sampling import FrameSampling, decode_stored, see
from taskgrain.data.videos import printable, stamp_of
from taskgrain.encoders import Reader, never_alone
from taskgrain.errors import ClipError, ResultError, list_problems
from taskgrain.names import FLAT
from taskgrain.tools.features.clips import Clip, ClipList, facts_of
from taskgrain.transfer.archive import (
    PART_CLIPS,
    Arrays,
    Parts,
    extract_in_parts,
    held_key,
    read_arrays,
    remove_parts,
    stored_shape,
)
from taskgrain.transfer.extract import collect_places, feature_set
from taskgrain.transfer.features import (
    FACTS,
    ONE_VECTOR,
    PLACE_OF,
    Facts,
    FeatureSet,
    fact_arrays,
    fingerprint,
    joins_steps,
    mean_over_steps,
    read_features,
    read_header,
    read_out,
    write_feature_parts,
    write_features,
)

NO_LABELS = torch.zeros(0, dtype=torch.long)  # features need none
Tell = Callable[[str], None]
Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Extraction:
    """Which features of which clips to extract."""

    name: str  # of the encoder, as it was given
    data: str  # folder of the clips, as it was given
    clips: ClipList
    keeps_steps: bool = False  # (N, T', D) rather than (N, D)
    batch_size: int = 8


@dataclass(frozen=True, slots=True)
class Outcome:
    """The written file, and the clips that failed or were truncated."""

    out: Path
    shape: tuple[int, ...]  # (N, D) or (N, T', D)
    failed: Mapping[str, str]  # clip id -> why it has no features
    truncated: tuple[str, ...]  # ids of clips of which only a part could be read
    seconds: float

    def to_json(self) -> dict[str, object]:
        """Write as what `json.dumps` takes."""
        return {
            "out": str(self.out),
            "shape": list(self.shape),
            "failed": dict(self.failed),
            "truncated": list(self.truncated),
            "seconds": round(self.seconds, 1),
        }


def write_clip_features(
    reader: Reader, extraction: Extraction, out: Path, *, tell: Tell, advance: Advance
) -> Outcome:
    """Extract features of every clip and write them; what is there already is not made again.

    Clips are read in parts, each kept beside `out` until the end. Clips that fail have no features
    and are named in the header. Labels, recordings and splits stand beside the features as far as
    the folder knows them, and are renewed in a file that has the same features. Equal clips,
    encoder and settings give equal bytes. The batch size is no setting: it may be another when a
    stopped run goes on, and on a CPU changes no bit.

    Args:
        reader: of the clips.
        extraction: which clips, and what is kept of their features.
        out: an `.npz` of `write_features`.
        tell: is given a line about what was found there.
        advance: is given how many clips were done since it was called last.

    Raises:
        ResultError: if other features lie at `out`, no clip could be read, or features are not
            finite.
    """
    started = time.monotonic()
    key = _key(reader, extraction)
    facts = facts_of(extraction.clips.clips)
    already = _already(out, key)
    if already is not None:
        _renew_facts(out, facts, tell)
        remove_parts(out)
        return _outcome(out, already, stored_shape(out, "features"), started)
    _say_what_lies_there(out, key, tell)
    clips = extraction.clips.clips
    num_parts = ceil(len(clips) / PART_CLIPS)

    def make(number: int) -> Arrays:
        part = clips[number * PART_CLIPS : (number + 1) * PART_CLIPS]
        return _part(reader, extraction, part, advance)

    make_folder(out.parent)
    parts = extract_in_parts(out, make, num_parts=num_parts, key=key)
    header = _header(reader, extraction, parts, key)
    _refuse_nothing(parts, header)
    shape = write_feature_parts(out, parts, "features", header, facts)
    remove_parts(out)
    return _outcome(out, header, shape, started)


def _key(reader: Reader, extraction: Extraction) -> str:
    """Identify features by all that determines them: encoder, settings, clips and their files.

    How many clips are read together is left out: whoever ran out of memory goes on with fewer.
    """
    stamps = [stamp_of(clip.path) for clip in extraction.clips.clips]
    settings = {
        **reader.facts,
        "readout": reader.readout,
        "keeps_steps": extraction.keeps_steps,
        "sampling": asdict(reader.sampling),
        "part_clips": PART_CLIPS,
        "excluded": [clip.excluded for clip in extraction.clips.clips],
        "files": [None if stamp is None else [stamp.bytes, stamp.changed] for stamp in stamps],
    }
    # Without weights, as pixels are read, the name stands for what computes the features.
    return fingerprint(
        weights_sha256=str(reader.facts["weights"] or extraction.name),
        preprocessing=settings,
        clip_ids=[clip.clip_id for clip in extraction.clips.clips],
    )


def _already(out: Path, key: str) -> dict[str, object] | None:
    """Read the header of features that lie where these are to be written, if they are the same.

    Raises:
        ResultError: if they are others, or no features at all.
    """
    if not out.exists():
        return None
    header = read_header(out)
    if header is None or header.get("fingerprint") != key:
        raise ResultError(
            f"{out}: there already, and not these features (another encoder, settings or clips); "
            "choose another name, or remove it"
        )
    return header


def _renew_facts(out: Path, facts: Facts, tell: Tell) -> None:
    """Write the labels, recordings and splits of a features file anew where they are others now.

    The features stay: nothing of what determines them has changed.
    """
    (clip,) = read_arrays(out, only="clip").values()
    wanted = fact_arrays([str(each) for each in clip], facts)
    held = {name: array for fact in FACTS for name, array in read_arrays(out, only=fact).items()}
    if held.keys() == wanted.keys() and all(
        np.array_equal(held[name], array) for name, array in wanted.items()
    ):
        tell(f"{out}: has these features already")
        return
    write_features(out, read_features(out), facts)
    tell(f"{out}: has these features already; labels, recordings and splits are written anew")


def _say_what_lies_there(out: Path, key: str, tell: Tell) -> None:
    held = held_key(out)
    if held == key:
        tell(f"{out}: goes on where it was stopped")
    elif held is not None:
        tell(f"{out}: what was begun there was of other settings or clips, and is begun anew")


def _part(
    reader: Reader, extraction: Extraction, clips: Sequence[Clip], advance: Advance
) -> dict[str, NDArray[np.generic]]:
    """Extract the features of some clips; clips that fail are named and have none."""
    failed: dict[str, str] = {}
    truncated: list[str] = []

    def batches() -> Iterator[Batch]:
        seen: list[tuple[str, NDArray[np.uint8]]] = []
        for index, clip in enumerate(clips):
            try:
                decoded = _decoded(clip, reader.sampling)
            except ClipError as error:
                failed[clip.clip_id] = printable(str(error))
            else:
                seen.append((clip.clip_id, see(decoded.frames, reader.sampling)))
                if decoded.truncated:
                    truncated.append(clip.clip_id)
            if seen and (len(seen) == extraction.batch_size or index == len(clips) - 1):
                video = torch.from_numpy(np.stack([frames for _, frames in seen]))
                yield Batch(tuple(clip_id for clip_id, _ in seen), video, NO_LABELS, NO_LABELS)
                seen.clear()
            advance(1)

    made: dict[str, NDArray[np.generic]] = {"clip": np.array([], np.str_)}
    # Where every clip of a part fails there is no batch, and of features not even the width.
    first = next(numbered := batches(), None)
    if first is not None:
        read = never_alone(reader.read) if reader.device.type == "cpu" else reader.read
        found = collect_places(read, chain([first], numbered), device=reader.device)
        features = _reduced(reader, extraction, found)
        made = {"clip": np.array(features.clip_ids, np.str_), "features": features.features}
    outcome = {"failed": failed, "truncated": truncated}
    return {**made, "told": np.array(json.dumps(outcome, sort_keys=True), np.str_)}


def _decoded(clip: Clip, sampling: FrameSampling) -> DecodedClip:
    if clip.excluded is not None:
        raise ClipError(clip.excluded)
    return decode_stored(clip.path, sampling)


def _reduced(reader: Reader, extraction: Extraction, found: Arrays) -> FeatureSet:
    """Reduce the features of some clips to the read-out, and to its steps or their mean."""
    if reader.readout is None:
        return feature_set([found], "output", reader.facts)
    features = read_out(
        feature_set([found], PLACE_OF[reader.readout], reader.facts), reader.readout
    )
    if extraction.keeps_steps:
        return features
    if joins_steps(reader.readout):
        joined = features.features.reshape(len(features.clip_ids), -1)  # (N, T' * D)
        return replace(features, features=joined)
    return mean_over_steps(features)


def _refuse_nothing(parts: Parts, header: Mapping[str, object]) -> None:
    """Refuse parts without a clip that could be read.

    Raises:
        ResultError: naming up to ten of the clips.
    """
    if not any(len(clips) for clips in parts.entries("clip")):
        failed = header["failed"]
        assert isinstance(failed, dict)
        raise ResultError(
            list_problems([f"clip {clip}: {problem}" for clip, problem in failed.items()])
        )


def _header(reader: Reader, extraction: Extraction, parts: Parts, key: str) -> dict[str, object]:
    outcomes = [json.loads(str(part)) for part in parts.entries("told")]
    return {
        "encoder": extraction.name,
        "data": extraction.data,
        "layout": extraction.clips.layout,
        "readout": reader.readout or FLAT,
        "steps": extraction.keeps_steps and reader.readout not in (None, *ONE_VECTOR),
        "sampling": asdict(reader.sampling),
        "fingerprint": key,
        "failed": {clip: why for each in outcomes for clip, why in each["failed"].items()},
        "truncated": [clip for each in outcomes for clip in each["truncated"]],
        **reader.facts,
    }


def _outcome(
    out: Path, header: Mapping[str, object], shape: tuple[int, ...], started: float
) -> Outcome:
    failed, truncated = header.get("failed"), header.get("truncated")
    return Outcome(
        out,
        shape,
        dict(failed) if isinstance(failed, dict) else {},
        tuple(truncated) if isinstance(truncated, list) else (),
        time.monotonic() - started,
    )
