"""How many clips were classified right.

Shapes: B clips, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

TOP_K = 5


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Counts by true class; they add with `+`."""

    num_seen: tuple[int, ...]  # by class: clips
    num_right: tuple[int, ...]  # by class: clips whose class came first
    num_in_top_k: tuple[int, ...]  # by class: clips whose class was among the first five

    @classmethod
    def missed(cls, target: Tensor, num_classes: int) -> Accuracy:
        """Count clips of which nothing was said, long (B,) their classes: wrong, each of them."""
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
