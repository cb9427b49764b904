"""`taskgrain features`: clips in, an encoder's features of them out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from taskgrain.names import Readout

if TYPE_CHECKING:
    from taskgrain.tools.features.writing import Outcome

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

    Labels, recordings and splits are written beside them where the folder knows them. Clips that
    cannot be read are named on standard error and in the file's header, and have no features. A
    stopped run goes on where it was when the same command is given again.
    """
    from taskgrain.data.files import check_writable
    from taskgrain.data.manifest import Split
    from taskgrain.encoders import Wanted, open_reader
    from taskgrain.errors import ConfigError
    from taskgrain.jobs.progress import counted
    from taskgrain.tools.features.clips import list_clips
    from taskgrain.tools.features.writing import Extraction, write_clip_features

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
    if steps:
        _refuse_without_steps(encoder, reader.readout)
    extraction = Extraction(encoder, str(data), clips, steps, batch_size)
    with counted(len(clips.clips), quiet=quiet) as progress:
        outcome = write_clip_features(
            reader, extraction, out, tell=progress.tell, advance=progress.advance
        )
    failed = (f"{clip}: {problem}" for clip, problem in outcome.failed.items())
    for note in (*clips.notes, *failed):
        print(f"taskgrain: {note}", file=sys.stderr)
    print(json.dumps(outcome.to_json(), ensure_ascii=False) if as_json else _text(outcome))


def _refuse_without_steps(encoder: str, readout: Readout | None) -> None:
    from taskgrain.errors import ConfigError
    from taskgrain.transfer.features import ONE_VECTOR

    if readout is None:
        raise ConfigError(f"--steps: {encoder} gives one vector a clip and has no steps")
    if readout in ONE_VECTOR:
        raise ConfigError(f"--steps: {readout} has none; lstm-steps keeps them all")


def _text(outcome: Outcome) -> str:
    from taskgrain.report.words import count_words

    kept = "x".join(map(str, outcome.shape[1:]))
    lines = [f"{outcome.out}: {kept} features of {count_words(outcome.shape[0], 'clip')}"]
    if outcome.failed or outcome.truncated:
        lines.append(f"{len(outcome.failed)} failed and {len(outcome.truncated)} truncated")
    lines.append(f"in {outcome.seconds:.1f} s")
    return "\n".join(lines)
