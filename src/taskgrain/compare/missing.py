"""Which labelled clips have no features, and which features no label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from taskgrain.compare.labels import LabelTable
from taskgrain.compare.sources import SourceFeatures
from taskgrain.errors import ManifestError
from taskgrain.transfer.task import TargetTask


@dataclass(frozen=True, slots=True)
class Coverage:
    """What one seed of one source lacks, and has too much; ids in order."""

    source: str
    seed: int
    scored: tuple[str, ...]  # without features: they count as wrong
    support: tuple[str, ...]  # without features: drawn for no source
    unused: int  # features of clips that are neither scored nor support


def coverage_of(sources: Sequence[SourceFeatures], task: TargetTask) -> tuple[Coverage, ...]:
    """Hold every file of features against the clips of the task."""
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
    """Say what would make the ids fit."""
    stems = {PurePosixPath(clip).stem for clip in labelled}
    if {PurePosixPath(clip).stem for clip in held} & stems:
        return "; without folders and file endings they fit: write them the same way"
    if {clip.lstrip("0") for clip in held} & {clip.lstrip("0") for clip in labelled}:
        return "; without leading zeros they fit: write them the same way"
    return ""
