"""`taskgrain report`: the page again, from the results; which encoder did best; evidence."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(help="run folder, as runs/quick")],
    best: Annotated[
        bool,
        typer.Option(
            "--best", help="print the checkpoint folder of the encoder that did best, and stop"
        ),
    ] = False,
    captions: Annotated[
        bool, typer.Option("--captions", help="with --best: only of sources that learned captions")
    ] = False,
    evidence: Annotated[
        Path | None,
        typer.Option(
            "--evidence",
            help="write what others need to recompute the endpoints into this folder, and stop",
        ),
    ] = None,
) -> None:
    """Rebuild a run's report from its results.

    With --best: of the trained sources the one with the highest value at the primary endpoint's
    target, probe, shots, metric and read-out (over its seeds), and of its seeds the best one.
    """
    if best and evidence is not None:
        raise typer.BadParameter("goes without --best", param_hint="--evidence")
    if best:
        _print_best(run, captions=captions)
        return
    if captions:
        raise typer.BadParameter("is for --best alone", param_hint="--captions")
    if evidence is not None:
        from taskgrain.report.evidence import write_evidence

        print(write_evidence(run, evidence))
        return
    from taskgrain.report.html import write_report

    print(write_report(run))


def _print_best(run: Path, *, captions: bool) -> None:
    from taskgrain.report.best import describe_best, find_best

    encoder = find_best(run, captions=captions)
    print(f"taskgrain: {describe_best(encoder)}", file=sys.stderr)
    print(encoder.checkpoint)
