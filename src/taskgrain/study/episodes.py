"""The cells that ask episodes: many small tasks of a few classes, on the frozen features."""

from __future__ import annotations

from dataclasses import replace

from taskgrain.config.clips import Target
from taskgrain.config.testing import Transfer
from taskgrain.jobs.executor import Worker
from taskgrain.study.inputs import Inputs
from taskgrain.study.subjects import SubjectKey
from taskgrain.study.targets import episode_plans, tasks_of
from taskgrain.study.testing import evaluation_name, read_subject
from taskgrain.transfer.episode_answers import read_episode_file, write_episode_answers
from taskgrain.transfer.episodes import EpisodeAnswers, EpisodePlan, evaluate_episodes
from taskgrain.transfer.evaluate import Subject, flat
from taskgrain.transfer.probes import PROBES, ProbeName
from taskgrain.transfer.task import TargetTask

EPISODE_SECONDS = 2 / 600  # one 5-way 5-shot episode of logistic regression, one thread


def evaluate_target_episodes(
    worker: Worker, inputs: Inputs, key: SubjectKey, target: Target
) -> None:
    """Ask a subject's features every episode of a target's classes; write every answer.

    The factors of a target are not asked. Probes that read steps answer where there are steps.
    """
    task = tasks_of(inputs, target, key.seed)[0]
    subject = read_subject(inputs, key, target)
    answers: list[EpisodeAnswers] = []
    for plan, probe in probed_episodes(target, inputs.study.transfer):
        read = _read_by(subject, reads_steps=PROBES[probe]().reads_steps)
        if read is not None:
            answers.append(evaluate_episodes(read, task, plan=plan, probe=probe))
            worker.advance(plan.num_episodes * EPISODE_SECONDS)
    write_episode_answers(inputs.folder.predictions(episodes_name(key, task.name)), answers)


def probed_episodes(target: Target, transfer: Transfer) -> list[tuple[EpisodePlan, ProbeName]]:
    """List the episodes of a target with each probe that answers them."""
    return [(plan, probe) for plan in episode_plans(target, transfer) for probe in transfer.probes]


def asks_episodes(inputs: Inputs, key: SubjectKey, target: Target) -> bool:
    """Whether a subject is asked episodes of a target.

    Where support and queries come from one pool, norms of the target would have seen queries.
    """
    pooled = target.few_shot is not None
    return inputs.study.transfer.episodes.number > 0 and not (pooled and key.batch_norm == "target")


def read_episode_answers(inputs: Inputs, key: SubjectKey, task: TargetTask) -> list[EpisodeAnswers]:
    """Read what `evaluate_target_episodes` wrote, number of shots after number of shots.

    Args:
        inputs: of the study.
        key: whose features.
        task: the target's own, not that of a factor.

    Raises:
        ResultError: naming the file, if it is not there or damaged.
    """
    return read_episode_file(inputs.folder.predictions(episodes_name(key, task.name)))


def episodes_name(key: SubjectKey, task: str) -> str:
    """Name the file of a subject's answers to episodes: "categories-seed-0.kitchenware.w.k"."""
    return f"{evaluation_name(key, task)}.episodes.answers"  # a factor has one dot, this has two


def _read_by(subject: Subject, *, reads_steps: bool) -> Subject | None:
    """Give the features as a probe reads them; None where it reads steps and there are none."""
    has_steps = subject.features.features.ndim == 3
    if reads_steps:
        return subject if has_steps else None
    values = flat(subject.features.features, joins_steps=subject.joins_steps)
    return replace(subject, features=replace(subject.features, features=values))
