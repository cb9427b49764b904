"""Read a dataset's annotations as Something-Something v2 ships them.

On disk: `train.json`, `validation.json` (lists of `{id, label, template, placeholders}`),
`test.json` (`{id}`), `labels.json` (template without brackets -> index as a string) and
`videos/ID.webm`. Only this module knows those names; docs/data-format.md shows an example.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from taskgrain.errors import ManifestError, list_problems, nearest
from taskgrain.labels.taxonomy import Taxonomy, taxonomy_of
from taskgrain.labels.template import placeholder_count, strip_brackets

VIDEO_SUFFIXES = (".webm", ".mp4", ".mkv", ".avi", ".mov", ".m4v", ".gif")


class Split(StrEnum):
    """A part of a dataset."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class ClipRecord:
    """One annotated clip."""

    clip_id: str
    split: Split
    template: str  # with brackets
    placeholders: tuple[str, ...]
    captions: tuple[str, ...]  # as they were annotated, at least one
    root: Path  # of the dataset
    file: str  # of the video, or the folder of its frames; relative to `root`, with slashes
    excluded: str | None = None  # why the dataset's own ledger leaves it out

    @property
    def category(self) -> str:
        """Name of the category: the template without brackets."""
        return strip_brackets(self.template)

    @property
    def caption(self) -> str:
        """The first caption."""
        return self.captions[0]

    @property
    def path(self) -> Path:
        """The video file, or the folder of its frames."""
        return self.root / self.file


@dataclass(frozen=True, slots=True)
class Manifest:
    """A dataset: its annotated clips, its unannotated test ids, and its taxonomy."""

    root: Path
    records: tuple[ClipRecord, ...]
    test_ids: tuple[str, ...]
    taxonomy: Taxonomy
    factors: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)

    def split(self, split: Split) -> tuple[ClipRecord, ...]:
        """Give the clips of one split, in the order of the file."""
        return tuple(record for record in self.records if record.split is split)


def read_manifest(root: Path) -> Manifest:
    """Read the annotations below `root`; the video files themselves are not opened.

    Raises:
        ManifestError: naming every bad row as file:line, up to ten.
    """
    if not root.is_dir():
        raise ManifestError(
            f"{root}: no such folder; expected a dataset with train.json, validation.json and "
            "videos/ (docs/data-format.md)"
        )
    reading = _Reading(root)
    labels = reading.labels()
    records = [*reading.records(Split.TRAIN, labels), *reading.records(Split.VALIDATION, labels)]
    test_ids = reading.test_ids()
    if reading.problems:
        raise ManifestError(list_problems(reading.problems))
    categories = labels if labels is not None else {record.category for record in records}
    return Manifest(root, tuple(records), test_ids, taxonomy_of(categories), read_factors(root))


def read_factors(root: Path) -> dict[str, dict[str, str | None]]:
    """Read `factors.jsonl` where a dataset has one: clip id -> factor -> value, as text.

    Only factors whose value is a word are kept: those are what a target can be read out by. A
    clip with null is left out of that read-out.

    Raises:
        ManifestError: naming every bad line, up to ten.
    """
    path = root / "factors.jsonl"
    if not path.is_file():
        return {}
    factors: dict[str, dict[str, str | None]] = {}
    problems: list[str] = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            clip_id = row["id"]
        except (ValueError, TypeError, KeyError, RecursionError):
            problems.append(f'{path}:{number}: expected an object with "id"')
            continue
        factors[str(clip_id)] = {k: v for k, v in row.items() if isinstance(v, str | None)}
    if problems:
        raise ManifestError(list_problems(problems))
    return factors


