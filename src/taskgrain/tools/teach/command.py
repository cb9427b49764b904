"""`taskgrain teach`: a folder of clips of each action in; a classifier and its estimate out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def teach(
    folder: Annotated[
        Path,
        typer.Argument(help="a folder of clips for each action, or a dataset of any layout"),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="MODEL", help="folder of the model")] = Path(
        "taught"
    ),
    none: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="clips that show none of the actions"),
    ] = None,
    recordings: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV", help="columns clip,recording: which clips were filmed in one go"
        ),
    ] = None,
    encoder: Annotated[
        str,
        typer.Option(
            help="auto: the best of those on this machine; or imagenet, a checkpoint folder, "
            "torchvision:r3d_18, huggingface:NAME_OR_FOLDER, motion-energy, pixels"
        ),
    ] = "auto",
    rejected: Annotated[
        float,
        typer.Option(
            min=0.001, max=0.5, help='share of the actions\' own clips that may get "none of these"'
        ),
    ] = 0.05,
    device: Annotated[str, typer.Option(help="where the encoder computes: cpu, cuda")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="print the estimate as JSON")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="show no progress")] = False,
) -> None:
    """Teach a classifier your own actions from a handful of clips of each.

    It says how often it will be right about new recordings, and answers "none of these" where it
    was found to know its classes from others. `taskgrain describe MODEL CLIP` uses it. A stopped
    run goes on where it was when the same command is given again.
    """
    from taskgrain.jobs.progress import counted
    from taskgrain.teaching.teach import Teaching
    from taskgrain.teaching.teach import teach as teach_clips
    from taskgrain.tools.teach.lines import outcome_lines

    teaching = Teaching(folder, none, recordings, encoder, rejected, device)
    with counted(None, quiet=quiet) as progress:
        outcome = teach_clips(teaching, out, tell=progress.tell, advance=progress.advance)
    for clip, problem in outcome.failed.items():
        print(f"taskgrain: {clip}: {problem}", file=sys.stderr)
    if as_json:
        print(json.dumps(outcome.to_json(), ensure_ascii=False, allow_nan=False))
        return
    print("\n".join([*outcome_lines(outcome), f"model: {out}"]))
