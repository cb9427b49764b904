"""Read predictions and references from files of captions, in the forms that tools write.

Both are read from the same forms: predictions have one caption a clip, references one or more.
Only references may be a dataset's own rows (`train.json`, `validation.json`).

A file holds rows, each of which names its clip, or an object of captions by clip:

- rows in a JSON list or one a line: `{"clip" or "image_id" or "video_id" or "id", "caption"}`, and
  a dataset's own `{"id", "label", ...}`;
- rows in an object: COCO's `{"annotations": [...]}`, MSR-VTT's `{"sentences": [...]}`,
  `{"results": [...]}` and `{"predictions": [...]}`;
- by clip: `{id: caption}`, `{id: [caption, ...]}` and pycocoevalcap's `{id: [{"caption"}, ...]}`,
  also as the "results" or "predictions" of an object.

Dense captions (ActivityNet Captions, YouCook2: sentences of several moments of a video) are
refused: a score compares captions of one clip.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path, PurePath
from typing import NamedTuple

from taskgrain.data.json_rows import MalformedFileError, is_text, parse_json, read_text, row_lines
from taskgrain.errors import (
    MAX_PROBLEMS_SHOWN,
    ManifestError,
    ResultError,
    list_problems,
    nearest,
)
from taskgrain.labels.template import placeholder_count
from taskgrain.metrics.references import ReferenceClip

MAX_LETTERS = 10_000  # of a caption: ROUGE-L takes the square of its words
CLIP_KEYS = ("clip", "image_id", "video_id", "id")
"""What names the clip of a row. "id" comes last: beside another key it is the row's number."""

# Keys of an object that hold its captions, and what one row of them is called.
_ROWS_IN = {
    "annotations": "annotation",
    "sentences": "sentence",
    "results": "result",
    "predictions": "prediction",
}
_NUMBERED = ("annotations", "sentences")  # here an "id" numbers the sentence, never the clip
_EXPECTED = (
    'expected rows {"id", "caption"}, in a list or one a line, or captions by id '
    '{"ID": ["caption"]}'
)
_TIMES = ("timestamps", "timestamp", "segment")  # of the moments of dense captions
_SHOWN = 60  # letters of a value that is quoted
MAX_NEAREST = 2_000  # references among which the nearest to an unknown id is looked for


class ClipCaptions(NamedTuple):
    """The captions of one clip that stand at one place of a file."""

    where: Callable[[], str]  # "file:line" or the like
    row: str  # the place within the file, "row 3"
    clip_id: str
    captions: tuple[str, ...]  # one or more
    is_whole: bool  # whether no other place may hold captions of the same clip
    template: str | None = None  # with brackets, where the file says it
    placeholders: tuple[str, ...] = ()


class BadRowError(ValueError):
    """What is wrong with one row; the reader adds where it stands."""


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
    """Read the predicted caption of each clip that has references; it may be empty.

    Where a row names a file, as in what `taskgrain describe --json` writes, its name without the
    ending is the id.

    Args:
        path: of the predictions.
        references: by clip id; every one of them needs a prediction, and no other clip has one.

    Raises:
        ResultError: naming file and place of up to ten problems: what is no prediction, an
            unknown id, a clip with two captions or with none.
        OSError: if there is no such file.
    """
    captions: dict[str, str] = {}
    rows: dict[str, str] = {}
    problems: list[str] = []
    try:
        for clip in read_clips(path, problems, predicted=True):
            try:
                clip_id = _known_id(clip.clip_id, references, len(problems))
                if clip_id in captions:
                    raise BadRowError(f"a second caption of {clip_id!r}, see {rows[clip_id]}")
                if len(clip.captions) > 1:
                    number = len(clip.captions)
                    raise BadRowError(f"{number} captions of {clip.clip_id!r}; expected one")
                captions[clip_id], rows[clip_id] = clip.captions[0], clip.row
            except BadRowError as error:
                problems.append(f"{clip.where()}: {error}")
    except MalformedFileError as error:
        raise ResultError(str(error)) from error
    if problems:
        raise ResultError(list_problems(problems))
    missing = [clip_id for clip_id in references if clip_id not in captions]
    if missing:
        raise ResultError(
            f"{path}: no caption for {len(missing)} of {len(references)} clips: "
            f"{', '.join(map(repr, missing[:10]))}{', ...' if len(missing) > 10 else ''}. "
            'A clip that failed has the caption "": it then counts as wrong'
        )
    return {clip_id: captions[clip_id] for clip_id in references}


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


