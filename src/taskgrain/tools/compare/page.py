"""The comparison as a page, as LaTeX, as one JSON object and as files of a folder.

The page has the report's tables, words and colours.
"""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, replace
from itertools import cycle
from pathlib import Path

from taskgrain.data.files import write_text
from taskgrain.report.tables import Block, Cell, Column, Line, Table, cell_of, to_tex
from taskgrain.report.words import (
    count_words,
    metric_words,
    printable,
    probe_words,
    shots_words,
)
from taskgrain.results import ResultRow, write_rows
from taskgrain.tools.compare.comparison import Comparison
from taskgrain.tools.compare.finding import finding_of
from taskgrain.tools.compare.lines import Line as ComparedLine
from taskgrain.tools.compare.lines import lines_of, probes_of
from taskgrain.tools.compare.notes import alarms_of, notes_of, preview_of

HUES = ("classification-1", "captioning-1", "joint-1", "classification-0", "captioning-0")
MOST_CLIPS = 200  # named on the page; all are in --json
LEAST_P = 0.001
FORMAT = 1  # of --json

# The frame, `ui` and the style are the report's; only what it does not have stands here.
PAGE = """\
{% extends "page.html.j2" %}
{% import "macros.html.j2" as ui with context %}
{% block body %}
<a class="skip" href="#answer">Skip to the answer</a>
<main>
<header>
<p class="kicker">taskgrain comparison · labels <bdi>{{ target }}</bdi></p>
<h1><bdi>{{ title }}</bdi></h1>
{% for alarm in alarms %}
<p class="warning alarm" role="alert"><strong>Alarm.</strong> {{ alarm }}.</p>
{% endfor %}
<section id="answer" class="answer" aria-label="The answer">
<p class="lead">{{ finding }}</p>
<p class="limits">{{ lead }}
{% if preview %}<span class="tag">preview</span> {{ preview }}.{% endif %}</p>
</section>
<nav aria-label="Contents">
<a href="#figure-{{ drawing.name }}">Figure</a> <a href="#numbers">Numbers</a>
<a href="#notes">What they mean</a>
</nav>
</header>
{{ ui.figure(drawing, "") }}
<section id="numbers">
<h2>The numbers</h2>
{% for table in tables %}
{{ ui.table(table) }}
{% endfor %}
</section>
<section id="notes">
<h2>What they mean</h2>
<ul>
{% for note in notes %}
<li>{{ note }}.</li>
{% endfor %}
</ul>
{% for source, clips, more in missing %}
<details><summary>Scored clips without features: <bdi>{{ source }}</bdi></summary>
<p>{% for clip in clips %}<bdi>{{ clip }}</bdi>{{ ", " if not loop.last }}{% endfor %}
{% if more %}and {{ more }} more{% endif %}</p>
</details>
{% endfor %}
</section>
</main>
{% endblock %}
"""


def headings(comparison: Comparison) -> dict[str, str]:
    """Return the heading of each part of a table."""
    metric = metric_words(comparison.plan.metric)
    return {
        "": "",
        "accuracy": f"{metric}, percent",
        "difference": "difference in points, with p by Holm",
        "control": "controls, percent",
    }


def shown(row: ResultRow | None, p_holm: float | None) -> tuple[str, str, str]:
    """Return a number, its interval and its corrected p as text; "" for each that is absent."""
    cell = cell_of(row)
    interval = f"[{cell.interval}]" if cell.interval else ""
    return cell.shown, interval, "" if p_holm is None else p_words(p_holm)


def p_words(p: float) -> str:
    """Return a p value with two digits; "p < 0.001" below that."""
    return f"p < {LEAST_P:g}" if p < LEAST_P else f"p = {p:.2g}"


def to_tables(comparison: Comparison) -> tuple[Table, ...]:
    """Return a table for each probe."""
    return tuple(_table(comparison, probe) for probe in probes_of(comparison))


def to_latex(comparison: Comparison) -> str:
    """Return the tables for LaTeX with booktabs, one after the other."""
    text = "\n".join(to_tex(table) for table in to_tables(comparison))
    return text.replace("p < ", "$p <$ ")  # in text, some fonts of LaTeX print another sign


def to_html(comparison: Comparison) -> str:
    """Return one page that needs no network and runs no script."""
    # Not above: whoever prints the comparison as text would wait for templates and figures.
    from markupsafe import Markup

    from taskgrain.report.palette import page_environment
    from taskgrain.tools.compare.figure import comparison_figure

    colours = dict(zip(comparison.num_seeds, cycle(HUES), strict=False))
    environment = page_environment(colours)
    drawing = comparison_figure(comparison, colours)
    context: dict[str, object] = {
        "title": " and ".join(printable(name) for name in comparison.num_seeds),
        "target": printable(comparison.task.name),
        "finding": finding_of(comparison),
        "lead": f"{size_of(comparison)}.",
        "drawing": drawing,
        "inline": {drawing.name: Markup(drawing.inline)},
        "alarms": alarms_of(comparison),
        "preview": preview_of(comparison),
        "tables": to_tables(comparison),
        "notes": [printable(note) for note in notes_of(comparison)],
        "missing": [
            (
                f"{each.source}, seed {each.seed}",
                [printable(clip) for clip in each.scored[:MOST_CLIPS]],
                max(len(each.scored) - MOST_CLIPS, 0),
            )
            for each in comparison.coverage
            if each.scored
        ],
    }
    return environment.from_string(PAGE).render(context)


