"""`taskgrain features`: clips in, an encoder's features of them out."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from taskgrain.names import Readout

if TYPE_CHECKING:
    from rich.progress import Progress

    from taskgrain.tools.features.writing import Outcome

LINE_SECONDS = 15.0  # between two lines about how far it is


SplitName = Literal["train", "validation", "test", "all"]


def features(
    encoder: Annotated[
        str,
        typer.Argument(
            help="checkpoint folder, or a run with one training, torchvision:resnet18, "
            "huggingface:NAME_OR_FOLDER, imagenet:efficientnet-lite0, pixels or motion-energy"
        ),
    ],
    data: Annotated[Path, typer.Argument(help="dataset, or any folder of videos")],
    out: Annotated[Path, typer.Argument(help="OUT.npz, as `taskgrain compare` reads it")],
    readout: Annotated[
        Readout | None,
        typer.Option(help="what of a checkpoint or network is read [default: lstm-mean]"),
    ] = None,
    steps: Annotated[
        bool, typer.Option("--steps", help="keep every step instead of their mean")
    ] = False,
    frames: Annotated[
        int | None,
        typer.Option(min=1, max=512, help="of a clip, where the encoder takes any [default: 16]"),
    ] = None,
    split: Annotated[SplitName, typer.Option(help="of a dataset")] = "all",
    download: Annotated[
        bool, typer.Option("--download", help="fetch published weights that are not there")
    ] = False,
    random_weights: Annotated[
        int | None, typer.Option(min=0, help="draw a published network's weights from this seed")
    ] = None,
    device: Annotated[str, typer.Option(help="where the encoder computes: cpu, cuda")] = "cpu",
    batch_size: Annotated[int, typer.Option(min=1, help="clips read together")] = 8,
    as_json: Annotated[bool, typer.Option("--json", help="print the outcome as JSON")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="show no progress")] = False,
) -> None:
    """Write an encoder's features of every clip; each video is decoded once.

    Clips that cannot be read are named on standard error and in the file's header, and have no
    features. A stopped run goes on where it was when the same command is given again.
    """
    from taskgrain.data.files import check_writable
    from taskgrain.data.manifest import Split
    from taskgrain.encoders import Wanted, open_reader
    from taskgrain.errors import ConfigError
    from taskgrain.tools.features.clips import list_clips
    from taskgrain.tools.features.writing import Extraction, write_clip_features
    from taskgrain.transfer.features import ONE_VECTOR

    if download and random_weights is not None:
        raise ConfigError("--download fetches what --random-weights does not use; give one of them")
    check_writable(out)  # before the encoder is opened and clips are decoded
    clips = list_clips(data, None if split == "all" else Split(split))
    wanted = Wanted(
        encoder,
        readout,
        frames,
        "random" if random_weights is not None else "download" if download else "cached",
        random_weights or 0,
        device,
    )
    reader = open_reader(wanted)
    if steps and reader.readout is None:
        raise ConfigError(f"--steps: {encoder} gives one vector a clip and has no steps")
    if steps and reader.readout in ONE_VECTOR:
        raise ConfigError(f"--steps: {reader.readout} has none; lstm-steps keeps them all")
    extraction = Extraction(encoder, str(data), clips, steps, batch_size)
    with _following(len(clips.clips), quiet=quiet) as progress:
        outcome = write_clip_features(
            reader, extraction, out, tell=progress.tell, advance=progress.advance
        )
    for clip, problem in outcome.failed.items():
        print(f"taskgrain: {clip}: {problem}", file=sys.stderr)
    print(json.dumps(outcome.to_json(), ensure_ascii=False) if as_json else _text(outcome))


def _text(outcome: Outcome) -> str:
    from taskgrain.report.words import count_words

    kept = "x".join(map(str, outcome.shape[1:]))
    lines = [f"{outcome.out}: {kept} features of {count_words(outcome.shape[0], 'clip')}"]
    if outcome.failed or outcome.truncated:
        lines.append(f"{len(outcome.failed)} failed and {len(outcome.truncated)} truncated")
    lines.append(f"in {outcome.seconds:.1f} s")
    return "\n".join(lines)


@contextmanager
def _following(num_clips: int, *, quiet: bool) -> Iterator[_Progress]:
    """Show a bar on a terminal, a line now and then elsewhere, and nothing if quiet."""
    from rich.console import Console
    from rich.progress import Progress

    has_bar = not quiet and sys.stderr.isatty()
    with Progress(console=Console(stderr=True), disable=not has_bar, transient=True) as bar:
        yield _Progress(num_clips, bar if has_bar else None, quiet=quiet)


class _Progress:
    """Counts clips as they are done, and shows the count."""

    def __init__(self, num_clips: int, bar: Progress | None, *, quiet: bool) -> None:
        self._num_clips = num_clips
        self._bar = bar
        self._task = None if bar is None else bar.add_task("clips", total=num_clips)
        self._quiet = quiet
        self._done = 0
        self._last_line = time.monotonic()

    def tell(self, line: str) -> None:
        """Print a line about the file that the features go to."""
        if not self._quiet:
            print(f"taskgrain: {line}", file=sys.stderr)

    def advance(self, clips: int) -> None:
        """Count clips as done."""
        self._done += clips
        now = time.monotonic()
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, clips)
        elif not self._quiet and now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            print(f"{self._done} of {self._num_clips} clips", file=sys.stderr, flush=True)
