"""Fit probes on support draws, answer every scored clip, and keep each answer.

Shapes: N scored clips, D width, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from taskgrain.errors import ConfigError
from taskgrain.names import Control
from taskgrain.results import Shots
from taskgrain.transfer.answer import NO_ANSWER, Answered, Problems, answer_by_each
from taskgrain.transfer.archive import StoredArray
from taskgrain.transfer.draws import support_draws
from taskgrain.transfer.features import FeatureSet
from taskgrain.transfer.probes import PROBES, Labels, ProbeName, Standardiser
from taskgrain.transfer.task import TargetTask

FEWEST_SHOTS_TO_STANDARDISE = 3  # below, the support's deviations are noise (protocol 8)
PERMUTATION_STREAM = 1  # keeps label permutations apart from the draws, which share their seed

Labelling = Literal["true", "permuted"]


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """Features under test: whose they are, how they were read, and the source's scale of them."""

    source: str | None  # None for a control that no source was trained for
    seed: int | None  # of the encoder; None where there is no encoder
    readout: str
    control: Control | None
    features: FeatureSet  # (N, D) or (N, T', D), of every clip of the target that was decoded
    standardiser: Standardiser  # of what `flat` gives, on the source's training clips
    step_standardiser: Standardiser | None = None  # of every step; for probes that read steps
    joins_steps: bool = False  # other probes get the steps side by side, not their mean


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """Which probes are fitted on how many shots, over which draws: the same for every source."""

    probes: tuple[ProbeName, ...]
    shots: tuple[Shots, ...]
    num_draws: int
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What one probe answered at one number of shots, draw by draw."""

    probe: str | None  # None where a head of the network's own answers
    shots: Shots
    held: NDArray[np.int16] | StoredArray  # of `predicted`; answers in a file are not kept
    chosen: str | None
    chosen_on: str | None
    problem: str | None = None  # why the probe has no answer to any clip, in any draw

    @property
    def predicted(self) -> NDArray[np.int16]:
        """The answers: int16 (draws, N) in 0..K-1, NO_ANSWER where the clip failed."""
        if isinstance(self.held, StoredArray):
            return self.held.read().astype(np.int16, copy=False)
        return self.held

    @property
    def num_draws(self) -> int:
        """Number of support draws."""
        return self.held.shape[0]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """All answers of one source's features on one target, and what is needed to score them."""

    source: str | None
    seed: int | None
    readout: str
    control: Control | None
    target: str
    class_names: tuple[str, ...]
    clip_ids: tuple[str, ...]  # the N scored clips
    labels: NDArray[np.int64]  # (N,)
    failed: int  # of the scored clips, could not be decoded
    truncated: int  # of the scored clips, end early
    answers: tuple[Answers, ...]

    def correct(self, answers: Answers) -> NDArray[np.bool_]:
        """Say which answers are right: bool (draws, N), False where the clip failed."""
        assert answers.problem is None, "a probe without answers is not wrong, it has no score"
        return answers.predicted == self.labels

    def hits(self, answers: Answers) -> NDArray[np.unsignedinteger]:
        """Count the draws in which each clip was answered right: (N,), the least type that fits."""
        return self.correct(answers).sum(axis=0, dtype=np.min_scalar_type(answers.num_draws))

    def scores(self, answers: Answers) -> NDArray[np.float64]:
        """Give each clip's share of draws in which it was answered right: float64 (N,)."""
        return self.correct(answers).mean(axis=0)


def evaluate(subject: Subject, task: TargetTask, *, plan: ProbePlan) -> Evaluation:
    """Fit every probe of the plan on every support draw and answer every scored clip.

    Features are standardised by the source's statistics at one or two shots, by the support's
    otherwise. Probes that read steps are given all of them, the others their mean, or all side by
    side. A probe that cannot be fitted on these features has a `problem` in place of answers.
    Computes on one thread, so that the bits do not depend on the machine's cores.

    Args:
        subject: whose features; a feature is needed of each clip that did not fail.
        task: what is asked.
        plan: how it is asked.

    Raises:
        ConfigError: naming task and class, if a class has fewer usable support clips than shots,
            or is the only one.
        ResultError: naming the clips without features.
        ValueError: if a probe reads steps and the features have none, or no standardiser of them
            is there at one or two shots.
    """
    (evaluation,) = _evaluate(subject, task, plan=plan, under=["true"])
    return evaluation


def evaluate_permuted(subject: Subject, task: TargetTask, *, plan: ProbePlan) -> Evaluation:
    """Evaluate with the labels of each support draw permuted: nothing can be learned.

    Each draw has its own permutation. "all" is left out: it is a single draw, and the pool need
    not have as many clips of every class, so that chance would not be 1 / K.

    Raises:
        As `evaluate` does.
    """
    (evaluation,) = _evaluate(subject, task, plan=plan, under=["permuted"])
    return evaluation


def evaluate_both(
    subject: Subject, task: TargetTask, *, plan: ProbePlan
) -> tuple[Evaluation, Evaluation]:
    """Evaluate as `evaluate` and `evaluate_permuted` do, in less time than one after the other.

    Raises:
        As `evaluate` does.
    """
    true, permuted = _evaluate(subject, task, plan=plan, under=["true", "permuted"])
    return true, permuted


