"""The report itself: one HTML file that needs no network, and the tables and figures beside it.

What was run, and with what, is phrased here too: the study's settings and the run's provenance.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from taskgrain.data.files import write_text
from taskgrain.report.answer import answer
from taskgrain.report.clips import shelves
from taskgrain.report.controls import (
    alarm_phrase,
    control_question,
    findings,
    missing_controls,
    question_words,
    warnings_of,
)
from taskgrain.report.drawing import Drawing
from taskgrain.report.endpoint_tables import (
    endpoint_table,
    task_sample_table,
    task_table,
    trend_table,
)
from taskgrain.report.figures import curves_figure, ladder_figure, shots_figure
from taskgrain.report.lookup import KITCHENWARE, Lookup, base_target, unique
from taskgrain.report.palette import page_environment, source_colours, template_text
from taskgrain.report.run_folder import Json, RunFolder, flatten, held_out_words, read_run_folder
from taskgrain.report.source_tables import (
    caption_table,
    gradient_table,
    grain_table,
    learned_phrase,
    learned_table,
    passes_table,
    source_table,
)
from taskgrain.report.tables import Table, to_csv, to_tex
from taskgrain.report.transfer_tables import (
    MAX_OTHER_ROWS,
    all_rows_csv,
    episode_tables,
    group_error_table,
    other_rows,
    other_table,
    readout_table,
    transfer_tables,
)
from taskgrain.report.words import printable

REPORT_NAME = "report.html"
MAX_LEDGER_ROWS = 200
UNKNOWN = "not recorded"
UNKNOWN_STUDY = "study"  # printed where the run folder has no study file


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that the page shows and that is also written as files of its own."""

    tables: Mapping[str, tuple[Table, ...]]  # by section of the page; those that hold anything
    drawings: Mapping[str, Drawing]  # by name; a figure that cannot be drawn is left out

    @property
    def all_tables(self) -> tuple[Table, ...]:
        """Return the tables that hold anything."""
        return tuple(table for found in self.tables.values() for table in found)


def write_report(run_dir: Path | str) -> Path:
    """Write report.html, tables/ and figures/ into a run folder, from what the folder holds.

    Equal folders give equal bytes. Each file is replaced whole; report.html comes last.

    Returns:
        The path of report.html.

    Raises:
        ResultError: if results.jsonl is absent, or a file of the folder is malformed.
    """
    run_dir = Path(run_dir)
    run = read_run_folder(run_dir)
    lookup = Lookup(run)
    parts = build_parts(lookup)
    page = render(lookup, parts)
    for table in parts.all_tables:
        write_text(run_dir / "tables" / f"{table.name}.csv", to_csv(table))
        write_text(run_dir / "tables" / f"{table.name}.tex", to_tex(table))
    write_text(run_dir / "tables" / "results.csv", all_rows_csv(run.rows))
    for drawing in parts.drawings.values():
        write_text(run_dir / "figures" / f"{drawing.name}.svg", drawing.svg)
    write_text(run_dir / REPORT_NAME, page)  # last: a page never points at files that are not there
    return run_dir / REPORT_NAME


def build_parts(lookup: Lookup, *further: Table) -> Parts:
    """Build the tables and figures of a run.

    Args:
        lookup: its rows.
        further: tables that need more than rows, as variance components do.
    """
    tables = {
        "learned": (learned_table(lookup),),
        "passes": (passes_table(lookup),),
        "endpoints": (endpoint_table(lookup),),
        "transfer": transfer_tables(lookup),
        "secondary": (
            task_table(lookup),
            task_sample_table(lookup),
            *further,
            readout_table(lookup),
            trend_table(lookup),
            group_error_table(lookup),
        ),
        "episodes": episode_tables(lookup),
        "sources": (source_table(lookup),),
        "grains": (grain_table(lookup), caption_table(lookup)),
        "gradients": (gradient_table(lookup),),
    }
    figures = (ladder_figure(lookup), shots_figure(lookup), curves_figure(lookup))
    return Parts(
        {name: tuple(t for t in found if not t.is_empty) for name, found in tables.items()},
        {figure.name: figure for figure in figures if figure is not None},
    )


def render(lookup: Lookup, parts: Parts) -> str:
    """Return the page."""
    environment = page_environment(source_colours(lookup.source_settings, lookup.sources))
    return environment.get_template("report.html.j2").render(_context(lookup, parts))


def _context(lookup: Lookup, parts: Parts) -> Mapping[str, object]:
    run = lookup.run
    name = run.study.name if run.study else UNKNOWN_STUDY
    script = template_text("report.js")
    others = other_rows(lookup, parts.all_tables)
    question = control_question(lookup)
    ledger = run.ledger or ()
    return {
        "study": name,
        "title": (printable(run.study.question) if run.study else "") or name,
        "has_primary": lookup.primary is not None,
        "settings": run.settings,
        "learned": learned_phrase(lookup),
        "answer": answer(lookup),
        "warnings": warnings_of(lookup),
        "alarm": alarm_phrase(lookup),
        "is_ladder": lookup.is_ladder,
        "has_one_origin": lookup.has_one_origin(),
        "frozen_sources": [each.name for each in lookup.source_settings if each.is_frozen],
        "tables": parts.tables,
        "drawings": parts.drawings,
        "script": Markup(script),
        "script_hash": script_hash(script),
        "other": other_table(others) if others else None,
        "other_left_out": max(len(others) - MAX_OTHER_ROWS, 0),
        "shelves": shelves(run.examples, lookup.sources),
        "findings": findings(lookup),
        "findings_setting": question_words(question) if question else "",
        "missing_controls": missing_controls(lookup),
        "has_kitchenware": bool(kitchenware_of(lookup)),
        "has_both_looks": kitchenware_of(lookup) == set(KITCHENWARE),
        "facts": run_facts(lookup),
        "has_ledger": run.ledger is not None,
        "ledger": ledger[:MAX_LEDGER_ROWS],
        "ledger_left_out": max(len(ledger) - MAX_LEDGER_ROWS, 0),
        "glossary": GLOSSARY,
        "command": command_of(run),
        "inline": {name: Markup(drawing.inline) for name, drawing in parts.drawings.items()},
    }


