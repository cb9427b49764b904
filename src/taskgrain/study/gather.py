"""The cell that turns all answers into the rows of results.jsonl, in plan order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from taskgrain.config.clips import Target
from taskgrain.config.settings import Study
from taskgrain.data.files import write_text
from taskgrain.jobs.executor import Worker
from taskgrain.labels.taxonomy import Taxonomy
from taskgrain.learned import unlearned
from taskgrain.names import ChosenControl, ClipMetric
from taskgrain.results import ResultRow, read_rows, write_rows
from taskgrain.statistics.intervals import ClipBootstrap
from taskgrain.study.alignment_rows import ALIGNMENT_FILE, computes_alignment
from taskgrain.study.datasets import SOURCE
from taskgrain.study.head_scores import floor_seeds, floors_name
from taskgrain.study.inputs import Inputs
from taskgrain.study.seed_clips import facts_json, seed_facts
from taskgrain.study.source_scores import scores_name
from taskgrain.study.subjects import SubjectKey, under_seeds
from taskgrain.study.targets import (
    are_two_looks,
    clips_asked,
    episode_plans,
    rotates,
    task_seeds,
    tasks_of,
)
from taskgrain.study.testing import (
    asks_episodes,
    evaluation_name,
    has_permuted_control,
    read_target_episodes,
)
from taskgrain.study.trained_controls import FROM_SCRATCH, scratch_name
from taskgrain.train.log import read_records
from taskgrain.transfer.difference_rows import control_rows, difference_rows
from taskgrain.transfer.endpoints import (
    Endpoint,
    correct_endpoints,
    detectable_rows,
    gain_rows,
    joint_rows,
)
from taskgrain.transfer.level_rows import group_error_rows, nested_order, trend_rows
from taskgrain.transfer.predictions import read_evaluation
from taskgrain.transfer.rows import (
    clip_rows,
    episode_rows,
    floor_rows,
    permuted_rows,
    seed_rows,
)
from taskgrain.transfer.sample_rows import of_seed, over_seeds, sample_rows
from taskgrain.transfer.task import TargetTask

BOOTSTRAP_SEED = 0


@dataclass(frozen=True, slots=True)
class RowPlan:
    """Which rows are written for every task, beside its values."""

    study: str  # its name, a column of every row
    compared: list[tuple[str, str]]  # source and versus of each difference
    ladder: list[str]  # sources that a trend is tested over, from coarse to fine; none: no trend
    trend_metric: ClipMetric
    controls: tuple[ChosenControl, ...]  # that sources are compared with; beside chance
    at: Endpoint  # where they are compared


def gather(worker: Worker, inputs: Inputs, keys: Sequence[SubjectKey]) -> None:
    """Write results.jsonl and curves.jsonl from what the other cells left.

    The keys are whom the study tests, in plan order. The plan has found out which encoders have
    BatchNorm, so that no network is built here.
    """
    study, folder = inputs.study, inputs.folder
    # In the order of the study file, whichever cell ended first: equal runs have equal bytes.
    rows: list[ResultRow] = []
    for source in study.trained:
        for seed in study.seeds:
            for passes in (*study.train.fewer_passes, None):
                rows += read_rows(folder.rows(scores_name(source.name, seed, passes)))
    for seed_of_floors in floor_seeds(study):
        rows += read_rows(folder.rows(floors_name(seed_of_floors)))
    aligned = read_rows(folder.rows(ALIGNMENT_FILE)) if computes_alignment(inputs) else []
    rows += aligned
    plan = row_plan_of(study, inputs.datasets[SOURCE].manifest().taxonomy)
    for target in study.targets:
        rows += _target_rows(worker, inputs, keys, target, plan, aligned)
    family = endpoints(study)
    rows += _gain_rows(inputs, keys, family)
    rows += joint_rows(rows, family)
    # Holm's correction and what the seeds could find come last: both need every row of the study.
    corrected = correct_endpoints(rows, family, unlearned=unlearned(rows))
    rows = [*corrected, *detectable_rows(rows, family)]
    write_text(folder.curves, "".join(line + "\n" for line in _curves(inputs)))
    manifest = inputs.datasets[SOURCE].manifest()
    if facts := seed_facts(study.data, manifest, study.seeds):
        write_text(folder.held_out, facts_json(facts))
    write_rows(folder.results, rows)


def _target_rows(
    worker: Worker,
    inputs: Inputs,
    keys: Sequence[SubjectKey],
    target: Target,
    plan: RowPlan,
    aligned: Sequence[ResultRow],
) -> list[ResultRow]:
    """Turn the answers to all tasks of a target into rows.

    Where its classes rotate, each seed has rows of its own, and then the seeds together. `aligned`
    are the rows of what the sources know of its tasks.
    """
    seeds = task_seeds(inputs.study, target)
    subjects = under_seeds(keys, seeds)
    rows: list[ResultRow] = []
    for seed in seeds:
        own = [key for key in subjects if seed is None or key.seed == seed]
        tasks = tasks_of(inputs, target, seed)
        of_tasks: list[ResultRow] = []
        for task in tasks:
            of_tasks += _task_rows(inputs, own, target, task, plan, group_of(inputs, target, seed))
            worker.advance(1.0)
        of_tasks += _episode_rows(inputs, own, target, tasks[0], plan)
        if seed is None:  # tasks that all seeds share
            factors = [task.name for task in tasks if "/" in task.name]
            for at in distinct_settings(endpoints(inputs.study)):
                of_tasks += sample_rows([*aligned, *of_tasks], factors, plan.compared, at=at)
        rows += of_tasks if seed is None else of_seed(of_tasks, seed)
    return [*rows, *(over_seeds(rows) if rotates(inputs.study, target) else ())]


def group_of(inputs: Inputs, target: Target, seed: int | None) -> Mapping[str, str | None]:
    """Return the group of every held-out category of a target; empty for other targets."""
    hold_out = inputs.study.data.hold_out
    if hold_out is None or not target.is_held_out:
        return {}
    manifest, _ = clips_asked(inputs.study, inputs.datasets[target.name], target, seed)
    taxonomy = manifest.taxonomy
    if hold_out.level not in taxonomy.levels:
        return {}
    return {each: taxonomy.name_of(each, hold_out.level) for each in taxonomy.categories}


def _task_rows(
    inputs: Inputs,
    keys: list[SubjectKey],
    target: Target,
    task: TargetTask,
    plan: RowPlan,
    groups: Mapping[str, str | None],
) -> list[ResultRow]:
    folder = inputs.folder
    names = [evaluation_name(key, task.name) for key in keys]
    heads: list[str] = []
    if FROM_SCRATCH in plan.controls and task.name == target.name:  # its factors are not learned
        seeds = dict.fromkeys(key.seed for key in keys if key.seed is not None)
        heads = [scratch_name(target.name, seed) for seed in seeds]
    permuted = [
        f"{name}.permuted.labels"
        for name, key in zip(names, keys, strict=True)
        if has_permuted_control(inputs, key, target, task.name)
    ]
    return rows_of_task(
        [folder.predictions(name) for name in (*names, *heads)],
        [folder.predictions(name) for name in permuted],
        task,
        plan,
        spill_folder=folder.root,
        split_errors_by=(groups, endpoints(inputs.study))
        if set(task.class_names) <= set(groups)
        else None,
    )


def rows_of_task(
    answered: Sequence[Path],
    permuted: Sequence[Path],
    task: TargetTask,
    plan: RowPlan,
    *,
    spill_folder: Path,
    split_errors_by: tuple[Mapping[str, str | None], Sequence[Endpoint]] | None = None,
) -> list[ResultRow]:
    """Turn the answers to one task into rows; memory hardly grows with the number of clips.

    Args:
        answered: evaluations with true labels, one a subject.
        permuted: evaluations with permuted labels.
        task: that was answered.
        plan: which rows are written.
        spill_folder: where a file without a name may hold a byte for each of 10,000 resamples of
            each clip.
        split_errors_by: the group of each class, and the endpoints where wrong answers are split
            into within and across groups; None where the classes have no groups.
    """
    study = plan.study
    bootstrap = ClipBootstrap(task.query_labels, seed=BOOTSTRAP_SEED, spill_folder=spill_folder)
    evaluations = [read_evaluation(path, task) for path in answered]
    floors = floor_rows(task, study=study)
    if "majority" not in plan.controls:
        floors = [row for row in floors if row.control != "majority"]
    beside: list[ResultRow] = []
    if task.name == plan.at.target:
        beside = control_rows(
            evaluations,
            task,
            at=plan.at,
            study=study,
            bootstrap=bootstrap,
            controls=plan.controls,
        )
    if split_errors_by is not None:
        groups, at = split_errors_by
        parted = group_error_rows(evaluations, groups, at=at, study=study, bootstrap=bootstrap)
        beside += [*parted, *over_seeds(parted, same_clips=True)]
    return [
        *floors,
        *clip_rows(evaluations, study=study, bootstrap=bootstrap),
        *seed_rows(evaluations, study=study),
        *difference_rows(evaluations, plan.compared, study=study, bootstrap=bootstrap),
        *beside,
        *trend_rows(evaluations, plan.ladder, study=study, metric=plan.trend_metric),
        *permuted_rows([read_evaluation(path, task) for path in permuted], study=study),
    ]


def _episode_rows(
    inputs: Inputs, keys: list[SubjectKey], target: Target, task: TargetTask, plan: RowPlan
) -> list[ResultRow]:
    """Return the rows of a target's episodes; none in a study without episodes."""
    if not episode_plans(target, inputs.study.transfer):
        return []
    tested = [key for key in keys if asks_episodes(inputs, key, target)]
    answered = [read_target_episodes(inputs, key, target, task) for key in tested]
    kept = [each for each in answered if each is not None]
    return episode_rows(kept, plan.compared, study=plan.study)


