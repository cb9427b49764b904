"""What was run, and with what: the study's settings and the run's provenance, in words."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from taskgrain.report.lookup import KITCHENWARE, Lookup, base_target, unique
from taskgrain.report.run_folder import Json, RunFolder, flatten, held_out_words
from taskgrain.report.words import printable

UNKNOWN = "not recorded"
UNKNOWN_STUDY = "study"  # the name on the page where the run folder has no study file

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
    ("p, Holm", "p after a correction that keeps one false claim among all endpoints rare."),
    ("episode", "A small task drawn from a target: a few categories, a few support clips of each."),
    ("shots", "Labelled target clips for each category that the probe may learn from."),
    ("support draw", "One random choice of those clips; all sources get the same draws."),
    (
        "interval",
        "A range that holds the true value in 95 of 100 repetitions of what it varies; "
        "each says whether that is clips, draws, seeds or all (crossed).",
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
    """One line of what was run."""

    name: str
    value: str


def run_facts(lookup: Lookup) -> tuple[Fact, ...]:
    """Return the counts and the origin of a run, with what was not recorded said so."""
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
        Fact("clips failed, at most", f"{max((row.failed for row in run.rows), default=0):,}"),
        Fact(
            "clips ending early, at most",
            f"{max((row.truncated for row in run.rows), default=0):,}",
        ),
        *((Fact("held out from every source", held_out),) if held_out else ()),
        Fact("problems in the ledger", UNKNOWN if run.ledger is None else f"{len(run.ledger):,}"),
        Fact("commit", _plain(provenance, "commit")),
        Fact("command", command_of(run)),
    )
    shown = ("commit", "command")
    rest = {key: value for key, value in provenance.items() if key not in shown}
    return (
        *facts,
        *(
            Fact(_spaced(key), UNKNOWN if value == "null" else value)
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
    """Find the drawn worlds of kitchenware among the targets; their alignment is known."""
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


def _spaced(key: str) -> str:
    return key.replace("_", " ").replace(".", ": ")
