"""N-way K-shot episodes: many small tasks, each of a few classes of one target.

Shapes: E episodes, W ways (classes of an episode), k shots, q queries of a class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from taskgrain.errors import ConfigError
from taskgrain.transfer.answer import Problems, answer_many
from taskgrain.transfer.evaluate import FEWEST_SHOTS_TO_STANDARDISE, NO_ANSWER, Subject
from taskgrain.transfer.probes import PROBES, Floats, Labels, ProbeName
from taskgrain.transfer.task import TargetTask

BLOCK_NUMBERS = 1 << 22  # drawn at a time: 32 MiB
EPISODE_STREAM = 2  # keeps episodes apart from draws and label permutations of the same seed


@dataclass(frozen=True, slots=True)
class EpisodePlan:
    """Which episodes are drawn: the same for every source.

    Raises:
        ValueError: for fewer than two ways, or no shot, query or episode.
    """

    num_ways: int = 5
    num_shots: int = 5
    num_queries: int = 15  # of each class
    num_episodes: int = 600
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_ways < 2:
            raise ValueError(f"num_ways is {self.num_ways}; expected at least 2")
        for name in ("num_shots", "num_queries", "num_episodes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least 1")


@dataclass(frozen=True, slots=True, eq=False)
class Episodes:
    """The classes and clips of each episode, way after way."""

    classes: Labels  # (E, W), index into the task's class_names, in random order
    support: Labels  # (E, W * k), index into the task's support_ids
    query: Labels  # (E, W * q), index into the task's query_ids


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeAnswers:
    """What one probe answered in every episode."""

    probe: str
    predicted: NDArray[np.int16]  # (E, W * q) in 0..W-1, NO_ANSWER where the clip failed
    truth: NDArray[np.int16]  # (W * q,), the way of each query clip, the same in every episode
    chosen: str | None
    chosen_on: str | None

    @property
    def accuracies(self) -> NDArray[np.float64]:
        """Share of right answers in each episode: float64 (E,); failed clips are wrong."""
        accuracies: NDArray[np.float64] = (self.predicted == self.truth).mean(axis=1)
        return accuracies


def sample_episodes(task: TargetTask, *, plan: EpisodePlan) -> Episodes:
    """Draw classes, and for each support clips of the pool and query clips of the scored ones.

    An episode depends on the labels, the seed and its own number, and on nothing else: it is the
    same for every source, and its support at one shot is part of that at five, unless other
    classes have clips enough: classes are drawn from those that have. Support clips that failed
    to decode are not drawn; query clips are drawn whether or not they failed, and then count as
    wrong.

    Raises:
        ConfigError: naming the classes with too few clips, if fewer than W have enough.
    """
    usable = task.has_support
    num_classes = len(task.class_names)
    num_support = np.bincount(task.support_labels[usable], minlength=num_classes)
    num_query = np.bincount(task.query_labels, minlength=num_classes)
    is_able = (num_support >= plan.num_shots) & (num_query >= plan.num_queries)
    if is_able.sum() < plan.num_ways:
        raise ConfigError(_too_few(task, plan, num_support, num_query))
    pools = _members(task.support_labels, num_classes), _members(task.query_labels, num_classes)
    ends = np.cumsum([num_classes, len(usable)])
    size = max(1, BLOCK_NUMBERS // (ends[-1] + len(task.query_ids)))
    generator = np.random.default_rng((plan.seed, EPISODE_STREAM))  # row after row
    parts = []
    for start in range(0, plan.num_episodes, size):
        # Each class and clip has a number in each episode; the lowest of those allowed are drawn.
        rows = min(size, plan.num_episodes - start)
        numbers = generator.random((rows, ends[-1] + len(task.query_ids)))
        of_class, of_support, of_query = np.split(numbers, ends, axis=1)
        of_class[:, ~is_able] = np.inf
        of_support[:, ~usable] = np.inf
        classes = np.argsort(of_class, axis=1, kind="stable")[:, : plan.num_ways]
        support = _lowest(of_support, pools[0][classes], plan.num_shots)
        query = _lowest(of_query, pools[1][classes], plan.num_queries)
        parts.append((classes, support, query))
    return Episodes(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def evaluate_episodes(
    subject: Subject, task: TargetTask, *, plan: EpisodePlan, probe: ProbeName
) -> EpisodeAnswers:
    """Fit the probe on every episode's support and answer its query clips.

    Features are standardised as in `evaluate`: by the source's statistics at one or two shots,
    by the episode's support otherwise. Computes on one thread.

    Raises:
        ConfigError: if fewer than W classes have clips enough.
        ResultError: naming the clips without features; or if a probe does not converge.
        ValueError: if the features have steps and the probe does not read them, or it reads them
            and there are none.
    """
    reads_steps = PROBES[probe]().reads_steps
    if reads_steps != (subject.features.features.ndim == 3):
        raise ValueError(
            f"features are {subject.features.features.shape}; probe {probe} "
            f"{'reads steps' if reads_steps else 'needs their mean (mean_over_steps)'}"
        )
    episodes = sample_episodes(task, plan=plan)
    usable, decoded = task.has_support, task.is_decoded
    pool, scored = (
        subject.features.of([clip for clip, is_kept in zip(ids, kept, strict=True) if is_kept])
        for ids, kept in ((task.support_ids, usable), (task.query_ids, decoded))
    )
    few = plan.num_shots < FEWEST_SHOTS_TO_STANDARDISE
    standardiser = subject.step_standardiser if reads_steps else subject.standardiser
    if few and standardiser is None:
        raise ValueError(f"probe {probe} needs the source's step_standardiser at so few shots")
    ways = np.repeat(np.arange(plan.num_ways), plan.num_shots)
    problems = Problems(
        support=(np.cumsum(usable) - 1)[episodes.support],
        labels=np.tile(ways, (plan.num_episodes, 1)),
        # A clip that failed has no row: any row stands in, and its answer is thrown away.
        query=np.maximum(np.cumsum(decoded) - 1, 0)[episodes.query],
        num_classes=plan.num_ways,
    )
    with threadpool_limits(limits=1):
        answered = answer_many(
            probe, pool, scored, problems=problems, standardiser=standardiser if few else None
        )
    predicted = np.where(decoded[episodes.query], answered.predicted, NO_ANSWER).astype(np.int16)
    truth = np.repeat(np.arange(plan.num_ways), plan.num_queries).astype(np.int16)
    return EpisodeAnswers(probe, predicted, truth, answered.chosen, answered.chosen_on)


def _members(labels: Labels, num_classes: int) -> Labels:
    """List the clips of each class: int64 (K, most), filled up with -1."""
    clips = [np.flatnonzero(labels == each) for each in range(num_classes)]
    members = np.full((num_classes, max(len(each) for each in clips)), -1, dtype=np.int64)
    for row, each in zip(members, clips, strict=True):
        row[: len(each)] = each
    return members


def _lowest(numbers: Floats, candidates: Labels, count: int) -> Labels:
    """Take the candidates of the lowest numbers, way after way.

    Args:
        numbers: float64 (E, N), of each clip in each episode.
        candidates: int64 (E, W, most), clips of each way; -1 is none.
        count: how many are taken of each way.

    Returns:
        int64 (E, W * count).
    """
    flat = candidates.reshape(len(candidates), -1)
    found = np.take_along_axis(numbers, flat, axis=1).reshape(candidates.shape)
    found[candidates < 0] = np.inf
    order = np.argsort(found, axis=2, kind="stable")[:, :, :count]
    taken: Labels = np.take_along_axis(candidates, order, axis=2).reshape(len(candidates), -1)
    return taken


def _too_few(task: TargetTask, plan: EpisodePlan, num_support: Labels, num_query: Labels) -> str:
    """Say which classes lack clips, the poorest first."""
    short = sorted(
        (mine, asked, name)
        for mine, asked, name in zip(num_support, num_query, task.class_names, strict=True)
        if mine < plan.num_shots or asked < plan.num_queries
    )
    lacking = ", ".join(f"{name!r} has {mine} and {asked}" for mine, asked, name in short[:3])
    return (
        f"target {task.name}: {len(task.class_names) - len(short)} classes have "
        f"{plan.num_shots} usable support clips and {plan.num_queries} scored clips, "
        f"{plan.num_ways} wanted{'; ' if lacking else ''}{lacking}; "
        "ask for fewer ways, shots or queries"
    )