def read_clips(
    path: Path, problems: list[str], *, predicted: bool = False
) -> Iterator[ClipCaptions]:
    """Yield the captions of a file in its order, and add what cannot be read to the problems.

    Args:
        path: of the file.
        problems: takes a line for each row that is left out.
        predicted: whether they are predictions, which may be "" and are never read from "label".

    Raises:
        MalformedFileError: naming file and line, if the file is not JSON.
        OSError: if there is no such file.
    """
    value, line_of = _parsed(path)
    file = _File(path, line_of)
    keys: Sequence[str] = CLIP_KEYS
    if isinstance(value, dict) and (key := _key_of_rows(value)) is not None:
        file, value = _File(path, list, _ROWS_IN[key]), value[key]
        keys = [each for each in keys if each != "id" or key not in _NUMBERED]
    dense = _dense_captions(value)
    if dense:
        problems.append(f"{path}: {dense}")
    elif isinstance(value, list):
        yield from _clips_in_rows(file, value, keys, problems, predicted)
    elif isinstance(value, dict):
        yield from _clips_by_id(path, value, problems, predicted)
    else:
        problems.append(f"{path}:1: {_EXPECTED}")


@dataclass(frozen=True, slots=True)
class _File:
    """Where the rows of a file stand."""

    path: Path
    line_of: Callable[[], list[int]]  # by row; of rows within an object it is empty
    called: str = "row"

    def row(self, index: int) -> str:
        return f"{self.called} {index + 1}"

    def where(self, index: int) -> str:
        lines = self.line_of()
        if index < len(lines):
            return f"{self.path}:{lines[index]}"
        return f"{self.path}: {self.row(index)}"


