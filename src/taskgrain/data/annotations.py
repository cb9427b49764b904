"""Read a dataset's annotations as Something-Something v2 ships them, and list what is wrong.

On disk: `train.json`, `validation.json` (lists of `{id, label, template, placeholders}`, and
`captions` where a clip has more than one), `test.json` (`{id}`, or whole rows), `labels.json`
(template without brackets -> index as a string) and `videos/ID.webm`, or a folder `videos/ID` of
frames. Only this module knows those names; docs/data-format.md shows an example.
"""

from __future__ import annotations

import gc
import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from taskgrain.data.json_rows import (
    JsonRows,
    MalformedFileError,
    is_text,
    parse_json,
    read_text,
    row_lines,
)
from taskgrain.data.manifest import ClipRecord, Problem, ProblemKind, Reading, Split
from taskgrain.data.videos import index_videos, stored_as
from taskgrain.errors import nearest
from taskgrain.labels.template import placeholder_count, strip_brackets

LAYOUT = "taskgrain"
MAX_ID_BYTES = 200  # a file name holds 255, and has a suffix
MAX_PLAIN_ID = MAX_ID_BYTES // 4  # letters, of at most four bytes each
MAX_NEAREST = 100  # unknown names for which a known one is looked for


@dataclass(frozen=True, slots=True)
class AnnotationFiles:
    """Where the annotations and the videos of a dataset lie."""

    splits: Mapping[Split, Path]  # of training and validation; they must be there
    test: Path
    labels: Path
    videos: Path  # below the root


def read_annotations(
    root: Path, files: AnnotationFiles | None = None, *, layout: str = LAYOUT
) -> Reading:
    """Read the annotations below `root`, row by row; what is wrong is listed, never raised.

    Args:
        root: of the dataset. The videos are looked up by name and not opened.
        files: where the files lie, where they have other names than usual.
        layout: what the reading calls this.
    """
    with _collector_paused():
        usual = annotation_files(root, "", root / "videos")
        return _Reader(root, files or usual, layout).read()


def annotation_files(folder: Path, prefix: str, videos: Path) -> AnnotationFiles:
    """Name the annotations in a folder, whose names begin with a prefix, and the videos."""
    return AnnotationFiles(
        {split: folder / f"{prefix}{split}.json" for split in (Split.TRAIN, Split.VALIDATION)},
        test=folder / f"{prefix}test.json",
        labels=folder / f"{prefix}labels.json",
        videos=videos,
    )


def check_clip_id(clip_id: object, *, key: str = "id") -> str:
    """Return a clip id that can be a file name; a whole number is written out.

    Raises:
        BadRowError: if the id is invalid.
    """
    if isinstance(clip_id, str) and clip_id.isalnum() and len(clip_id) <= MAX_PLAIN_ID:
        return clip_id  # as nearly all are
    if isinstance(clip_id, int) and not isinstance(clip_id, bool):
        return check_clip_id(str(clip_id), key=key)  # rows written by hand often lose the quotes
    if not isinstance(clip_id, str) or not clip_id:
        raise BadRowError(f'no "{key}"; expected a string')
    is_name = is_text(clip_id) and len(clip_id.encode()) <= MAX_ID_BYTES
    if not is_name or clip_id in (".", "..") or any(letter in clip_id for letter in "/\\\0"):
        raise BadRowError(f"id {clip_id[:60]!r} cannot be a file name")
    return clip_id


class BadRowError(ValueError):
    """One row is invalid; the reader adds the file and the line."""

    def __init__(self, text: str, kind: ProblemKind = "malformed") -> None:
        """Keep the text: what was found and what was expected; and the kind of the problem."""
        super().__init__(text)
        self.kind = kind


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause the garbage collector, which costs a third of the time to read a million rows."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@dataclass(frozen=True, slots=True)
class _Template:
    """What is known of a template: worked out once for the thousands of rows that share it."""

    text: str
    num_placeholders: int
    problem: str | None  # why no clip may have it


