"""What a classification head gets right: clips, classes, and the grains around its own.

A head of fine classes is scored at a coarser level by adding probabilities up; contrastive groups
ask it to tell apart what is easily confused; its errors lie within a group or between groups.

Shapes: B clips of a batch, N clips, K classes of the head, G names of a coarser level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taskgrain.labels.taxonomy import Taxonomy

TOP_K = 5


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Counts by true class; they add with `+`."""

    num_seen: tuple[int, ...]  # by class: clips
    num_right: tuple[int, ...]  # by class: clips whose class came first
    num_in_top_k: tuple[int, ...]  # by class: clips whose class was among the first five

    @classmethod
    def missed(cls, target: Tensor, num_classes: int) -> Accuracy:
        """Count clips without an answer as wrong; long (B,) are their classes."""
        nothing = (0,) * num_classes
        return cls(_by_class(target.cpu(), num_classes), nothing, nothing)

    @classmethod
    def of(cls, scores: Tensor, target: Tensor) -> Accuracy:
        """Count one batch.

        Args:
            scores: float (B, K), the larger the more probable; of equals the first comes first.
            target: long (B,), 0 to K - 1.

        Raises:
            ValueError: if a score is NaN, or a target is not a class.
        """
        num_classes = scores.shape[1]
        if bool(scores.isnan().any()):
            raise ValueError("a score is NaN; expected float (B, K) without NaN")
        if bool(((target < 0) | (target >= num_classes)).any()):
            raise ValueError(f"targets are {target.tolist()}; expected 0 to {num_classes - 1}")
        scores, target = scores.detach().cpu(), target.cpu()
        true_score = scores.gather(1, target[:, None])  # (B, 1)
        comes_first = torch.arange(num_classes) < target[:, None]
        rank = ((scores > true_score) | ((scores == true_score) & comes_first)).sum(1)  # (B,)
        return cls(
            num_seen=_by_class(target, num_classes),
            num_right=_by_class(target[rank == 0], num_classes),
            num_in_top_k=_by_class(target[rank < TOP_K], num_classes),
        )

    def __add__(self, other: Accuracy) -> Accuracy:
        return Accuracy(
            _add(self.num_seen, other.num_seen),
            _add(self.num_right, other.num_right),
            _add(self.num_in_top_k, other.num_in_top_k),
        )

    @property
    def num_clips(self) -> int:
        """Clips that were seen."""
        return sum(self.num_seen)

    @property
    def top_1(self) -> float:
        """Share of clips classified right, 0 to 1; NaN when nothing was seen."""
        return _share(sum(self.num_right), self.num_clips)

    @property
    def top_k(self) -> float:
        """Share of clips whose class is among the first five; NaN when nothing was seen."""
        return _share(sum(self.num_in_top_k), self.num_clips)

    @property
    def mean_per_class(self) -> float:
        """Mean over the classes seen of their share right; NaN when nothing was seen."""
        shares = [
            right / seen for right, seen in zip(self.num_right, self.num_seen, strict=True) if seen
        ]
        return _share(sum(shares), len(shares))


def _by_class(classes: Tensor, num_classes: int) -> tuple[int, ...]:
    return tuple(torch.bincount(classes, minlength=num_classes).tolist())


def _add(left: Sequence[int], right: Sequence[int]) -> tuple[int, ...]:
    if len(left) != len(right):
        raise ValueError(f"counts of {len(left)} and of {len(right)} classes do not add")
    return tuple(a + b for a, b in zip(left, right, strict=True))


def _share(part: float, whole: int) -> float:
    return part / whole if whole else float("nan")


IntArray = NDArray[np.int64]
Classes = Sequence[Sequence[int]]
"""Of a contrastive group: in each class the categories that are one class there."""


@dataclass(frozen=True, slots=True, eq=False)
class HeadAnswers:
    """The answers of a head for N clips. A clip without an answer counts as wrong."""

    scores: Tensor  # float (N, K), the larger the more probable; 0 where there is no answer
    target: Tensor  # long (N,), 0 to K - 1
    is_answered: Tensor  # bool (N,)

    @property
    def num_classes(self) -> int:
        """K, the number of classes."""
        return int(self.scores.shape[1])

    @property
    def predicted(self) -> Tensor:
        """The class of each clip: long (N,); of equal scores the first, -1 without an answer."""
        return self.scores.argmax(dim=1).masked_fill(~self.is_answered, -1)

    @property
    def accuracy(self) -> Accuracy:
        """Count the clips by class."""
        answered = self.is_answered
        missed = Accuracy.missed(self.target[~answered], self.num_classes)
        return Accuracy.of(self.scores[answered], self.target[answered]) + missed

    def at(self, index: IntArray, num_names: int) -> HeadAnswers:
        """Return what a head of log-probabilities says at a coarser level.

        The probabilities of the classes of a name add up. Clips and classes that the level leaves
        out are left out here too.

        Args:
            index: int64 (K,), the name of each class, 0 to G - 1; -1 where it has none.
            num_names: G.
        """
        named = torch.from_numpy(index)  # (K,)
        is_covered = named >= 0
        kept = is_covered[self.target]  # (N,)
        probs = self.scores[kept].softmax(dim=1)[:, is_covered]
        of_name = torch.zeros(len(probs), num_names).index_add_(1, named[is_covered], probs)
        return HeadAnswers(of_name, named[self.target[kept]], self.is_answered[kept])


