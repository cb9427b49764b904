"""Pack a dataset's clips into a frame store by several processes; a stopped packing goes on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from importlib.metadata import version
from itertools import islice, takewhile
from math import ceil
from pathlib import Path
from typing import Literal

from taskgrain.data import packed
from taskgrain.data.decode import FRAME_RATE, Fit
from taskgrain.data.files import write_text
from taskgrain.data.inspect import inspect_clip
from taskgrain.data.manifest import ClipRecord
from taskgrain.data.opening import read_manifest
from taskgrain.data.packed import PackedClip, StoreFacts, clips_of, open_store, shard_size
from taskgrain.data.store import (
    DECODE_SECONDS,
    Encoding,
    FrameFormat,
    frames_path,
    shard_index,
    verify_shard,
    write_shard,
)
from taskgrain.data.videos import printable
from taskgrain.errors import ClipError, ManifestError, RunError
from taskgrain.jobs.executor import Cell, Worker
from taskgrain.jobs.workspace import compute, refuse_others, workspace
from taskgrain.version import package_version

STATE = ".packing"  # removed once the store is whole
LIBRARIES = ("av", "numpy", "opencv-python-headless")  # what a frame's values depend on
SAMPLED_CLIPS = 16  # from which the size of a store is estimated
VERIFY_SECONDS = 0.001  # a clip's checksum
RAW_BYTES = 8 * 2**30
"""Up to this size `auto` keeps raw pixels: so much stays in the memory of most machines, where raw
frames are read at once; a larger store is read from the disk, of which JPEG needs a tenth."""


@dataclass(frozen=True, slots=True)
class PackSettings:
    """How frames are kept."""

    height: int = 128  # pixels
    width: int = 128
    encoding: Literal["auto", "raw", "jpeg"] = "auto"
    quality: int = 90  # of JPEG, 1 to 100
    fit: Fit = "stretch"


@dataclass(frozen=True, slots=True)
class PackSummary:
    """A packed store, and counts of its packing."""

    facts: StoreFacts
    frames: int
    bytes: int  # of all frames, as they are stored
    failed: int  # clips
    truncated: int  # clips
    damaged: tuple[str, ...]  # shards that --verify found, and that were packed again
    packed_shards: int  # by this call; the others were there
    seconds: float

    def to_json(self) -> dict[str, object]:
        """Write as one object: the store's facts, and the numbers beside them."""
        numbers = {field.name: getattr(self, field.name) for field in fields(self)[1:]}
        return {**asdict(self.facts), **numbers, "seconds": round(self.seconds, 1)}


def pack_dataset(
    root: Path,
    folder: Path,
    settings: PackSettings,
    *,
    workers: int | None = None,
    verify: bool = False,
    quiet: bool = False,
) -> PackSummary:
    """Decode every annotated clip of a dataset into the store `folder`, or go on with that store.

    A clip whose video or exclusion has changed since is packed again, with its shard.

    Args:
        root: of the dataset.
        folder: of the store; made if it is not there.
        settings: how frames are kept; a store that was begun keeps to its own.
        workers: processes, one thread each; None is one a core. Never changes a byte.
        verify: recompute the checksums of what is there, and pack damaged shards again; mend a
            list of clips that is not whole.
        quiet: whether to keep silent.

    Raises:
        ManifestError: if the annotations cannot be read.
        RunError: if the folder holds anything else, or a store with other settings or clips.
        StoppedError: after Ctrl-C; the same call goes on from there.
    """
    started = time.monotonic()
    records = read_manifest(root).records
    with workspace(folder, tidy=True):
        facts, mended = _claim(folder, root, records, settings, verify)
        del records  # the store knows its clips: what is kept here does not grow with their number
        work = _Packing(folder, root, facts, workers, quiet)
        with _state(folder):
            damaged = (*mended, *work.verify()) if verify else ()
            num_packed = work.pack()
    return _summary(folder, damaged, num_packed, time.monotonic() - started)