class _Reader:
    """Reads the files once and collects every problem in them."""

    def __init__(self, root: Path, files: AnnotationFiles, layout: str) -> None:
        self._root = root
        self._files = files
        self._layout = layout
        self._problems: list[Problem] = []
        self._ids = _SeenIds()
        # 220,847 rows have 174 templates.
        self._templates: dict[str, _Template] = {}
        self._known: KnownNames | None = None
        self._videos = index_videos(files.videos)
        self._folder = files.videos.relative_to(root).as_posix()

    def read(self) -> Reading:
        categories = self._read_labels()
        self._known = None if categories is None else KnownNames(categories)
        records = [
            record
            for split, path in self._files.splits.items()
            for record in self._read_split(path, split)
        ]
        answered, test_ids = self._read_test()
        return Reading(
            self._root,
            self._layout,
            (*records, *answered),
            test_ids,
            categories,
            tuple(self._problems),
            test_files=tuple(map(self._file_of, test_ids)),
        )

    def _read_labels(self) -> tuple[str, ...] | None:
        path = self._files.labels
        if not path.is_file():
            return None
        try:
            labels = parse_json(read_text(path), path)
        except MalformedFileError as error:
            self._problems.append(error.problem)
            return None
        if not isinstance(labels, dict) or not labels or not all(map(is_text, labels)):
            text = 'expected an object {"template": "index"}'
            self._problems.append(Problem("malformed", f"{path}:1", text))
            return None
        return tuple(labels)

    def _read_split(self, path: Path, split: Split) -> Iterator[ClipRecord]:
        if not path.is_file():
            text = (
                'no such file; expected a list of {"id", "label", "template", "placeholders"} '
                "(docs/data-format.md)"
            )
            self._problems.append(Problem("missing-file", str(path), text))
            return
        problems_before = len(self._problems)
        has_some = False
        for file, index, row in self._rows(path):
            try:
                record = self._record(row, split, file.may_hold_surrogates)
                self._ids.claim(record.clip_id, index)
                has_some = True
                yield record
            except BadRowError as error:
                self._problems.append(Problem(error.kind, file.where(index), str(error)))
        if not has_some and len(self._problems) == problems_before:
            self._problems.append(Problem("malformed", f"{path}:1", "holds no clip"))

    def _read_test(self) -> tuple[list[ClipRecord], tuple[str, ...]]:
        """Read the test clips: those whose rows have a template, and the ids of the others."""
        path = self._files.test
        records, ids = [], []
        for file, index, row in self._rows(path) if path.is_file() else ():
            try:
                if "template" in _object(row):
                    record = self._record(row, Split.TEST, file.may_hold_surrogates)
                    self._ids.claim(record.clip_id, index)
                    records.append(record)
                else:
                    clip_id = check_clip_id(_object(row).get("id"))
                    self._ids.claim(clip_id, index)
                    ids.append(clip_id)
            except BadRowError as error:
                self._problems.append(Problem(error.kind, file.where(index), str(error)))
        return records, tuple(ids)

    def _rows(self, path: Path) -> Iterator[tuple[JsonRows, int, object]]:
        """Yield each row of a file with its index; a file that cannot be read has no rows."""
        try:
            file = JsonRows(path)
        except MalformedFileError as error:
            self._problems.append(error.problem)
            return
        self._ids.begin(path)
        for index, row in enumerate(file.rows):
            yield file, index, row

    def _record(self, row: object, split: Split, may_hold_surrogates: bool) -> ClipRecord:
        row = _object(row)
        clip_id = check_clip_id(row.get("id"))
        name = row.get("template")
        template = self._templates.get(name) if isinstance(name, str) else None
        if template is None:
            template = self._new_template(row)
        placeholders = row.get("placeholders")
        if not isinstance(placeholders, list):
            raise BadRowError(f'"placeholders" of "{clip_id}" is not a list of strings')
        for text in placeholders:
            if not isinstance(text, str) or (may_hold_surrogates and not is_text(text)):
                raise BadRowError(f'"placeholders" of "{clip_id}" is not a list of strings')
        if template.num_placeholders != len(placeholders):
            raise BadRowError(
                f'template "{template.text}" has {template.num_placeholders} brackets, '
                f"but {len(placeholders)} placeholders"
            )
        if template.problem is not None:
            raise BadRowError(template.problem, "unknown-category")
        captions: tuple[str, ...] = (_string(row, "label"),)
        if "captions" in row:
            captions = _with_more(captions, row["captions"], clip_id)
        return ClipRecord(
            clip_id,
            split,
            template.text,
            tuple(placeholders),
            captions,
            self._root,
            self._file_of(clip_id),
        )

    def _file_of(self, clip_id: str) -> str:
        return f"{self._folder}/{stored_as(self._videos, clip_id) or f'{clip_id}.webm'}"

    def _new_template(self, row: Mapping[str, object]) -> _Template:
        text = _string(row, "template")
        if not strip_brackets(text).strip():
            raise BadRowError(f'template "{text}" names no category; expected words')
        problem = self._problem_of(strip_brackets(text))
        self._templates[text] = _Template(text, placeholder_count(text), problem)
        return self._templates[text]

    def _problem_of(self, category: str) -> str | None:
        if self._known is None or category in self._known.names:
            return None
        return (
            f'template "{category}" is none of the {len(self._known.names)} in labels.json'
            f"{self._known.nearest(category)}"
        )


