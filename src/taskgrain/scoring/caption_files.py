"""Read predictions and references, in our own formats and in COCO's.

Predictions are rows `{"clip" or "id", "caption"}` or COCO's `{"image_id", "caption"}`, in a JSON
list or one a line, as `taskgrain describe --json` writes them. References are a dataset's own rows
(`train.json`, `validation.json`), an object `{id: [captions]}`, or COCO's annotations
`{"annotations": [{"image_id", "caption"}]}`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath

from taskgrain.data.json_rows import MalformedFileError, is_text, parse_json, read_text, row_lines
from taskgrain.errors import (
    MAX_PROBLEMS_SHOWN,
    ManifestError,
    ResultError,
    list_problems,
    nearest,
)
from taskgrain.labels.template import placeholder_count

MAX_LETTERS = 10_000  # of a caption: ROUGE-L takes the square of its words
MAX_NEAREST = 2_000  # references among which the nearest to an unknown id is looked for
PREDICTION_KEYS = ("clip", "id", "image_id")


@dataclass(frozen=True, slots=True)
class ReferenceClip:
    """What is so of one clip."""

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
    file = _File.read(path)
    problems: list[str] = []
    found = _coco_references(file, problems) if file.is_coco else _own_references(file, problems)
    if not found and not problems:
        problems.append(f"{path}: holds no reference")
    if problems:
        raise ManifestError(list_problems(problems))
    return found


def read_predictions(path: Path, references: Mapping[str, object]) -> dict[str, str]:
    """Read what was said of each clip that has references; an empty caption is one.

    Where "clip" is a file, as in what `taskgrain describe --json` writes, its name without the
    ending is the id.

    Args:
        path: of the predictions.
        references: by clip id; every one of them needs a prediction, and no other clip has one.

    Raises:
        ResultError: naming file and place of up to ten problems: what is no prediction, an
            unknown id, a clip said twice or not at all.
        OSError: if there is no such file.
    """
    try:
        file = _File.read(path)
    except MalformedFileError as error:
        raise ResultError(str(error)) from error
    if not isinstance(file.value, list):
        raise ResultError(f'{path}:1: expected rows {{"id", "caption"}} in a list or one a line')
    said: dict[str, str] = {}
    places: dict[str, int] = {}
    problems: list[str] = []
    for index, row in enumerate(file.value):
        try:
            clip_id = _known_id(_id(_object(row), *PREDICTION_KEYS), references, len(problems))
            if clip_id in said:
                raise _BadRowError(
                    f"a second caption of {clip_id!r}, see row {places[clip_id] + 1}"
                )
            said[clip_id] = _caption(row.get("caption"), "caption", may_be_empty=True)
            places[clip_id] = index
        except _BadRowError as error:
            problems.append(f"{file.where(index)}: {error}")
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


class _BadRowError(ValueError):
    """What is wrong with one row; the reader adds where it stands."""


@dataclass(frozen=True, slots=True)
class _File:
    """One JSON value, and where its rows stand."""

    path: Path
    value: object
    line_of: Callable[[], list[int]]

    @classmethod
    def read(cls, path: Path) -> _File:
        text = read_text(path)
        lines = [number for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        if _has_rows_on_lines(text):
            return cls(path, _parse_lines(text, path), lambda: lines)
        return cls(path, parse_json(text, path), cache(lambda: row_lines(read_text(path))))

    @property
    def is_coco(self) -> bool:
        value = self.value
        rows = value.get("annotations") if isinstance(value, dict) else None
        return isinstance(rows, list) and not all(isinstance(row, str) for row in rows)

    def where(self, index: int) -> str:
        lines = self.line_of()
        return (
            f"{self.path}:{lines[index]}" if index < len(lines) else f"{self.path}: row {index + 1}"
        )


def _has_rows_on_lines(text: str) -> bool:
    """Whether a file holds one JSON object a line: then its first line is a whole row."""
    if not text.lstrip().startswith("{"):
        return False
    first = text.strip().split("\n", 1)[0]
    try:
        row = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return "\n" in text.strip() or ("caption" in row or "label" in row)


def _parse_lines(text: str, path: Path) -> list[object]:
    rows: list[object] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise MalformedFileError(f"{path}:{number}", f"not JSON: {error}") from error
    return rows


def _own_references(file: _File, problems: list[str]) -> dict[str, ReferenceClip]:
    found: dict[str, ReferenceClip] = {}
    for where, clip_id, clip in _own_clips(file, problems):
        if clip_id in found:
            problems.append(f"{where}: id {clip_id!r} stands there twice")
        found[clip_id] = clip
    return found


def _own_clips(file: _File, problems: list[str]) -> Iterator[tuple[str, str, ReferenceClip]]:
    if isinstance(file.value, dict):
        for clip_id, captions in file.value.items():
            where = f"{file.path}: id {clip_id!r}"
            try:
                yield where, clip_id, ReferenceClip(_captions(captions, "captions"))
            except _BadRowError as error:
                problems.append(f"{where}: {error}")
    elif isinstance(file.value, list):
        for index, row in enumerate(file.value):
            try:
                clip = _own_clip(_object(row))
                # Only a row with a problem, of which there are few, is looked up.
                yield f"{file.path}: row {index + 1}", _id(_object(row), "id"), clip
            except _BadRowError as error:
                problems.append(f"{file.where(index)}: {error}")
    else:
        problems.append(f"{file.path}:1: expected a list of rows, or an object of captions by id")


def _own_clip(row: Mapping[str, object]) -> ReferenceClip:
    captions = [_caption(row.get("label"), "label")]
    if "captions" in row:
        captions += _captions(row["captions"], "captions")
    unique = tuple(dict.fromkeys(captions))
    template, placeholders = row.get("template"), row.get("placeholders", [])
    if template is None:
        return ReferenceClip(unique)
    template = _caption(template, "template")
    if not isinstance(placeholders, list) or not all(
        isinstance(each, str) for each in placeholders
    ):
        raise _BadRowError('"placeholders" is not a list of texts')
    if placeholder_count(template) != len(placeholders):
        raise _BadRowError(
            f"template {template!r} has {placeholder_count(template)} brackets, but "
            f"{len(placeholders)} placeholders"
        )
    return ReferenceClip(unique, template, tuple(placeholders))


def _coco_references(file: _File, problems: list[str]) -> dict[str, ReferenceClip]:
    assert isinstance(file.value, dict)
    captions: dict[str, list[str]] = {}
    for number, row in enumerate(file.value["annotations"], 1):
        try:
            caption = _caption(_object(row).get("caption"), "caption")
            captions.setdefault(_id(row, "image_id"), []).append(caption)
        except _BadRowError as error:
            problems.append(f"{file.path}: annotation {number}: {error}")
    return {clip_id: ReferenceClip(tuple(each)) for clip_id, each in captions.items()}


def _object(row: object) -> dict[str, object]:
    if not isinstance(row, dict):
        raise _BadRowError(f"expected an object, found {json.dumps(row)[:60]}")
    return row


def _id(row: Mapping[str, object], *keys: str) -> str:
    for key in keys:
        value = row.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, str) and value and is_text(value):
            return value
        if value is not None:
            raise _BadRowError(f'"{key}" is {json.dumps(value)[:60]}; expected a text or a number')
    raise _BadRowError(f"no {' or '.join(map(json.dumps, keys))}")


def _known_id(clip_id: str, references: Mapping[str, object], num_problems: int) -> str:
    if clip_id in references:
        return clip_id
    name = PurePath(clip_id).stem
    if name in references:
        return name
    # Looking for the nearest among many takes long, and only the first problems are shown.
    is_quick = len(references) <= MAX_NEAREST and num_problems < MAX_PROBLEMS_SHOWN
    close = nearest(clip_id, references) if is_quick else ""
    raise _BadRowError(f"id {clip_id!r} has no reference{close}")


def _captions(value: object, key: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise _BadRowError(f'"{key}" is {json.dumps(value)[:60]}; expected a list of captions')
    return tuple(_caption(caption, key) for caption in value)


def _caption(value: object, key: str, *, may_be_empty: bool = False) -> str:
    if not isinstance(value, str) or not is_text(value):
        found = "missing" if value is None else json.dumps(value)[:60]
        raise _BadRowError(f'"{key}" is {found}; expected a text')
    if not value.strip() and not may_be_empty:
        raise _BadRowError(f'"{key}" is empty')
    if len(value) > MAX_LETTERS:
        raise _BadRowError(f'"{key}" has {len(value)} letters; expected at most {MAX_LETTERS}')
    return value
