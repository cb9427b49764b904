"""The small models that are fitted on frozen features.

Shapes: N clips, D width, K classes. Everything is float64: the same bits on every run.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as SklearnLogisticRegression

from taskgrain.errors import ResultError

# Inverse strength of the L2 penalty on standardised features. Fixed before any target was drawn,
# for every source and every number of shots: the value of the prototype study, tenfold the
# penalty that scikit-learn sets, because features outnumber the clips of a support draw.
LOGISTIC_C = 0.1
MAX_ITERATIONS = 1000  # about 15 are needed

ProbeName = Literal["nearest-mean", "logistic-regression"]
Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Standardiser:
    """Shift and scale that give features mean 0 and standard deviation 1."""

    mean: Floats  # (D,)
    scale: Floats  # (D,), positive

    @classmethod
    def of(cls, features: NDArray[np.floating]) -> Self:
        """Measure features (N, D); one that never varies is only shifted."""
        wide = features.astype(np.float64)
        # Rounding can give a constant feature a tiny deviation: compare values instead.
        varies = wide.max(axis=0) > wide.min(axis=0)
        return cls(wide.mean(axis=0), np.where(varies, wide.std(axis=0), 1.0))

    def __call__(self, features: NDArray[np.floating]) -> Floats:
        """Standardise features (N, D): float64 (N, D)."""
        standard: Floats = (features - self.mean) / self.scale  # the mean is float64
        return standard


class Probe(Protocol):
    """A classifier of standardised features, in scikit-learn's manner."""

    chosen: ClassVar[str | None]  # its hyper-parameter
    chosen_on: ClassVar[str | None]  # where that was chosen

    def fit(self, features: Floats, labels: Labels) -> Self:
        """Fit on features (N, D) and the labels (N,) of every class that there is."""
        ...

    def predict(self, features: Floats) -> Labels:
        """Give the most probable class of each of the features (N, D): int64 (N,)."""
        ...

    def predict_proba(self, features: Floats) -> Floats:
        """Give float64 (N, K), rows that sum to 1, columns in the order of `classes_`."""
        ...


class NearestMean:
    """Answer the class whose support clips have the nearest mean, by Euclidean distance.

    It has no hyper-parameter. Equal distances go to the class of the lower index.
    """

    chosen: ClassVar[str | None] = None
    chosen_on: ClassVar[str | None] = None

    def fit(self, features: Floats, labels: Labels) -> Self:
        """Average the features (N, D) of each class."""
        self.classes_ = np.unique(labels)
        self.means_ = np.stack([features[labels == each].mean(axis=0) for each in self.classes_])
        return self

    def predict(self, features: Floats) -> Labels:
        """Give the class with the nearest mean: int64 (N,)."""
        nearest: Labels = self.classes_[self._closeness(features).argmax(axis=1)]
        return nearest

    def predict_proba(self, features: Floats) -> Floats:
        """Give the posterior under equally frequent classes with unit variance: (N, K)."""
        return _softmax(self._closeness(features))

    def _closeness(self, features: Floats) -> Floats:
        # -|x - m|^2 / 2 without |x|^2, which is the same for every class: x m - |m|^2 / 2.
        product: Floats = features @ self.means_.T - 0.5 * (self.means_**2).sum(axis=1)
        return product


class LogisticRegression:
    """L2-penalised multinomial logistic regression, scikit-learn's, by L-BFGS from zero.

    Minimises |w|^2 / 2 + C * (sum of the cross-entropies of the clips, in nats); the intercept is
    not penalised. The penalty keeps every w in the span of the support features and does not
    change under rotation: with fewer clips than features the same problem is solved in N
    coordinates of that span (measured against D coordinates: 1.0 to 1.6 times as fast at
    D = 256, 1.2 to 5 times at D = 1728).
    """

    chosen: ClassVar[str | None] = f"C={LOGISTIC_C}"
    chosen_on: ClassVar[str | None] = "fixed in advance"

    def fit(self, features: Floats, labels: Labels) -> Self:
        """Fit on features (N, D).

        Raises:
            ResultError: if the solver does not converge: the fit would not be the stated one.
        """
        num_clips, width = features.shape
        model = SklearnLogisticRegression(C=LOGISTIC_C, max_iter=MAX_ITERATIONS)
        basis: Floats | None = np.linalg.qr(features.T)[0] if num_clips < width else None  # (D, N)
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            try:
                model.fit(features if basis is None else features @ basis, labels)
            except ConvergenceWarning as warning:
                raise ResultError(
                    f"logistic regression on features {features.shape} did not converge: {warning}"
                ) from None
        self.classes_: Labels = model.classes_
        self.coef_: Floats = model.coef_ if basis is None else model.coef_ @ basis.T
        self.intercept_: Floats = model.intercept_
        return self

    def predict(self, features: Floats) -> Labels:
        """Give the most probable class: int64 (N,)."""
        predicted: Labels = self.classes_[self._logits(features).argmax(axis=1)]
        return predicted

    def predict_proba(self, features: Floats) -> Floats:
        """Give the modelled probabilities: (N, K)."""
        return _softmax(self._logits(features))

    def _logits(self, features: Floats) -> Floats:
        logits: Floats = features @ self.coef_.T + self.intercept_
        if len(self.classes_) == 2:  # scikit-learn keeps the second class's logit alone
            logits = np.hstack([np.zeros_like(logits), logits])
        return logits


def _softmax(logits: Floats) -> Floats:
    weight = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs: Floats = weight / weight.sum(axis=1, keepdims=True)
    return probs


PROBES: dict[ProbeName, type[Probe]] = {
    "nearest-mean": NearestMean,
    "logistic-regression": LogisticRegression,
}
