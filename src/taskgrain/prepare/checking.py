"""Check a dataset: is every clip there, whole, in one split? By several processes, resumable."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from taskgrain.data.ledger import LEDGER, LedgerLine
from taskgrain.data.manifest import Reading, Split
from taskgrain.data.opening import read_dataset
from taskgrain.data.videos import printable, stamp_of
from taskgrain.errors import RunError
from taskgrain.jobs.executor import Cell
from taskgrain.jobs.workspace import compute, workspace
from taskgrain.prepare.check_facts import (
    INSPECT_SECONDS,
    FactsFolder,
    FileFacts,
    inspect_bucket,
)
from taskgrain.prepare.check_ledger import HeldLedger
from taskgrain.prepare.check_place import ADVICE, CheckPlace
from taskgrain.prepare.check_report import (
    CheckReport,
    FaultKind,
    LevelCounts,
    NoteKind,
    VideoCounts,
)
from taskgrain.prepare.check_tally import (
    ContentTally,
    Findings,
    VideoTally,
    count_levels,
    note_captions,
    note_content,
    note_odd,
)
from taskgrain.prepare.check_texts import Texts
from taskgrain.prepare.check_unnamed import NamedFiles, find_unnamed, left_out


def check_dataset(
    root: Path, *, out: Path | None = None, workers: int | None = None, quiet: bool = False
) -> CheckReport:
    """Look at every row and decode every video of a dataset; list broken clips in its ledger.

    Files that were decoded before, and have the same size and time since, are not decoded again.

    Args:
        root: of the dataset, in any layout that `read_dataset` knows.
        out: folder for the ledger and, in `.taskgrain/check`, for what is kept between checks;
            of one dataset alone. None puts them into the dataset itself.
        workers: processes, one thread each; None is one a core. Never changes what is found.
        quiet: whether to keep silent.

    Raises:
        ManifestError: if nothing can be read.
        RunError: if the folder cannot be written, if `out` holds the check of another dataset or
            a ledger that this check did not write, or if another process checks the same dataset.
        StoppedError: after Ctrl-C; the same call goes on from there.
    """
    started = time.monotonic()
    findings, ledger = Findings(), HeldLedger.below(root)
    read = _read(root, ledger, findings)
    clips = read.clips
    place = CheckPlace.of(root, out)
    place.refuse_foreign()
    with workspace(place.state, advice=ADVICE):
        place.claim()
        facts = FactsFolder.sized(place.state, len(clips.ids))
        work = _plan(facts, clips, root)
        run_inspection(facts, work.cells, workers=workers, quiet=quiet)
        facts.drop_older()
        lines, videos = _tally(clips, facts, work.missing, findings)
        unnamed = find_unnamed(root, NamedFiles(clips.files))
        for number, file in enumerate(unnamed.videos):
            findings.note("unnamed-video", number, file)
        for number, each in enumerate(left_out(root, unnamed)):
            kind: NoteKind = "left-out" if each.is_footage else "other-file"
            findings.note(kind, number, each.where, each.text)
        if place.source is None and not ledger.is_readable:
            written: Path | None = place.ledger  # a line that cannot be read may be by hand
        else:
            written = place.write_ledger(ledger.text(lines))
    return CheckReport(
        data=printable(str(root)),
        layout=read.layout,
        clips={split.value: clips.splits.count(split) for split in Split},
        levels=read.levels,
        videos=videos,
        faults=findings.faults,
        notes=findings.notes,
        inspected=work.num_stale,
        known=work.num_known,
        ledger=None if written is None else printable(str(written)),
        seconds=time.monotonic() - started,
        reading=read.notes,
    )


@dataclass(frozen=True, slots=True)
class _Read:
    """What is kept of the annotations while the videos are looked at."""

    layout: str
    levels: Mapping[str, LevelCounts]
    clips: _Clips
    notes: tuple[str, ...]


def _read(root: Path, ledger: HeldLedger, findings: Findings) -> _Read:
    """Read the annotations, and say of them what can be said without a video."""
    reading = read_dataset(root)
    for place, problem in enumerate(reading.problems):
        findings.fault(problem.kind, place, problem.where, problem.text)
    for place, folder in enumerate(reading.closed):
        findings.fault("closed", place, folder)
    levels = count_levels(reading, findings)
    note_captions(reading, findings)
    known = {*(record.clip_id for record in reading.records), *reading.test_ids}
    for place, line in enumerate(ledger.by_hand.values()):
        if line.clip not in known:
            findings.note("unknown-clip", place, line.clip, line.problem)
    notes = tuple(map(printable, reading.notes))
    return _Read(reading.layout, levels, _Clips.of(reading, ledger.by_hand), notes)


@dataclass(frozen=True, slots=True)
class _Clips:
    """The clips of a dataset, column by column: annotated ones first, then those of test."""

    ids: Texts
    files: Texts  # relative to the root
    splits: Sequence[Split]
    excluded: Mapping[int, str]  # place -> why; these are not looked at
    num_annotated: int

    @classmethod
    def of(cls, reading: Reading, by_hand: Mapping[str, LedgerLine]) -> _Clips:
        ids = [record.clip_id for record in reading.records]
        excluded = {
            place: by_hand[clip_id].problem
            for place, clip_id in enumerate(ids)
            if clip_id in by_hand and by_hand[clip_id].state != "truncated"
        }
        files = [record.file for record in reading.records]
        splits = [record.split for record in reading.records]
        ids += reading.test_ids
        files += reading.test_files
        splits += [Split.TEST] * len(reading.test_ids)
        return cls(Texts(ids), Texts(files), splits, excluded, len(reading.records))

    def by_bucket(self, facts: FactsFolder) -> Iterator[tuple[int, list[int]]]:
        """Yield each bucket that has clips, and their places."""
        bucket = np.array([facts.bucket_of(file) for file in self.files], np.int64)
        order = np.argsort(bucket, kind="stable")
        starts = np.flatnonzero(np.diff(bucket[order], prepend=-1))
        for places in np.split(order, starts[1:]) if len(order) else []:
            kept = [place for place in places.tolist() if place not in self.excluded]
            if kept:
                yield int(bucket[places[0]]), kept


@dataclass(frozen=True, slots=True)
class _Plan:
    cells: list[Cell]
    missing: set[int]  # places of clips without a file
    num_stale: int  # files
    num_known: int


def _plan(facts: FactsFolder, clips: _Clips, root: Path) -> _Plan:
    """Find the files that are missing, and those that have to be decoded."""
    plan: list[Cell] = []
    missing: set[int] = set()
    num_stale = num_known = 0
    for bucket, places in clips.by_bucket(facts):
        files = tuple(dict.fromkeys(clips.files[place] for place in places))
        known = facts.read(bucket, frozenset(files))
        stamps = {file: stamp_of(root / file) for file in files}
        there = [file for file, stamp in stamps.items() if stamp is not None]
        stale = [f for f in there if f not in known or known[f].stamp != stamps[f]]
        missing.update(place for place in places if stamps[clips.files[place]] is None)
        num_stale += len(stale)
        num_known += len(there) - len(stale)
        if stale or (there and not facts.path(bucket).is_file()):
            cost = INSPECT_SECONDS * max(len(stale), 1)
            plan.append(_cell(facts, root, bucket, files, cost))
    return _Plan(plan, missing, num_stale, num_known)


def _cell(facts: FactsFolder, root: Path, bucket: int, files: tuple[str, ...], cost: float) -> Cell:
    return Cell(
        f"prepare checking {bucket:05d}",
        partial(inspect_bucket, root=root, facts=facts, bucket=bucket, files=files),
        cost,
        facts.folder / "marks" / f"{bucket:05d}.done",
        facts.path(bucket),
    )


def run_inspection(
    facts: FactsFolder, cells: Sequence[Cell], *, workers: int | None, quiet: bool
) -> None:
    """Run the cells of a check.

    Raises:
        RunError: if a worker died, with the files that may have been the reason.
        StoppedError: after Ctrl-C.
    """
    state = facts.folder
    marks = (state / "marks", facts.under_way)
    for folder in marks:
        shutil.rmtree(folder, ignore_errors=True)  # what is known is seen in the facts
    for left in state.glob("*/.*.tmp"):
        left.unlink()  # half a file, of a process that was killed
    try:
        compute(cells, state / "timings.jsonl", workers=workers, quiet=quiet)
    except RunError as error:
        files = sorted(os.fsdecode(path.read_bytes()) for path in facts.under_way.glob("*"))
        if not files:
            raise
        line = json.dumps({"clip": "ID", "state": "excluded", "problem": "the decoder dies of it"})
        raise RunError(
            f"{error}; under way was {' or '.join(files)}: if it happens again, leave that clip "
            f"out by the line {line} in {LEDGER}"
        ) from None
    for folder in marks:
        shutil.rmtree(folder, ignore_errors=True)
    (state / "timings.jsonl").unlink(missing_ok=True)


def _tally(
    clips: _Clips, facts: FactsFolder, missing: set[int], findings: Findings
) -> tuple[list[LedgerLine], VideoCounts | None]:
    """Go through the facts twice: only when all are counted is it known which are odd."""
    lines = _missing(missing, clips, findings)
    for place, why in clips.excluded.items():
        findings.note("excluded", place, clips.ids[place], why)
    tally, contents = VideoTally(), ContentTally()
    for place, found in _facts(clips, facts, missing):
        tally.add(found)
        contents.add(found, place)
    usual = tally.counts()
    for place, found in _facts(clips, facts, missing):
        clip_id = clips.ids[place]
        if found.state != "whole":
            kind: FaultKind = "undecodable" if found.state == "failed" else "truncated"
            problem = found.problem or "no reason is known"
            findings.fault(kind, place, clip_id, problem)
            line = LedgerLine(
                clip_id, found.state, problem, found.bytes, by_hand=False, changed=found.changed
            )
            lines.append((place, line))
        if found.state != "failed" and usual is not None:
            note_odd(found, usual, place, clip_id, findings)
    note_content(contents.groups(), clips.ids, clips.splits, findings)
    lines.sort(key=lambda line: line[0])
    return [line for _, line in lines], usual


def _missing(missing: set[int], clips: _Clips, findings: Findings) -> list[tuple[int, LedgerLine]]:
    """Name the clips without a file; only annotated ones are faults, as nothing else is used."""
    lines = []
    for place in sorted(missing):
        clip_id, problem = clips.ids[place], f"{clips.files[place]}: no such file"
        if place < clips.num_annotated:
            findings.fault("missing", place, clip_id, problem)
            lines.append((place, LedgerLine(clip_id, "failed", problem, None, by_hand=False)))
        else:
            findings.note("missing-test", place, clip_id, problem)
    return lines


def _facts(clips: _Clips, facts: FactsFolder, missing: set[int]) -> Iterator[tuple[int, FileFacts]]:
    """Yield the place of each clip that has a file, and what was found in that."""
    for bucket, places in clips.by_bucket(facts):
        known = facts.read(bucket, frozenset(clips.files[place] for place in places))
        for place in places:
            file = clips.files[place]
            if place not in missing and file in known:
                yield place, known[file]
