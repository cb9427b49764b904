"""What every probe is: a small classifier that is fitted on many problems together.

A hyper-parameter is chosen from the support alone. Where every class has five clips, the value of
a small grid with the least squared error of held-out clips is taken, for each problem by itself;
with fewer, the value that was fixed in advance.

Shapes: S problems, N support clips, Q query clips, T' encoder steps, D width, G values of a grid,
K classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from taskgrain.transfer.probes.clips import Floats, Labels, Queries, Support, fewest_clips


class Fitted(Protocol):
    """Probes fitted on S problems of the same shape."""

    @property
    def chosen(self) -> tuple[str | None, ...]:
        """The hyper-parameter of each problem (S), or None where the probe has none."""
        ...

    @property
    def chosen_on(self) -> str | None:
        """Where that was chosen."""
        ...

    def scores(self, query: Floats) -> Floats:
        """Score the classes for query (S, Q, D): float64 (S, Q, K), the larger the likelier."""
        ...

    def answers(self, queries: Queries) -> Labels:
        """Answer query clips: int64 (S, Q) in 0..K-1.

        The answers are those of the largest score, of equals the first.

        Raises:
            FloatingPointError: if a standardised clip is NaN or infinite.
        """
        ...


class Probe(ABC):
    """A classifier of standardised features.

    `estimators` has each as a classifier under scikit-learn's contract, whose import takes longer
    than a comparison of some hundred clips. Everything but the probes that train networks is
    float64, and a problem's answer does not depend on the problems that it is fitted with.
    """

    scales_queries: ClassVar[bool] = False  # whether it answers from standardised copies of them
    reads_steps: ClassVar[bool] = False  # whether it takes features (N, T', D) as they are

    @abstractmethod
    def fit_support(self, support: Support, labels: Labels, *, num_classes: int) -> Fitted:
        """Fit S problems of the same shape.

        Args:
            support: finite; with steps where the probe reads them.
            labels: int64 (S, N) in 0..K-1; every problem has clips of every class.
            num_classes: K, at least 2.

        Raises:
            ProbeError: if a solver does not converge: the fit would not be the stated one.
        """

    def fit_labelings(
        self, support: Support, labelings: Sequence[Labels], *, num_classes: int
    ) -> Sequence[Fitted]:
        """Fit the same clips under several labels each, as `fit_support` does."""
        return [self.fit_support(support, labels, num_classes=num_classes) for labels in labelings]

    def fit_many(self, features: Floats, labels: Labels, *, num_classes: int) -> Fitted:
        """Fit features float64 (S, N, D), or (S, N, T', D), as `fit_support` does."""
        return self.fit_support(Support(features), labels, num_classes=num_classes)

    def probabilities(self, scores: Floats) -> Floats:
        """Turn scores (..., K) into probabilities (..., K) that keep their order."""
        return scores


# The choice of a strength. Each value of a small grid is judged by clips of the support that the
# fit has not seen, and never by a scored clip: the error of a value is the squared error of its
# predictions (of probabilities: Brier 1950), summed over held-out clips. With ten clips the share
# of right answers takes eleven values and ties; the squared error hardly ever does. Of equal errors
# the first is taken, which is the strongest penalty or the fewest neighbours.
#
# Where that is cheap, every clip is left out in turn: ridge and kernels have a closed form, and
# votes need no fit. Logistic regression deals each class's clips to five folds and holds one fold
# out at a time. The value that is chosen is fitted again on the whole support. Every draw chooses
# for itself, from the same grid for every source, and its row says what was chosen and where.
#
# With fewer than five clips of a class the fixed value is taken. What is held out was standardised
# together with the rest of the support: the same for every value of the grid, so it favours none.
FEWEST_SHOTS_TO_CHOOSE = 5  # below, what is left of a class is too little to judge by
NUM_FOLDS = 5
FIXED = "fixed in advance"
LEAVE_ONE_OUT = "leave-one-out on the support"
FOLDS = f"{NUM_FOLDS} folds of the support"


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The value taken for each problem, as an index into the grid, and where it was chosen."""

    index: Labels  # (S,)
    chosen_on: str


def may_choose(labels: Labels, num_classes: int) -> bool:
    """Whether any problem of labels (S, N) has enough clips of every class to choose on."""
    return bool((fewest_clips(labels, num_classes) >= FEWEST_SHOTS_TO_CHOOSE).any())


def choose(errors: Floats, labels: Labels, *, fixed: int, chosen_on: str) -> Choice:
    """Take the value with the least error where there are clips enough, else the fixed one.

    Args:
        errors: float64 (S, G), of held-out clips; of equals the first is taken.
        labels: int64 (S, N).
        fixed: index of the value that is taken where a class has too few clips.
        chosen_on: how the errors were found.
    """
    enough = fewest_clips(labels, int(labels.max()) + 1) >= FEWEST_SHOTS_TO_CHOOSE
    index = np.where(enough, errors.argmin(axis=1), fixed)
    return Choice(index, chosen_on if enough.any() else FIXED)


def folds_of(labels: Labels) -> Labels:
    """Deal each class's clips to the folds in turn: int64 (N,) in 0..4, from labels (N,).

    The first class begins with fold 0, the next where the one before stopped, so that folds
    differ by one clip at most.
    """
    order = np.argsort(labels, kind="stable")
    folds = np.empty_like(order)
    folds[order] = np.arange(len(order)) % NUM_FOLDS
    return folds