def coarser_levels(taxonomy: Taxonomy, level: str) -> dict[str, IntArray]:
    """Find the levels at which a head of one level can be scored.

    Such a level has two names or more, and all categories of a class have the same there.

    Args:
        taxonomy: of the dataset.
        level: whose classes the head tells apart.

    Returns:
        By level, in the taxonomy's order, the index of each class's name there: int64 (K,), -1 for
        a class that the level leaves out.
    """
    class_of = taxonomy.index_of(level)  # by category
    found: dict[str, IntArray] = {}
    for other in taxonomy.levels:
        if other == level or len(taxonomy.names(other)) < 2:
            continue
        name_of = taxonomy.index_of(other)  # by category
        pairs = {(int(c), int(n)) for c, n in zip(class_of, name_of, strict=True) if c >= 0}
        names = dict(pairs)
        if len(pairs) == len(names):  # each class has one name
            found[other] = np.array([names[each] for each in range(len(names))], np.int64)
    return found


def contrastive_accuracy(answers: HeadAnswers, groups: Sequence[Classes]) -> float:
    """Score a head of categories on those that are easily taken for another.

    For each group: the accuracy among its clips, with the scores restricted to its categories;
    then the mean over the groups that have clips (the "commonsense" score of Something-Something's
    owner). A category counts as right where it is of the true class. NaN without any clip.
    """
    shares: list[float] = []
    for classes in groups:
        class_of = {category: n for n, merged in enumerate(classes) for category in merged}
        index = torch.tensor(list(class_of))  # categories of the group
        kept = torch.isin(answers.target, index)
        if not bool(kept.any()):
            continue
        best = index[answers.scores[kept][:, index].argmax(dim=1)]
        is_right = torch.tensor(
            [
                class_of[answer] == class_of[true]
                for answer, true in zip(best.tolist(), answers.target[kept].tolist(), strict=True)
            ]
        )
        shares.append(float((is_right & answers.is_answered[kept]).double().mean()))
    return sum(shares) / len(shares) if shares else float("nan")


def present_groups(
    groups: Sequence[Sequence[Sequence[str]]], categories: Sequence[str]
) -> list[Classes]:
    """Find the contrastive groups of which a dataset has two classes or more.

    Args:
        groups: each a sequence of classes, each a sequence of the categories that it merges.
        categories: of the dataset, in index order.

    Returns:
        The groups, with the indices of the categories that are there.
    """
    position = {category: index for index, category in enumerate(categories)}
    found = [
        [[position[name] for name in merged if name in position] for merged in classes]
        for classes in groups
    ]
    present = [[merged for merged in classes if merged] for classes in found]
    return [classes for classes in present if len(classes) > 1]


@dataclass(frozen=True, slots=True)
class GroupErrors:
    """Shares of all clips whose category was taken for another one."""

    within: float  # of the same group
    between: float  # of another group; clips without an answer count here


def group_errors(answers: HeadAnswers, group_of: IntArray) -> GroupErrors:
    """Split the errors of a head of categories by group: int64 (K,), of each category."""
    groups = torch.from_numpy(group_of)
    answer, true = answers.predicted, answers.target
    is_wrong = answer != true
    in_group = groups[true]  # -1 where a category lies in none: no error stays within it
    # Clamped, since -1 (no answer) would be the last category; `is_answered` takes it out again.
    is_same = (groups[answer.clamp(min=0)] == in_group) & (in_group >= 0) & answers.is_answered
    return GroupErrors(
        within=float((is_wrong & is_same).double().mean()),
        between=float((is_wrong & ~is_same).double().mean()),
    )


def commonest_of(classes: IntArray, counts: IntArray, num_classes: int) -> IntArray:
    """Find the most frequent category of each class.

    Args:
        classes: int64 (C,), the class of each category; -1 where it has none.
        counts: int64 (C,), training clips of each category.
        num_classes: K; each class has a category.

    Returns:
        int64 (K,) categories, of equally frequent ones the first.
    """
    return np.array(
        [int(np.where(classes == each, counts, -1).argmax()) for each in range(num_classes)],
        np.int64,
    )


def confusions(answers: HeadAnswers) -> dict[tuple[int, int], int]:
    """Count the clips by (true class, answered class), in that order; -1 without an answer."""
    pairs = torch.stack([answers.target, answers.predicted], dim=1)  # (N, 2)
    found, counts = pairs.unique(dim=0, return_counts=True)
    return {
        (int(true), int(answer)): int(count)
        for (true, answer), count in zip(found.tolist(), counts.tolist(), strict=True)
    }
