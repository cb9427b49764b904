"""Read tables of clips: CSV, TSV, JSON lines or a JSON list, with a header or without.

Every file of rows that users bring is read here, so that separators, quotes, line ends and
encodings mean the same everywhere, and every row is known by "file:line".
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

from taskgrain.data.json_rows import (
    JsonRows,
    MalformedFileError,
    decode_text,
    parse_json,
    read_text,
)
from taskgrain.data.manifest import Problem, ProblemKind

JSON_LINES = (".jsonl", ".ndjson")
SEPARATORS = ("\t", ",", ";", "|")
HEAD_BYTES = 65_536  # of a file that is looked at to recognise it
LOOKED_AT = 50  # lines by which the separator is chosen

_SEP_LINE = re.compile(r"\"?sep=(?P<separator>[\t,;|])\"?")  # as Excel writes it above a table
# `{"train": [...], "test": [...]}`: lists by split.
_LISTS = re.compile(r"\{\s*\"(?:train|val|dev|test)[a-z_ -]*\"\s*:\s*\[\s*(?=[\"{])", re.IGNORECASE)
_NO_WORD = re.compile(r"[\s-]+")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table with a header. A cell that is empty or null is absent."""

    where: str  # "file:line"
    cells: Mapping[str, object]  # by the name of the column, as `column_name` writes it

    def text(self, *names: str) -> str | None:
        """Return the first of some columns that is present, as text without space around it."""
        for name in names:
            value = self.cells.get(name)
            if isinstance(value, str) and value.strip():
                return value.strip()
            if isinstance(value, int) and not isinstance(value, bool):
                return str(value)
        return None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a table, cut into cells without space around them."""

    file: str
    number: int  # of the line on which it begins, 1 the first
    cells: Sequence[str]

    @property
    def where(self) -> str:
        """Return "file:line"."""
        return f"{self.file}:{self.number}"


@dataclass(frozen=True, slots=True)
class Head:
    """What the beginning of a file shows."""

    columns: tuple[str, ...]  # of CSV the first line's cells, of JSON the first object's keys
    lines: tuple[str, ...]  # the first lines that are not blank, whole


@lru_cache(1000)
def column_name(written: str) -> str:
    """Return the name under which a column is looked up: '"File Name"' is file_name."""
    return _NO_WORD.sub("_", written.strip().strip("\"'#").strip().lower())


def look_at(path: Path) -> Head:
    """Read the names of a file's columns and its first lines.

    A file that cannot be read, or holds no such table, has no columns.
    """
    try:
        with path.open("rb") as file:
            start = file.read(HEAD_BYTES)
    except OSError:
        return Head((), ())
    text = decode_text(start, errors="replace")
    written = text.split("\n")
    if len(start) == HEAD_BYTES:
        written = written[:-1] or [text]  # the last may be cut
    lines = [line.strip() for line in written if line.strip()]
    if path.suffix.lower() == ".json":
        return Head(_json_columns(text.lstrip()), ())
    if is_jsonl(path):
        return Head(_keys(lines[0]) if lines else (), ())
    lines = lines[1:] if lines and _SEP_LINE.fullmatch(lines[0]) else lines
    if not lines:
        return Head((), ())
    first = _parsed(lines[0], _dialect(lines[:LOOKED_AT]))
    return Head(tuple(map(column_name, first)), tuple(lines[:LOOKED_AT]))


def is_jsonl(path: Path) -> bool:
    """Whether a file is called as JSON lines are."""
    return path.suffix.lower() in JSON_LINES


def read_table(path: Path, problems: list[Problem]) -> Iterator[Row]:
    """Yield the rows of a file with a header; what cannot be read is added to `problems`."""
    try:
        if path.suffix.lower() == ".json":
            yield from _list_rows(path, problems)
        elif is_jsonl(path):
            for where, row in read_objects(path, problems):
                yield Row(where, _present(row))
        else:
            yield from _csv_rows(path, problems)
    except MalformedFileError as error:
        problems.append(error.problem)


def read_pairs(path: Path, problems: list[Problem]) -> Iterator[Line]:
    """Yield the cells of a file without a header, at most two a line.

    The second cell may hold the separator: "100;up; then down" has two cells.
    """
    lines = list(plain_lines(path, problems))
    separator = _dialect([line.cells[0] for line in lines[:LOOKED_AT]], most=2).separator
    for index, line in enumerate(lines):
        cells = [_unquoted(cell.strip()) for cell in line.cells[0].split(separator, 1)]
        # A first line whose cells are all known names of columns is a header after all.
        if index or not KNOWN_NAMES.issuperset(map(column_name, cells)):
            yield Line(line.file, line.number, cells)


def read_names(path: Path, problems: list[Problem]) -> Iterator[Line]:
    """Yield the lines of a file that holds one name a line, whatever the name holds."""
    for line in plain_lines(path, problems):
        yield Line(line.file, line.number, [_unquoted(line.cells[0])])


def plain_lines(path: Path, problems: list[Problem]) -> Iterator[Line]:
    """Yield every line of a text file that holds anything, whole and without space around it."""
    try:
        lines = read_text(path).split("\n")
    except MalformedFileError as error:
        problems.append(error.problem)
        return
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield Line(str(path), number, [line.strip()])


def read_lines(path: Path, problems: list[Problem]) -> Iterator[Line]:
    """Yield every line of a CSV file that holds anything, cut into cells.

    The separator is the one under which the first lines have known columns, or equally many
    cells; of several such, the one that comes first in the line.

    Raises:
        MalformedFileError: if the file is not text.
    """
    yield from cut_lines(read_text(path), str(path), problems)


def cut_lines(text: str, file: str, problems: list[Problem]) -> Iterator[Line]:
    """Yield every line of a CSV text that holds anything, as `read_lines` does.

    Args:
        text: with "\n" as its line ends.
        file: path of the file that holds it, for "file:line".
        problems: takes the line from which on the text is not CSV.
    """
    lines = text.split("\n")
    start = next((number for number, line in enumerate(lines) if line.strip()), 0)
    declared = _SEP_LINE.fullmatch(lines[start].strip())
    start += declared is not None
    shown = list(islice((line for line in lines[start:] if line.strip()), LOOKED_AT))
    dialect = Dialect(declared["separator"]) if declared else _dialect(shown)
    # A space between a closing quote and the separator would be an error.
    spaced = re.compile(rf"{dialect.quote} +(?={re.escape(dialect.separator)}|$)")
    reader = csv.reader(
        (
            f"{spaced.sub(dialect.quote, line) if dialect.quote in line else line}\n"
            for line in lines[start:]
        ),
        delimiter=dialect.separator,
        quotechar=dialect.quote,
        skipinitialspace=True,
        strict=True,  # a quote that is never closed would swallow the rows that follow
    )
    while True:
        number = start + 1 + reader.line_num
        try:
            cells = next(reader, None)
        except csv.Error as error:
            problems.append(Problem("malformed", f"{file}:{number}", f"not CSV: {error}"))
            return
        if cells is None:
            return
        stripped = [cell.strip() for cell in cells]
        if any(stripped):
            yield Line(file, number, stripped)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a line is cut into cells."""

    separator: str
    quote: str = '"'


