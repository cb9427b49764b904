"""The facts of a packed store: `store.json`, and the clips that it was packed from."""

from __future__ import annotations

import hashlib
import json
import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Literal

from taskgrain.config.checked import read_as
from taskgrain.data.decode import Fit
from taskgrain.data.files import atomic_path, write_text
from taskgrain.data.layouts.names import shown
from taskgrain.data.manifest import ClipRecord, Split
from taskgrain.data.store import CLIPS_PER_SHARD, Encoding, FrameStore, checksums, shard_index
from taskgrain.data.videos import stamp_of
from taskgrain.errors import RunError

Content = tuple[int | None, int, int]
"""Bytes of a clip's file, bytes of its frames as they are stored, and the CRC-32 of those.

Equal contents are equal clips; equal clips have other contents in stores of another encoding.
"""
SMALL_STORE_SHARDS = 32  # few clips make small shards, so that all workers end together
LEAST_CLIPS_PER_SHARD = 4


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """How a store was packed, and from what."""

    format: Literal[1]
    taskgrain: str  # the version that began it
    height: int  # pixels of a frame
    width: int
    encoding: Literal["raw", "jpeg"]
    quality: int | None  # of JPEG; None where raw
    fit: Fit
    frame_rate: int  # frames per second
    clips: int
    clips_per_shard: int
    shards: int
    fingerprint: str  # of the clips' ids and files, in their order
    libraries: tuple[Mapping[str, str], ...]  # each set of versions that packed a part of it

    @property
    def stored_as(self) -> Encoding:
        """The encoding, as `data.store` takes it."""
        return Encoding(self.quality)


def shard_size(num_clips: int) -> int:
    """Choose how many clips a shard holds, from the size of the dataset alone."""
    # Of the dataset alone, never of the number of workers: equal data have to give equal stores.
    even = ceil(num_clips / SMALL_STORE_SHARDS)
    return max(LEAST_CLIPS_PER_SHARD, min(CLIPS_PER_SHARD, even))


def open_store(folder: Path) -> FrameStore:
    """Open a packed store whole.

    Raises:
        RunError: if the folder is no store, or not packed to its end.
    """
    facts = read_facts(folder)
    missing = [n for n in range(facts.shards) if not shard_index(folder, n).is_file()]
    if missing:
        raise RunError(
            f"{folder}: {len(missing)} of {facts.shards} shards are not packed yet; give its "
            "`taskgrain pack` command again"
        )
    return FrameStore(folder, facts.shards)


def read_facts(folder: Path) -> StoreFacts:
    """Read how a store was packed.

    Raises:
        RunError: if the folder is no store, or one of another version.
    """
    path = folder / "store.json"
    try:
        return read_as(StoreFacts, json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise RunError(
            f"{folder}: not a packed store (no store.json); make one with `taskgrain pack`"
        ) from None
    except (ValueError, RecursionError) as error:
        raise RunError(
            f"{path}: cannot be read ({error}); remove the folder, and pack again"
        ) from error


def write_facts(folder: Path, facts: StoreFacts) -> None:
    """Write how a store was packed."""
    write_text(folder / "store.json", json.dumps(asdict(facts), indent=1) + "\n")


@dataclass(frozen=True, slots=True)
class PackedClip:
    """A clip as it was when its frames were packed."""

    clip: str
    file: str  # relative to the dataset's root
    bytes: int | None  # of the file; None where there was none
    excluded: str | None  # by the dataset's ledger
    changed: int | None = None  # the file's time, in nanoseconds since 1970; None: no file

    def record(self, root: Path) -> ClipRecord:
        """Return as much of the clip's record as decoding it needs."""
        return ClipRecord(
            self.clip, Split.TRAIN, "", (), ("",), root, self.file, excluded=self.excluded
        )


def clips_of(records: Sequence[ClipRecord]) -> Iterator[PackedClip]:
    """Yield each clip as it is now, in the order of the annotations."""
    for record in records:
        stamp = stamp_of(record.path)
        size, changed = (None, None) if stamp is None else (stamp.bytes, stamp.changed)
        yield PackedClip(record.clip_id, record.file, size, record.excluded, changed)


def fingerprint(records: Sequence[ClipRecord]) -> str:
    """Hash the ids and files of the clips, in their order: what the places of a store depend on."""
    digest = hashlib.blake2b(digest_size=16)
    for record in records:
        # fsencode: the name of a file may hold bytes that are no text.
        digest.update(os.fsencode(f"{record.clip_id}\0{record.file}\n"))
    return digest.hexdigest()


def write_clips(folder: Path, clips: Sequence[PackedClip]) -> None:
    """Write the clips that a store is packed from, one a line."""
    with (
        atomic_path(folder / "clips.jsonl") as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as file,
    ):
        file.writelines(json.dumps(asdict(clip)) + "\n" for clip in clips)


def read_clips(folder: Path, offset: int = 0) -> Iterator[PackedClip]:
    """Yield the clips that a store is packed from, from a place in the list on.

    Raises:
        RunError: if the list cannot be read.
    """
    path = folder / "clips.jsonl"
    try:
        with path.open("rb") as file:
            file.seek(offset)
            for line in file:
                yield PackedClip(**json.loads(line))
    except (OSError, ValueError, TypeError) as error:
        raise RunError(
            f"{path}: cannot be read ({error}); give its `taskgrain pack` command with --verify"
        ) from error


def packed_contents(folder: Path) -> dict[str, Content]:
    """Return the content of each clip that has frames in a packed store: id -> content.

    Raises:
        RunError: if the store cannot be read.
    """
    size_of = {clip.clip: clip.bytes for clip in read_clips(folder)}
    return {
        clip_id: (size_of.get(clip_id), num_bytes, crc32)
        for clip_id, num_bytes, crc32 in checksums(folder, read_facts(folder).shards)
    }


def readable_clips(folder: Path) -> list[PackedClip]:
    """Read the clips up to the first that cannot be read; all of them where the list is whole."""
    clips: list[PackedClip] = []
    with suppress(RunError):
        clips.extend(read_clips(folder))
    return clips


def shard_offsets(folder: Path, clips_per_shard: int) -> array[int]:
    """Find the byte offset in the list of clips at which each shard's clips begin."""
    # The cell of a shard then reads its own lines alone, and memory does not grow with the clips.
    offsets, end = array("Q"), 0
    with (folder / "clips.jsonl").open("rb") as file:
        for number, line in enumerate(file):
            if number % clips_per_shard == 0:
                offsets.append(end)
            end += len(line)
    return offsets


def difference(held: Sequence[PackedClip], current: Sequence[PackedClip]) -> str:
    """Phrase how the annotations changed: clips that are new, gone, or in another file."""
    before = {clip.clip: clip.file for clip in held}
    now = {clip.clip: clip.file for clip in current}
    changes = [
        f"{len(ids)} clip{'s are' if len(ids) > 1 else ' is'} {what} ({shown(ids)})"
        for what, ids in (
            ("new", [clip for clip in now if clip not in before]),
            ("gone", [clip for clip in before if clip not in now]),
            ("in another file", [c for c, file in now.items() if before.get(c, file) != file]),
        )
        if ids
    ]
    return ", ".join(changes) or "the clips stand in another order"