# Names of a study and of clips are their users': a policy that allows one script by its hash, and
# loads nothing, leaves what they may hold without effect even where escaping should fail.
def script_hash(script: str) -> str:
    """Return the hash by which the content security policy allows this script and no other."""
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


GLOSSARY = (
    ("grain", "How finely labels tell clips apart: action groups, categories, or captions."),
    ("source", "The task an encoder is trained on: one grain, or classification with captions."),
    ("ladder", "The sources from coarse to fine. Only classification levels are nested."),
    ("target", "The new task on which the frozen features are tested."),
    ("features", "What the trained encoder makes of a clip; frozen, nothing in it changes here."),
    ("probe", "A small model fitted on frozen features: it shows what they hold."),
    ("read-out", "What of an encoder is tested: after its LSTM, or one channel or both before it."),
    (
        "endpoint",
        "A comparison that the study file names before the run; the first is the primary one.",
    ),
    (
        "p, Holm",
        "p after a correction that limits the chance of any false claim among all endpoints.",
    ),
    ("episode", "A small task drawn from a target: a few categories, a few support clips of each."),
    ("shots", "Labelled target clips for each category that the probe may learn from."),
    ("support draw", "One random choice of those clips; all sources get the same draws."),
    (
        "interval",
        "A range that holds the true value in 95 of 100 repetitions of what it varies; "
        "each says whether that is clips, draws, seeds, episodes, tasks or several (crossed).",
    ),
    ("chance", "What guessing scores."),
    (
        "control",
        "A measurement that would look good only if something other than the labels' "
        "grain were at work.",
    ),
    (
        "seed",
        "The start of one training run. Differences between seeds are the noise that a "
        "claim has to beat, so a claim needs eight.",
    ),
    ("percentage point", "The unit of a difference of percentages: 47 % is 5 points above 42 %."),
    ("entropy, bits", "How much a clip's label says, on average: one bit is one fair yes or no."),
)


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the section on what was run."""

    name: str
    value: str


def run_facts(lookup: Lookup) -> tuple[Fact, ...]:
    """Return the counts and the origin of a run; "not recorded" stands for what the run lacks."""
    run, study = lookup.run, lookup.run.study
    provenance = run.provenance
    measured = unique(row.seed for row in lookup.rows if row.seed is not None)
    seeds = measured or (study.seeds if study else ())
    scored = {row.target: row.n for row in lookup.transfer_rows if row.n}
    held_out = held_out_words(run.held_out)
    facts = (
        Fact("study", study.name if study else UNKNOWN_STUDY),
        Fact("seeds", ", ".join(map(str, sorted(seeds))) or UNKNOWN),
        Fact("sources", ", ".join(lookup.sources) or UNKNOWN),
        Fact("targets", ", ".join(_target_words(lookup)) or UNKNOWN),
        Fact("clips scored", "; ".join(f"{name} {n:,}" for name, n in scored.items()) or UNKNOWN),
        Fact(
            "clips failed, on the worst target",
            f"{max((row.failed for row in run.rows), default=0):,}",
        ),
        Fact(
            "clips ending early, on the worst target",
            f"{max((row.truncated for row in run.rows), default=0):,}",
        ),
        *((Fact("held out from every source", held_out),) if held_out else ()),
        Fact("problems in the ledger", UNKNOWN if run.ledger is None else f"{len(run.ledger):,}"),
        Fact("commit", _plain(provenance, "commit")),
        Fact("command", command_of(run)),
    )
    # Whatever else a run noted is shown too, under the names that it has there.
    shown = ("commit", "command")
    rest = {key: value for key, value in provenance.items() if key not in shown}
    return (
        *facts,
        *(
            Fact(key.replace("_", " ").replace(".", ": "), UNKNOWN if value == "null" else value)
            for key, value in flatten(rest)
        ),
    )


def command_of(run: RunFolder) -> str:
    """Return the command that made the run."""
    command = run.provenance.get("command")
    if isinstance(command, list):
        return printable(shlex.join(map(str, command)))
    return printable(command) if isinstance(command, str) and command else UNKNOWN


def kitchenware_of(lookup: Lookup) -> set[str]:
    """Return the drawn worlds of kitchenware among the targets."""
    return {lookup.world_of(name) or "" for name in _targets(lookup)} & set(KITCHENWARE)


def _targets(lookup: Lookup) -> tuple[str, ...]:
    named = (target.name for target in lookup.target_settings)
    return unique((*named, *map(base_target, lookup.targets)))


def _target_words(lookup: Lookup) -> tuple[str, ...]:
    worlds = ((name, lookup.world_of(name)) for name in _targets(lookup))
    return tuple(f"{name} (drawn world)" if world else name for name, world in worlds)


def _plain(provenance: Json, key: str) -> str:
    value = provenance.get(key)
    return printable(value) if isinstance(value, str) and value else UNKNOWN
