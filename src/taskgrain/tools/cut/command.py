"""`taskgrain cut`: a target that labels itself, out of any folder of footage."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from taskgrain.tools.cut.cutting import CutSummary


# As `clips.TaskName` (`tools`).
Task = Literal[
    "forward-or-reversed", "real-or-frozen", "normal-or-double-speed", "ordered-or-shuffled"
]


def _even(pixels: int) -> int:
    if pixels % 2:
        raise typer.BadParameter(f"{pixels} is odd; clips have an even number of pixels")
    return pixels


def cut(
    videos: Annotated[Path, typer.Argument(help="folder of footage, of any depth")],
    dataset: Annotated[Path, typer.Argument(help="where the dataset is written")],
    task: Annotated[Task, typer.Option(help="what the two categories are")],
    seconds: Annotated[float, typer.Option(min=0.5, max=60.0, help="of a clip")] = 2.0,
    clips_per_file: Annotated[
        int, typer.Option(min=1, help="windows of a file at most; each becomes a clip of each side")
    ] = 10,
    height: Annotated[
        int, typer.Option(min=16, max=1024, callback=_even, help="pixels of a frame, even")
    ] = 96,
    width: Annotated[
        int, typer.Option(min=16, max=1024, callback=_even, help="pixels of a frame, even")
    ] = 128,
    groups: Annotated[
        Path | None, typer.Option(help="CSV of file,group: files of one recording stay together")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="equal seeds give equal files")] = 0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="processes, one thread each [default: one a core]")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="look at the footage, print the plan, and stop")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the outcome as JSON")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="show no progress")] = False,
) -> None:
    """Cut clips whose label is how they are shown: a test of features on your own footage.

    Every window of footage appears on both sides, encoded alike; half of the files are to fit on,
    half to score. A stopped cutting goes on where it was when the same command is given again.
    """
    from taskgrain.tools.cut.cutting import CutSettings, cut_dataset, outline_cut

    settings = CutSettings(task, seconds, clips_per_file, height, width, seed)
    if dry_run:
        summary = outline_cut(videos, settings, groups=groups, workers=workers, quiet=quiet)
    else:
        summary = cut_dataset(
            videos, dataset, settings, groups=groups, workers=workers, quiet=quiet
        )
    if as_json:
        outcome = {"dataset": str(dataset), "written": not dry_run, **asdict(summary)}
        print(json.dumps(outcome, ensure_ascii=False))
    else:
        print(_text(dataset, summary, written=not dry_run))


def _text(dataset: Path, summary: CutSummary, *, written: bool) -> str:
    from taskgrain.errors import list_problems
    from taskgrain.report.words import count_words

    first, second = summary.categories
    lines = [f"{summary.task}: {first} and {second}, {summary.frames_per_clip} frames a clip"]
    for split, use in (("train", "to fit on"), ("validation", "to score")):
        files = count_words(summary.files[split], "file")
        lines.append(f"{split:<11} {summary.clips[split]} clips of {files}, {use}")
    used, still = sum(summary.files.values()), count_words(summary.still, "window")
    lines.append(
        f"footage     {count_words(summary.found, 'file')}: {used} used, {summary.failed} failed, "
        f"{summary.truncated} truncated; {still} in which nothing moves passed over"
    )
    if summary.unused:
        lines.append(list_problems([f"  not used  {text}" for text in summary.unused]))
    lines.append(f"remains     {summary.remains}")
    lines.append(f"written to {dataset}" if written else "nothing was written")
    return "\n".join(lines)
