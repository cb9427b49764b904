"""The tasks of each target of a study.

A target of held-out categories has the categories of the seed: where they are drawn under each
seed, its classes and clips rotate, and each seed has tasks of its own. A target that is declared
novel is refused if a source learns one of its categories.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from taskgrain.config.clips import STRATA, Target
from taskgrain.config.settings import Study
from taskgrain.config.testing import Transfer
from taskgrain.data.manifest import ClipRecord, Manifest, Split
from taskgrain.data.store import FrameStore
from taskgrain.errors import ConfigError, nearest
from taskgrain.labels.template import plain_name
from taskgrain.results import Shots
from taskgrain.study.alignment import read_drawn_tasks
from taskgrain.study.datasets import SOURCE, Dataset
from taskgrain.study.inputs import Inputs
from taskgrain.study.seed_clips import categories_rotate, seed_clips
from taskgrain.tabletop.tasks import TASKS
from taskgrain.transfer.task import (
    EpisodePlan,
    TargetTask,
    check_episodes,
    class_task,
    factor_task,
    support_draws,
)

Strata = Mapping[str, Sequence[str]]  # name -> categories


def rotates(study: Study, target: Target) -> bool:
    """Whether a target's classes depend on the seed."""
    return target.is_held_out and categories_rotate(study.data)


def task_seeds(study: Study, target: Target) -> tuple[int | None, ...]:
    """List the seeds under which a target has tasks of its own; None alone where all share them."""
    return study.seeds if rotates(study, target) else (None,)


def clips_asked(
    study: Study, dataset: Dataset, target: Target, seed: int | None
) -> tuple[Manifest, Strata]:
    """Return the clips of a target under a seed, and the strata of its categories.

    The seed matters where the target rotates, and may be None elsewhere.
    """
    manifest = dataset.manifest()
    if not target.is_held_out:
        return manifest, {}
    assert seed is not None or not rotates(study, target), "classes that rotate are of a seed"
    divided = seed_clips(study.data, manifest, study.seeds[0] if seed is None else seed)
    return divided.novel, divided.strata


def tasks_of(inputs: Inputs, target: Target, seed: int | None) -> list[TargetTask]:
    """List the tasks of a target under a seed; its frames show which clips failed."""
    dataset = inputs.datasets[target.name]
    manifest, strata = clips_asked(inputs.study, dataset, target, seed)
    return target_tasks(target, manifest, dataset.frames(), strata)


def target_tasks(
    target: Target, manifest: Manifest, store: FrameStore | None, strata: Strata | None = None
) -> list[TargetTask]:
    """List the task of the category, then of each factor: "kitchenware", "kitchenware/motion", ...

    Tasks that were drawn for the target follow the factors that its settings name.

    Held-out categories of both strata also have a task for each stratum, if each has two
    categories or more: "novel/siblings", "novel/groups".

    Args:
        target: its settings.
        manifest: its clips; train is the support pool, validation is scored.
        store: its frames, which list what failed; None before they are decoded.
        strata: of its categories; None where there are none.

    Raises:
        ConfigError: if the dataset has no such factor.
        ManifestError: if a clip lacks a factor.
    """
    support, scored = manifest.split(Split.TRAIN), manifest.split(Split.VALIDATION)
    names = tuple(sorted({record.category for record in manifest.records}))
    index = {name: position for position, name in enumerate(names)}
    ledger = [] if store is None else store.ledger

    def labels(records: Sequence[ClipRecord]) -> NDArray[np.int64]:
        return np.array([index[record.category] for record in records], np.int64)

    task = TargetTask(
        target.name,
        names,
        tuple(record.clip_id for record in support),
        labels(support),
        tuple(record.clip_id for record in scored),
        labels(scored),
        failed=frozenset(entry.clip_id for entry in ledger if entry.state == "failed"),
        truncated=frozenset(entry.clip_id for entry in ledger if entry.state == "truncated"),
    )
    factors = dict.fromkeys((*target.factors, *read_drawn_tasks(manifest.root)))
    parts = {name: (strata or {}).get(name, ()) for name in STRATA}
    has_both = all(len(each) > 1 for each in parts.values())
    return [
        task,
        *(_factor(task, factor, manifest) for factor in factors),
        *(class_task(task, name=name, classes=parts[name]) for name in STRATA if has_both),
    ]


def _factor(task: TargetTask, factor: str, manifest: Manifest) -> TargetTask:
    if not any(factor in factors for factors in manifest.factors.values()):
        known = sorted({name for factors in manifest.factors.values() for name in factors})
        raise ConfigError(
            f"targets: {task.name} has no factor {factor!r}; factors.jsonl has "
            f"{', '.join(known) or 'none'}{nearest(factor, known)}"
        )
    # A clip without an entry is left out here, and refused by its name in `factor_task`.
    value_of: dict[str, str | None] = {
        clip: manifest.factors[clip][factor]  # null: the clip has no such factor
        for clip in task.support_ids + task.query_ids
        if factor in manifest.factors.get(clip, {})
    }
    return factor_task(task, factor=factor, value_of=value_of)


