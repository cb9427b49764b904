"""The small models that are fitted on frozen features.

A probe is a scikit-learn classifier; `fit_many` fits hundreds of support draws together. Torch is
imported by the three that train networks, when they are fitted, and by no other.
"""

from __future__ import annotations

from collections.abc import Callable

from taskgrain.config.testing import ProbeName
from taskgrain.transfer.probes.arrays import Floats, Labels
from taskgrain.transfer.probes.estimator import Fitted, Probe
from taskgrain.transfer.probes.logistic import LOGISTIC_C, LogisticRegression
from taskgrain.transfer.probes.neighbours import NearestMean, NearestNeighbours
from taskgrain.transfer.probes.neural import Attentive, Mlp, Recurrent
from taskgrain.transfer.probes.ridge import RbfRidge, Ridge
from taskgrain.transfer.probes.standardise import Standardiser

__all__ = [
    "LOGISTIC_C",
    "PROBES",
    "Attentive",
    "Fitted",
    "Floats",
    "Labels",
    "LogisticRegression",
    "Mlp",
    "NearestMean",
    "NearestNeighbours",
    "Probe",
    "ProbeName",
    "RbfRidge",
    "Recurrent",
    "Ridge",
    "Standardiser",
]

PROBES: dict[ProbeName, Callable[[], Probe]] = {
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
