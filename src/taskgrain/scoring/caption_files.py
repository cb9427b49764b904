"""Read predictions and references from files of captions; `caption_rows` knows their forms.

What one reads, the other does too: predictions are captions with one of each clip, and references
have one or more. Only references may be a dataset's own rows (`train.json`, `validation.json`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import NamedTuple

from taskgrain.data.json_rows import MalformedFileError
from taskgrain.errors import (
    MAX_PROBLEMS_SHOWN,
    ManifestError,
    ResultError,
    list_problems,
    nearest,
)
from taskgrain.scoring.caption_rows import BadRowError, ClipCaptions, read_clips

MAX_NEAREST = 2_000  # references among which the nearest to an unknown id is looked for


class ReferenceClip(NamedTuple):
    """The reference captions of one clip."""

    captions: tuple[str, ...]  # one or more
    template: str | None = None  # with brackets, where the file says it
    placeholders: tuple[str, ...] = ()


def read_references(path: Path) -> dict[str, ReferenceClip]:
    """Read the references of each clip, in the order of the file.

    Raises:
        ManifestError: naming file and place of up to ten problems: what is no reference, an id
            that stands there twice, a caption that is empty.
        OSError: if there is no such file.
    """
    problems: list[str] = []
    found: dict[str, ReferenceClip] = {}
    whole: set[str] = set()
    for clip in read_clips(path, problems):
        before = found.get(clip.clip_id)
        if before is not None and (clip.is_whole or clip.clip_id in whole):
            problems.append(f"{path}: {clip.row}: id {clip.clip_id!r} stands there twice")
        if clip.is_whole:
            whole.add(clip.clip_id)
        captions = clip.captions if before is None else before.captions + clip.captions
        found[clip.clip_id] = ReferenceClip(captions, clip.template, clip.placeholders)
    if not found and not problems:
        problems.append(f"{path}: holds no reference")
    if problems:
        raise ManifestError(list_problems(problems))
    return found


def read_predictions(path: Path, references: Mapping[str, object]) -> dict[str, str]:
    """Read what was said of each clip that has references; an empty caption is one.

    Where a row names a file, as in what `taskgrain describe --json` writes, its name without the
    ending is the id.

    Args:
        path: of the predictions.
        references: by clip id; every one of them needs a prediction, and no other clip has one.

    Raises:
        ResultError: naming file and place of up to ten problems: what is no prediction, an
            unknown id, a clip said twice or not at all.
        OSError: if there is no such file.
    """
    said: dict[str, str] = {}
    rows: dict[str, str] = {}
    problems: list[str] = []
    try:
        for clip in read_clips(path, problems, predicted=True):
            try:
                clip_id = _known_id(clip.clip_id, references, len(problems))
                if clip_id in said:
                    raise BadRowError(f"a second caption of {clip_id!r}, see {rows[clip_id]}")
                said[clip_id] = _only_caption(clip)
                rows[clip_id] = clip.row
            except BadRowError as error:
                problems.append(f"{clip.where()}: {error}")
    except MalformedFileError as error:
        raise ResultError(str(error)) from error
    if problems:
        raise ResultError(list_problems(problems))
    missing = [clip_id for clip_id in references if clip_id not in said]
    if missing:
        raise ResultError(
            f"{path}: no caption for {len(missing)} of {len(references)} clips: "
            f"{', '.join(map(repr, missing[:10]))}{', ...' if len(missing) > 10 else ''}. "
            'A clip that failed has the caption "": it then counts as wrong'
        )
    return {clip_id: said[clip_id] for clip_id in references}


def _only_caption(clip: ClipCaptions) -> str:
    if len(clip.captions) > 1:
        raise BadRowError(f"{len(clip.captions)} captions of {clip.clip_id!r}; expected one")
    return clip.captions[0]


def _known_id(clip_id: str, references: Mapping[str, object], num_problems: int) -> str:
    if clip_id in references:
        return clip_id
    name = PurePath(clip_id).stem
    if name in references:
        return name
    # Looking for the nearest among many takes long, and only the first problems are shown.
    is_quick = len(references) <= MAX_NEAREST and num_problems < MAX_PROBLEMS_SHOWN
    close = nearest(clip_id, references) if is_quick else ""
    raise BadRowError(f"id {clip_id!r} has no reference{close}")
