"""The cell that turns every answer into the rows of results.jsonl, in plan order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

from taskgrain.config.clips import Target
from taskgrain.data.files import write_text
from taskgrain.jobs.executor import Worker
from taskgrain.results import ResultRow, read_rows, write_rows
from taskgrain.statistics.intervals import ClipBootstrap
from taskgrain.study.inputs import Inputs
from taskgrain.study.targets import target_tasks
from taskgrain.study.testing import (
    SubjectKey,
    evaluation_name,
    has_permuted_control,
    opened,
    subjects,
)
from taskgrain.train.run_log import read_records
from taskgrain.transfer.predictions import read_evaluation
from taskgrain.transfer.rows import (
    clip_rows,
    difference_rows,
    floor_rows,
    permuted_rows,
    seed_rows,
)
from taskgrain.transfer.task import TargetTask

BOOTSTRAP_SEED = 0


def gather(worker: Worker, inputs: Inputs) -> None:
    """Write results.jsonl and curves.jsonl from what the other cells left."""
    study, folder = inputs.study, inputs.folder
    rows: list[ResultRow] = []
    for source in study.sources:
        for seed in study.seeds:
            rows += read_rows(folder.rows(f"score-{source.name}-seed-{seed}"))
    keys = subjects(inputs)
    for target in study.targets:
        for task in target_tasks(target, *opened(inputs.datasets[target.name])):
            rows += _task_rows(inputs, keys, target, task)
            worker.advance(1.0)
    write_text(folder.curves, "".join(line + "\n" for line in _curves(inputs)))
    write_rows(folder.results, rows)


def _task_rows(
    inputs: Inputs, keys: list[SubjectKey], target: Target, task: TargetTask
) -> list[ResultRow]:
    study, folder = inputs.study, inputs.folder
    bootstrap = ClipBootstrap(task.query_labels, seed=BOOTSTRAP_SEED)
    evaluations = [
        read_evaluation(folder.predictions(evaluation_name(key, task.name))) for key in keys
    ]
    permuted = [
        read_evaluation(folder.predictions(f"{evaluation_name(key, task.name)}.permuted.labels"))
        for key in keys
        if has_permuted_control(inputs, key, target, task.name)
    ]
    floors = floor_rows(task, study=study.name)
    if "majority" not in study.transfer.controls:
        floors = [row for row in floors if row.control != "majority"]
    return [
        *floors,
        *clip_rows(evaluations, study=study.name, bootstrap=bootstrap),
        *seed_rows(evaluations, study=study.name),
        *difference_rows(
            evaluations, compared_pairs(inputs), study=study.name, bootstrap=bootstrap
        ),
        *permuted_rows(permuted, study=study.name),
    ]


def compared_pairs(inputs: Inputs) -> list[tuple[str, str]]:
    """List the differences that are reported: each source against the primary's coarser one."""
    versus = inputs.study.primary.versus
    return [(source.name, versus) for source in inputs.study.sources if source.name != versus]


def _curves(inputs: Inputs) -> Iterator[str]:
    for source in inputs.study.sources:
        for seed in inputs.study.seeds:
            log = inputs.folder.checkpoint(source.name, seed) / "epochs.jsonl"
            for record in read_records(log):
                yield json.dumps({"source": source.name, "seed": seed, **asdict(record)})