def _parsed(path: Path) -> tuple[object, Callable[[], list[int]]]:
    """Parse a file; return its value, and what finds the line of each row of a list."""
    text = read_text(path)
    if _has_rows_on_lines(text):
        lines = [number for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        return _parse_lines(text, path), lambda: lines
    # Lines are looked for once a row is wrong. For every row it took time in the square of the rows
    # where a file has no line breaks: 168,913 rows took ten minutes instead of two seconds.
    return parse_json(text, path), cache(lambda: row_lines(read_text(path)))


def _has_rows_on_lines(text: str) -> bool:
    """Whether a file holds one JSON object a line: then its first line is a whole row."""
    if not text.lstrip().startswith("{"):
        return False
    first = text.strip().split("\n", 1)[0]
    try:
        row = json.loads(first)
    except (ValueError, RecursionError):
        return False
    # A single line may also hold captions by id, of which no key is called like these.
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


def _key_of_rows(value: Mapping[str, object]) -> str | None:
    """Return the key of an object under which its captions stand; None where ids are its keys."""
    for key in _ROWS_IN:
        inner = value.get(key)
        if isinstance(inner, list) and not all(isinstance(row, str) for row in inner):
            return key
        if isinstance(inner, dict) and key not in _NUMBERED:
            return key
    return None


def _dense_captions(value: object) -> str | None:
    """Explain that a file holds dense captions, by one of its videos; None if it does not."""
    if not isinstance(value, dict):
        return None
    videos = value["database"] if isinstance(value.get("database"), dict) else value
    for video, entry in videos.items():
        moments = entry.get("annotations", entry) if isinstance(entry, dict) else entry
        one = moments[0] if isinstance(moments, list) and moments else moments
        if isinstance(one, dict) and not one.keys().isdisjoint(_TIMES):
            return (
                f"dense captions: {video!r} holds {_keys(one)}, sentences of several moments of a "
                "video; expected captions of one clip. Write each moment as a clip of its own, "
                f'{{"{video} 0-5": ["caption"]}}, here and in the file it is compared with'
            )
    return None


def _clips_in_rows(
    file: _File,
    rows: Sequence[object],
    keys: Sequence[str],
    problems: list[str],
    predicted: bool,
) -> Iterator[ClipCaptions]:
    """Yield the captions of rows that name their clip, all by the same key."""
    found = set().union(*(row for row in rows if isinstance(row, dict)))
    named = [key for key in keys if key in found]
    for index, row in enumerate(rows):
        try:
            if not isinstance(row, dict):
                raise BadRowError(f"expected an object, found {_quoted(row)}")
            where, name = partial(file.where, index), file.row(index)
            if "label" in row and "caption" not in row and not predicted:
                captions, template, placeholders = _own_captions(row)
                clip_id = _clip_id(row, ["id"])
                yield ClipCaptions(where, name, clip_id, captions, True, template, placeholders)
            else:
                captions = _captions_of_row(row, predicted)
                yield ClipCaptions(where, name, _clip_id(row, named[:1] or keys), captions, False)
        except BadRowError as error:
            problems.append(f"{file.where(index)}: {error}")


def _clips_by_id(
    path: Path, captions_by_id: Mapping[str, object], problems: list[str], predicted: bool
) -> Iterator[ClipCaptions]:
    """Yield the captions of an object whose keys are the ids of clips."""
    for clip_id, value in captions_by_id.items():
        where = f"{path}: id {clip_id!r}"
        try:
            captions = _captions(value, "captions", predicted)
            yield ClipCaptions(partial(str, where), f"id {clip_id!r}", clip_id, captions, True)
        except BadRowError as error:
            problems.append(f"{where}: {error}")


def _own_captions(
    row: Mapping[str, object],
) -> tuple[tuple[str, ...], str | None, tuple[str, ...]]:
    """Return captions, template and placeholders of a row as a dataset's own files hold it."""
    captions = [_caption(row.get("label"), "label")]
    if "captions" in row:
        captions += _captions(row["captions"], "captions")
    unique = tuple(dict.fromkeys(captions))
    template, placeholders = row.get("template"), row.get("placeholders", [])
    if template is None:
        return unique, None, ()
    template = _caption(template, "template")
    if not isinstance(placeholders, list) or not all(
        isinstance(each, str) for each in placeholders
    ):
        raise BadRowError('"placeholders" is not a list of texts')
    if placeholder_count(template) != len(placeholders):
        raise BadRowError(
            f"template {template!r} has {placeholder_count(template)} brackets, but "
            f"{len(placeholders)} placeholders"
        )
    return unique, template, tuple(placeholders)


def _captions_of_row(row: Mapping[str, object], may_be_empty: bool) -> tuple[str, ...]:
    """Return the captions of a row that is not a dataset's own."""
    key = next((key for key in ("caption", "captions") if key in row), None)
    if key is None:
        raise BadRowError(f'"caption" is missing; expected a text. The row holds {_keys(row)}')
    return _captions(row[key], key, may_be_empty)


def _clip_id(row: Mapping[str, object], keys: Sequence[str]) -> str:
    for key in keys:
        value = row.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, str) and value and is_text(value):
            return value
        if value is not None:
            raise BadRowError(f'"{key}" is {_quoted(value)}; expected a text or a number')
    raise BadRowError(f"no {' or '.join(map(json.dumps, keys))}; the row holds {_keys(row)}")


def _captions(value: object, key: str, may_be_empty: bool = False) -> tuple[str, ...]:
    """Return one caption or a list of them, each a text or an object with "caption"."""
    if isinstance(value, str):
        return (_caption(value, key, may_be_empty),)
    if not isinstance(value, list) or not value:
        found = _keys(value) if isinstance(value, dict) and value else _quoted(value)
        raise BadRowError(f'"{key}" is {found}; expected a list of captions')
    return tuple(
        _captions_of_row(each, may_be_empty)[0]
        if isinstance(each, dict)
        else _caption(each, key, may_be_empty)
        for each in value
    )


def _caption(value: object, key: str, may_be_empty: bool = False) -> str:
    if not isinstance(value, str) or not is_text(value):
        found = "missing" if value is None else _quoted(value)
        raise BadRowError(f'"{key}" is {found}; expected a text')
    if not value.strip() and not may_be_empty:
        raise BadRowError(f'"{key}" is empty')
    if len(value) > MAX_LETTERS:
        raise BadRowError(f'"{key}" has {len(value)} letters; expected at most {MAX_LETTERS}')
    return value


def _quoted(value: object) -> str:
    return json.dumps(value)[:_SHOWN]


def _keys(value: Mapping[str, object]) -> str:
    """List the first six keys of an object."""
    return ", ".join(map(json.dumps, list(value)[:6])) or "nothing"
