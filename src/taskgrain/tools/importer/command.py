"""`taskgrain import`: a dataset of any layout as one of our own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from taskgrain.data.manifest import Manifest
    from taskgrain.tools.importer.importing import Outline


def import_dataset(
    source: Annotated[Path, typer.Argument(help="the folder that the data lie in")],
    folder: Annotated[Path, typer.Argument(help="where the dataset is written")],
    layout: Annotated[
        str | None, typer.Option(help="how the data lie [default: found out by looking]")
    ] = None,
    validation: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=0.99,
            help="share to validate on, if data do not say [default: a fifth; 5 clips of few]",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="of the draw of those clips")] = 0,
    test_answers: Annotated[
        bool, typer.Option("--test-answers", help="keep the labels of test clips")
    ] = False,
    division: Annotated[
        int, typer.Option(min=1, help="which of several official divisions to read")
    ] = 1,
    copy: Annotated[bool, typer.Option("--copy", help="copy videos; without: link")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print what would be written, and stop")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="show no progress")] = False,
) -> None:
    """Turn a folder of clips into a dataset: class folders, lists, and well-known data sets."""
    import json

    from taskgrain.data.layouts.layout import LayoutOptions
    from taskgrain.data.opening import manifest_of, read_dataset
    from taskgrain.tools.importer.importing import outline

    options = LayoutOptions(validation, seed, test_answers, division)
    reading = read_dataset(source, layout=layout, options=options)
    if not dry_run:
        _write(manifest_of(reading), folder, copy=copy, quiet=quiet)
    summary = outline(reading)
    if as_json:
        print(json.dumps({"folder": str(folder), "written": not dry_run, **summary.to_json()}))
    else:
        _print(summary, folder, written=not dry_run)
    if summary.problems:
        raise typer.Exit(2)


def _write(manifest: Manifest, folder: Path, *, copy: bool, quiet: bool) -> None:
    """Write the dataset behind a progress bar on standard error."""
    from rich.console import Console
    from rich.progress import Progress

    from taskgrain.tools.importer.importing import write_dataset

    console = Console(stderr=True)
    with Progress(console=console, disable=quiet or not console.is_terminal) as progress:
        total = len(manifest.records) + len(manifest.test_ids)
        task = progress.add_task("copying videos" if copy else "linking videos", total=total)
        write_dataset(
            manifest,
            folder,
            copy=copy,
            advance=lambda done: progress.update(task, completed=done),
        )


def _print(summary: Outline, folder: Path, *, written: bool) -> None:
    from taskgrain.errors import list_problems
    from taskgrain.tools.importer.importing import NUM_SHOWN

    print(f"layout      {summary.layout}")
    for split, number in summary.clips.items():
        print(f"{split:<11} {number} clips, {summary.classes[split]} classes")
    print(f"videos      {summary.num_found} found, {len(summary.missing)} missing")
    for file in summary.missing[:NUM_SHOWN]:
        print(f"  missing   {file}")
    for note in summary.notes:
        print(f"note        {note}")
    if not written:
        for record in summary.first:
            print(f"  {record.clip_id}  {record.split}  {record.category}  {record.caption!r}")
    if summary.problems:
        print("problems")
        print(list_problems(summary.problems))
    elif written:
        print(f"written to {folder}; next: taskgrain check {folder}")
    else:
        print("nothing was written")
