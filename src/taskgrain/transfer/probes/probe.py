"""What every probe is: a small classifier that is fitted on many problems together.

Shapes: S problems, N support clips, Q query clips, T' encoder steps, D width, K classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Protocol

from taskgrain.transfer.probes.arrays import Floats, Labels
from taskgrain.transfer.probes.asked import Asked
from taskgrain.transfer.probes.support import Support


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

    def answers(self, asked: Asked) -> Labels:
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
