"""`taskgrain export`: a checkpoint as ONNX, checked against PyTorch."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="checkpoint folder, as runs/quick/checkpoints/SOURCE-seed-0/last, a run folder "
            "with one training in it, or what `taskgrain teach` wrote"
        ),
    ],
    out: Annotated[Path, typer.Option(help="folder for the graphs")] = Path("exported"),
    clips: Annotated[
        list[Path] | None,
        typer.Option(
            "--clip", metavar="CLIP", help="video to check on (repeatable) [default: noise]"
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="largest difference from PyTorch that is allowed")
    ] = 1e-4,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False,
) -> None:
    """Write encoder and head, and the decoder step by step, as ONNX graphs.

    Of a taught model: its encoder, and its classifier.
    Each graph is run beside PyTorch first; if they disagree, nothing is written.
    """
    from taskgrain.tools.export.exporting import export_model

    exported = export_model(checkpoint, out, clips=clips or (), tolerance=tolerance)
    if as_json:
        print(json.dumps(asdict(exported)))
        return
    from taskgrain.report.words import count_words

    clips_checked = count_words(exported.num_clips, "clip")
    of_noise = " of noise (name your own with --clip)" if exported.checked_on == "noise" else ""
    print(f"{out}: {', '.join(exported.files)}, model.json")
    print(f"checked against PyTorch on {clips_checked}{of_noise}; largest differences:")
    for name, value in exported.largest_difference.items():
        print(f"  {name:<16} {value:.1e}")
    if exported.captions_equal:
        print("  captions         equal, word for word")
    if exported.answers_equal:
        print("  answers          equal")
