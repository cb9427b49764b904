"""The tasks of a target: clips and classes, what "5-shot" means, and N-way K-shot episodes.

A support draw learns from k clips of every class and answers every scored clip. An episode takes a
few of the classes, its ways, and both its support and its queries anew. Either depends on the
labels, the seed and its own number alone, so that it is the same for every source.

Shapes: N support or query clips, K classes, k shots, E episodes, W ways (classes of an episode),
q queries of a class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskgrain.errors import ConfigError, ManifestError, list_problems
from taskgrain.results import Shots
from taskgrain.transfer.probes import Floats, Labels


@dataclass(frozen=True, slots=True, eq=False)
class TargetTask:
    """A classification task on frozen features: a support pool and the clips that are scored.

    `failed` and `truncated` name the target's clips that could not be decoded, and that end
    early. They belong to the dataset, not to a source: a failed query clip is wrong for every
    source, and a failed support clip is drawn for none.

    Raises:
        ValueError: if labels and clips do not fit, or a label is outside 0..K-1.
        ManifestError: naming the clips that are there twice.
    """

    name: str
    class_names: tuple[str, ...]
    support_ids: tuple[str, ...]
    support_labels: NDArray[np.int64]  # (N,), index into class_names
    query_ids: tuple[str, ...]
    query_labels: NDArray[np.int64]  # (N,), index into class_names
    failed: frozenset[str] = frozenset()
    truncated: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        _check_labels(self.support_ids, self.support_labels, len(self.class_names))
        _check_labels(self.query_ids, self.query_labels, len(self.class_names))
        times = Counter(self.support_ids + self.query_ids)
        twice = [clip for clip, count in times.items() if count > 1]
        if twice:
            raise ManifestError(
                list_problems(
                    [
                        f"target {self.name}: clip {c} is there twice; scored clips must be unseen"
                        for c in twice
                    ]
                )
            )

    @property
    def is_decoded(self) -> NDArray[np.bool_]:
        """Bool (N,): which query clips could be decoded."""
        return np.array([clip not in self.failed for clip in self.query_ids], dtype=np.bool_)

    @property
    def has_support(self) -> NDArray[np.bool_]:
        """Bool (N,): which clips of the support pool could be decoded."""
        return np.array([clip not in self.failed for clip in self.support_ids], dtype=np.bool_)


def factor_task(task: TargetTask, *, factor: str, value_of: Mapping[str, str | None]) -> TargetTask:
    """Build the task of one factor of the same clips: "kitchenware/motion" is about motion alone.

    Args:
        task: whose clips they are.
        factor: its name, which becomes the second half of the new task's.
        value_of: the factor's value for every clip of the task; None where the clip has no such
            factor, and is left out of the new task.

    Returns:
        The task with the values that occur as classes, in alphabetical order.

    Raises:
        ManifestError: naming the clips without an entry in `value_of`.
    """
    clips = task.support_ids + task.query_ids
    absent = [clip for clip in clips if clip not in value_of]
    if absent:
        raise ManifestError(
            list_problems([f"target {task.name}: no {factor} given for clip {c}" for c in absent])
        )
    names = tuple(sorted({value for clip in clips if (value := value_of[clip]) is not None}))
    return _narrowed(task, factor, names, value_of)


def class_task(task: TargetTask, *, name: str, classes: Collection[str]) -> TargetTask:
    """Keep some classes of a task, in its order, and their clips: "novel/siblings" of "novel"."""
    kept = tuple(each for each in task.class_names if each in classes)
    labels = np.concatenate([task.support_labels, task.query_labels]).tolist()
    class_of = {
        clip: task.class_names[label]
        for clip, label in zip(task.support_ids + task.query_ids, labels, strict=True)
    }
    return _narrowed(task, name, kept, class_of)


def _narrowed(
    task: TargetTask, name: str, class_names: tuple[str, ...], value_of: Mapping[str, str | None]
) -> TargetTask:
    """Build a task of the clips whose value is one of these classes; they keep their order."""
    index_of: dict[str | None, int] = {value: index for index, value in enumerate(class_names)}
    support, query = (
        {clip: index_of[value] for clip in clips if (value := value_of[clip]) in index_of}
        for clips in (task.support_ids, task.query_ids)
    )
    return TargetTask(
        f"{task.name}/{name}",
        class_names,
        tuple(support),
        np.array([*support.values()], np.int64),
        tuple(query),
        np.array([*query.values()], np.int64),
        failed=task.failed,
        truncated=task.truncated,
    )


def _check_labels(clip_ids: Sequence[str], labels: NDArray[np.int64], num_classes: int) -> None:
    if labels.shape != (len(clip_ids),) or labels.dtype != np.int64:
        raise ValueError(
            f"labels are {labels.dtype} {labels.shape}; expected int64 ({len(clip_ids)},)"
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < num_classes:
        raise ValueError(
            f"labels run from {labels.min()} to {labels.max()}; expected 0 to {num_classes - 1}"
        )


def support_draws(
    task: TargetTask, *, num_shots: Shots, num_draws: int, seed: int
) -> NDArray[np.int64]:
    """Draw k support clips of every class, without replacement.

    A draw depends on the pool's labels, the seed and its own index, and on nothing else: it is the
    same for every source, and draw i at one shot is part of draw i at five. Each draw permutes
    every class once and takes the first k that could be decoded.

    Args:
        task: whose support pool is drawn from; clips that failed to decode are not drawn.
        num_shots: k, or "all" for the whole pool.
        num_draws: at least 1; "all" is one draw, whatever this number is.
        seed: of the draws.

    Returns:
        int64 (draws, K * k), indices into `task.support_ids`, class after class; for "all"
        (1, number of clips in the pool that could be decoded).

    Raises:
        ConfigError: naming task, class, clips had and wanted, if a class has too few.
    """
    if num_draws < 1:
        raise ValueError(f"num_draws is {num_draws}; expected at least 1")
    usable = task.has_support
    members = [
        np.flatnonzero(task.support_labels == index) for index in range(len(task.class_names))
    ]
    wanted = 1 if num_shots == "all" else num_shots
    for name, clips in zip(task.class_names, members, strict=True):
        if usable[clips].sum() < wanted:
            raise ConfigError(
                f"target {task.name}: class {name!r} has {usable[clips].sum()} usable support "
                f"clips, {wanted} wanted; ask for fewer shots or add clips"
            )
    if num_shots == "all":
        return np.concatenate([clips[usable[clips]] for clips in members])[None]
    return np.stack(
        [_one_draw(members, usable, num_shots, (seed, draw)) for draw in range(num_draws)]
    )


def _one_draw(
    members: list[NDArray[np.int64]],
    usable: NDArray[np.bool_],
    num_shots: int,
    entropy: tuple[int, int],
) -> NDArray[np.int64]:
    """Draw k clips of every class: int64 (K * k,)."""
    # Classes are permuted whole, clips that failed included: a failure changes only the draws that
    # it was part of, and no other class's.
    generator = np.random.default_rng(entropy)
    permuted = [generator.permutation(clips) for clips in members]
    return np.concatenate([clips[usable[clips]][:num_shots] for clips in permuted])


# Episodes. Every class and every clip gets a uniform number in every episode. The W classes of the
# lowest numbers are its ways; of each way the k support clips and the q query clips of the lowest
# numbers are taken. The lowest of independent uniform numbers are a draw without replacement, and
# all episodes are drawn together as a matrix, a row an episode.
#
# What is not allowed has the number infinity: classes with too few clips, support clips that could
# not be decoded. The numbers do not depend on k: the clip of one shot is among those of five. They
# are drawn row after row, so that the size of a block does not matter.
#
# In a pooled plan a clip has one number. Support takes the lowest of a way and queries the highest,
# so that they are mostly the same queries at any number of shots; a clip of the support cannot be a
# query of its episode.
#
# What breaks it: another number of classes or clips shifts every number, so an added clip makes
# other episodes; so does another order of the clips.
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
    # Whether an episode's support and queries come from all clips of the target alike, as the
    # protocols of published few-shot lists have it; otherwise each from its own side of the task.
    pooled: bool = False

    def __post_init__(self) -> None:
        if self.num_ways < 2:
            raise ValueError(f"num_ways is {self.num_ways}; expected at least 2")
        for name in ("num_shots", "num_queries", "num_episodes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least 1")


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeClips:
    """The clips that support, or queries, are drawn from."""

    clip_ids: tuple[str, ...]
    labels: Labels  # (N,), index into the task's class_names
    is_decoded: NDArray[np.bool_]  # (N,)


@dataclass(frozen=True, slots=True, eq=False)
class Episodes:
    """The classes and clips of each episode, way after way."""

    classes: Labels  # (E, W), index into the task's class_names, in random order
    support: Labels  # (E, W * k), index into the first of `episode_clips`
    query: Labels  # (E, W * q), index into the second; never a clip of the same row's support


def episode_clips(task: TargetTask, *, pooled: bool) -> tuple[EpisodeClips, EpisodeClips]:
    """Return the clips that support is drawn from, and those that queries are drawn from.

    They are the task's support pool and its scored clips. Where episodes are pooled both are all
    clips of the task, the pool's first.
    """
    support = EpisodeClips(task.support_ids, task.support_labels, task.has_support)
    query = EpisodeClips(task.query_ids, task.query_labels, task.is_decoded)
    if not pooled:
        return support, query
    every = EpisodeClips(
        support.clip_ids + query.clip_ids,
        np.concatenate([support.labels, query.labels]),
        np.concatenate([support.is_decoded, query.is_decoded]),
    )
    return every, every


def check_episodes(task: TargetTask, *, plan: EpisodePlan) -> NDArray[np.bool_]:
    """Mark the classes with enough clips, bool (K,), and check that they are enough.

    Raises:
        ConfigError: naming the classes with too few clips, if fewer than W have enough.
    """
    num_classes = len(task.class_names)
    support, query = episode_clips(task, pooled=plan.pooled)
    usable = np.bincount(support.labels[support.is_decoded], minlength=num_classes)
    # Queries count whether or not they were decoded: they are drawn all the same, and then wrong.
    scored = np.bincount(query.labels, minlength=num_classes)
    wanted = plan.num_queries + (plan.num_shots if plan.pooled else 0)
    is_able: NDArray[np.bool_] = (usable >= plan.num_shots) & (scored >= wanted)
    if is_able.sum() < plan.num_ways:
        raise ConfigError(_too_few(task, plan, is_able, np.stack([usable, scored])))
    return is_able


def sample_episodes(task: TargetTask, *, plan: EpisodePlan) -> Episodes:
    """Draw classes, and of each its support clips and its query clips.

    An episode depends on the labels, the seed and its own number, and on nothing else: it is the
    same for every source, and its support at one shot is part of that at five, unless other
    classes have clips enough: classes are drawn from those that have. Support clips that failed
    to decode are not drawn; query clips are drawn whether or not they failed, and then count as
    wrong. With a pooled plan too, no clip of an episode is on both of its sides.

    Raises:
        ConfigError: naming the classes with too few clips, if fewer than W have enough.
    """
    is_able = check_episodes(task, plan=plan)
    num_classes = len(is_able)
    sides = episode_clips(task, pooled=plan.pooled)
    pools = [_members(side.labels, num_classes) for side in sides]
    num_support, num_query = (len(side.clip_ids) for side in sides)
    ends = np.cumsum([num_classes, num_support])
    width = ends[-1] + (0 if plan.pooled else num_query)
    size = max(1, BLOCK_NUMBERS // width)
    generator = np.random.default_rng((plan.seed, EPISODE_STREAM))  # row after row
    parts = []
    for start in range(0, plan.num_episodes, size):
        # Each class and clip has a number in each episode; the lowest of those allowed are drawn.
        rows = min(size, plan.num_episodes - start)
        of_class, of_support, of_query = np.split(generator.random((rows, width)), ends, axis=1)
        if plan.pooled:
            of_query = -of_support  # the highest: mostly the same queries at any number of shots
        of_class[:, ~is_able] = np.inf
        of_support[:, ~sides[0].is_decoded] = np.inf
        classes = np.argsort(of_class, axis=1, kind="stable")[:, : plan.num_ways]
        support = _lowest(of_support, pools[0][classes], plan.num_shots)
        if plan.pooled:
            np.put_along_axis(of_query, support, np.inf, axis=1)
        query = _lowest(of_query, pools[1][classes], plan.num_queries)
        parts.append((classes, support, query))
    return Episodes(*(np.concatenate(each) for each in zip(*parts, strict=True)))


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
        candidates: int64 (E, W, most), clips of each way, filled up with -1.
        count: how many are taken of each way.

    Returns:
        int64 (E, W * count).
    """
    flat = candidates.reshape(len(candidates), -1)
    of_candidates = np.take_along_axis(numbers, flat, axis=1).reshape(candidates.shape)
    of_candidates[candidates < 0] = np.inf
    order = np.argsort(of_candidates, axis=2, kind="stable")[:, :, :count]
    taken: Labels = np.take_along_axis(candidates, order, axis=2).reshape(len(candidates), -1)
    return taken


def _too_few(
    task: TargetTask, plan: EpisodePlan, is_able: NDArray[np.bool_], counts: Labels
) -> str:
    """Name the classes that lack clips, the fewest first; counts (2, K) are usable and scored."""
    short = sorted(
        (int(mine), int(scored), name)
        for mine, scored, name, able in zip(*counts, task.class_names, is_able, strict=True)
        if not able
    )
    lacking = ", ".join(f"{name!r} has {mine} and {scored}" for mine, scored, name in short[:3])
    wanted = f"{plan.num_shots} usable support clips and {plan.num_queries} scored clips"
    if plan.pooled:
        wanted = (
            f"{plan.num_shots} clips that were decoded and {plan.num_shots + plan.num_queries} "
            "in all"
        )
    return (
        f"target {task.name}: {is_able.sum()} classes have {wanted}, {plan.num_ways} wanted"
        f"{'; ' if lacking else ''}{lacking}; ask for fewer ways, shots or queries"
    )
