"""`taskgrain compare`: features from any encoder, on your own labels."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taskgrain.names import ClipMetric

if TYPE_CHECKING:
    from taskgrain.tools.compare.comparison import Comparison


def compare(
    features: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="FILE.npz of each source, or NAME=FILE,FILE,... with one a seed",
        ),
    ],
    labels: Annotated[
        Path | None,
        typer.Option(help="clip,label[,split], or a dataset [default: what the features carry]"),
    ] = None,
    groups: Annotated[
        Path | None, typer.Option(help="CSV: clip,group, as the recording it is cut from")
    ] = None,
    folds: Annotated[
        str | None,
        typer.Option(help='K, or "recordings" [default: ten, where classes are small]'),
    ] = None,
    shots: Annotated[
        str | None,
        typer.Option(help='clips of each class, and "all" [default: 1,5,all]'),
    ] = None,
    draws: Annotated[int | None, typer.Option(help="support draws for each [default: 50]")] = None,
    probes: Annotated[
        str, typer.Option(help="what is fitted on the features")
    ] = "nearest-mean,k-nn,ridge,rbf-ridge,logistic-regression",
    seed: Annotated[int, typer.Option(help="of the division, the draws and the resamples")] = 0,
    primary: Annotated[
        str | None, typer.Option(help="source to compare with [default: the first]")
    ] = None,
    metric: Annotated[
        ClipMetric, typer.Option(help="of the tables and the tests; --json has both")
    ] = "top-1",
    support: Annotated[
        float | None,
        typer.Option(
            help="share of the clips to learn from, if labels give no split [default: .5]"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
    latex: Annotated[Path | None, typer.Option(help="write the tables for LaTeX")] = None,
    html: Annotated[Path | None, typer.Option(help="write one page that needs no network")] = None,
    out: Annotated[
        Path | None, typer.Option(help="write all of this, each row and each clip's side")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="do not say what is under way")] = False,
) -> None:
    """Compare features of the same clips: the same draws and probes, intervals, tests, controls.

    Of one file alone: how well its features serve the labels. Needs no torch and trains no network.
    """
    from taskgrain.tools.compare.comparison import compare_files
    from taskgrain.tools.compare.page import to_json
    from taskgrain.tools.compare.plan import plan_of

    divides = {"--shots": shots, "--draws": draws, "--support": support}
    plan = plan_of(divides, folds, probes=probes, seed=seed, primary=primary, metric=metric)
    shows = not quiet and sys.stderr.isatty()
    comparison = compare_files(
        features, labels, groups=groups, plan=plan, tell=_tell if shows else lambda _: None
    )
    _write(comparison, latex=latex, html=html, out=out)
    if as_json:
        print(json.dumps(to_json(comparison), ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(_text(comparison)))


def _tell(what: str) -> None:
    print(f"taskgrain: {what}", file=sys.stderr)


def _write(
    comparison: Comparison, *, latex: Path | None, html: Path | None, out: Path | None
) -> None:
    """Write the files that the options name."""
    from taskgrain.data.files import write_text
    from taskgrain.tools.compare.page import to_json, write_rows_and_sides

    if out is not None:
        write_rows_and_sides(comparison, out)
        text = json.dumps(to_json(comparison), ensure_ascii=False, allow_nan=False, indent=1)
        write_text(out / "comparison.json", f"{text}\n")
    pages = [html, None if out is None else out / "comparison.html"]
    tables = [latex, None if out is None else out / "comparison.tex"]
    if any(pages) or any(tables):
        from taskgrain.tools.compare.page import to_html, to_latex

        for path in filter(None, pages):
            write_text(path, to_html(comparison))
        for path in filter(None, tables):
            write_text(path, to_latex(comparison))


def _text(comparison: Comparison) -> Iterator[str]:
    from taskgrain.report.words import printable
    from taskgrain.tools.compare.finding import finding_of
    from taskgrain.tools.compare.lines import probes_of
    from taskgrain.tools.compare.notes import alarms_of, notes_of, preview_of
    from taskgrain.tools.compare.page import size_of

    for alarm in alarms_of(comparison):
        yield f"ALARM: {alarm}"
    yield finding_of(comparison)
    yield ""
    yield size_of(comparison)
    preview = preview_of(comparison)
    if preview is not None:
        yield f"preview: {preview}"
    for probe in probes_of(comparison):
        yield ""
        yield from _table(comparison, probe)
    yield ""
    for note in notes_of(comparison):
        yield f"note: {printable(note)}"


def _table(comparison: Comparison, probe: str) -> Iterator[str]:
    """Lay out one probe's lines in columns as wide as they need."""
    from taskgrain.tools.compare.lines import lines_of
    from taskgrain.tools.compare.page import headings, shown

    header = [probe, "over", *(str(shots) for shots in comparison.plan.shots)]
    rows: list[list[str]] = [header]
    parts = [""]
    for line in lines_of(comparison, probe):
        cells = [
            " ".join(part for part in shown(row, p) if part)
            for row, p in zip(line.rows, line.p_holm, strict=True)
        ]
        rows.append([line.name, line.over, *cells])
        parts.append(line.part)
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    before = ""
    for part, row in zip(parts, rows, strict=True):
        if part != before:
            yield headings(comparison)[part]
            before = part
        left = [cell.ljust(width) for cell, width in zip(row[:2], widths, strict=False)]
        right = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        yield "  ".join([*left, *right]).rstrip()