def check_target(
    target: Target,
    manifest: Manifest,
    store: FrameStore | None,
    transfer: Transfer,
    strata: Strata | None = None,
) -> None:
    """Refuse a target that has one class only, or too few clips for its shots or its episodes.

    Clips, store and strata are as `target_tasks` takes them.

    Raises:
        ConfigError: naming the class, what it has and what is wanted.
    """
    tasks = target_tasks(target, manifest, store, strata)
    possible = possible_tasks(tasks[0], manifest, transfer) if target.tasks else ()
    if len(possible) < target.tasks:
        raise ConfigError(
            f"target {target.name}: tasks is {target.tasks}, but {len(possible)} of the "
            f"{len(TASKS)} declared tasks have {_most(transfer.shots)} usable support clips of "
            "each class and a scored one; ask for fewer tasks or shots, or raise support"
        )
    for task in tasks:
        if len(task.class_names) < 2:
            raise ConfigError(
                f"target {task.name} has one class only, {task.class_names[0]!r}; "
                "a classifier needs two: leave the target or the factor out"
            )
        for shots in transfer.shots:
            # One draw is enough to refuse a class with too few clips.
            support_draws(task, num_shots=shots, num_draws=1, seed=transfer.seed)
    for plan in episode_plans(target, transfer):
        check_episodes(tasks[0], plan=plan)


def possible_tasks(task: TargetTask, manifest: Manifest, transfer: Transfer) -> tuple[str, ...]:
    """Name the declared tasks whose classes all have support clips for the shots, and scored ones.

    `task` is that of the target's categories.
    """
    names = []
    for name in TASKS:
        narrowed = _factor(task, name, manifest)
        classes = range(len(narrowed.class_names))
        support = [
            int((narrowed.support_labels[narrowed.has_support] == each).sum()) for each in classes
        ]
        scored = [int((narrowed.query_labels == each).sum()) for each in classes]
        if len(classes) > 1 and min(support) >= _most(transfer.shots) and min(scored) > 0:
            names.append(name)
    return tuple(names)


def _most(shots: Sequence[Shots]) -> int:
    """Return the largest number of shots; "all" needs one clip of each class."""
    return max(1 if each == "all" else each for each in shots)


def are_two_looks(one: Target, other: Target) -> bool:
    """Whether two targets are the drawn looks of one world and seed: equal ids are then pairs."""
    # Clips of a seed have the same motion, tool, handling and length in both looks.
    return {one.world, other.world} == {"kitchenware", "kitchenware-far"} and one.seed == other.seed


def is_pooled(target: Target) -> bool:
    """Whether support and queries of an episode come from one pool: of a published few-shot list.

    Otherwise support comes from the clips to learn from, queries from those that are scored.
    """
    return target.few_shot is not None


def episode_plans(target: Target, transfer: Transfer) -> list[EpisodePlan]:
    """Plan a target's episodes at each number of shots; none where the study has no episodes."""
    wanted = transfer.episodes
    return [
        EpisodePlan(
            num_ways=wanted.ways,
            num_shots=shots,
            num_queries=wanted.queries,
            num_episodes=wanted.number,
            seed=transfer.seed,
            pooled=is_pooled(target),
        )
        for shots in wanted.shots
        if wanted.number
    ]


SHOWN = 5  # categories that an error names


def refuse_seen(study: Study, datasets: Mapping[str, Dataset]) -> None:
    """Refuse a study in which a source of any seed learns a category of a novel target.

    Categories are equal if they differ in brackets, capitals or underscores alone. Sources that
    learn nothing, and what a warm start learned before, are not looked at.

    Raises:
        ConfigError: naming target, seed and categories, and what to do.
    """
    # Of the source's own held-out categories this is so by construction (`seed_clips`).
    declared = [each for each in study.targets if each.novel and not each.is_held_out]
    if not declared or not study.trained:
        return
    manifest = datasets[SOURCE].manifest()
    categories_of = {
        each.name: {record.category for record in datasets[each.name].manifest().records}
        for each in declared
    }
    for seed in study.seeds:
        learned = seed_clips(study.data, manifest, seed).learned.split(Split.TRAIN)
        known = {plain_name(record.category) for record in learned}
        for name, categories in categories_of.items():
            seen = sorted(each for each in categories if plain_name(each) in known)
            if seen:
                raise ConfigError(_text(name, seen, len(categories), seed))


def _text(target: str, seen: list[str], number: int, seed: int) -> str:
    names = ", ".join(map(repr, seen[:SHOWN]))
    more = f" and {len(seen) - SHOWN} more" if len(seen) > SHOWN else ""
    return (
        f"target {target}: is declared novel, but the sources of seed {seed} learn {len(seen)} of "
        f"its {number} categories: {names}{more}; hold them out by data.hold_out.few_shot, leave "
        "them out of data.root or of the target, or set novel = false"
    )
