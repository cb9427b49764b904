"""Write a dataset of any layout as one of our own: annotations, and a link to every video."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from taskgrain.data.companions import FACTORS, HIERARCHY, LEDGER, bytes_of
from taskgrain.data.files import atomic_path, write_text
from taskgrain.data.manifest import ClipRecord, Manifest, Reading, Split
from taskgrain.data.videos import (
    absent_files,
    index_videos,
    is_video_name,
    printable,
    split_name,
)
from taskgrain.jobs.workspace import claim, refuse_within

MARK = Path(".taskgrain") / "import.json"  # says where a written dataset comes from
PLACED = Path(".taskgrain") / "videos.json"  # names of the videos that imports put there
COMPANIONS = (FACTORS, HIERARCHY, LEDGER)
NUM_SHOWN = 5  # first rows, and missing videos


@dataclass(frozen=True, slots=True)
class Outline:
    """What an import would write."""

    layout: str
    clips: dict[str, int]  # by split; test clips without annotation count as well
    classes: dict[str, int]  # by split
    num_found: int  # videos
    missing: tuple[str, ...]  # files of all the others
    first: tuple[ClipRecord, ...]
    notes: tuple[str, ...]
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """Return the outline as the command prints it with --json."""
        return {
            "layout": self.layout,
            "clips": self.clips,
            "classes": self.classes,
            "videos": {"found": self.num_found, "missing": len(self.missing)},
            "missing": list(self.missing[:NUM_SHOWN]),
            "first": [{**_row(record), "split": str(record.split)} for record in self.first],
            "notes": list(self.notes),
            "problems": list(self.problems),
        }


def outline(reading: Reading) -> Outline:
    """Outline what would be written; videos are looked up and not opened."""
    clips, classes = {}, {}
    for split in Split:
        records = reading.split(split)
        clips[str(split)] = len(records)
        classes[str(split)] = len({record.category for record in records})
    clips[str(Split.TEST)] += len(reading.test_ids)
    files = [record.file for record in reading.records] + list(reading.test_files)
    missing = tuple(map(printable, absent_files(reading.root, files)))
    return Outline(
        reading.layout,
        clips,
        classes,
        len(files) - len(missing),
        missing,
        reading.records[:NUM_SHOWN],
        tuple(map(printable, reading.notes)),
        tuple(printable(str(problem)) for problem in reading.problems),
    )


def write_dataset(
    manifest: Manifest,
    folder: Path,
    *,
    copy: bool = False,
    advance: Callable[[int], None] | None = None,
) -> None:
    """Write a dataset into a folder that is empty, or that holds the same one, perhaps in part.

    Videos become relative links, and companions of the annotations (factors, hierarchy, ledger)
    are copied. A video that is not there is left out; its row is written. What an earlier import
    put there and this one does not is removed; nothing else is.

    Args:
        manifest: of the dataset.
        folder: where it is written.
        copy: copy the videos in place of linking to them.
        advance: called after each clip with the number of clips done.

    Raises:
        RunError: if the folder holds other files, or lies within the dataset.
    """
    refuse_within(folder, manifest.root)
    claim(folder, MARK, _mark(manifest.root), work="an import")
    videos = folder / "videos"
    videos.mkdir(exist_ok=True)
    _sweep(videos)
    _place_videos(manifest, folder, copy=copy, advance=advance)
    for name in COMPANIONS:
        _copy_companion(manifest.root / name, folder / name)
    names = manifest.taxonomy.categories
    labels = {name: str(index) for index, name in enumerate(names)}
    write_text(folder / "labels.json", json.dumps(labels, indent=1, ensure_ascii=False) + "\n")
    tested: list[dict[str, object]] = [_row(record) for record in manifest.split(Split.TEST)]
    tested += [{"id": clip_id} for clip_id in manifest.test_ids]
    if tested or (folder / "test.json").is_file():
        write_text(folder / "test.json", _rows(tested))
    # Training comes last: without it the folder is no dataset.
    for split in (Split.VALIDATION, Split.TRAIN):
        write_text(folder / f"{split}.json", _rows(map(_row, manifest.split(split))))


def _place_videos(
    manifest: Manifest, folder: Path, *, copy: bool, advance: Callable[[int], None] | None
) -> None:
    videos = folder / "videos"
    before = _placed(folder)
    named = {_video_name(clip_id, source) for clip_id, source in _sources(manifest)}
    # Before the first: an import that is stopped leaves nothing that the next does not know.
    _write_placed(folder, before | named)
    held = index_videos(videos)
    place, placed = _Placing(videos, copy), set()
    for number, (clip_id, source) in enumerate(_sources(manifest), start=1):
        name = _video_name(clip_id, source)
        # An earlier import may have put the clip there under another ending.
        if held.get(clip_id, name) != name:
            _remove(videos / held[clip_id])
        if place.put(source, name):
            placed.add(name)
        if advance is not None:
            advance(number)
    for name in before - placed:
        _remove(videos / name)
    _write_placed(folder, placed)


def _video_name(clip_id: str, source: Path) -> str:
    return clip_id if not is_video_name(source.name) else clip_id + split_name(source.name)[1]


def _placed(folder: Path) -> set[str]:
    """Read which videos earlier imports put there; an empty set if no list was kept."""
    try:
        names = json.loads((folder / PLACED).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return set()
    # What is listed may be removed: a damaged list must not name anything outside of the folder.
    return {
        name
        for name in (names if isinstance(names, list) else [])
        if isinstance(name, str) and name and name == Path(name).name
    }


def _write_placed(folder: Path, names: set[str]) -> None:
    write_text(folder / PLACED, json.dumps(sorted(names), ensure_ascii=False, indent=0) + "\n")


def _mark(root: Path) -> str:
    """Return the content of the mark of an import from `root`."""
    return printable(json.dumps({"source": str(root.resolve())}, ensure_ascii=False)) + "\n"


def _sources(manifest: Manifest) -> Iterator[tuple[str, Path]]:
    for record in manifest.records:
        yield record.clip_id, record.path
    for clip_id, file in zip(manifest.test_ids, manifest.test_files, strict=False):
        yield clip_id, manifest.root / file


class _Placing:
    """Put videos into a folder, each whole or not at all; what is there already stays."""

    def __init__(self, videos: Path, copy: bool) -> None:
        self._videos = videos
        self._copy = copy
        self._base = os.path.realpath(videos)
        self._parents: dict[Path, str] = {}  # as they are really called

    def put(self, source: Path, name: str) -> bool:
        """Link or copy a video; return whether the source exists."""
        if not source.exists():
            return False
        target = self._videos / name
        if not self._copy:
            self._link(source, target)
        elif not _is_copy(target, source):
            _remove(target)
            (_copy_folder if source.is_dir() else _copy_file)(source, target)
        return True

    def _link(self, source: Path, target: Path) -> None:
        parent = self._parents.get(source.parent)
        if parent is None:
            parent = self._parents[source.parent] = os.path.realpath(source.parent)
        wanted = os.path.relpath(Path(parent) / source.name, self._base)
        if target.is_symlink() and str(target.readlink()) == wanted:
            return
        _remove(target)
        target.symlink_to(wanted)


def _is_copy(target: Path, source: Path) -> bool:
    """Whether a video was copied before, and has not changed since."""
    if target.is_symlink() or bytes_of(target) != bytes_of(source):
        return False
    # In seconds: not every file system keeps more. A folder of frames is known by its bytes.
    return source.is_dir() or int(target.stat().st_mtime) == int(source.stat().st_mtime)


def _copy_file(source: Path, target: Path) -> None:
    with atomic_path(target, flush=False) as temporary:
        shutil.copy2(source, temporary)


def _copy_folder(source: Path, target: Path) -> None:
    # Named as half a file is, so that `_sweep` knows what a killed import left.
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.copytree(source, temporary)
    temporary.replace(target)


def _copy_companion(source: Path, target: Path) -> None:
    if source.is_file():
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
    else:
        target.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    """Remove what an earlier import put there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sweep(videos: Path) -> None:
    """Remove what a killed import left half written."""
    for path in videos.glob(".*.tmp"):
        _remove(path)


def _row(record: ClipRecord) -> dict[str, object]:
    row: dict[str, object] = {
        "id": record.clip_id,
        "label": record.caption,
        "template": record.template,
        "placeholders": list(record.placeholders),
    }
    if len(record.captions) > 1:
        row["captions"] = list(record.captions)
    return row


def _rows(rows: Iterable[object]) -> str:
    """Write a list with one row a line."""
    written: Sequence[str] = [json.dumps(row, ensure_ascii=False) for row in rows]
    return "[\n" + ",\n".join(written) + "\n]\n" if written else "[]\n"