@dataclass(frozen=True, slots=True)
class _Packing:
    folder: Path
    root: Path
    facts: StoreFacts
    workers: int | None
    quiet: bool

    def verify(self) -> tuple[str, ...]:
        """Recompute the checksums of the shards that are there; remove and name the damaged."""
        there = [n for n in range(self.facts.shards) if shard_index(self.folder, n).is_file()]
        verdicts = {n: self._state(f"{n:05d}.verdict") for n in there}
        cost = VERIFY_SECONDS * self.facts.clips_per_shard
        self._run(
            Cell(
                f"prepare verifying {n:05d}",
                partial(_verify, folder=self.folder, shard=n, verdict=verdict),
                cost,
                self._state(f"{n:05d}.verified"),
                verdict,
            )
            for n, verdict in verdicts.items()
        )
        problems = (path.read_text(encoding="utf-8") for path in verdicts.values())
        return tuple(problem for problem in problems if problem)

    def pack(self) -> int:
        """Write the shards that are not there; return their number."""
        missing = [n for n in range(self.facts.shards) if not shard_index(self.folder, n).is_file()]
        if missing:
            self._note_libraries()
        # Where each shard's clips begin in the list of all, so that a worker reads those alone.
        offsets = packed.shard_offsets(self.folder, self.facts.clips_per_shard)
        self._run(self._cell(number, offsets[number]) for number in missing)
        return len(missing)

    def _cell(self, number: int, offset: int) -> Cell:
        shard = _Shard(self.folder, self.root, number, offset, self.facts)
        return Cell(
            f"prepare packing {number:05d}",
            partial(_pack, shard=shard),
            DECODE_SECONDS * self.facts.clips_per_shard,
            self._state(f"{number:05d}.packed"),
            shard_index(self.folder, number),
        )

    def _run(self, cells: Iterator[Cell]) -> None:
        compute(cells, self._state("timings.jsonl"), workers=self.workers, quiet=self.quiet)

    def _note_libraries(self) -> None:
        """Add the versions of now to the store's facts, if other ones began it."""
        now = {name: version(name) for name in LIBRARIES}
        if now not in self.facts.libraries:
            libraries = (*self.facts.libraries, now)
            packed.write_facts(self.folder, replace(self.facts, libraries=libraries))

    def _state(self, name: str) -> Path:
        return self.folder / STATE / name


def _verify(worker: Worker, folder: Path, shard: int, verdict: Path) -> None:
    # Cells run in other processes, so that what one finds is a file.
    problem = verify_shard(folder, shard)
    if problem is not None:
        _remove(folder, shard)
    write_text(verdict, printable(problem or ""))


@dataclass(frozen=True, slots=True)
class _Shard:
    folder: Path
    root: Path  # of the dataset
    number: int
    offset: int  # of its clips in the list of all
    facts: StoreFacts


def _pack(worker: Worker, shard: _Shard) -> None:
    facts = shard.facts
    clips = islice(packed.read_clips(shard.folder, shard.offset), facts.clips_per_shard)
    write_shard(
        shard.folder,
        shard.number,
        [clip.record(shard.root) for clip in clips],
        FrameFormat(facts.height, facts.width, facts.stored_as, facts.fit),
    )


def _remove(folder: Path, shard: int) -> None:
    """Remove a shard: its index first, without which its frames count for nothing."""
    shard_index(folder, shard).unlink(missing_ok=True)
    frames_path(folder, shard).unlink(missing_ok=True)


@contextmanager
def _state(folder: Path) -> Iterator[None]:
    """Keep marks while a call lasts: what a store lacks is seen in the store itself."""
    state = folder / STATE
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir()
    for left in folder.glob(".*.tmp"):
        left.unlink()  # half a file, of a process that was killed
    try:
        yield
    finally:
        shutil.rmtree(state, ignore_errors=True)


def _claim(
    folder: Path, root: Path, records: Sequence[ClipRecord], settings: PackSettings, verify: bool
) -> tuple[StoreFacts, tuple[str, ...]]:
    """Claim the store that is there, if it fits; begin a store in an empty folder.

    Returns:
        The store's facts, and what was mended in its list of clips.
    """
    clips = list(clips_of(records))
    if (folder / "store.json").is_file():
        facts = packed.read_facts(folder)
        _refuse_other_settings(folder, facts, settings)
        mended = _mend_clips(folder, root, facts, records, clips) if verify else ()
        _adopt_changes(folder, root, facts, clips)
        return facts, mended
    refuse_others(folder, ours=(STATE, "clips.jsonl"), more=", or the store of the same dataset")
    if not clips:
        raise ManifestError(f"{root}: holds no annotated clip to pack")
    facts = _begin(records, settings)
    packed.write_clips(folder, clips)
    packed.write_facts(folder, facts)  # last: a store is begun once it says what it is
    return facts, ()


def _begin(records: Sequence[ClipRecord], settings: PackSettings) -> StoreFacts:
    encoding = settings.encoding
    if encoding == "auto":
        estimate = _num_frames(records) * settings.height * settings.width * 3
        encoding = "raw" if estimate <= RAW_BYTES else "jpeg"
    size = shard_size(len(records))
    stored = Encoding(settings.quality if encoding == "jpeg" else None)
    return StoreFacts(
        format=1,
        taskgrain=package_version(),
        height=settings.height,
        width=settings.width,
        encoding=stored.name,
        quality=stored.quality,
        fit=settings.fit,
        frame_rate=FRAME_RATE,
        clips=len(records),
        clips_per_shard=size,
        shards=ceil(len(records) / size),
        fingerprint=packed.fingerprint(records),
        libraries=({name: version(name) for name in LIBRARIES},),
    )


