"""The clips to extract features of: a dataset's, or every video of a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from taskgrain.data.files import missing_folder
from taskgrain.data.layouts.tree import find_clips, path_ids
from taskgrain.data.manifest import Manifest, Split
from taskgrain.data.opening import layout_of, read_manifest
from taskgrain.errors import ManifestError


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip to extract features of, whatever its label is."""

    clip_id: str
    path: Path  # of the video file, or the folder of its frames
    excluded: str | None = None  # why its dataset leaves it out


@dataclass(frozen=True, slots=True)
class ClipList:
    """Clips in order, and the layout of their folder."""

    layout: str | None  # None: no dataset, but a folder with videos in it
    clips: tuple[Clip, ...]


def list_clips(data: Path, split: Split | None = None) -> ClipList:
    """List the clips of a dataset, or of a folder that holds videos and no annotations.

    In such a folder, at any depth, an id is the path below it without the suffix: "a", "walk/b".
    Of a dataset all splits are listed, test clips without annotation too.

    Args:
        data: the folder.
        split: lists this part of a dataset alone; None lists all of it.

    Raises:
        ManifestError: if there is no such folder, no clip in it, its annotations cannot be read, or
            a part is wanted of a folder without any.
    """
    if not data.is_dir():
        raise ManifestError(
            f"{data}: {missing_folder(data)}; expected a dataset, or a folder of videos"
        )
    layout = _layout(data)
    if layout is not None:
        clips = _of_dataset(read_manifest(data), split)
    elif split is not None:
        raise ManifestError(f"{data}: no dataset, so it has no split; leave --split out")
    else:
        clips = _of_folder(data)
    if not clips:
        part = "" if split is None else f"{split.value} "
        raise ManifestError(f"{data}: holds no {part}clip")
    return ClipList(layout, clips)


def _layout(data: Path) -> str | None:
    """Name the layout of a dataset; None if the folder is no dataset."""
    try:
        return layout_of(data)
    except ManifestError:
        return None  # without a label, videos are all that is needed


def _of_dataset(manifest: Manifest, split: Split | None) -> tuple[Clip, ...]:
    clips = [
        Clip(record.clip_id, record.path, record.excluded)
        for record in manifest.records
        if split in (None, record.split)
    ]
    if split in (None, Split.TEST):
        clips += [
            Clip(clip_id, manifest.root / file)
            for clip_id, file in zip(manifest.test_ids, manifest.test_files, strict=True)
        ]
    return tuple(clips)


def _of_folder(data: Path) -> tuple[Clip, ...]:
    files = find_clips(data)
    ids = path_ids(data, files)
    return tuple(Clip(clip_id, data / file) for clip_id, file in zip(ids, files, strict=True))