class _Reading:
    """One pass over the files, collecting everything that is wrong with them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems: list[str] = []
        self._seen: dict[str, str] = {}
        self._videos = _index_videos(root / "videos")

    def labels(self) -> dict[str, object] | None:
        path = self.root / "labels.json"
        if not path.is_file():
            return None
        try:
            labels = json.loads(_text(path))
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"{path}:{_line_of(error)}: not JSON: {error}") from error
        if not isinstance(labels, dict) or not labels or not all(map(_is_text, labels)):
            raise ManifestError(f'{path}:1: expected an object {{"template": "index"}}')
        return labels

    def records(self, split: Split, labels: Mapping[str, object] | None) -> list[ClipRecord]:
        path = self.root / f"{split}.json"
        if not path.is_file():
            raise ManifestError(
                f"{path}: no such file; expected a list of "
                '{"id", "label", "template", "placeholders"} (docs/data-format.md)'
            )
        records = []
        for line, row in _rows(path):
            try:
                record = self._record(row, split, labels)
                self._claim(record.clip_id, f"{path.name}:{line()}")
                records.append(record)
            except _BadRowError as error:
                self.problems.append(f"{path}:{line()}: {error}")
        if not records and not self.problems:
            self.problems.append(f"{path}:1: holds no clip")
        return records

    def test_ids(self) -> tuple[str, ...]:
        path = self.root / f"{Split.TEST}.json"
        if not path.is_file():
            return ()
        ids = []
        for line, row in _rows(path):
            try:
                clip_id = _clip_id(row)
                self._claim(clip_id, f"{path.name}:{line()}")
                ids.append(clip_id)
            except _BadRowError as error:
                self.problems.append(f"{path}:{line()}: {error}")
        return tuple(ids)

    def _claim(self, clip_id: str, where: str) -> None:
        if clip_id in self._seen:
            raise _BadRowError(f'id "{clip_id}" stands already at {self._seen[clip_id]}')
        self._seen[clip_id] = where

    def _record(self, row: object, split: Split, labels: Mapping[str, object] | None) -> ClipRecord:
        clip_id = _clip_id(row)
        assert isinstance(row, dict)
        template = _string(row, "template")
        placeholders = row.get("placeholders")
        if not isinstance(placeholders, list) or not all(
            isinstance(p, str) and _is_text(p) for p in placeholders
        ):
            raise _BadRowError(f'"placeholders" of "{clip_id}" is not a list of strings')
        if placeholder_count(template) != len(placeholders):
            raise _BadRowError(
                f'template "{template}" has {placeholder_count(template)} brackets, '
                f"but {len(placeholders)} placeholders"
            )
        category = strip_brackets(template)
        if labels is not None and category not in labels:
            raise _BadRowError(
                f'template "{category}" is none of the {len(labels)} in labels.json'
                f"{nearest(category, labels)}"
            )
        file = self._videos.get(clip_id, f"{clip_id}.webm")
        caption = _string(row, "label")
        return ClipRecord(
            clip_id, split, template, tuple(placeholders), (caption,), self.root, f"videos/{file}"
        )


class _BadRowError(ValueError):
    """What is wrong with one row; the reader adds where it stands."""


def _clip_id(row: object) -> str:
    if not isinstance(row, dict):
        raise _BadRowError(f"expected an object, found {json.dumps(row)[:60]}")
    clip_id = row.get("id")
    if isinstance(clip_id, int) and not isinstance(clip_id, bool):
        clip_id = str(clip_id)  # rows written by hand often lose the quotes
    if not isinstance(clip_id, str) or not clip_id:
        raise _BadRowError('no "id"; expected a string')
    is_name = _is_text(clip_id) and clip_id not in (".", "..") and len(clip_id) <= 200
    if not is_name or any(letter in clip_id for letter in "/\\\0"):
        raise _BadRowError(f"id {clip_id[:60]!r} cannot be a file name")
    return clip_id


def _string(row: Mapping[str, object], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip() or not _is_text(value):
        raise _BadRowError(f'no "{key}" in the row of "{row.get("id")}"; expected a string')
    return value


class _Line:
    """The line of a position in a text; counted only when a problem asks for it."""

    def __init__(self, text: str, position: int) -> None:
        self._text = text
        self._position = position

    def __call__(self) -> int:
        return self._text.count("\n", 0, self._position) + 1


def _rows(path: Path) -> Iterator[tuple[_Line, object]]:
    """Yield each row of a JSON list with the line on which it begins."""
    text = _text(path)
    decoder = json.JSONDecoder()
    position = _skip(text, 0)
    if text[position : position + 1] != "[":
        raise ManifestError(f"{path}:1: expected a JSON list of rows")
    position = _skip(text, position + 1)
    while text[position : position + 1] != "]":
        try:
            row, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            line = _line_of(error, _Line(text, position)())
            raise ManifestError(f"{path}:{line}: not JSON: {error}") from error
        yield _Line(text, position), row
        position = _skip(text, end)
        if text[position : position + 1] == ",":
            position = _skip(text, position + 1)
        elif text[position : position + 1] != "]":
            line = _Line(text, position)()
            raise ManifestError(f'{path}:{line}: not JSON: expected "," or "]" after a row')
    rest = _skip(text, position + 1)
    if rest < len(text):
        line = _Line(text, rest)()
        raise ManifestError(f"{path}:{line}: text after the list's end; expected one list")


def _line_of(error: Exception, otherwise: int = 1) -> int:
    """Give the line that a JSON error names; other errors know none."""
    return error.lineno if isinstance(error, json.JSONDecodeError) else otherwise


def _is_text(text: str) -> bool:
    """Whether a text can be written as UTF-8: JSON may hold half of a surrogate pair."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: not UTF-8 at byte {error.start}: {error.reason}") from error


def _index_videos(folder: Path) -> dict[str, str]:
    """Find the video file of each clip id; WebM first where one id has several files."""
    if not folder.is_dir():
        return {}
    found: dict[str, str] = {}
    rank = {suffix: index for index, suffix in enumerate(VIDEO_SUFFIXES)}
    for path in folder.iterdir():
        suffix = path.suffix.lower()
        if suffix not in rank:
            continue
        held = found.get(path.stem)
        if held is None or rank[suffix] < rank[Path(held).suffix.lower()]:
            found[path.stem] = path.name
    return found