def size_of(comparison: Comparison) -> str:
    """Return how much was compared: sources, classes, clips."""
    task = comparison.task
    sources = count_words(len(comparison.num_seeds), "source")
    size = f"{sources} on {len(task.class_names)} classes"
    folding = comparison.folding
    if folding is None:
        return f"{size}: {len(task.support_ids)} clips to learn from, {len(task.query_ids)} scored"
    of = "" if folding.recordings is None else f" of {folding.num_units} recordings"
    return (
        f"{size}: {len(task.query_ids)} clips{of}, each scored in one of {folding.num_folds} folds"
    )


def _table(comparison: Comparison, probe: str) -> Table:
    lines = lines_of(comparison, probe)
    titles = headings(comparison)
    compared = ", 95 % intervals below"
    if len(comparison.num_seeds) > 1:
        compared = (
            f", differences from {printable(comparison.primary)} in percentage points, 95 % "
            "intervals below; p corrected by Holm"
        )
    return Table(
        name=f"compare-{probe}",
        title=f"{probe_words(probe)}".capitalize(),
        caption=f"{metric_words(comparison.plan.metric).capitalize()} in percent{compared}.",
        corner="source",
        columns=tuple(Column(shots_words(shots)) for shots in comparison.plan.shots),
        blocks=tuple(
            Block(title, tuple(_line(line) for line in lines if line.part == part))
            for part, title in titles.items()
            if any(line.part == part for line in lines)
        ),
    )


def _line(line: ComparedLine) -> Line:
    header = f"{line.name} (over {line.over})" if line.over else line.name
    cells = tuple(_cell(row, p) for row, p in zip(line.rows, line.p_holm, strict=True))
    return Line(printable(header), cells, key=line.name)


def _cell(row: ResultRow | None, p_holm: float | None) -> Cell:
    cell = cell_of(row)
    if p_holm is None:
        return cell
    below = "; ".join(part for part in (cell.interval, p_words(p_holm)) if part)
    return replace(cell, interval=below)


def to_json(comparison: Comparison) -> dict[str, object]:
    """Return the object that `--json` prints.

    Equal comparisons give equal objects: it holds neither times nor paths.

    Keys: format; finding (the first sentence); target; plan; folds (null, or number, reason and
    recordings); sources (name, seeds, and per seed the clips without features); primary; classes,
    support, scored; alarms, preview, notes (texts); rows (the columns of `results.ResultRow`);
    differences (the tested rows, with p-holm).
    """
    task, plan, folding = comparison.task, comparison.plan, comparison.folding
    is_divided_here = comparison.is_divided_here and folding is None
    return {
        "format": FORMAT,
        "finding": finding_of(comparison),
        "target": task.name,
        "plan": {
            "probes": list(plan.probes),
            "shots": list(plan.shots),
            "draws": plan.num_draws if folding is None else None,
            "seed": plan.seed,
            "metric": plan.metric,
            "support": plan.support_share if is_divided_here else None,
            "groups": comparison.has_groups,
        },
        "folds": None
        if folding is None
        else {
            "number": folding.num_folds,
            "recordings": None if folding.recordings is None else folding.num_units,
            "reason": folding.reason,
        },
        "sources": [
            {
                "name": name,
                "seeds": count,
                "missing": [
                    {
                        "seed": each.seed,
                        "scored": list(each.scored),
                        "support": list(each.support),
                        "unused": each.unused,
                    }
                    for each in comparison.coverage
                    if each.source == name
                ],
            }
            for name, count in comparison.num_seeds.items()
        ],
        "primary": comparison.primary,
        "classes": list(task.class_names),
        "support": len(task.support_ids),
        "scored": len(task.query_ids),
        "alarms": list(alarms_of(comparison)),
        "preview": preview_of(comparison),
        "notes": list(notes_of(comparison)),
        "rows": [asdict(row) for row in comparison.rows],
        "differences": [
            {**asdict(each.row), "p-holm": each.p_holm} for each in comparison.findings
        ],
    }


def write_rows_and_sides(comparison: Comparison, folder: Path) -> None:
    """Write `results.jsonl`, every row, and where each clip stood.

    That is `sides.csv`, or `folds.csv` where clips were answered in folds.
    """
    write_rows(folder / "results.jsonl", comparison.rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    folding = comparison.folding
    if folding is None:
        writer.writerow(["clip", "label", "split"])
        labels = _labels(comparison)
        writer.writerows([clip, labels[clip], side] for clip, side in comparison.sides.items())
        write_text(folder / "sides.csv", text.getvalue())
        return
    has_recordings = folding.recordings is not None
    writer.writerow(["clip", "label", "fold", *(["recording"] if has_recordings else [])])
    for place, (clip, label) in enumerate(_labels(comparison).items()):
        unit = int(folding.unit_of[place])
        recording = [] if folding.recordings is None else [folding.recordings[unit]]
        writer.writerow([clip, label, int(folding.fold_of[place]) + 1, *recording])
    write_text(folder / "folds.csv", text.getvalue())


def _labels(comparison: Comparison) -> dict[str, str]:
    """Return the label of each clip, those to learn from first."""
    task = comparison.task
    ids = (*task.support_ids, *task.query_ids)
    labels = (*task.support_labels.tolist(), *task.query_labels.tolist())
    return {clip: task.class_names[label] for clip, label in zip(ids, labels, strict=True)}
