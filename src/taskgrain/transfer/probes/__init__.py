"""The small models that are fitted on frozen features.

`fit_many` of a probe fits hundreds of support draws together. The names below are scikit-learn
classifiers (`estimators`), which is imported with the first of them; what tests encoders takes
probes from `PROBES`, and needs none of it. Torch is imported by the three that train networks,
when they are fitted, and by no other.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from taskgrain.names import ProbeName
from taskgrain.transfer.probes import linear, neighbours, neural
from taskgrain.transfer.probes.clips import Floats, Labels, Standardiser
from taskgrain.transfer.probes.linear import LOGISTIC_C
from taskgrain.transfer.probes.probe import Fitted, Probe

if TYPE_CHECKING:
    from taskgrain.transfer.probes.estimators import (
        CLASSIFIERS,
        Attentive,
        LogisticRegression,
        Mlp,
        NearestMean,
        NearestNeighbours,
        RbfRidge,
        Recurrent,
        Ridge,
    )

__all__ = [
    "CLASSIFIERS",
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
    "nearest-mean": linear.NearestMean,
    "k-nn": neighbours.NearestNeighbours,
    "ridge": linear.Ridge,
    "rbf-ridge": neighbours.RbfRidge,
    "logistic-regression": linear.LogisticRegression,
    "logistic-regression-cv": lambda: linear.LogisticRegression(C=None),
    "mlp": neural.Mlp,
    "recurrent": neural.Recurrent,
    "attentive": neural.Attentive,
}


def __getattr__(name: str) -> object:
    """Import scikit-learn's classifiers when one is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.estimators"), name)
    return found
