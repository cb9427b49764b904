"""The comparison as one JSON object, and as files of a folder."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from pathlib import Path

from taskgrain.data.files import write_text
from taskgrain.results import write_rows
from taskgrain.tools.compare.comparison import Comparison
from taskgrain.tools.compare.notes import alarms_of, notes_of, preview_of

FORMAT = 1


def to_json(comparison: Comparison) -> dict[str, object]:
    """Return what `--json` prints; equal comparisons give equal objects, without times or paths.

    Keys: format; target; plan; sources (name, seeds, and per seed the clips without features);
    primary; classes, support, scored; alarms, preview, notes (texts); rows (the columns of
    `results.ResultRow`); differences (the tested rows, with p-holm).
    """
    task, plan = comparison.task, comparison.plan
    return {
        "format": FORMAT,
        "target": task.name,
        "plan": {
            "probes": list(plan.probes),
            "shots": list(plan.shots),
            "draws": plan.num_draws,
            "seed": plan.seed,
            "metric": plan.metric,
            "support": plan.support_share if comparison.is_divided_here else None,
            "groups": comparison.has_groups,
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
    """Write `results.jsonl`, every row, and `sides.csv`, where each clip stood."""
    write_rows(folder / "results.jsonl", comparison.rows)
    task = comparison.task
    labels = {
        **dict(zip(task.support_ids, task.support_labels.tolist(), strict=True)),
        **dict(zip(task.query_ids, task.query_labels.tolist(), strict=True)),
    }
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["clip", "label", "split"])
    for clip, side in comparison.sides.items():
        writer.writerow([clip, task.class_names[labels[clip]], side])
    write_text(folder / "sides.csv", text.getvalue())
