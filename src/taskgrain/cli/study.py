"""`taskgrain study`: the whole question, from data to report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from taskgrain.config.settings import Study


def study(
    name: Annotated[
        str, typer.Argument(help="a packaged study (quick, smoke, joint, ...) or a TOML file")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="change a setting: --set train.epochs=3 (repeatable)",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="run folder [default: runs/NAME]")] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="processes, one thread each [default: one a core; one on another device]"
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="where encoders compute: cpu, cuda, cuda:1")] = "cpu",
    mix_processors: Annotated[
        bool,
        typer.Option(
            "--mix-processors",
            help="go on with a run of another kind of processor; the report says so",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print the plan and its cost, and stop")
    ] = False,
    clean: Annotated[
        bool, typer.Option("--clean", help="name and remove the run's caches, and stop")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the outcome as JSON")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="show no progress")] = False,
) -> None:
    """Train an encoder at every grain, test its features on the targets, and write a report.

    A stopped study goes on where it was when the same command is given again.
    """
    from taskgrain.config.load import load_study

    settings = load_study(name, overrides or [])
    folder = out if out is not None else Path("runs") / settings.name
    if dry_run:
        from taskgrain.cli.study_plan import print_plan

        print_plan(settings, workers, device=device, as_json=as_json)
    elif clean:
        _clean(settings, folder)
    else:
        from taskgrain.study.run import run_study

        run_study(
            settings,
            folder,
            workers=workers,
            device=device,
            mix_processors=mix_processors,
            quiet=quiet,
        )
        _show(folder, as_json=as_json)


def _show(folder: Path, *, as_json: bool) -> None:
    from taskgrain.report.answer import summarise
    from taskgrain.report.html import write_report

    page = write_report(folder)
    answer = summarise(folder)
    if as_json:
        print(json.dumps({"run": str(folder), "report": str(page), "answer": answer}))
    else:
        print(f"{answer}\n\nThe report: {page}")


def _clean(settings: Study, folder: Path) -> None:
    from taskgrain.errors import RunError
    from taskgrain.jobs.workspace import workspace
    from taskgrain.study.folder import RunFolder, claim, remove_caches

    if not (folder / "study.toml").is_file():
        raise RunError(f"{folder} holds no run (no study.toml), so nothing is removed")
    run = RunFolder(folder)
    with workspace(folder):
        claim(run, settings)
        for path, num_bytes in remove_caches(run):
            print(f"removed {path} ({num_bytes / 1e6:.0f} MB)")
