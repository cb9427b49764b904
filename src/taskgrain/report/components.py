"""Variance components of the primary comparison, on every target: computed, written and shown.

Shapes: S encoder seeds, R support draws, N scored clips.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from taskgrain.config.settings import Study
from taskgrain.names import VARIANCE_OVER_TASKS
from taskgrain.report.tables import Block, Cell, Column, Line, Table
from taskgrain.report.words import MINUS
from taskgrain.results import ResultRow
from taskgrain.statistics.crossed import (
    Part,
    clip_noise,
    rotating_components,
    shared_components,
)
from taskgrain.transfer.answers import Answers, Evaluation

SHARED, ROTATING, TASKS = "shared clips", "clips of each seed", "tasks"
IN_TASKS, IN_BOTH = "clips in tasks", "clips in tasks x seeds"  # parts of parts
SQUARED_POINTS = 1e4  # of a squared fraction
Answered = Sequence[tuple[Evaluation, Answers]]
Pair = tuple[tuple[Evaluation, Answers], tuple[Evaluation, Answers]]  # of one seed


@dataclass(frozen=True, slots=True)
class Components:
    """The variance components of a difference on one target."""

    target: str
    kind: str  # SHARED, ROTATING or TASKS
    parts: tuple[Part, ...]


def components_of(study: Study, rows: Sequence[ResultRow], answered: Answered) -> list[Components]:
    """Split the variance of the primary comparison, where it is read, on every target.

    Args:
        study: its settings.
        rows: of the run; of a sample of tasks they have the components of tasks and seeds.
        answered: the answers to every clip, where the endpoints are read.

    Returns:
        In the order of the targets. Those that lack the answers of either source, or of which a
        class has a single scored clip, are left out; so is what needs several seeds from one.
    """
    pairs = _pairs(study, answered)
    found = []
    for target in (each.name for each in study.targets):
        own = pairs.get(target, [])
        # A class with one scored clip shows no spread of its clips.
        if own and all(map(_has_spread, own)):
            found += _of_target(study, target, own)
        tasks = [each for name, each in pairs.items() if name.startswith(f"{target}/")]
        variances = _variances(study, target, rows)
        if tasks and variances and all(_has_spread(pair) for task in tasks for pair in task):
            found.append(_of_tasks(study, target, tasks, variances))
    return found


def components_json(study: Study, of_targets: Sequence[Components]) -> str:
    """Write components as JSON; variances are in squared percentage points."""
    at = study.primary
    endpoint = {
        name: getattr(at, name)
        for name in ("source", "versus", "probe", "readout", "shots", "metric")
    }
    written = [
        {
            **endpoint,
            "target": each.target,
            "kind": each.kind,
            "parts": [
                {
                    "name": part.name,
                    "squared_points": SQUARED_POINTS * part.of_one,
                    "units": part.units,
                }
                for part in each.parts
            ],
        }
        for each in of_targets
    ]
    return json.dumps(written, indent=1) + "\n"


def components_table(study: Study, of_targets: Sequence[Components]) -> Table:
    """Return the table of components: what one unit adds, and what remains in the mean."""
    at = study.primary
    of_one, of_mean = "one of them adds", "the mean has of it"
    return Table(
        name="components",
        title="What the primary difference varies with",
        caption=(
            f"Variance components of {at.source} {MINUS} {at.versus}, in squared percentage points "
            "and as standard deviations in points: what one seed, draw or task adds, and what of "
            "it is left in the mean. Test clips are one set: other clips of the same classes. "
            "Estimates are unbiased, so that one may be below 0; its deviation is then 0. Of tasks "
            "the share that is noise of their clips stands below."
        ),
        corner="component",
        columns=tuple(
            Column(label, group) for group in (of_one, of_mean) for label in ("variance", "SD")
        ),
        blocks=tuple(Block(_title(each), _lines(each)) for each in of_targets),
    )


def _pairs(study: Study, answered: Answered) -> dict[str, list[Pair]]:
    """Pair the answers of the primary endpoint's two sources: task -> one pair for each seed."""
    at = study.primary
    of: dict[tuple[str, str | None, int | None], tuple[Evaluation, Answers]] = {}
    for evaluation, answers in answered:
        subject = evaluation.subject
        where = (subject.control, subject.readout, answers.probe, answers.shots)
        if where == (None, at.readout, at.probe, at.shots):
            of[evaluation.target, subject.source, subject.seed] = (evaluation, answers)
    found: dict[str, list[Pair]] = {}
    for task in dict.fromkeys(target for target, _, _ in of):
        both = [
            (of.get((task, at.source, seed)), of.get((task, at.versus, seed)))
            for seed in study.seeds
        ]
        # Of all seeds or of none: those that did not fail do not answer for one that did.
        whole = [(ours, theirs) for ours, theirs in both if ours and theirs]
        if len(whole) == len(both):
            found[task] = whole
    return found


