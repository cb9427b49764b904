"""The cell that computes alignments: it draws tasks by their kind, and writes rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from taskgrain.config.clips import Target
from taskgrain.data.manifest import Split
from taskgrain.jobs.executor import Worker
from taskgrain.labels.template import strip_brackets
from taskgrain.names import ALIGNMENT, ALIGNMENT_GAIN, ALIGNMENT_GAIN_IF_SHOWN
from taskgrain.results import ResultRow, write_rows
from taskgrain.study.alignment import (
    Alignment,
    SourceWorld,
    TargetWorld,
    align,
    align_with_each,
    draw_tasks,
    of_held_out,
    write_drawn_tasks,
)
from taskgrain.study.datasets import SOURCE
from taskgrain.study.inputs import Inputs
from taskgrain.study.seed_clips import categories_rotate
from taskgrain.study.targets import possible_tasks, rotates, tasks_of
from taskgrain.tabletop.tasks import TASKS
from taskgrain.transfer.rows import added_counts
from taskgrain.transfer.task import TargetTask

ALIGNMENT_FILE = "alignment"
SCENE_SECONDS = 0.00013  # to sample a scene and to count it
TASK_SECONDS = 0.15  # to compare the classes of a task


def computes_alignment(inputs: Inputs) -> bool:
    """Whether the study computes alignment, and its source is a world whose factors are known."""
    return bool(inputs.study.alignment) and inputs.datasets[SOURCE].world is not None


def alignment_seconds(inputs: Inputs) -> float:
    """Estimate what the cell takes on one thread."""
    study = inputs.study
    worlds = len(study.seeds) if categories_rotate(study.data) else 1
    tasks = sum(1 + len(each.factors) for each in study.targets)
    draws = len(TASKS) if any(each.tasks for each in study.targets) else 0
    novel = 3 * worlds * sum(rotates(study, each) for each in study.targets)  # with its strata
    populations = worlds + novel + 1
    return populations * study.alignment * SCENE_SECONDS + worlds * (tasks + draws) * TASK_SECONDS


@dataclass(frozen=True, slots=True)
class TaskDraw:
    """How many tasks are drawn for a target, and from which seed."""

    number: int
    seed: int


def task_draw_of(target: Target) -> TaskDraw:
    """Return what is drawn for a target: its own seed draws its tasks, in a stream of their own."""
    return TaskDraw(target.tasks, target.seed)


def score_alignment(worker: Worker, inputs: Inputs, pairs: Sequence[tuple[str, str]]) -> None:
    """Draw the tasks of the targets that draw some; write the alignment of every task.

    Gains are those of the pairs: source and versus of each difference that the study reports.
    """
    study = inputs.study
    # What a source knows depends on the categories that its seed learns, and on nothing else of it.
    learned = study.seeds if categories_rotate(study.data) else study.seeds[:1]
    worlds = [_world_of(inputs, seed) for seed in learned]
    worker.advance(len(worlds) * study.alignment * SCENE_SECONDS)
    targets = TargetWorld(study.alignment)
    rows: list[ResultRow] = []
    for target in study.targets:
        if target.tasks:
            drawn = _drawn(inputs, target, worlds, targets)
            write_drawn_tasks(inputs.datasets[target.name].root, drawn)
            worker.advance(len(worlds) * len(TASKS) * TASK_SECONDS)
        if rotates(study, target):
            rows += _of_rotating(worker, inputs, target, worlds, pairs)
            continue
        for task in tasks_of(inputs, target, None):
            _, _, factor = task.name.partition("/")
            question = targets.question(target, factor or None, task.class_names)
            if question is not None:
                rows += _rows(study.name, task, align_with_each(worlds, question), pairs)
            worker.advance(len(worlds) * TASK_SECONDS)
    write_rows(inputs.folder.rows(ALIGNMENT_FILE), rows)


def _world_of(inputs: Inputs, seed: int) -> SourceWorld:
    """Draw scenes of the categories that a seed learns, with each source's labels of them."""
    learned = inputs.clips(seed).learned
    training = learned.split(Split.TRAIN)
    categories = sorted({strip_brackets(record.category) for record in training})
    study = inputs.study
    return SourceWorld(study.alignment, learned.taxonomy, categories, study.sources)


