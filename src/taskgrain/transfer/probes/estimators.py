"""The probes as scikit-learn has classifiers: to be cloned, searched over, put into pipelines.

Shapes: N clips, T' encoder steps, D width, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from taskgrain.names import ProbeName
from taskgrain.transfer.probes import linear, neighbours, neural
from taskgrain.transfer.probes.clips import Floats
from taskgrain.transfer.probes.linear import LinearScores
from taskgrain.transfer.probes.neighbours import KernelScores
from taskgrain.transfer.probes.probe import Fitted, Probe


class ProbeClassifier(ClassifierMixin, BaseEstimator, Probe):  # type: ignore[misc]  # no types
    """A probe under scikit-learn's contract: `fit` and `predict` are its case of one problem."""

    fitted_: Fitted

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
        """Return the likeliest class of each row of X (N, D), of equals the first: (N,)."""
        scores = self._scores(X)
        predicted: NDArray[np.generic] = self.classes_[scores.argmax(axis=1)]
        return predicted

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Compute probabilities (N, K), float64; rows sum to 1, columns are those of `classes_`."""
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

    def _scores(self, values: ArrayLike) -> Floats:
        check_is_fitted(self)
        steps = _num_steps(values) if self.reads_steps else None
        flat = np.reshape(values, (-1, np.shape(values)[-1])) if steps else values
        query = validate_data(self, flat, reset=False, dtype=np.float64)
        if steps:
            query = query.reshape(-1, steps, query.shape[-1])
        return self.fitted_.scores(query[None])[0]

    def _checked_support(
        self, values: ArrayLike, labels: ArrayLike
    ) -> tuple[Floats, NDArray[np.generic]]:
        # scikit-learn checks tables of two axes: steps are laid out as rows, each with the clip's
        # label, and folded back once they are checked.
        steps = _num_steps(values) if self.reads_steps else None
        if not steps:
            features, checked = validate_data(self, values, labels, dtype=np.float64)
            return features, checked
        flat = np.reshape(values, (-1, np.shape(values)[-1]))
        features, repeated = validate_data(self, flat, np.repeat(labels, steps), dtype=np.float64)
        return features.reshape(-1, steps, features.shape[-1]), repeated[::steps]


class NearestMean(ProbeClassifier, linear.NearestMean):
    """`linear.NearestMean` as a classifier."""

    fitted_: LinearScores

    @property
    def means_(self) -> Floats:
        """Mean of each class, (K, D), in the order of `classes_`."""
        return self.fitted_.coef[0]


class NearestNeighbours(ProbeClassifier, neighbours.NearestNeighbours):
    """`neighbours.NearestNeighbours` as a classifier."""


class Ridge(ProbeClassifier, linear.Ridge):
    """`linear.Ridge` as a classifier."""

    fitted_: LinearScores

    @property
    def coef_(self) -> Floats:
        """Weights (K, D); for two classes those of the second, (1, D), as scikit-learn has it."""
        coef = self.fitted_.coef[0]
        return coef[1:] if len(coef) == 2 else coef

    @property
    def intercept_(self) -> Floats:
        """Intercepts (K,); for two classes that of the second, (1,)."""
        intercept = self.fitted_.intercept[0]
        return intercept[1:] if len(intercept) == 2 else intercept


class RbfRidge(ProbeClassifier, neighbours.RbfRidge):
    """`neighbours.RbfRidge` as a classifier."""

    fitted_: KernelScores

    @property
    def gamma_(self) -> float:
        """The kernel's gamma."""
        return float(self.fitted_.gamma[0])


class LogisticRegression(ProbeClassifier, linear.LogisticRegression):
    """`linear.LogisticRegression` as a classifier."""

    fitted_: LinearScores

    @property
    def coef_(self) -> Floats:
        """Weights (K, D); for two classes those of the second, (1, D), as scikit-learn has it."""
        coef = self.fitted_.coef[0]
        return coef[1:] - coef[:1] if len(coef) == 2 else coef

    @property
    def intercept_(self) -> Floats:
        """Intercepts (K,); for two classes that of the second, (1,)."""
        intercept = self.fitted_.intercept[0]
        return intercept[1:] - intercept[:1] if len(intercept) == 2 else intercept


class Mlp(ProbeClassifier, neural.Mlp):
    """`neural.Mlp` as a classifier."""


class Recurrent(ProbeClassifier, neural.Recurrent):
    """`neural.Recurrent` as a classifier."""


class Attentive(ProbeClassifier, neural.Attentive):
    """`neural.Attentive` as a classifier."""


CLASSIFIERS: dict[ProbeName, Callable[[], ProbeClassifier]] = {
    "nearest-mean": NearestMean,
    "k-nn": NearestNeighbours,
    "ridge": Ridge,
    "rbf-ridge": RbfRidge,
    "logistic-regression": LogisticRegression,
    "logistic-regression-cv": lambda: LogisticRegression(C=None),
    "mlp": Mlp,
    "recurrent": Recurrent,
    "attentive": Attentive,
}


def _num_steps(values: ArrayLike) -> int | None:
    """Return T' of features (N, T', D); None for (N, D), and for anything but an array."""
    shape = getattr(values, "shape", None)
    return int(shape[1]) if shape is not None and len(shape) == 3 else None
