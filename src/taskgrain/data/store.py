"""The frame store: clips decoded once, read as memory-mapped uint8, with a ledger of what failed.

A store is a folder of shards. Shard n is `n.frames` (raw uint8, the frames of its clips one after
the other) and `n.json` (its index: clip ids, frame counts, problems). A shard counts as written
once its index is there; each file appears whole or not at all.

Shapes: T frames of a clip, H W pixels of the store.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from taskgrain.data.decode import decode_clip
from taskgrain.data.files import atomic_path, write_text
from taskgrain.data.manifest import ClipRecord
from taskgrain.errors import ClipError, RunError

FORMAT = 1
CLIPS_PER_SHARD = 64  # a cell of a few seconds, so that both workers end together
DECODE_SECONDS = 0.005  # a small clip on one thread, for the plan
AGAIN = "remove the run's caches (taskgrain study ... --clean), then give the command again"
State = Literal["whole", "truncated", "failed"]


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A clip that could not be used, or of which only a part could."""

    clip_id: str
    state: State
    problem: str


@dataclass(frozen=True, slots=True)
class _Place:
    shard: int
    first: int  # frame of the shard at which the clip begins
    num_frames: int


def write_shard(
    folder: Path, shard: int, records: Sequence[ClipRecord], *, height: int, width: int
) -> None:
    """Decode the clips of one shard into the store; a clip that fails becomes a ledger entry."""
    index: list[dict[str, object]] = []
    frames_path = _frames_path(folder, shard)
    with atomic_path(frames_path, flush=False) as temporary, temporary.open("wb") as file:
        for record in records:
            try:
                clip = decode_clip(record.path, height=height, width=width)
            except ClipError as error:
                problem = str(error)
                index.append(_row(record, 0, "failed", problem))
                continue
            file.write(clip.frames.tobytes())
            state: State = "truncated" if clip.truncated else "whole"
            index.append(_row(record, len(clip.frames), state, clip.problem))
    stored = {"format": FORMAT, "height": height, "width": width, "clips": index}
    write_text(shard_index(folder, shard), json.dumps(stored, indent=0, ensure_ascii=False) + "\n")


def _row(
    record: ClipRecord, num_frames: int, state: State, problem: str | None
) -> dict[str, object]:
    row: dict[str, object] = {"id": record.clip_id, "frames": num_frames, "state": state}
    if problem:
        # The file's name is enough: a store may move, and equal stores are equal bytes.
        row["problem"] = problem.replace(str(record.path), record.path.name)
    return row


class FrameStore:
    """A written store, opened for reading."""

    def __init__(self, folder: Path, num_shards: int) -> None:
        """Open `num_shards` shards; frames are mapped, not read.

        Raises:
            RunError: if a shard is missing or not whole.
        """
        self.folder = folder
        self.ledger: list[LedgerEntry] = []
        self._places: dict[str, _Place] = {}
        self._shards: list[NDArray[np.uint8]] = []
        for shard in range(num_shards):
            self._open(shard)

    def _open(self, shard: int) -> None:
        path = shard_index(self.folder, shard)
        try:
            index = json.loads(path.read_text(encoding="utf-8"))
            height, width, clips = index["height"], index["width"], index["clips"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path}: not the index of a shard ({error}); {AGAIN}") from error
        first = 0
        for clip in clips:
            if clip["frames"]:
                self._places[clip["id"]] = _Place(shard, first, clip["frames"])
                first += clip["frames"]
            if clip["state"] != "whole":
                self.ledger.append(LedgerEntry(clip["id"], clip["state"], clip["problem"]))
        frames_path = _frames_path(self.folder, shard)
        wanted = first * height * width * 3
        found = frames_path.stat().st_size if frames_path.is_file() else 0
        if found != wanted:
            raise RunError(f"{frames_path}: {found} bytes, expected {wanted}; {AGAIN}")
        shape = (first, height, width, 3)
        self._shards.append(
            # A plain view: indexing the subclass costs more than copying a clip.
            np.memmap(frames_path, np.uint8, "r", shape=shape).view(np.ndarray)
            if first
            else np.zeros(shape, np.uint8)
        )

    def __contains__(self, clip_id: str) -> bool:
        return clip_id in self._places

    def num_frames(self, clip_id: str) -> int:
        """Frames stored of a clip."""
        return self._places[clip_id].num_frames

    def frames(self, clip_id: str) -> NDArray[np.uint8]:
        """Give a clip's frames: uint8 (T, H, W, 3), RGB, a view of the mapped file."""
        place = self._places[clip_id]
        return self._shards[place.shard][place.first : place.first + place.num_frames]


def _frames_path(folder: Path, shard: int) -> Path:
    return folder / f"{shard:05d}.frames"


def shard_index(folder: Path, shard: int) -> Path:
    """Name the index of a shard; the shard is written once it is there."""
    return folder / f"{shard:05d}.json"
