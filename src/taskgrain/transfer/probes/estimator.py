"""What every probe is: a scikit-learn classifier that can also fit many problems together.

Shapes: S problems, N support clips, Q query clips, T' encoder steps, D width, K classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from taskgrain.transfer.probes.arrays import Floats, Labels
from taskgrain.transfer.probes.raw import RawClips, Scaling


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

    def answers(self, clips: RawClips, rows: Labels | None, scaling: Scaling) -> Labels:
        """Answer query clips that are not standardised: int64 (S, Q) in 0..K-1.

        The answers are those of the largest score, of equals the first.

        Args:
            clips: from which the query clips come.
            rows: (S, Q), which clips each problem is asked; None: all, in their order.
            scaling: by which the support was standardised, and the query clips are to be.

        Raises:
            FloatingPointError: if a standardised clip is NaN or infinite.
        """
        ...


class Probe(ClassifierMixin, BaseEstimator, ABC):  # type: ignore[misc]  # sklearn has no types
    """A classifier of standardised features under scikit-learn's contract.

    It can be cloned, searched over and put into pipelines. A probe implements `fit_many`, which
    fits S problems at once; `fit` and `predict` are the case of one problem. Everything but the
    probes that train networks is float64, and a problem's answer does not depend on the problems
    that it is fitted with.
    """

    fitted_: Fitted
    scales_queries: ClassVar[bool] = False  # whether it answers from standardised copies of them
    reads_steps: ClassVar[bool] = False  # whether it takes features (N, T', D) as they are

    @abstractmethod
    def fit_many(self, features: Floats, labels: Labels, *, num_classes: int) -> Fitted:
        """Fit S problems of the same shape.

        Args:
            features: float64 (S, N, D), finite; (S, N, T', D) where the probe reads steps.
            labels: int64 (S, N) in 0..K-1; every problem has clips of every class.
            num_classes: K, at least 2.

        Raises:
            ProbeError: if a solver does not converge: the fit would not be the stated one.
        """

    def probabilities(self, scores: Floats) -> Floats:
        """Turn scores (..., K) into probabilities (..., K) that keep their order."""
        return scores

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit on features X (N, D) and labels y (N,), which may be numbers or texts.

        Raises:
            ValueError: if a feature is not finite, the shapes do not fit, or y has one class.
            ProbeError: as `fit_many` does.
        """
        features, labels = self._checked_support(X, y)
        check_classification_targets(labels)
        self.classes_, index = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"the labels have one class, {self.classes_[0]!r}; a probe needs at least 2"
            )
        self.fitted_ = self.fit_many(
            features[None], index[None].astype(np.int64), num_classes=len(self.classes_)
        )
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.generic]:
        """Give the likeliest class of each of the features X (N, D), of equals the first: (N,)."""
        scores = self._scores(X)
        predicted: NDArray[np.generic] = self.classes_[scores.argmax(axis=1)]
        return predicted

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Give float64 (N, K), rows that sum to 1, columns in the order of `classes_`."""
        return self.probabilities(self._scores(X))

    @property
    def chosen_(self) -> str | None:
        """The hyper-parameter, as text; None if the probe has none."""
        return self.fitted_.chosen[0]

    @property
    def chosen_on_(self) -> str | None:
        """Where the hyper-parameter was chosen."""
        return self.fitted_.chosen_on

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = self.reads_steps
        return tags

    def _scores(self, given: ArrayLike) -> Floats:
        check_is_fitted(self)
        steps = _num_steps(given) if self.reads_steps else None
        flat = np.reshape(given, (-1, np.shape(given)[-1])) if steps else given
        query = validate_data(self, flat, reset=False, dtype=np.float64)
        if steps:
            query = query.reshape(-1, steps, query.shape[-1])
        return self.fitted_.scores(query[None])[0]

    def _checked_support(
        self, given: ArrayLike, labels: ArrayLike
    ) -> tuple[Floats, NDArray[np.generic]]:
        steps = _num_steps(given) if self.reads_steps else None
        if not steps:
            features, checked = validate_data(self, given, labels, dtype=np.float64)
            return features, checked
        flat = np.reshape(given, (-1, np.shape(given)[-1]))
        features, repeated = validate_data(self, flat, np.repeat(labels, steps), dtype=np.float64)
        return features.reshape(-1, steps, features.shape[-1]), repeated[::steps]


def _num_steps(given: ArrayLike) -> int | None:
    """Give T' of features (N, T', D); None for (N, D), and for what is no array of numbers."""
    shape = getattr(given, "shape", None)
    return int(shape[1]) if shape is not None and len(shape) == 3 else None