def _gain_rows(
    inputs: Inputs,
    keys: Sequence[SubjectKey],
    family: Sequence[Endpoint],
) -> list[ResultRow]:
    """Return the rows of the endpoints that compare the differences on two targets."""
    study, folder = inputs.study, inputs.folder
    settings = {target.name: target for target in study.targets}
    rows: list[ResultRow] = []
    for endpoint in family:
        if endpoint.minus_target is None:
            continue
        names = (endpoint.target, endpoint.minus_target)
        tasks = {name: tasks_of(inputs, settings[name], None)[0] for name in names}
        near, far = (
            [
                read_evaluation(folder.predictions(evaluation_name(key, name)), tasks[name])
                for key in keys
                if key.control is None
                and key.source in (endpoint.source, *endpoint.versus)
                and key.read_as == endpoint.readout
            ]
            for name in names
        )
        rows += gain_rows(
            near,
            far,
            endpoint,
            study=study.name,
            are_pairs=are_two_looks(settings[names[0]], settings[names[1]]),
            bootstrap_of=partial(ClipBootstrap, seed=BOOTSTRAP_SEED, spill_folder=folder.root),
        )
    return rows


def row_plan_of(study: Study, taxonomy: Taxonomy) -> RowPlan:
    """Turn the settings of a study into the choice of its rows."""
    return RowPlan(
        study=study.name,
        compared=compared_pairs(study),
        ladder=nested_ladder(study, taxonomy),
        trend_metric=study.primary.metric,
        controls=study.transfer.controls,
        at=endpoints(study)[0],
    )