def _of_rotating(
    worker: Worker,
    inputs: Inputs,
    target: Target,
    worlds: Sequence[SourceWorld],
    pairs: Sequence[tuple[str, str]],
) -> list[ResultRow]:
    """Write the alignments of held-out categories: the mean over the seeds, then of each seed.

    Classes and learned categories are those of the seed.
    """
    study, scenes = inputs.study, inputs.study.alignment
    of_seeds: list[list[ResultRow]] = []
    for seed, world in zip(study.seeds, worlds, strict=True):
        own_rows: list[ResultRow] = []
        for task in tasks_of(inputs, target, seed):
            if "/" in task.name and task.name.rpartition("/")[2] in target.factors:
                continue  # a factor of these clips, which the categories do not determine
            classes = [strip_brackets(name) for name in task.class_names]
            own_rows += _rows(study.name, task, align(world, of_held_out(scenes, classes)), pairs)
            worker.advance(scenes * SCENE_SECONDS)
        of_seeds.append([replace(row, seed=seed) for row in own_rows])
    return [*_mean_of_seeds(of_seeds), *(row for rows in of_seeds for row in rows)]


def _mean_of_seeds(of_seeds: Sequence[Sequence[ResultRow]]) -> list[ResultRow]:
    """Average the rows of each seed over the seeds, without an interval: labels are no sample."""
    groups: dict[tuple[str | None, ...], list[ResultRow]] = {}
    for row in (row for rows in of_seeds for row in rows):
        groups.setdefault((row.target, row.source, row.versus, row.metric), []).append(row)
    return [
        replace(
            rows[0],
            seed=None,
            value=fmean(row.value for row in rows if row.value is not None),
            **added_counts(rows),
        )
        for rows in groups.values()
    ]


def _drawn(
    inputs: Inputs, target: Target, worlds: Sequence[SourceWorld], targets: TargetWorld
) -> tuple[str, ...]:
    """Draw a target's tasks, of those with enough clips, by kind for the primary comparison."""
    primary, dataset = inputs.study.primary, inputs.datasets[target.name]
    category = tasks_of(inputs, target, None)[0]
    kinds = {}
    for name in possible_tasks(category, dataset.manifest(), inputs.study.transfer):
        question = targets.of_tabletop(name, TASKS[name].classes)
        assert question is not None, name
        kinds[name] = align_with_each(worlds, question).kind(primary.source, primary.versus)
    draw = task_draw_of(target)
    return draw_tasks(kinds, draw.number, seed=draw.seed)


def _rows(
    study: str, task: TargetTask, aligned: Alignment, pairs: Sequence[tuple[str, str]]
) -> list[ResultRow]:
    """Write the alignment of each source, then the gain of each pair that has both."""
    values: list[tuple[str, str, str | None, float]] = [
        (ALIGNMENT, source, None, value) for source, value in aligned.of.items()
    ]
    for source, versus in pairs:
        if source in aligned.of and versus in aligned.of:
            values += [
                (ALIGNMENT_GAIN, source, versus, aligned.gain(source, versus)),
                (ALIGNMENT_GAIN_IF_SHOWN, source, versus, aligned.gain_if_shown(source, versus)),
            ]
    scored = set(task.query_ids)
    return [
        ResultRow(
            study=study,
            source=source,
            target=task.name,
            metric=metric,
            value=value,
            n=len(scored),
            failed=len(scored & task.failed),
            truncated=len(scored & task.truncated),
            versus=versus,
        )
        for metric, source, versus, value in values
    ]