# Names of columns that a first line may hold; any of them shows that it is a header.
KNOWN_NAMES = frozenset(
    (
        *("id", "clip", "clip_id", "video_id", "vid", "video", "video_name", "vid_name", "path"),
        *("file", "file_name", "filename", "filepath", "file_path", "video_path", "youtube_id"),
        *("label", "class", "category", "template", "action", "class_name", "label_name"),
        *("caption", "captions", "split", "subset", "group", "recording"),
    )
)


def _dialect(lines: Sequence[str], most: int = 1000) -> Dialect:
    """Choose the separator of some lines, the first of which may be a header.

    A line is cut into `most` cells; the last one then holds further separators.
    """
    first = lines[0] if lines else ""
    quote = "'" if first.startswith("'") and '"' not in first else '"'
    # Known names of columns decide; without any, lines that are cut into equally many cells.
    best, best_score = Dialect(",", quote), (-1, -1.0, 0)
    for separator in (*SEPARATORS, " "):
        dialect = Dialect(separator, quote)
        cells = _parsed(first, dialect)
        if len(cells) < 2 or (separator == " " and best_score[0] >= 0):
            continue
        width = min(len(cells), most)
        # Cells that hold the separator make lines longer, never equally long but by chance.
        alike = sum(min(len(_parsed(line, dialect)), most) == width for line in lines) / len(lines)
        if separator == " " and alike < 1:
            continue
        known = len(KNOWN_NAMES.intersection(map(column_name, cells)))
        score = (known, alike, -len(cells[0]))
        if score > best_score:
            best, best_score = dialect, score
    return best