def _evaluate(
    subject: Subject, task: TargetTask, *, plan: ProbePlan, under: Sequence[Labelling]
) -> list[Evaluation]:
    """Evaluate under each labelling of the same support draws."""
    _check(subject, task, plan)
    answers: dict[Labelling, list[Answers]] = {labelling: [] for labelling in under}
    with threadpool_limits(limits=1):
        for shots in plan.shots:
            learned = [each for each in under if shots != "all" or each == "true"]
            if learned:
                found = _answer(subject, task, plan=plan, shots=shots, under=learned)
                for labelling, each in zip(learned, found, strict=True):
                    answers[labelling] += each
    return [_evaluation(subject, task, labelling, answers[labelling]) for labelling in under]


def _evaluation(
    subject: Subject, task: TargetTask, labelling: Labelling, answers: Sequence[Answers]
) -> Evaluation:
    return evaluation_of(
        task,
        answers,
        source=subject.source,
        seed=subject.seed,
        readout=subject.readout,
        control="permuted-labels" if labelling == "permuted" else subject.control,
    )


def evaluation_of(
    task: TargetTask,
    answers: Sequence[Answers],
    *,
    source: str | None,
    seed: int | None,
    readout: str,
    control: Control | None,
) -> Evaluation:
    """Put answers to a task together with what is needed to score them."""
    return Evaluation(
        source=source,
        seed=seed,
        readout=readout,
        control=control,
        target=task.name,
        class_names=task.class_names,
        clip_ids=task.query_ids,
        labels=task.query_labels,
        failed=int((~task.is_decoded).sum()),
        truncated=len(task.truncated.intersection(task.query_ids)),
        answers=tuple(answers),
    )


def _check(subject: Subject, task: TargetTask, plan: ProbePlan) -> None:
    """Refuse what no probe could answer, before any is fitted."""
    if len(task.class_names) < 2:
        raise ConfigError(
            f"target {task.name}: one class, {', '.join(task.class_names)}; "
            "a probe needs at least 2 to tell apart"
        )
    reading = [probe for probe in plan.probes if PROBES[probe]().reads_steps]
    if subject.features.features.ndim == 2 and reading:
        raise ValueError(f"probe {reading[0]} reads steps; expected features (N, T', D)")


def _answer(
    subject: Subject,
    task: TargetTask,
    *,
    plan: ProbePlan,
    shots: Shots,
    under: Sequence[Labelling],
) -> list[list[Answers]]:
    """Answer at one number of shots: for each labelling an `Answers` a probe, as planned."""
    draws = support_draws(task, num_shots=shots, num_draws=plan.num_draws, seed=plan.seed)
    usable, decoded = task.has_support, task.is_decoded
    row_of = np.cumsum(usable) - 1  # index in the pool -> row among those with features
    problems = [
        Problems(
            support=row_of[draws],
            labels=_labels(task.support_labels[draws], labelling, plan.seed),
            query=None,
            num_classes=len(task.class_names),
        )
        for labelling in under
    ]
    pool = subject.features.of(_kept(task.support_ids, usable))
    query = subject.features.of(_kept(task.query_ids, decoded))
    few = shots != "all" and shots < FEWEST_SHOTS_TO_STANDARDISE
    answered: dict[ProbeName, tuple[Answered, ...]] = {}
    for steps in (False, True):
        probes = [probe for probe in plan.probes if PROBES[probe]().reads_steps == steps]
        if not probes:
            continue
        scale = (subject.step_standardiser if steps else subject.standardiser) if few else None
        if few and scale is None:
            raise ValueError(
                f"probe {probes[0]} at {shots} shots needs the source's step_standardiser"
            )
        inputs = [
            each if steps else flat(each, joins_steps=subject.joins_steps) for each in (pool, query)
        ]
        of_labelling = answer_by_each(probes, *inputs, problems=problems, standardiser=scale)
        answered |= dict(zip(probes, zip(*of_labelling, strict=True), strict=True))
    return [
        [_answers(probe, shots, answered[probe][place], decoded) for probe in plan.probes]
        for place in range(len(under))
    ]


def _labels(labels: Labels, labelling: Labelling, seed: int) -> Labels:
    """Return the labels of each draw (draws, N), permuted within the draw where they are to be."""
    if labelling == "true":
        return labels
    return np.stack(
        [
            np.random.default_rng((seed, draw, PERMUTATION_STREAM)).permutation(each)
            for draw, each in enumerate(labels)
        ]
    )


def _answers(
    probe: ProbeName, shots: Shots, answered: Answered, decoded: NDArray[np.bool_]
) -> Answers:
    predicted = placed(answered.predicted, decoded)
    return Answers(probe, shots, predicted, answered.chosen, answered.chosen_on, answered.problem)


def placed(predicted: NDArray[np.int16], decoded: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Place the answers to decoded clips among all scored clips, of which some failed.

    Args:
        predicted: int16 (draws, n), of the clips that could be decoded.
        decoded: bool (N,), n of them True.

    Returns:
        int16 (draws, N), NO_ANSWER where the clip failed.
    """
    found = np.full((len(predicted), len(decoded)), NO_ANSWER, dtype=np.int16)
    found[:, decoded] = predicted
    return found


def flat(features: NDArray[np.float32], *, joins_steps: bool) -> NDArray[np.float32]:
    """Give what of features (N, T', D) a probe reads that reads no steps; (N, D) stay.

    Returns:
        All steps side by side (N, T' * D), or else their mean (N, D), summed in float64 as
        `mean_over_steps` does.
    """
    if features.ndim == 2:
        return features
    if joins_steps:
        return features.reshape(len(features), -1)
    return features.mean(axis=1, dtype=np.float64).astype(np.float32)


def _kept(clip_ids: tuple[str, ...], keep: NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(clip for clip, kept in zip(clip_ids, keep, strict=True) if kept)
