"""`taskgrain describe`: clips in, their descriptions out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from taskgrain.predict import Description, Ranking


def describe(
    checkpoint: Annotated[
        Path, typer.Argument(help="checkpoint folder, as runs/quick/checkpoints/SOURCE-seed-0/last")
    ],
    clips: Annotated[list[Path], typer.Argument(help="video files")],
    top: Annotated[int, typer.Option(min=1, help="classes to name")] = 5,
    device: Annotated[str, typer.Option(help="where the encoder computes: cpu, cuda")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a clip")] = False,
) -> None:
    """Say what happens in clips: action groups, categories and a caption.

    A clip that cannot be read is named on standard error; the others are still described, and
    the exit code is 2.
    """
    from taskgrain.errors import ClipError
    from taskgrain.predict import Predictor

    predictor = Predictor.from_checkpoint(checkpoint, device=device)
    failed = 0
    for path in clips:
        try:
            said = predictor.describe_file(path, top=top)
        except ClipError as error:
            failed += 1
            print(f"taskgrain: {error}", file=sys.stderr)
            continue
        print(json.dumps(said.to_json(), ensure_ascii=False) if as_json else _text(said))
    if failed:
        raise typer.Exit(2)


def _text(said: Description) -> str:
    lines = [said.clip]
    caption = "(not trained for captions)" if said.caption is None else f'"{said.caption}"'
    lines.append(f"  caption     {caption}")
    lines += _ranking("groups", said.groups)
    lines += _ranking("categories", said.categories)
    return "\n".join(lines)


def _ranking(name: str, ranking: Ranking | None) -> list[str]:
    if ranking is None:
        return [f"  {name:<11} (not trained for these)"]
    return [
        f"  {name if index == 0 else '':<11} {each.probability:6.1%}  {each.name}"
        for index, each in enumerate(ranking)
    ]
