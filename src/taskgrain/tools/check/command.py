"""`taskgrain check`: is a dataset whole?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from taskgrain.tools.check.report import CheckReport, Entry, VideoCounts

EXIT_FAULTS = 1
SHOWN = 10  # entries of each kind


def check(
    data: Annotated[Path, typer.Argument(help="dataset folder")],
    out: Annotated[
        Path | None, typer.Option(help="folder for state and ledger [default: the dataset itself]")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="processes, one thread each [default: one a core]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the outcome as JSON")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="show no progress")] = False,
) -> None:
    """Look at every row and decode every video of a dataset; write its ledger of broken clips.

    Exit code 1 with faults, 0 without. A stopped check goes on where it was, and a file that has
    not changed since the last one is not decoded again.
    """
    from taskgrain.tools.check.checking import check_dataset

    report = check_dataset(data, out=out, workers=workers, quiet=quiet)
    print(json.dumps(report.to_json(), ensure_ascii=False) if as_json else _text(report))
    if not report.is_sound:
        raise typer.Exit(EXIT_FAULTS)


def _text(report: CheckReport) -> str:
    from taskgrain.tools.check.report import FAULTS, NOTES

    lines = [f"{report.data}: {sum(report.clips.values())} clips (layout {report.layout})", ""]
    lines += [*_counts(report), ""]
    if report.videos is not None:
        lines += [*_videos(report.videos), ""]
    for kind, found in report.faults.items():
        what, remedy = FAULTS[kind]
        lines.append(f"FAULT  {kind}: {what}: {found.count}; {remedy}")
        lines += _entries(found.entries(), found.count)
    for note, found in report.notes.items():
        lines.append(f"note   {note}: {NOTES[note]}: {found.count}")
        lines += _entries(found.entries(), found.count)
    lines += [f"read   {note}" for note in report.reading]
    if report.faults or report.notes or report.reading:
        lines.append("")
    return "\n".join([*lines, *_end(report)])


def _counts(report: CheckReport) -> list[str]:
    lines = [f"{'':<24} {'names':>7} {'train':>8} {'validation':>11} {'test':>8}"]
    clips = report.clips
    lines.append(
        f"{'clips':<24} {'':>7} {clips['train']:>8} {clips['validation']:>11} {clips['test']:>8}"
    )
    for name, level in report.levels.items():
        line = f"{name:<24} {level.names:>7} {level.train:>8} {level.validation:>11}"
        if level.largest is not None and level.smallest is not None:
            line += (
                f"{'':>9}  {level.smallest[1]} to {level.largest[1]} training clips a name, "
                f"as good as {level.effective:.1f} equal ones"
            )
        lines.append(line)
    return lines


def _videos(videos: VideoCounts) -> list[str]:
    rate = "" if videos.frame_rate is None else f" at {videos.frame_rate:g} frames a second"
    return [
        f"{videos.clips} videos decoded: {videos.frames} frames, {videos.seconds / 60:.1f} min, "
        f"{videos.bytes / 1e6:.1f} MB",
        f"most are {videos.width} x {videos.height}{rate}; {videos.shortest_seconds:g} to "
        f"{videos.longest_seconds:g} s long, median {videos.median_seconds:g} s",
    ]


def _entries(entries: Sequence[Entry], count: int) -> list[str]:
    lines = [
        f"         {entry.name}" + (f": {entry.text}" if entry.text else "")
        for entry in entries[:SHOWN]
    ]
    if count > len(lines):
        lines.append(f"         ... and {count - len(lines)} more")
    return lines


def _end(report: CheckReport) -> list[str]:
    decoded = f"{report.inspected} files decoded, {report.known} known from before"
    lines = [f"{decoded}, in {report.seconds:.1f} s"]
    if report.ledger is not None:
        lines.append(f"clips at fault are listed in {report.ledger}")
    if report.is_sound:
        left_out = report.notes.get("left-out")
        lines.append(
            "the dataset is sound"
            if left_out is None
            else "what was read is sound; see left-out for what was not"
        )
        return lines
    kinds = len(report.faults)
    lines.append(
        f"{kinds} kind{'s' if kinds > 1 else ''} of fault: mend what is named, and check again"
    )
    return lines