def _num_frames(records: Sequence[ClipRecord]) -> float:
    """Estimate the frames of all clips from a few that are spread over the dataset."""
    step = max(1, len(records) // SAMPLED_CLIPS)
    lengths = []
    for record in records[::step]:
        try:
            if record.excluded is None:
                lengths.append(inspect_clip(record.path).seconds * FRAME_RATE)
        except ClipError:
            continue
    return len(records) * sum(lengths) / len(lengths) if lengths else 0.0


def _refuse_other_settings(folder: Path, facts: StoreFacts, settings: PackSettings) -> None:
    pairs: list[tuple[str, object, object]] = [
        ("height", facts.height, settings.height),
        ("width", facts.width, settings.width),
        ("fit", facts.fit, settings.fit),
        ("frame rate", facts.frame_rate, FRAME_RATE),
    ]
    if settings.encoding != "auto":
        pairs.append(("encoding", facts.encoding, settings.encoding))
    if facts.encoding == "jpeg" and settings.encoding != "raw":
        pairs.append(("quality", facts.quality, settings.quality))
    changed = [f"{name} {held}, not {wanted}" for name, held, wanted in pairs if held != wanted]
    if changed:
        raise RunError(
            f"{folder} was begun with {'; '.join(changed)}: give its own settings to go on with "
            "it, or choose another folder"
        )


def _adopt_changes(
    folder: Path, root: Path, facts: StoreFacts, clips: Sequence[PackedClip]
) -> None:
    """Refuse other clips; drop the shards of those whose video or exclusion has changed."""
    held = list(packed.read_clips(folder))
    if len(held) != facts.clips:
        raise RunError(
            f"{folder / 'clips.jsonl'}: {len(held)} clips, expected {facts.clips}; give the "
            "command with --verify"
        )
    if [(clip.clip, clip.file) for clip in held] != [(clip.clip, clip.file) for clip in clips]:
        raise RunError(
            f"{folder} was packed from other annotations than {root} has now: "
            f"{packed.difference(held, clips)}; choose another folder, or remove it"
        )
    pairs = enumerate(zip(held, clips, strict=True))
    changed = {place // facts.clips_per_shard for place, (old, new) in pairs if old != new}
    for shard in sorted(changed):
        _remove(folder, shard)
    if changed:
        # After the shards: a process killed in between finds the same change again.
        packed.write_clips(folder, clips)


def _mend_clips(
    folder: Path,
    root: Path,
    facts: StoreFacts,
    records: Sequence[ClipRecord],
    clips: Sequence[PackedClip],
) -> tuple[str, ...]:
    """Write the list of clips anew if it is damaged; drop the shards whose clips were lost from it.

    Their videos may have changed since they were packed, which can no longer be known.
    """
    held = packed.readable_clips(folder)
    if len(held) == facts.clips:
        return ()
    if packed.fingerprint(records) != facts.fingerprint:
        raise RunError(
            f"{folder / 'clips.jsonl'} is not whole, and {root} has other annotations than the "
            "store was packed from; give it those, or remove the folder and pack again"
        )
    same = (a.clip == b.clip and a.file == b.file for a, b in zip(held, clips, strict=False))
    # Up to the first line that was lost: those after it are no longer at their clips' places.
    known = sum(takewhile(bool, same))
    for shard in range(known // facts.clips_per_shard, facts.shards):
        _remove(folder, shard)
    packed.write_clips(folder, [*held[:known], *clips[known:]])
    return (f"{folder / 'clips.jsonl'}: {known} of {facts.clips} clips could be read",)


def _summary(
    folder: Path, damaged: tuple[str, ...], num_packed: int, seconds: float
) -> PackSummary:
    store, facts = open_store(folder), packed.read_facts(folder)
    clips = (clip.clip for clip in packed.read_clips(folder))
    states = [entry.state for entry in store.ledger]
    return PackSummary(
        facts=facts,
        frames=sum(store.num_frames(clip) for clip in clips if clip in store),
        bytes=sum(frames_path(folder, shard).stat().st_size for shard in range(facts.shards)),
        failed=states.count("failed"),
        truncated=states.count("truncated"),
        damaged=damaged,
        packed_shards=num_packed,
        seconds=seconds,
    )
