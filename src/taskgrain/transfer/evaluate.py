"""Fit probes on support draws and on episodes, and keep the answer to every scored clip.

Shapes: N scored clips, D width, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from taskgrain.errors import ConfigError
from taskgrain.results import Shots
from taskgrain.transfer.answers import Answers, Evaluation, Subject
from taskgrain.transfer.features import FeatureSet, flat
from taskgrain.transfer.fitting import NO_ANSWER, Answered, Problems, answer_by_each, answer_many
from taskgrain.transfer.probes import PROBES, Labels, ProbeName, Standardiser
from taskgrain.transfer.task import (
    EpisodePlan,
    TargetTask,
    episode_clips,
    sample_episodes,
    support_draws,
)

# Below, the support's deviations are noise (docs/protocol.md, "Probes").
FEWEST_SHOTS_TO_STANDARDISE = 3
PERMUTATION_STREAM = 1  # keeps label permutations apart from the draws, which share their seed

Labelling = Literal["true", "permuted"]


@dataclass(frozen=True, slots=True, eq=False)
class SubjectFeatures:
    """Features under test: the subject, the features, and the source's scale of them."""

    subject: Subject
    features: FeatureSet  # (N, D) or (N, T', D), of every clip of the target that was decoded
    standardiser: Standardiser  # of what `flat` returns, on the source's training clips
    step_standardiser: Standardiser | None = None  # of every step; for probes that read steps
    joins_steps: bool = False  # other probes get the steps side by side, not their mean

    def of(self, clip_ids: Sequence[str], keep: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the features of those clips that are to be kept, in their order."""
        return self.features.of([clip for clip, kept in zip(clip_ids, keep, strict=True) if kept])

    def as_read(self, values: NDArray[np.float32], *, steps: bool) -> NDArray[np.float32]:
        """Return features as a probe takes them that reads steps, or that reads none."""
        return values if steps else flat(values, joins_steps=self.joins_steps)

    def scale(self, probe: ProbeName, shots: Shots) -> Standardiser | None:
        """Return the source's scale where shots are few; None: that of each support serves.

        Raises:
            ValueError: if the probe reads steps and there is no scale of them.
        """
        if shots == "all" or shots >= FEWEST_SHOTS_TO_STANDARDISE:
            return None
        scale = self.step_standardiser if PROBES[probe]().reads_steps else self.standardiser
        if scale is None:
            raise ValueError(f"probe {probe} at {shots} shots needs the source's step_standardiser")
        return scale


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """Which probes are fitted on how many shots, over which draws: the same for every source."""

    probes: tuple[ProbeName, ...]
    shots: tuple[Shots, ...]
    num_draws: int
    seed: int


def evaluate(
    tested: SubjectFeatures, task: TargetTask, *, plan: ProbePlan, labelling: Labelling = "true"
) -> Evaluation:
    """Fit every probe of the plan on every support draw and answer every scored clip.

    Features are standardised by the source's statistics at one or two shots, by the support's
    otherwise. Probes that read steps get all of them, the others their mean, or all side by
    side. A probe that cannot be fitted on these features has a `problem` in place of answers.
    Computes on one thread, so that the bits do not depend on the machine's cores.

    Args:
        tested: the features; one row is needed of each clip that did not fail.
        task: its classes and clips.
        plan: the probes, and how often each is fitted.
        labelling: "permuted" permutes the labels of each support draw, each in its own way, so that
            nothing can be learned. "all" shots are then left out: they are a single draw, and the
            pool need not have as many clips of every class, so that chance would not be 1 / K.

    Raises:
        ConfigError: naming task and class, if a class has fewer usable support clips than shots,
            or is the only one.
        ResultError: naming the clips without features.
        ValueError: if a probe reads steps and the features have none, or no standardiser of them
            is there at one or two shots.
    """
    (evaluation,) = _evaluate(tested, task, plan=plan, under=[labelling])
    return evaluation


def evaluate_both(
    tested: SubjectFeatures, task: TargetTask, *, plan: ProbePlan
) -> tuple[Evaluation, Evaluation]:
    """Evaluate as `evaluate` does under true and permuted labels, in less time than one by one."""
    true, permuted = _evaluate(tested, task, plan=plan, under=["true", "permuted"])
    return true, permuted


def _evaluate(
    tested: SubjectFeatures, task: TargetTask, *, plan: ProbePlan, under: Sequence[Labelling]
) -> list[Evaluation]:
    """Evaluate under each labelling of the same support draws."""
    _check(tested, task, plan)
    answers: dict[Labelling, list[Answers]] = {labelling: [] for labelling in under}
    with threadpool_limits(limits=1):
        for shots in plan.shots:
            learned = [each for each in under if shots != "all" or each == "true"]
            if learned:
                of_labelling = _answer(tested, task, plan=plan, shots=shots, under=learned)
                for labelling, each in zip(learned, of_labelling, strict=True):
                    answers[labelling] += each
    permuted = replace(tested.subject, control="permuted-labels")
    return [
        evaluation_of(task, each, subject=tested.subject if labelling == "true" else permuted)
        for labelling, each in answers.items()
    ]


def evaluation_of(
    task: TargetTask, answers: Sequence[Answers], *, subject: Subject, pooled: bool = False
) -> Evaluation:
    """Join answers to a task, or to its episodes, with the clips and labels that score them.

    `pooled` is whether queries of episodes come from all clips of the task.
    """
    scored = episode_clips(task, pooled=pooled)[1]
    return Evaluation(
        subject=subject,
        target=task.name,
        class_names=task.class_names,
        clip_ids=scored.clip_ids,
        labels=scored.labels,
        failed=int((~scored.is_decoded).sum()),
        truncated=len(task.truncated.intersection(scored.clip_ids)),
        answers=tuple(answers),
    )


def _check(tested: SubjectFeatures, task: TargetTask, plan: ProbePlan) -> None:
    """Refuse what no probe could answer, before any is fitted."""
    if len(task.class_names) < 2:
        raise ConfigError(
            f"target {task.name}: one class, {', '.join(task.class_names)}; "
            "a probe needs at least 2 to tell apart"
        )
    for probe in plan.probes:
        _check_steps(tested, probe)


def _check_steps(tested: SubjectFeatures, probe: ProbeName) -> None:
    if tested.features.features.ndim == 2 and PROBES[probe]().reads_steps:
        raise ValueError(f"probe {probe} reads steps; expected features (N, T', D)")


def _answer(
    tested: SubjectFeatures,
    task: TargetTask,
    *,
    plan: ProbePlan,
    shots: Shots,
    under: Sequence[Labelling],
) -> list[list[Answers]]:
    """Answer at one number of shots: for each labelling an `Answers` a probe, as planned."""
    draws = support_draws(task, num_shots=shots, num_draws=plan.num_draws, seed=plan.seed)
    usable, decoded = task.has_support, task.is_decoded
    # Draws index the whole pool, failed clips included; only decoded clips have features.
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
    pool, query = tested.of(task.support_ids, usable), tested.of(task.query_ids, decoded)
    # Probes that read steps get other features than the rest; what is common to probes is computed
    # once within each of the two groups.
    answered: dict[ProbeName, tuple[Answered, ...]] = {}
    for steps in (False, True):
        probes = [probe for probe in plan.probes if PROBES[probe]().reads_steps == steps]
        if not probes:
            continue
        of_labelling = answer_by_each(
            probes,
            *(tested.as_read(each, steps=steps) for each in (pool, query)),
            problems=problems,
            standardiser=tested.scale(probes[0], shots),
        )
        answered |= dict(zip(probes, zip(*of_labelling, strict=True), strict=True))
    return [
        [_answers(probe, shots, answered[probe][position], decoded) for probe in plan.probes]
        for position in range(len(under))
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
    return Answers(probe, shots, predicted, answered.chosen, answered.chosen_on, answered.failure)


def placed(predicted: NDArray[np.int16], decoded: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Place the answers to decoded clips among all scored clips, of which some failed.

    Args:
        predicted: int16 (draws, n), of the clips that could be decoded.
        decoded: bool (N,), n of them True.

    Returns:
        int16 (draws, N), NO_ANSWER where the clip failed.
    """
    # No answer is never right: a clip that failed counts as wrong in every draw.
    everywhere = np.full((len(predicted), len(decoded)), NO_ANSWER, dtype=np.int16)
    everywhere[:, decoded] = predicted
    return everywhere


def evaluate_episodes(
    tested: SubjectFeatures, task: TargetTask, *, plan: EpisodePlan, probe: ProbeName
) -> Evaluation:
    """Fit the probe on every episode's support and answer its query clips.

    Features are standardised as in `evaluate`: by the source's statistics at one or two shots,
    by the episode's support otherwise. A probe that cannot be fitted on these features has a
    `problem` in place of answers. Computes on one thread.

    Raises:
        ConfigError: if fewer than W classes have clips enough.
        ResultError: naming the clips without features.
        ValueError: as `evaluate` does.
    """
    _check_steps(tested, probe)
    scale, steps = tested.scale(probe, plan.num_shots), PROBES[probe]().reads_steps
    episodes = sample_episodes(task, plan=plan)
    support, query = episode_clips(task, pooled=plan.pooled)
    ways = np.repeat(np.arange(plan.num_ways), plan.num_shots)
    problems = Problems(
        support=(np.cumsum(support.is_decoded) - 1)[episodes.support],
        labels=np.tile(ways, (plan.num_episodes, 1)),
        # A clip that failed has no row: any row stands in, and its answer is thrown away.
        query=np.maximum(np.cumsum(query.is_decoded) - 1, 0)[episodes.query],
        num_classes=plan.num_ways,
    )
    pool, scored = (
        tested.as_read(tested.of(side.clip_ids, side.is_decoded), steps=steps)
        for side in (support, query)
    )
    with threadpool_limits(limits=1):
        answered = answer_many(probe, pool, scored, problems=problems, standardiser=scale)
    has_answer = query.is_decoded[episodes.query]
    answers = Answers(
        probe,
        plan.num_shots,
        np.where(has_answer, answered.predicted, NO_ANSWER).astype(np.int16),
        answered.chosen,
        answered.chosen_on,
        answered.failure,
        num_ways=plan.num_ways,
    )
    return evaluation_of(task, [answers], subject=tested.subject, pooled=plan.pooled)
