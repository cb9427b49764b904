"""What a target asks: which clips to learn from, which to score, and their true classes.

Shapes: N support or query clips, K classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskgrain.errors import ManifestError, list_problems


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
    """Ask for one factor of the same clips, as "kitchenware/motion" asks for the motion alone.

    Args:
        task: whose clips are asked about.
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
    names = sorted({value for clip in clips if (value := value_of[clip]) is not None})
    index_of = {name: index for index, name in enumerate(names)}
    support_ids = tuple(clip for clip in task.support_ids if value_of[clip] is not None)
    query_ids = tuple(clip for clip in task.query_ids if value_of[clip] is not None)

    def labels(clip_ids: Sequence[str]) -> NDArray[np.int64]:
        values = (value_of[clip] for clip in clip_ids)
        return np.array([index_of[value] for value in values if value is not None], dtype=np.int64)

    return TargetTask(
        name=f"{task.name}/{factor}",
        class_names=tuple(names),
        support_ids=support_ids,
        support_labels=labels(support_ids),
        query_ids=query_ids,
        query_labels=labels(query_ids),
        failed=task.failed,
        truncated=task.truncated,
    )


def class_task(task: TargetTask, *, name: str, classes: Collection[str]) -> TargetTask:
    """Keep some of the classes alone, and their clips: "novel/siblings" of "novel".

    Args:
        task: whose classes are asked about.
        name: the second half of the new task's name.
        classes: those that stay, in the order of the task.
    """
    kept = [each for each in task.class_names if each in classes]
    index_of = {task.class_names.index(each): index for index, each in enumerate(kept)}

    def part(
        clip_ids: Sequence[str], labels: NDArray[np.int64]
    ) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        found = [
            (clip, index_of[label])
            for clip, label in zip(clip_ids, labels.tolist(), strict=True)
            if label in index_of
        ]
        return tuple(clip for clip, _ in found), np.array([label for _, label in found], np.int64)

    return TargetTask(
        f"{task.name}/{name}",
        tuple(kept),
        *part(task.support_ids, task.support_labels),
        *part(task.query_ids, task.query_labels),
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