def _parsed(line: str, dialect: Dialect) -> list[str]:
    """Cut one line into cells; empty ones at its end do not count."""
    try:
        rows = csv.reader(
            [line.strip()],
            delimiter=dialect.separator,
            quotechar=dialect.quote,
            skipinitialspace=True,
        )
        cells = [cell.strip() for cell in next(rows, [])]
    except csv.Error:
        return []
    return without_empty_end(cells, 1)


def without_empty_end(cells: list[str], width: int) -> list[str]:
    """Drop empty cells past a width: a line may end in separators."""
    while len(cells) > width and not cells[-1]:
        cells = cells[:-1]
    return cells


def _unquoted(cell: str) -> str:
    whole = len(cell) > 1 and cell[0] == cell[-1] == '"'
    return cell[1:-1].replace('""', '"').strip() if whole else cell


def _csv_rows(path: Path, problems: list[Problem]) -> Iterator[Row]:
    lines = read_lines(path, problems)
    first = next(lines, None)
    if first is None:
        return
    header = [column_name(cell) for cell in first.cells]
    for line in lines:
        cells = line.cells
        if len(cells) > len(header):
            cells = without_empty_end(list(cells), len(header))
        if len(cells) > len(header):
            text = (
                f"{len(cells)} cells, but the header has {len(header)}; put quotes around a cell "
                "that holds the separator"
            )
            problems.append(Problem("malformed", line.where, text))
            continue
        named = zip(header, cells, strict=False)
        yield Row(line.where, {name: cell for name, cell in named if cell and name})


def read_objects(
    path: Path,
    problems: list[Problem],
    expected: str = "an object",
    *,
    kind: ProblemKind = "malformed",
) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield "file:line" and the object of each line of a JSON lines file.

    Args:
        path: of the file; blank lines are left out.
        problems: takes each line that is not JSON or holds no object.
        expected: what a line should hold, for the text of a problem.
        kind: of such problems.

    Raises:
        MalformedFileError: if the file is not text.
    """
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.append(Problem(kind, where, f"not JSON: {error}"))
            continue
        if isinstance(row, dict):
            yield where, row
        else:
            problems.append(Problem(kind, where, f"expected {expected}"))


def _json_columns(text: str) -> tuple[str, ...]:
    """Return the columns of a JSON list of rows, or of an object of such lists by split."""
    lists = _LISTS.match(text)
    if lists is None:
        return _keys(text.removeprefix("[").lstrip())
    first = text[lists.end() :]
    return ("file", "split") if first.startswith('"') else (*_keys(first), "split")


def _list_rows(path: Path, problems: list[Problem]) -> Iterator[Row]:
    """Yield the objects of a JSON list, or of each list of an object, by split.

    Lines are counted once, for all of them.
    """
    if read_text(path).lstrip().startswith("{"):
        yield from _rows_by_split(path, problems)
        return
    file = JsonRows(path)
    for index, row in enumerate(file.rows):
        if isinstance(row, dict):
            yield Row(file.where(index), _present(row))
        else:
            problems.append(Problem("malformed", file.where(index), "expected an object"))


def _rows_by_split(path: Path, problems: list[Problem]) -> Iterator[Row]:
    """Yield the rows of `{"train": [...], "test": [...]}`: objects, or names of files."""
    lists = parse_json(read_text(path), path)
    assert isinstance(lists, dict)
    for split, rows in lists.items():
        if not isinstance(rows, list):
            problems.append(Problem("malformed", f"{path}: {split[:60]}", "expected a list"))
            continue
        for number, row in enumerate(rows, start=1):
            where = f"{path}: {split[:60]}, row {number}"
            if isinstance(row, dict):
                yield Row(where, {"split": split, **_present(row)})
            elif isinstance(row, str):
                yield Row(where, {"split": split, "file": row})
            else:
                problems.append(Problem("malformed", where, "expected an object or a file name"))


def _present(row: Mapping[str, object]) -> dict[str, object]:
    return {column_name(name): value for name, value in row.items() if value is not None}


def _keys(text: str) -> tuple[str, ...]:
    """Return the keys of the JSON object that a text begins with."""
    try:
        row, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return ()
    return tuple(map(column_name, row)) if isinstance(row, dict) else ()
