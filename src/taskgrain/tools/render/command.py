"""`taskgrain render`: the embedded world as a dataset on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

World = Literal["tabletop", "tabletop-tasks", "kitchenware", "kitchenware-far"]


def render(
    folder: Annotated[Path, typer.Argument(help="where the dataset is written")],
    world: Annotated[World, typer.Option(help="which world")] = "tabletop",
    train: Annotated[int, typer.Option(min=1, help="training clips")] = 400,
    validation: Annotated[int, typer.Option(min=1, help="validation clips")] = 80,
    test: Annotated[int, typer.Option(min=0, help="test clips, without annotation")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="equal seeds give equal files")] = 0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="processes, one thread each [default: one a core]")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="show no progress")] = False,
) -> None:
    """Draw the embedded world as a dataset in Something-Something's own format."""
    from taskgrain.tabletop.dataset import WorldSpec
    from taskgrain.tools.render.rendering import render_dataset

    spec = WorldSpec(world=world, seed=seed, train=train, validation=validation, test=test)
    render_dataset(folder, spec, workers=workers, quiet=quiet)
    print(f"{train + validation + test} clips in {folder}")