def _has_spread(pair: Pair) -> bool:
    return int(np.unique(pair[0][0].labels, return_counts=True)[1].min()) > 1


def _of_target(study: Study, target: str, pairs: Sequence[Pair]) -> list[Components]:
    metric = study.primary.metric
    values = [
        ours.correct(of_ours).astype(np.int8) - theirs.correct(of_theirs).astype(np.int8)
        for (ours, of_ours), (theirs, of_theirs) in pairs
    ]  # (R, N) each
    labels = [ours.labels for (ours, _), _ in pairs]
    if len({ours.clip_ids for (ours, _), _ in pairs}) > 1:
        parts = rotating_components(values, labels, metric=metric)
        return [Components(target, ROTATING, tuple(parts))]
    parts = shared_components(np.stack(values), labels[0], metric=metric)
    return [Components(target, SHARED, tuple(parts))]


def _variances(study: Study, target: str, rows: Sequence[ResultRow]) -> list[float]:
    """Find the components of tasks, seeds and tasks x seeds of the primary comparison."""
    at = study.primary
    where = (at.source, at.versus, target, at.probe, at.shots, at.readout)
    of_metric: dict[str, float] = {}
    for row in rows:  # of several metrics the primary endpoint's rows come first
        here = (row.source, row.versus, row.target, row.probe, row.shots, row.readout)
        if here == where and row.metric in VARIANCE_OVER_TASKS and row.value is not None:
            of_metric.setdefault(row.metric, row.value)
    return [of_metric[metric] for metric in VARIANCE_OVER_TASKS if metric in of_metric]


def _of_tasks(
    study: Study, target: str, tasks: Sequence[Sequence[Pair]], variances: Sequence[float]
) -> Components:
    scores = [
        np.stack([a.scores(of_a) - b.scores(of_b) for (a, of_a), (b, of_b) in pairs])
        for pairs in tasks
    ]  # (S, N) each
    labels = [pairs[0][0][0].labels for pairs in tasks]
    alike, by_seed = clip_noise(scores, labels, metric=study.primary.metric)
    of_tasks, of_seeds, of_both = variances
    num_tasks, num_seeds = len(tasks), len(study.seeds)
    parts = (
        Part("tasks", of_tasks, num_tasks),
        Part(IN_TASKS, alike, num_tasks),
        Part("seeds", of_seeds, num_seeds),
        Part("tasks x seeds", of_both, num_tasks * num_seeds),
        Part(IN_BOTH, by_seed, num_tasks * num_seeds),
    )
    return Components(target, TASKS, parts)


def _title(components: Components) -> str:
    units = {part.name: part.units for part in components.parts}
    if components.kind == TASKS:
        return f"{components.target}: {units['tasks']} tasks, {units['seeds']} encoder seeds"
    per_seed = units.get("seeds", 1) if components.kind == ROTATING else 1
    seeds = f"{units['seeds']} encoder seeds, " if "seeds" in units else "one encoder seed, "
    return f"{components.target}: {seeds}{units.get('draws', per_seed) // per_seed} support draws"


WORDS = {
    "seeds": "encoder seeds",
    "draws": "support draws",
    "clips": "test clips",
    "tasks": "tasks",
    "tasks x seeds": "tasks x encoder seeds",
    IN_TASKS: "of which noise of clips, the same under every seed",
    IN_BOTH: "of which noise of clips, another under each seed",
}


def _lines(components: Components) -> tuple[Line, ...]:
    """Return one line for each component, one for all interactions, and one for the sum."""
    shown = [part for part in components.parts if part.name in WORDS]
    rest = [part.in_mean for part in components.parts if part.name not in WORDS]
    total = sum(part.in_mean for part in components.parts if part.name not in (IN_TASKS, IN_BOTH))
    lines = [
        Line(WORDS[each.name], (*_cells(each.of_one), *_cells(each.in_mean))) for each in shown
    ]
    empty = (Cell(), Cell())
    if rest:
        lines.append(Line("their interactions", (*empty, *_cells(sum(rest)))))
    return (*lines, Line("all of them", (*empty, *_cells(total))))


def _cells(variance: float) -> tuple[Cell, Cell]:
    """Return two cells: of a variance, a squared fraction, and of its root."""
    squared = SQUARED_POINTS * variance
    deviation = sqrt(max(squared, 0.0))
    return (
        Cell(f"{squared:.2f}".replace("-", MINUS), squared, origin="components"),
        Cell(f"{deviation:.2f}", deviation, origin="components"),
    )