def compared_pairs(study: Study) -> list[tuple[str, str]]:
    """List the differences that are reported.

    Each source against the primary's coarser one, then what else the family compares, then each
    twin with its other: A/A, and compared with nothing else.
    """
    versus, twins = study.primary.versus, study.twins()
    names = [source.name for source in study.sources if source.name not in twins]
    pairs = [(name, versus) for name in names if name != versus]
    pairs += [(each.source, versus) for each in study.family for versus in each.each_versus]
    pairs += twins.items()
    return list(dict.fromkeys(pairs))


def endpoints(study: Study) -> list[Endpoint]:
    """List the primary endpoint and its family: what Holm corrects together."""
    return [
        Endpoint(
            source=each.source,
            versus=each.each_versus,
            target=each.target,
            probe=each.probe,
            shots=each.shots,
            metric=each.metric,
            readout=each.readout,
            minus_target=each.minus_target,
        )
        for each in study.endpoints
    ]


def distinct_settings(family: Sequence[Endpoint]) -> list[Endpoint]:
    """Return the first endpoint of each probe, number of shots, metric and read-out."""
    # Several endpoints may be read at one probe, number of shots, metric and read-out: each setting
    # has its rows once.
    first: dict[tuple[object, ...], Endpoint] = {}
    for each in family:
        first.setdefault((each.probe, each.shots, each.metric, each.readout), each)
    return list(first.values())


def nested_ladder(study: Study, taxonomy: Taxonomy) -> list[str]:
    """Name the sources that a trend is tested over, from coarse to fine.

    They classify and nothing else, all clips, with the study's own encoder and from new weights,
    so that only the level differs; of several at one level the first. Empty where the levels do
    not nest.
    """
    of_level: dict[str, str] = {}
    for source in study.sources:
        is_plain = source.caption is None and source.encoder is None and source.warm_start is None
        if source.classify is not None and is_plain and not (source.twin_of or source.regrouped):
            of_level.setdefault(source.classify, source.name)
    index_of = {level: taxonomy.index_of(level) for level in of_level}
    whole = [level for level in of_level if (index_of[level] >= 0).all()]
    order = nested_order([index_of[level] for level in whole])
    return [] if order is None else [of_level[whole[position]] for position in order]


def _curves(inputs: Inputs) -> Iterator[str]:
    for source in inputs.study.trained:
        for seed in inputs.study.seeds:
            log = inputs.folder.checkpoint(source.name, seed) / "epochs.jsonl"
            for record in read_records(log):
                yield json.dumps({"source": source.name, "seed": seed, **asdict(record)})
