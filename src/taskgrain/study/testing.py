"""The cells that test: frozen features of each subject, probed on every target of the study."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from taskgrain.config.clips import Target
from taskgrain.config.settings import Study
from taskgrain.config.testing import Transfer
from taskgrain.jobs.executor import Worker
from taskgrain.names import FLAT
from taskgrain.study.datasets import SOURCE
from taskgrain.study.extracting import statistics_clips
from taskgrain.study.inputs import Inputs
from taskgrain.study.seed_clips import differ_by_seed
from taskgrain.study.subjects import BatchNorm, SubjectKey, place_of
from taskgrain.study.targets import episode_plans, is_pooled, tasks_of
from taskgrain.transfer.answers import Answers, Evaluation
from taskgrain.transfer.evaluate import (
    ProbePlan,
    SubjectFeatures,
    evaluate,
    evaluate_episodes,
    evaluation_of,
)
from taskgrain.transfer.features import FeatureSet, flat, joins_steps, read_features, read_out
from taskgrain.transfer.predictions import read_episodes, write_episodes, write_evaluation
from taskgrain.transfer.probes import PROBES, ProbeName, Standardiser
from taskgrain.transfer.task import EpisodePlan, TargetTask

EVALUATE_SECONDS = 3.0  # one subject on one task: 151 draws, two probes
EPISODE_SECONDS = 2 / 600  # one 5-way 5-shot episode of logistic regression, one thread


def evaluate_subject(worker: Worker, inputs: Inputs, key: SubjectKey, target: Target) -> None:
    """Probe a subject's features on one target and its factors; write every answer."""
    transfer = inputs.study.transfer
    # Features are read once, and serve the category and every factor.
    tested = read_subject(inputs, key, target)
    plan = probe_plan_of(transfer, has_steps=tested.step_standardiser is not None)
    for task in tasks_of(inputs, target, key.seed):
        name = evaluation_name(key, task.name)
        write_evaluation(inputs.folder.predictions(name), evaluate(tested, task, plan=plan))
        worker.advance(EVALUATE_SECONDS)
        if has_permuted_control(inputs, key, target, task.name):
            plan_of_control = permuted_plan_of(inputs.study)
            permuted = evaluate(tested, task, plan=plan_of_control, labelling="permuted")
            write_evaluation(inputs.folder.predictions(f"{name}.permuted.labels"), permuted)


def evaluate_target_episodes(
    worker: Worker, inputs: Inputs, key: SubjectKey, target: Target
) -> None:
    """Probe a subject's features on every episode of a target's classes; write every answer.

    Episodes are of the target's classes, not of its factors. Probes that read steps answer where
    there are steps.
    """
    task = tasks_of(inputs, target, key.seed)[0]
    tested = read_subject(inputs, key, target)
    has_steps = tested.step_standardiser is not None
    answers: list[Answers] = []
    for plan, probe in probed_episodes(target, inputs.study.transfer):
        if has_steps or not PROBES[probe]().reads_steps:
            answers += evaluate_episodes(tested, task, plan=plan, probe=probe).answers
            worker.advance(plan.num_episodes * EPISODE_SECONDS)
    evaluation = evaluation_of(task, answers, subject=tested.subject, pooled=is_pooled(target))
    write_episodes(inputs.folder.predictions(episodes_name(key, task.name)), evaluation)


def probed_episodes(target: Target, transfer: Transfer) -> list[tuple[EpisodePlan, ProbeName]]:
    """List the episodes of a target with each probe that answers them."""
    return [(plan, probe) for plan in episode_plans(target, transfer) for probe in transfer.probes]


def asks_episodes(inputs: Inputs, key: SubjectKey, target: Target) -> bool:
    """Whether a subject is probed on episodes of a target.

    Where support and queries come from one pool, norms of the target would have seen queries.
    """
    has_seen_queries = is_pooled(target) and key.batch_norm == "target"
    return inputs.study.transfer.episodes.number > 0 and not has_seen_queries


def read_target_episodes(
    inputs: Inputs, key: SubjectKey, target: Target, task: TargetTask
) -> Evaluation | None:
    """Read what `evaluate_target_episodes` wrote; None where no probe could read the features.

    `task` is the target's own, not that of a factor.

    Raises:
        ResultError: naming the file, if it is not there or damaged.
    """
    path = inputs.folder.predictions(episodes_name(key, task.name))
    return read_episodes(path, task, pooled=is_pooled(target))


