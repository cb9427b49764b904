"""`taskgrain report`: the page again, from the results alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(help="run folder, as runs/quick")],
) -> None:
    """Rebuild a run's report from its results."""
    from taskgrain.report.html import write_report

    print(write_report(run))