class KnownNames:
    """The names that a dataset lists; suggests the nearest of them for the first unknown names."""

    def __init__(self, names: Iterable[str]) -> None:
        """Keep the names."""
        self.names = frozenset(names)
        self._num_unknown = 0

    def nearest(self, name: str) -> str:
        """Return the hint of `errors.nearest`; an empty text after `MAX_NEAREST` unknown names."""
        self._num_unknown += 1
        # A search takes milliseconds, and every row of a file may be wrong.
        return nearest(name, sorted(self.names)) if self._num_unknown <= MAX_NEAREST else ""


class _SeenIds:
    """Every clip id read so far, and its row."""

    def __init__(self) -> None:
        self._position: dict[str, int] = {}  # rows counted through all files
        self._starts: list[int] = []  # the first such number of each file
        self._paths: list[Path] = []
        self._lines: dict[Path, list[int]] = {}
        self._next = 0

    def begin(self, path: Path) -> None:
        """Begin the next file."""
        self._starts.append(self._next)
        self._paths.append(path)

    def claim(self, clip_id: str, index: int) -> None:
        """Record the id of row `index` of the current file; raise BadRowError if it is known."""
        here = self._starts[-1] + index
        self._next = here + 1
        there = self._position.setdefault(clip_id, here)
        if there == here:
            return
        number = bisect_right(self._starts, there) - 1
        path = self._paths[number]
        # Lines are counted only once a row is wrong. Counting them for every row took time in the
        # square of the rows: a file without line breaks took more than ten minutes, and two seconds
        # now.
        if path not in self._lines:
            self._lines[path] = row_lines(read_text(path))
        line = self._lines[path][there - self._starts[number]]
        kind: ProblemKind = "duplicate-id" if number == len(self._paths) - 1 else "two-splits"
        raise BadRowError(f'id "{clip_id}" stands already at {path.name}:{line}', kind)


def _object(row: object) -> dict[str, object]:
    if not isinstance(row, dict):
        shown = "a list" if isinstance(row, list) else json.dumps(row)[:60]
        raise BadRowError(f"expected an object, found {shown}")
    return row


def _string(row: Mapping[str, object], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip() or not is_text(value):
        raise BadRowError(f'no "{key}" in the row of "{row.get("id")}"; expected a string')
    return value


def _with_more(captions: tuple[str, ...], more: object, clip_id: str) -> tuple[str, ...]:
    """Add the further captions of a row; each is kept once."""
    if not isinstance(more, list) or not all(
        isinstance(text, str) and text.strip() and is_text(text) for text in more
    ):
        raise BadRowError(f'"captions" of "{clip_id}" is not a list of strings')
    return tuple(dict.fromkeys((*captions, *more)))