def probe_plan_of(transfer: Transfer, *, has_steps: bool) -> ProbePlan:
    """Return which probes are fitted on how many shots, over which draws.

    Where the features have not kept the steps of a clip, probes that read steps are left out.
    """
    probes = tuple(name for name in transfer.probes if has_steps or not PROBES[name]().reads_steps)
    return ProbePlan(probes, transfer.shots, transfer.draws, transfer.seed)


def permuted_plan_of(study: Study) -> ProbePlan:
    """Return how the control of permuted labels is probed: as the primary endpoint is.

    Where that takes all support clips, which is one draw alone, the control takes the fewest shots
    that the study counts.
    """
    transfer, primary = study.transfer, study.primary
    shots = primary.shots if primary.shots != "all" else min(counted(transfer.shots))
    return ProbePlan((primary.probe,), (shots,), transfer.draws, transfer.seed)


def read_subject(inputs: Inputs, key: SubjectKey, target: Target) -> SubjectFeatures:
    """Read a subject's features; their steps are kept where a probe reads them.

    The scale at one or two shots is measured on the source's clips with the source's norms, also
    for features with the target's: each norm has then seen the clips that it stands for.
    """
    scored = _read(inputs, key, target.name, key.batch_norm)
    source = _of_seed(inputs, key, _read(inputs, key, SOURCE, "source"))
    joins = joins_steps(key.readout)
    # Steps are T' times the memory, and are kept only for a probe that reads them.
    wants_steps = any(PROBES[name]().reads_steps for name in inputs.study.transfer.probes)
    steps = None
    if wants_steps and scored.features.ndim == 3:
        steps = Standardiser.of(source.features.reshape(-1, source.features.shape[-1]))
    else:
        scored = replace(scored, features=flat(scored.features, joins_steps=joins))
    return SubjectFeatures(
        key.subject,
        features=scored,
        standardiser=Standardiser.of(flat(source.features, joins_steps=joins)),
        step_standardiser=steps,
        joins_steps=joins,
    )


def _read(inputs: Inputs, key: SubjectKey, dataset: str, batch_norm: BatchNorm) -> FeatureSet:
    """Read a subject's features of a dataset at its read-out."""
    path = inputs.folder.features(key.features.name, dataset, place_of(key), batch_norm)
    features = read_features(path)
    return features if key.readout == FLAT else read_out(features, key.readout)


def _of_seed(inputs: Inputs, key: SubjectKey, source: FeatureSet) -> FeatureSet:
    """Keep the clips that the subject's seed learns from, of features that several seeds share."""
    # Pixels, or a published network, are read once for all seeds. The scale at few shots has to be
    # that of clips which this seed learns from, as it is for the sources beside them.
    is_shared = key.features.seed is None and differ_by_seed(inputs.study.data)
    if key.seed is None or not is_shared:
        return source
    learned = {record.clip_id for record in statistics_clips(inputs.clips(key.seed).learned)}
    clips = tuple(clip for clip in source.clip_ids if clip in learned)
    return replace(source, clip_ids=clips, features=source.of(clips))


def counted(shots: Iterable[int | Literal["all"]]) -> list[int]:
    """Leave "all" out."""
    return [number for number in shots if number != "all"]


def has_permuted_control(inputs: Inputs, key: SubjectKey, target: Target, task: str) -> bool:
    """Whether a subject is also probed with permuted labels.

    Sources are, on the primary target, as the primary endpoint reads them.
    """
    transfer = inputs.study.transfer
    return (
        "permuted-labels" in transfer.controls
        and key.kind == "source"
        and key.read_as == inputs.study.primary.readout
        and target.name == task == inputs.study.primary.target
        and bool(counted(transfer.shots))
    )


def evaluation_name(key: SubjectKey, task: str) -> str:
    """Name the file of a subject's answers on a task: "categories-seed-0.kitchenware.motion"."""
    return f"{key.name}.{task.replace('/', '.')}"  # no name in it has a dot of its own


def episodes_name(key: SubjectKey, task: str) -> str:
    """Name the file of a subject's answers to episodes: "categories-seed-0.kitchenware.w.k"."""
    return f"{evaluation_name(key, task)}.episodes.answers"  # a factor has one dot, this has two
