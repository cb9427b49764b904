"""The clips of a dataset of any layout, and what its folder knows of each without decoding one.

Features carry this with them, and a comparison of features reads it where it is given a dataset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from taskgrain.data.annotations import LAYOUT
from taskgrain.data.equal_files import equal_groups
from taskgrain.data.layouts.layout import LayoutOptions, is_made_id
from taskgrain.data.layouts.tree import path_ids
from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.data.opening import read_manifest
from taskgrain.data.videos import printable
from taskgrain.teaching.recordings import Filmed, folder_of_recording, link_clips

# The labels of test clips too, and no division but that of the data themselves.
AS_IT_LIES = LayoutOptions(test_answers=True, draws_validation=False)


@dataclass(frozen=True, slots=True)
class AnnotatedClip:
    """A labelled clip of a dataset."""

    clip_id: str  # `ids_of`
    label: str  # its category
    split: Split | None  # None: the dataset does not divide its clips
    record: ClipRecord

    @property
    def names(self) -> tuple[str, ...]:
        """What the clip may be called elsewhere: its id, the dataset's own, its file."""
        return self.clip_id, self.record.clip_id, printable(self.record.file)


def read_annotated(folder: Path, layout: str) -> tuple[AnnotatedClip, ...]:
    """Read the labels and the division of a dataset, as the data themselves have them.

    Clips without a label are left out.

    Args:
        folder: of the dataset.
        layout: "taskgrain" or a name of `data.opening.LAYOUTS`.

    Raises:
        ManifestError: as `read_manifest`; naming the files that would have the same id.
    """
    manifest = read_manifest(folder, layout=layout, options=AS_IT_LIES)
    ids = ids_of(manifest)
    divides = layout == LAYOUT or len({record.split for record in manifest.records}) > 1
    return tuple(
        AnnotatedClip(
            ids[record.clip_id], record.category, record.split if divides else None, record
        )
        for record in manifest.records
    )


def ids_of(manifest: Manifest) -> Mapping[str, str]:
    """Return what features call each clip, by the dataset's own id; test clips too.

    That is the id that the annotations give. Where they give none, as folders of classes do, it is
    the path below the folder without suffix: "walk/b". Two files that differ in the suffix alone
    keep it.

    Raises:
        ManifestError: naming the files that would have the same id nevertheless.
    """
    files = {record.clip_id: record.file for record in manifest.records}
    files |= dict(zip(manifest.test_ids, manifest.test_files, strict=True))
    if not all(is_made_id(clip_id, file) for clip_id, file in files.items()):
        return {clip_id: clip_id for clip_id in files}
    ids = path_ids(manifest.root, list(files.values()), tells_by_suffix=True)
    return dict(zip(files, ids, strict=True))


def filmed_of(clip_id: str, record: ClipRecord) -> Filmed:
    """Return what may tell of the recording of a labelled clip."""
    return Filmed(clip_id, record.path, record.category, folder_of_recording(record))


def known_recordings(clips: Sequence[Filmed]) -> tuple[str, ...] | None:
    """Name the recording of each clip; None where nothing tells which clips belong together.

    Folders, names, times and equal files tell. Headers of videos are read, frames are not: clips
    that show the same footage in files that differ stay apart.

    Args:
        clips: in any order; their recordings are named after the first by id.
    """
    order = sorted(range(len(clips)), key=lambda place: clips[place].clip_id)
    sorted_clips = [clips[place] for place in order]
    links = link_clips(sorted_clips, {}, equal_groups([clip.path for clip in sorted_clips]))
    if not links.counts:
        return None
    named = dict(zip(order, links.recordings(), strict=True))
    return tuple(named[place] for place in range(len(clips)))
