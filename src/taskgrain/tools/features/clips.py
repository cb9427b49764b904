"""The clips to extract features of, and what their folder knows of each.

They are a dataset's, or every video of a folder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from taskgrain.data.files import missing_folder
from taskgrain.data.layouts.names import shown
from taskgrain.data.layouts.tree import find_clips, path_ids
from taskgrain.data.manifest import Manifest, Split
from taskgrain.data.opening import layout_of, read_manifest
from taskgrain.data.videos import is_video_name, printable, split_name
from taskgrain.errors import ManifestError
from taskgrain.teaching.annotated import (
    AnnotatedClip,
    filmed_of,
    ids_of,
    known_recordings,
    read_annotated,
)
from taskgrain.teaching.recordings import Filmed
from taskgrain.transfer.features import FACTS, Facts


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip to extract features of, and what its folder knows of it."""

    clip_id: str
    path: Path  # of the video file, or the folder of its frames
    excluded: str | None = None  # why its dataset leaves it out
    label: str | None = None  # its category
    recording: str | None = None  # None of all: nothing tells which clips are of one recording
    split: str | None = None  # None of all: the data do not divide the clips that are listed


@dataclass(frozen=True, slots=True)
class ClipList:
    """Clips in order, and the layout of their folder."""

    layout: str | None  # None: no dataset, but a folder with videos in it
    clips: tuple[Clip, ...]
    notes: tuple[str, ...] = ()  # for the user, a sentence each


def list_clips(data: Path, split: Split | None = None) -> ClipList:
    """List the clips of a dataset, or of a folder that holds videos and no annotations.

    An id is the one that annotations give. Where they give none, and in a folder without
    annotations, at any depth, it is the path below the folder without the suffix: "a", "walk/b".
    Files that differ in the suffix alone keep it. Of a dataset all splits are listed, test clips
    without annotation too.

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
        clips = _of_dataset(read_manifest(data), layout, split)
    elif split is not None:
        raise ManifestError(f"{data}: no dataset, so it has no split; leave --split out")
    else:
        clips = _of_folder(data)
    if not clips:
        part = "" if split is None else f"{split.value} "
        raise ManifestError(f"{data}: holds no {part}clip")
    return ClipList(layout, clips, _notes(data, clips))


def _layout(data: Path) -> str | None:
    """Name the layout of a dataset; None if the folder is no dataset."""
    try:
        return layout_of(data)
    except ManifestError:
        return None  # without a label, videos are all that is needed


def _of_dataset(manifest: Manifest, layout: str, split: Split | None) -> tuple[Clip, ...]:
    # Read once more, as the data themselves have it: here validation clips may have been drawn,
    # and the labels of test clips left out.
    annotated = {each.record.clip_id: each for each in read_annotated(manifest.root, layout)}
    ids = ids_of(manifest)
    listed = [
        (record.clip_id, record.path, record.excluded)
        for record in manifest.records
        if split in (None, record.split)
    ]
    if split in (None, Split.TEST):
        listed += [
            (own_id, manifest.root / file, None)
            for own_id, file in zip(manifest.test_ids, manifest.test_files, strict=True)
        ]
    clips = [
        _known(Clip(ids[own_id], path, excluded), annotated.get(own_id))
        for own_id, path, excluded in listed
    ]
    if len({clip.split for clip in clips if clip.split is not None}) < 2:
        clips = [replace(clip, split=None) for clip in clips]
    filmed = [
        Filmed(clip.clip_id, clip.path, None)
        if own_id not in annotated
        else filmed_of(clip.clip_id, annotated[own_id].record)
        for clip, (own_id, _, _) in zip(clips, listed, strict=True)
    ]
    return _with_recordings(clips, filmed)


def _known(clip: Clip, annotated: AnnotatedClip | None) -> Clip:
    if annotated is None:
        return clip
    split = None if annotated.split is None else annotated.split.value
    return replace(clip, label=annotated.label, split=split)


def _of_folder(data: Path) -> tuple[Clip, ...]:
    files = find_clips(data)
    ids = path_ids(data, files, tells_by_suffix=True)
    clips = [Clip(clip_id, data / file) for clip_id, file in zip(ids, files, strict=True)]
    return _with_recordings(clips, [Filmed(clip.clip_id, clip.path, None) for clip in clips])


def _with_recordings(clips: Sequence[Clip], filmed: Sequence[Filmed]) -> tuple[Clip, ...]:
    recordings = known_recordings(filmed)
    if recordings is None:
        return tuple(clips)
    return tuple(
        replace(clip, recording=recording)
        for clip, recording in zip(clips, recordings, strict=True)
    )


def _notes(data: Path, clips: Sequence[Clip]) -> tuple[str, ...]:
    times = Counter(_stem(clip.path) for clip in clips)
    kept = [
        clip.clip_id
        for clip in clips
        if times[_stem(clip.path)] > 1 and clip.clip_id.endswith(printable(clip.path.name))
    ]
    if not kept:
        return ()
    return (
        f"{data}: {len(kept)} files differ from another in the suffix alone, and keep it in their "
        f"ids ({shown(kept)})",
    )


def _stem(path: Path) -> Path:
    return path.with_name(split_name(path.name)[0]) if is_video_name(path.name) else path


def facts_of(clips: Sequence[Clip]) -> Facts:
    """Return the entries of a features file on what is known of the clips.

    Entries that are known of no clip are absent.
    """
    facts = {name: {clip.clip_id: getattr(clip, name) or "" for clip in clips} for name in FACTS}
    return {name: of_clip for name, of_clip in facts.items() if any(of_clip.values())}
