"""Write what a self-labelled target says of its clips and files, and read who belongs together."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from taskgrain.data.companions import FACTORS
from taskgrain.data.container import FRAME_RATE
from taskgrain.data.files import write_text
from taskgrain.data.json_rows import MalformedFileError, read_text
from taskgrain.data.manifest import Split
from taskgrain.errors import ManifestError, list_problems, nearest
from taskgrain.prepare.self_labelled_plan import FilePlan

FILES = "files.jsonl"  # one line a file of footage: what was cut from it, or why nothing was
HEADER = ("file", "group")


def write_rows(folder: Path, plans: Sequence[FilePlan], sides: tuple[str, str]) -> None:
    """Write train.json, validation.json, labels.json, factors.jsonl and files.jsonl."""
    rows: dict[Split, list[object]] = {Split.TRAIN: [], Split.VALIDATION: []}
    factors: list[object] = []
    for plan in plans:
        for start in plan.starts:
            assert plan.split is not None, "a file that is cut lies on one side"
            for clip, side in zip(plan.clip_ids(start, sides), sides, strict=True):
                row = {"id": clip, "label": side, "template": side, "placeholders": []}
                rows[plan.split].append(row)
                at = round(start / FRAME_RATE, 3)
                factors.append({"id": clip, "file": plan.footage.name, "start": at})
    write_text(folder / FILES, _lines(plan.to_json() for plan in plans))
    write_text(folder / FACTORS, _lines(factors))
    labels = {side: str(index) for index, side in enumerate(sides)}
    write_text(folder / "labels.json", json.dumps(labels, indent=1) + "\n")
    # Training comes last: without it the folder is no dataset.
    for split in (Split.VALIDATION, Split.TRAIN):
        text = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows[split])
        write_text(folder / f"{split}.json", f"[\n{text}\n]\n")


def _lines(rows: Iterable[object]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def read_groups(path: Path, files: Collection[str]) -> dict[str, str]:
    """Read a CSV of `file,group`, with or without that header: file -> group.

    Args:
        path: of the CSV.
        files: that there are, as they are called below their folder, with slashes.

    Raises:
        ManifestError: naming each line with an unknown file, a file twice or other than two cells.
    """
    try:
        text = read_text(path)
    except MalformedFileError as error:
        raise ManifestError(str(error.problem)) from None
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror}") from error
    known, groups, problems = set(files), dict[str, str](), list[str]()
    reader = csv.reader(io.StringIO(text))
    try:
        for cells in (tuple(cell.strip() for cell in cells) for cells in reader):
            where = f"{path}:{reader.line_num}"
            if not any(cells) or (not groups and cells == HEADER):
                continue
            if len(cells) != len(HEADER) or not all(cells):
                problems.append(f"{where}: {','.join(cells)!r}; expected file,group")
            elif cells[0] not in known:
                problems.append(f"{where}: no file {cells[0]!r}{nearest(cells[0], known)}")
            elif groups.setdefault(*cells) != cells[1]:
                problems.append(f"{where}: {cells[0]!r} is in group {groups[cells[0]]!r} already")
    except csv.Error as error:
        problems.append(f"{path}:{reader.line_num}: {error}")
    if problems:
        raise ManifestError(list_problems(problems))
    return groups
