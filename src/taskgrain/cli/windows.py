"""`taskgrain describe MODEL VIDEO --windows`: long videos in, their events with times out."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from taskgrain.teaching.events import FalseAlarms
    from taskgrain.teaching.windows import Watched, Watcher

WindowsFlag = Annotated[
    bool, typer.Option("--windows", help="of long videos: what happens when, window by window")
]
WindowSeconds = Annotated[
    float | None,
    typer.Option(
        "--window",
        metavar="SECONDS",
        min=0.1,
        max=60.0,
        help="length of a window [default: that of the clips that the model learned from]",
    ),
]
StepSeconds = Annotated[
    float | None,
    typer.Option(
        "--step",
        metavar="SECONDS",
        min=0.05,
        max=60.0,
        help="from a window to the next [default: a quarter of a window]",
    ),
]
EventsFile = Annotated[
    Path | None, typer.Option("--csv", metavar="FILE", help="of --windows: write the events there")
]
ExpectNone = Annotated[
    bool,
    typer.Option(
        "--expect-none", help="of --windows: the videos show no action; count false alarms an hour"
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="of --windows: show no progress")]

HEADER = ("video", "start", "end", "label", "probability", "highest")


@dataclass(frozen=True, slots=True)
class WindowOptions:
    """The options that go with --windows."""

    window: float | None  # seconds; None: as long as the model's clips
    step: float | None  # seconds; None: a quarter of a window
    csv: Path | None
    expect_none: bool
    quiet: bool
    as_json: bool

    def refuse(self) -> None:
        """Refuse them where --windows is not given: they would do nothing.

        Raises:
            typer.BadParameter: naming the first.
        """
        for option, is_given in (
            ("--window", self.window is not None),
            ("--step", self.step is not None),
            ("--csv", self.csv is not None),
            ("--expect-none", self.expect_none),
            ("--quiet", self.quiet),
        ):
            if is_given:
                raise typer.BadParameter(
                    "is for long videos; give --windows too", param_hint=option
                )


def watch_videos(model: Path, videos: Sequence[Path], device: str, options: WindowOptions) -> None:
    """Print the events of videos, each as soon as it was watched.

    Raises:
        typer.Exit: 2 if a video could not be read; it is named, and the others are watched.
    """
    from taskgrain.data.files import check_writable, write_text
    from taskgrain.data.streaming import expected_windows
    from taskgrain.errors import ClipError
    from taskgrain.jobs.progress import counted
    from taskgrain.teaching.windows import choose_windows, watch

    if options.csv is not None:
        check_writable(options.csv)
    watcher = _watcher(model, device)
    windows = choose_windows(watcher, seconds=options.window, step_seconds=options.step)
    if options.expect_none and not watcher.abstains:
        raise typer.BadParameter(
            f"{model} always names an action, so that all of such a video would be a false alarm; "
            'expected a model that may answer "none of these"',
            param_hint="--expect-none",
        )
    seen: list[Watched] = []
    failed = 0
    for path in videos:
        try:
            expected = expected_windows(path, windows)
            with counted(expected, quiet=options.quiet, noun="windows") as progress:
                watched = watch(watcher, path, windows, advance=progress.advance)
        except ClipError as error:
            failed += 1
            print(f"taskgrain: {error}", file=sys.stderr)
            continue
        seen.append(watched)
        # All of the table anew: whatever stops the work, what was watched is kept.
        if options.csv is not None:
            write_text(options.csv, _table(seen))
        if options.as_json:
            print(json.dumps(watched.to_json(), ensure_ascii=False), flush=True)
        else:
            print("\n".join(_lines(watched)), flush=True)
    if options.expect_none and seen:
        _print_false_alarms(seen, as_json=options.as_json)
    if failed:
        raise typer.Exit(2)


def _watcher(model: Path, device: str) -> Watcher:
    from taskgrain.teaching.taught import is_taught
    from taskgrain.teaching.windows import checkpoint_watcher, taught_watcher

    if is_taught(model):
        from taskgrain.teaching.model import TaughtModel

        return taught_watcher(TaughtModel.from_folder(model, device=device))
    from taskgrain.describing import Describer

    return checkpoint_watcher(Describer.from_checkpoint(model, device=device))


def _table(seen: Sequence[Watched]) -> str:
    """Write the events of videos as CSV, one a line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for video in seen:
        for event in video.events:
            times = (f"{event.start:.3f}", f"{event.end:.3f}")
            probabilities = (f"{event.probability:.4f}", f"{event.highest:.4f}")
            writer.writerow((video.video, *times, event.label, *probabilities))
    return text.getvalue()


def _lines(watched: Watched) -> Iterator[str]:
    from taskgrain.data.container import FRAME_RATE
    from taskgrain.report.words import count_words

    length = watched.windows.num_frames / FRAME_RATE
    yield (
        f"{watched.video}  ({clock(watched.seconds)} of video, "
        f"{count_words(watched.num_windows, 'window')} of {length:.2f} s)"
    )
    if watched.problem is not None:
        yield f"  problem     {watched.problem}; watched as far as it goes"
    for event in watched.events:
        yield (
            f"  {clock(event.start):>8} to {clock(event.end):>8}  {event.probability:6.1%}  "
            f"{event.label}"
        )
    if not watched.events:
        yield "  no event"
    if not watched.abstains:
        yield "  (this model always names a class: it cannot tell unknown from known)"


def clock(seconds: float) -> str:
    """Write seconds as m:ss.s: 125.25 as 2:05.2."""
    minutes, tenths = divmod(round(10 * seconds), 600)
    return f"{minutes}:{tenths // 10:02}.{tenths % 10}"


def _print_false_alarms(seen: Sequence[Watched], *, as_json: bool) -> None:
    from taskgrain.teaching.events import FalseAlarms

    hours = sum(video.seconds for video in seen) / 3600
    alarms = FalseAlarms(sum(len(video.events) for video in seen), hours)
    if as_json:
        total = {"videos": len(seen), "false_alarms": alarms.to_json()}
        print(json.dumps(total, ensure_ascii=False))
    else:
        print(_alarm_line(alarms))


def _alarm_line(alarms: FalseAlarms) -> str:
    low, high = alarms.bounds
    return (
        f"false alarms: {alarms.events} in {alarms.hours:.3g} hours, "
        f"{_rate(alarms.per_hour)} an hour (95 % interval {_rate(low)} to {_rate(high)})"
    )


def _rate(per_hour: float) -> str:
    return f"{per_hour:,.0f}" if per_hour >= 100 else f"{per_hour:.3g}"
