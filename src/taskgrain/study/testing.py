"""The cells that test: frozen features of each subject, probed on each target."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from taskgrain.config.clips import Target
from taskgrain.config.settings import Study
from taskgrain.config.testing import Transfer
from taskgrain.jobs.executor import Worker
from taskgrain.study.datasets import SOURCE
from taskgrain.study.extracting import statistics_clips
from taskgrain.study.inputs import Inputs
from taskgrain.study.seed_clips import differ_by_seed
from taskgrain.study.subjects import BatchNorm, SubjectKey, place_of
from taskgrain.study.targets import tasks_of
from taskgrain.transfer.evaluate import ProbePlan, Subject, evaluate, evaluate_permuted, flat
from taskgrain.transfer.features import FeatureSet, read_features
from taskgrain.transfer.predictions import write_evaluation
from taskgrain.transfer.probes import PROBES, Standardiser
from taskgrain.transfer.readouts import joins_steps, read_out


def evaluate_subject(worker: Worker, inputs: Inputs, key: SubjectKey, target: Target) -> None:
    """Probe a subject's features on one target and its factors; write every answer."""
    transfer = inputs.study.transfer
    subject = read_subject(inputs, key, target)
    plan = probe_plan_of(transfer, has_steps=subject.step_standardiser is not None)
    for task in tasks_of(inputs, target, key.seed):
        cell = evaluation_name(key, task.name)
        write_evaluation(inputs.folder.predictions(cell), evaluate(subject, task, plan=plan))
        worker.advance(EVALUATE_SECONDS)
        if has_permuted_control(inputs, key, target, task.name):
            permuted = evaluate_permuted(subject, task, plan=permuted_plan_of(inputs.study))
            write_evaluation(inputs.folder.predictions(f"{cell}.permuted.labels"), permuted)


def probe_plan_of(transfer: Transfer, *, has_steps: bool) -> ProbePlan:
    """Return which probes are fitted on how many shots, over which draws.

    Args:
        transfer: the settings.
        has_steps: whether the features keep the steps of a clip; probes that read steps are left
            out where they do not.
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


def read_subject(inputs: Inputs, key: SubjectKey, target: Target) -> Subject:
    """Read a subject's features; their steps are kept where a probe reads them.

    The scale at one or two shots is measured on the source's clips with the source's norms, also
    for features with the target's: each norm has then seen the clips that it stands for.
    """
    scored = _read(inputs, key, target.name, key.batch_norm)
    source = _of_seed(inputs, key, _read(inputs, key, SOURCE, "source"))
    joins = joins_steps(key.readout)
    wants_steps = any(PROBES[name]().reads_steps for name in inputs.study.transfer.probes)
    steps = None
    if wants_steps and scored.features.ndim == 3:
        steps = Standardiser.of(source.features.reshape(-1, source.features.shape[-1]))
    else:
        scored = replace(scored, features=flat(scored.features, joins_steps=joins))
    return Subject(
        source=key.source,
        seed=key.seed,
        readout=key.read_as,
        control=key.control,
        features=scored,
        standardiser=Standardiser.of(flat(source.features, joins_steps=joins)),
        step_standardiser=steps,
        joins_steps=joins,
    )


def _read(inputs: Inputs, key: SubjectKey, dataset: str, batch_norm: BatchNorm) -> FeatureSet:
    """Read a subject's features of a dataset, as it is read."""
    path = inputs.folder.features(key.features.name, dataset, place_of(key), batch_norm)
    features = read_features(path)
    return features if key.readout == "flat" else read_out(features, key.readout)


def _of_seed(inputs: Inputs, key: SubjectKey, source: FeatureSet) -> FeatureSet:
    """Keep the clips that the subject's seed learns from, of features that several seeds share."""
    is_shared = key.features.seed is None and differ_by_seed(inputs.study.data)
    if key.seed is None or not is_shared:
        return source
    learned = {record.clip_id for record in statistics_clips(inputs.clips(key.seed).learned)}
    clips = tuple(clip for clip in source.clip_ids if clip in learned)
    return replace(source, clip_ids=clips, features=source.of(clips))


EVALUATE_SECONDS = 3.0  # one subject on one task: 151 draws, two probes


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
