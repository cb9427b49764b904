"""Check a dataset: is every clip there, whole, in one split? By several processes, resumable."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from taskgrain.data.companions import LEDGER, LedgerLine, read_ledger
from taskgrain.data.files import write_text
from taskgrain.data.manifest import Reading, Split
from taskgrain.data.opening import read_dataset
from taskgrain.data.videos import printable, stamp_of
from taskgrain.errors import RunError
from taskgrain.jobs.executor import Cell
from taskgrain.jobs.workspace import LOCK, compute, reading_mark, workspace
from taskgrain.tools.check.files import (
    INSPECT_SECONDS,
    FactsFolder,
    FileFacts,
    find_unnamed,
    inspect_bucket,
    left_out,
)
from taskgrain.tools.check.report import (
    CheckReport,
    ContentTally,
    FaultKind,
    Findings,
    LevelCounts,
    NoteKind,
    VideoCounts,
    VideoTally,
    count_levels,
    note_captions,
    note_content,
    note_odd,
)

STATE = Path(".taskgrain", "check")  # below a dataset, or a folder of the user's
CLAIM = "claim.json"
ADVICE = "choose with --out a folder for what the check keeps and for its ledger"


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
    folder = CheckFolder.of(root, out)
    folder.refuse_foreign()  # before the lock, which is a file in the folder already
    with workspace(folder.state, advice=ADVICE):
        folder.claim()
        facts = FactsFolder.sized(folder.state, len(clips.ids))
        work = _plan(facts, clips, root)
        run_inspection(facts, work.cells, workers=workers, quiet=quiet)
        facts.drop_older()
        # From the facts on the disk: whether this call or one that was killed decoded a file, the
        # report is the same.
        lines, videos = _tally(clips, facts, work.missing, findings)
        unnamed = find_unnamed(root, frozenset(clips.files))
        for number, file in enumerate(unnamed.videos):
            findings.note("unnamed-video", number, file)
        for number, each in enumerate(left_out(root, unnamed)):
            kind: NoteKind = "left-out" if each.is_footage else "other-file"
            findings.note(kind, number, each.where, each.text)
        # Last of all: a check that is killed leaves the ledger of the one before.
        if folder.source is None and not ledger.is_readable:
            written: Path | None = folder.ledger  # a line that cannot be read may be by hand
        else:
            written = folder.write_ledger(ledger.text(lines))
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
    """What is kept of the annotations while the videos are decoded."""

    layout: str
    levels: Mapping[str, LevelCounts]
    clips: _Clips
    notes: tuple[str, ...]


def _read(root: Path, ledger: HeldLedger, findings: Findings) -> _Read:
    """Read the annotations, and note what is wrong or odd in them; no video is opened."""
    reading = read_dataset(root)
    for position, problem in enumerate(reading.problems):
        findings.fault(problem.kind, position, problem.where, problem.text)
    for position, folder in enumerate(reading.closed):
        findings.fault("closed", position, folder)
    levels = count_levels(reading, findings)
    note_captions(reading, findings)
    known = {*(record.clip_id for record in reading.records), *reading.test_ids}
    for position, line in enumerate(ledger.by_hand.values()):
        if line.clip not in known:
            findings.note("unknown-clip", position, line.clip, line.problem)
    notes = tuple(map(printable, reading.notes))
    return _Read(reading.layout, levels, _Clips.of(reading, ledger.by_hand), notes)


# Column by column, and arrays in `report`: of 200,000 clips plain records took 281 MB while the
# videos are decoded, instead of 140 (docs/log.md, "The house").
@dataclass(frozen=True, slots=True)
class _Clips:
    """The clips of a dataset, column by column: annotated ones first, then those of test."""

    ids: Sequence[str]
    files: Sequence[str]  # relative to the root
    splits: Sequence[Split]
    excluded: Mapping[int, str]  # position -> why; these are not looked at
    num_annotated: int

    @classmethod
    def of(cls, reading: Reading, by_hand: Mapping[str, LedgerLine]) -> _Clips:
        ids = [record.clip_id for record in reading.records]
        excluded = {
            position: by_hand[clip_id].problem
            for position, clip_id in enumerate(ids)
            if clip_id in by_hand and by_hand[clip_id].state != "truncated"
        }
        files = [record.file for record in reading.records]
        splits = [record.split for record in reading.records]
        ids += reading.test_ids
        files += reading.test_files
        splits += [Split.TEST] * len(reading.test_ids)
        return cls(ids, files, splits, excluded, len(reading.records))

    def by_bucket(self, facts: FactsFolder) -> Iterator[tuple[int, list[int]]]:
        """Yield each bucket that has clips, and their positions."""
        bucket = np.array([facts.bucket_of(file) for file in self.files], np.int64)
        order = np.argsort(bucket, kind="stable")
        starts = np.flatnonzero(np.diff(bucket[order], prepend=-1))
        for positions in np.split(order, starts[1:]) if len(order) else []:
            kept = [position for position in positions.tolist() if position not in self.excluded]
            if kept:
                yield int(bucket[positions[0]]), kept


@dataclass(frozen=True, slots=True)
class _Plan:
    cells: list[Cell]
    missing: set[int]  # positions of clips without a file
    num_stale: int  # files
    num_known: int


def _plan(facts: FactsFolder, clips: _Clips, root: Path) -> _Plan:
    """Find the files that are missing, and those that have to be decoded."""
    plan: list[Cell] = []
    missing: set[int] = set()
    num_stale = num_known = 0
    for bucket, positions in clips.by_bucket(facts):
        files = tuple(dict.fromkeys(clips.files[position] for position in positions))
        known = facts.read(bucket, frozenset(files))
        stamps = {file: stamp_of(root / file) for file in files}
        there = [file for file, stamp in stamps.items() if stamp is not None]
        stale = [f for f in there if f not in known or known[f].stamp != stamps[f]]
        missing.update(position for position in positions if stamps[clips.files[position]] is None)
        num_stale += len(stale)
        num_known += len(there) - len(stale)
        # Without stale files too, where a dataset has grown to more buckets: what is known lies in
        # the older ones then, and is written into this one.
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
    """Go through the facts twice: which clips are odd is known only after all were counted."""
    lines = _missing(missing, clips, findings)
    for position, why in clips.excluded.items():
        findings.note("excluded", position, clips.ids[position], why)
    tally, contents = VideoTally(), ContentTally()
    for position, file in _facts(clips, facts, missing):
        tally.add(file)
        contents.add(file, position)
    usual = tally.counts()
    for position, file in _facts(clips, facts, missing):
        clip_id = clips.ids[position]
        if file.state != "whole":
            kind: FaultKind = "undecodable" if file.state == "failed" else "truncated"
            problem = file.problem or "no reason is known"
            findings.fault(kind, position, clip_id, problem)
            line = LedgerLine(
                clip_id, file.state, problem, file.bytes, by_hand=False, changed=file.changed
            )
            lines.append((position, line))
        if file.state != "failed" and usual is not None:
            note_odd(file, usual, position, clip_id, findings)
    note_content(contents.groups(), clips.ids, clips.splits, findings)
    lines.sort(key=lambda line: line[0])
    return [line for _, line in lines], usual


def _missing(missing: set[int], clips: _Clips, findings: Findings) -> list[tuple[int, LedgerLine]]:
    """List the clips without a file; only annotated clips are faults, as no others are used."""
    lines = []
    for position in sorted(missing):
        clip_id, problem = clips.ids[position], f"{clips.files[position]}: no such file"
        if position < clips.num_annotated:
            findings.fault("missing", position, clip_id, problem)
            lines.append((position, LedgerLine(clip_id, "failed", problem, None, by_hand=False)))
        else:
            findings.note("missing-test", position, clip_id, problem)
    return lines


def _facts(clips: _Clips, facts: FactsFolder, missing: set[int]) -> Iterator[tuple[int, FileFacts]]:
    """Yield the position of each clip that has a file, and the facts of the file."""
    for bucket, positions in clips.by_bucket(facts):
        known = facts.read(bucket, frozenset(clips.files[position] for position in positions))
        for position in positions:
            file = clips.files[position]
            if position not in missing and file in known:
                yield position, known[file]


@dataclass(frozen=True, slots=True)
class CheckFolder:
    """The files of one check. Nothing outside `state` is removed, but a ledger that it wrote."""

    state: Path
    ledger: Path
    source: str | None  # the dataset that the folder is claimed for; None in the dataset itself

    @classmethod
    def of(cls, root: Path, out: Path | None) -> CheckFolder:
        """Choose the files of a dataset's check, in the dataset or in the folder `out`."""
        if out is None or out.resolve() == root.resolve():
            return cls(root / STATE, root / LEDGER, None)
        return cls(out / STATE, out / LEDGER, str(root.resolve()))

    def refuse_foreign(self) -> None:
        """Refuse the folder of another dataset, before anything is written into it.

        Raises:
            RunError: where `claim` raises it.
        """
        self._claimed()

    def claim(self) -> None:
        """Claim the folder, which is locked, for the dataset.

        Raises:
            RunError: if another dataset's check is there, or a ledger that this one did not write.
        """
        if self.source is not None:
            self._write_claim(self._claimed())

    def write_ledger(self, text: str) -> Path | None:
        """Write the ledger; one that would be empty is removed.

        Returns:
            Its path, or None where there is none afterwards.
        """
        if self.source is not None:
            # Before the ledger: a process killed in between knows either one for its own.
            held = [_digest(self.ledger.read_bytes())] if self.ledger.is_file() else []
            self._write_claim([*held, _digest(text.encode())])
        if not text:
            self.ledger.unlink(missing_ok=True)
            return None
        write_text(self.ledger, text)
        return self.ledger

    def _claimed(self) -> list[str]:
        """Return the hashes of the ledgers that this dataset's check wrote here."""
        if self.source is None:
            return []
        path = self.state / CLAIM
        folder = self.ledger.parent
        ledgers: list[str] = []
        if path.is_file():
            with reading_mark(path):
                held = json.loads(path.read_text(encoding="utf-8"))
                source, ledgers = str(held["data"]), [str(each) for each in held["ledgers"]]
            if source != self.source:
                raise RunError(
                    f"{folder} holds the check of {source}; choose another folder for {self.source}"
                )
        elif self.state.is_dir() and any(each.name != LOCK for each in self.state.iterdir()):
            raise RunError(f"{folder} holds a check of its own; choose another folder with --out")
        if self.ledger.exists() and (
            not self.ledger.is_file() or _digest(self.ledger.read_bytes()) not in ledgers
        ):
            raise RunError(
                f"{self.ledger} is not as a check of {self.source} wrote it; move it away, or "
                "choose another folder with --out"
            )
        return ledgers

    def _write_claim(self, ledgers: list[str]) -> None:
        claim = {"data": self.source, "ledgers": ledgers}
        write_text(self.state / CLAIM, json.dumps(claim) + "\n")


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class HeldLedger:
    """The ledger of a dataset before a check."""

    by_hand: Mapping[str, LedgerLine]  # clip -> its line
    is_readable: bool  # every line of it

    @classmethod
    def below(cls, root: Path) -> HeldLedger:
        """Read the ledger of a dataset; without one nothing is held."""
        lines, problems = read_ledger(root)
        return cls({line.clip: line for line in lines if line.by_hand}, not problems)

    def text(self, found: Sequence[LedgerLine]) -> str:
        """Write what a check found, after the lines written by hand, which replace its own.

        Args:
            found: a line for each clip at fault, in the order of the dataset.

        Returns:
            The ledger to write; empty where no clip is in it.
        """
        lines = [*self.by_hand.values(), *(x for x in found if x.clip not in self.by_hand)]
        return "".join(json.dumps(line.to_json(), ensure_ascii=False) + "\n" for line in lines)
