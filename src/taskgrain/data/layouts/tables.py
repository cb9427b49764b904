"""Read rows of CSV and JSONL files whatever their separator, each with the line it stands on."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from taskgrain.data.json_rows import MalformedFileError, read_text
from taskgrain.data.manifest import Problem

SEPARATORS = (",", ";", "\t")
HEAD_BYTES = 65_536  # of a file that is looked at to recognise it


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: what its columns hold. A cell that is empty or null is not there."""

    where: str  # "file:line"
    cells: Mapping[str, object]  # by the lower-case name of the column

    def text(self, *names: str) -> str | None:
        """Give the first of some columns that is there, as text without space around it."""
        for name in names:
            value = self.cells.get(name)
            if isinstance(value, str) and value.strip():
                return value.strip()
            if isinstance(value, int) and not isinstance(value, bool):
                return str(value)
        return None


def columns_of(path: Path) -> tuple[str, ...]:
    """Read the names of a file's columns, lower case: CSV's first line, JSONL's first object.

    Nothing where the file cannot be read: it is then none of ours.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES).decode("utf-8-sig", errors="replace")
    except OSError:
        return ()
    first = head.lstrip().split("\n", 1)[0].strip()
    if is_jsonl(path):
        try:
            row = json.loads(first)
        except (ValueError, RecursionError):
            return ()
        return tuple(name.lower() for name in row) if isinstance(row, dict) else ()
    return tuple(_header(first, _separator(first)))


def is_jsonl(path: Path) -> bool:
    """Whether a file is called as JSON lines are."""
    return path.suffix.lower() in (".jsonl", ".ndjson")


def read_table(path: Path, problems: list[Problem]) -> Iterator[TableRow]:
    """Give the rows of a file with a header; what cannot be read is added to `problems`."""
    try:
        text = read_text(path)
    except MalformedFileError as error:
        problems.append(error.problem)
        return
    yield from (_json_rows if is_jsonl(path) else _csv_rows)(path, text, problems)


def read_pairs(path: Path, problems: list[Problem]) -> Iterator[tuple[str, Sequence[str]]]:
    """Give "file:line" and the cells of each line of a file without a header, split at ";"."""
    try:
        text = read_text(path)
    except MalformedFileError as error:
        problems.append(error.problem)
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"{path}:{number}", [cell.strip() for cell in line.split(";", 1)]


def _separator(line: str) -> str:
    return max(SEPARATORS, key=line.count)


def _header(line: str, separator: str) -> list[str]:
    try:
        cells = next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return []
    return [cell.strip().lower() for cell in cells]


def _csv_rows(path: Path, text: str, problems: list[Problem]) -> Iterator[TableRow]:
    lines = text.split("\n")
    start = next((number for number, line in enumerate(lines) if line.strip()), 0)
    separator = _separator(lines[start])
    header = _header(lines[start], separator)
    reader = csv.reader(
        (f"{line}\n" for line in lines[start + 1 :]),
        delimiter=separator,
        skipinitialspace=True,
        strict=True,  # a quote that is never closed would swallow the rows that follow
    )
    while True:
        where = f"{path}:{start + 2 + reader.line_num}"
        try:
            cells = next(reader, None)
        except csv.Error as error:
            problems.append(Problem("malformed", where, f"not CSV: {error}"))
            return
        if cells is None:
            return
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(header):
            text = f"{len(cells)} cells, but the header has {len(header)}; quote a cell that holds "
            problems.append(Problem("malformed", where, f"{text}{separator!r}"))
            continue
        found = zip(header, cells, strict=False)
        yield TableRow(where, {name: cell for name, cell in found if cell.strip()})


def _json_rows(path: Path, text: str, problems: list[Problem]) -> Iterator[TableRow]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.append(Problem("malformed", where, f"not JSON: {error}"))
            continue
        if not isinstance(row, dict):
            problems.append(Problem("malformed", where, "expected an object"))
            continue
        yield TableRow(
            where, {key.lower(): value for key, value in row.items() if value is not None}
        )
