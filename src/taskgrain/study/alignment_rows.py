"""The cell that computes alignments: it draws tasks by their kind, and writes rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from taskgrain.config.clips import Target
from taskgrain.data.manifest import Split
from taskgrain.jobs.executor import Worker
from taskgrain.labels.template import strip_brackets
from taskgrain.results import (
    ALIGNMENT,
    ALIGNMENT_GAIN,
    ALIGNMENT_GAIN_IF_SHOWN,
    ResultRow,
    write_rows,
)
from taskgrain.study.alignment import (
    Alignment,
    SourceWorld,
    TargetWorld,
    align,
    draw_tasks,
    write_drawn_tasks,
)
from taskgrain.study.datasets import SOURCE
from taskgrain.study.inputs import Inputs
from taskgrain.study.targets import rotates, tasks_of
from taskgrain.tabletop.tasks import TASKS
from taskgrain.transfer.task import TargetTask

ALIGNMENT_FILE = "alignment"
SCENE_SECONDS = 0.00013  # to sample a scene and to count it
TASK_SECONDS = 0.15  # to compare the classes of a task


def computes_alignment(inputs: Inputs) -> bool:
    """Whether the study asks for alignment, and its source is a world whose factors are known."""
    return bool(inputs.study.alignment) and inputs.datasets[SOURCE].world is not None


def alignment_seconds(inputs: Inputs) -> float:
    """Estimate what the cell takes on one thread."""
    targets = inputs.study.targets
    tasks = sum(1 + len(each.factors) for each in targets)
    draws = len(TASKS) if any(each.tasks for each in targets) else 0
    return 2 * inputs.study.alignment * SCENE_SECONDS + (tasks + draws) * TASK_SECONDS


@dataclass(frozen=True, slots=True)
class TaskDraw:
    """How many tasks are drawn for a target, and from which seed."""

    number: int
    seed: int


def task_draw_of(target: Target) -> TaskDraw:
    """Return what is drawn for a target: its own seed draws its tasks, in a stream of their own."""
    return TaskDraw(target.tasks, target.seed)


def score_alignment(worker: Worker, inputs: Inputs, pairs: Sequence[tuple[str, str]]) -> None:
    """Draw the tasks of the targets that ask for some; write the alignment of every task.

    Args:
        worker: which is told of the progress.
        inputs: the study.
        pairs: source and versus of each difference that the study reports.
    """
    study = inputs.study
    manifest = inputs.datasets[SOURCE].manifest()
    training = manifest.split(Split.TRAIN)
    categories = sorted({strip_brackets(record.category) for record in training})
    world = SourceWorld(study.alignment, manifest.taxonomy, categories, study.sources)
    worker.advance(study.alignment * SCENE_SECONDS)
    targets = TargetWorld(study.alignment)
    rows: list[ResultRow] = []
    for target in study.targets:
        if target.tasks:
            write_drawn_tasks(
                inputs.datasets[target.name].root, _drawn(inputs, target, world, targets)
            )
            worker.advance(len(TASKS) * TASK_SECONDS)
        if rotates(study, target):  # its classes are others under each seed
            continue
        for task in tasks_of(inputs, target, None):
            _, _, factor = task.name.partition("/")
            asked = targets.asked(target, factor or None, task.class_names)
            if asked is not None:
                rows += _rows(study.name, task, align(world, asked), pairs)
            worker.advance(TASK_SECONDS)
    write_rows(inputs.folder.rows(ALIGNMENT_FILE), rows)


def _drawn(
    inputs: Inputs, target: Target, world: SourceWorld, targets: TargetWorld
) -> tuple[str, ...]:
    """Draw a target's tasks by their kind for the study's primary comparison."""
    primary = inputs.study.primary
    kinds = {}
    for name, task in TASKS.items():
        asked = targets.of_tabletop(name, task.classes)
        assert asked is not None, name
        kinds[name] = align(world, asked).kind(primary.source, primary.versus)
    draw = task_draw_of(target)
    return draw_tasks(kinds, draw.number, seed=draw.seed)


def _rows(
    study: str, task: TargetTask, found: Alignment, pairs: Sequence[tuple[str, str]]
) -> list[ResultRow]:
    """Write the alignment of each source, then the gain of each pair that has both."""
    values: list[tuple[str, str, str | None, float]] = [
        (ALIGNMENT, source, None, value) for source, value in found.of.items()
    ]
    for source, versus in pairs:
        if source in found.of and versus in found.of:
            values += [
                (ALIGNMENT_GAIN, source, versus, found.gain(source, versus)),
                (ALIGNMENT_GAIN_IF_SHOWN, source, versus, found.gain_if_shown(source, versus)),
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
