"""Probes that compare a clip with the support clips themselves, or with their means.

Shapes: S problems, N support clips, Q query clips, D width, K classes, k neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from taskgrain.transfer.probes.arrays import Floats, Labels, one_hot, softmax
from taskgrain.transfer.probes.asked import Asked
from taskgrain.transfer.probes.choice import FIXED, LEAVE_ONE_OUT, Choice, choose, may_choose
from taskgrain.transfer.probes.linear import LinearScores
from taskgrain.transfer.probes.probe import Probe
from taskgrain.transfer.probes.raw import check_finite
from taskgrain.transfer.probes.support import Support

NEIGHBOURS = (1, 3, 5, 10)  # the grid; the first is taken where there are too few clips to choose
TEMPERATURE = 0.07  # of the votes, in units of the cosine
QUERY_BLOCK = 1024  # clips compared at a time: bounds the memory


class NearestMean(Probe):
    """Answer the class whose support clips have the nearest mean, by Euclidean distance.

    It has no hyper-parameter. Equal distances go to the class of the lower index. Probabilities
    are the posterior under equally frequent classes with unit variance.
    """

    def fit_support(self, support: Support, labels: Labels, *, num_classes: int) -> LinearScores:
        """Average the features of each class."""
        members = one_hot(labels, num_classes)  # (S, N, K)
        means = members.swapaxes(1, 2) @ support.features / members.sum(axis=1)[:, :, None]
        # -|x - m|^2 / 2 without |x|^2, which is the same for every class: x m - |m|^2 / 2.
        return LinearScores(means, -0.5 * (means**2).sum(axis=2), (None,) * len(labels), None)

    def probabilities(self, scores: Floats) -> Floats:
        """Give the posterior."""
        return softmax(scores)


class NearestNeighbours(Probe):
    """Let the k support clips of the largest cosine vote, each with weight exp(cosine / 0.07).

    k is chosen by leave-one-out from 1, 3, 5 and 10 (those below N) where every class has five
    clips, and is 1 otherwise. Probabilities are shares of the votes.
    """

    def __init__(self, num_neighbours: int | None = None) -> None:
        """Take k, at least 1 (more than N means N), or None to choose it."""
        self.num_neighbours = num_neighbours

    def fit_support(self, support: Support, labels: Labels, *, num_classes: int) -> NeighbourVotes:
        """Keep the features, and choose k."""
        directions = _directions(support.features)
        num_problems, num_clips = labels.shape
        if self.num_neighbours is not None:
            if self.num_neighbours < 1:
                raise ValueError(f"num_neighbours is {self.num_neighbours}; expected at least 1")
            k = np.full(num_problems, min(self.num_neighbours, num_clips))
            return NeighbourVotes(directions, labels, num_classes, k, FIXED)
        if not may_choose(labels, num_classes):
            return NeighbourVotes(
                directions, labels, num_classes, np.ones_like(labels[:, 0]), FIXED
            )
        grid = tuple(k for k in NEIGHBOURS if k < num_clips)
        choice = _choose_neighbours(directions, labels, num_classes, grid)
        return NeighbourVotes(
            directions, labels, num_classes, np.array(grid)[choice.index], choice.chosen_on
        )


@dataclass(frozen=True, slots=True, eq=False)
class NeighbourVotes:
    """Support clips that vote."""

    directions: Floats  # (S, N, D), of length 1
    labels: Labels  # (S, N)
    num_classes: int
    num_neighbours: Labels  # (S,)
    chosen_on: str

    @property
    def chosen(self) -> tuple[str, ...]:
        """K of each problem, as text."""
        return tuple(f"k={k}" for k in self.num_neighbours)

    def scores(self, query: Floats) -> Floats:
        """Give each class's share of the votes for query (S, Q, D): float64 (S, Q, K)."""
        shares = np.empty((len(query), query.shape[1], self.num_classes))
        for problem, k in enumerate(self.num_neighbours):
            for start in range(0, query.shape[1], QUERY_BLOCK):
                block = slice(start, start + QUERY_BLOCK)
                cosine = _directions(query[problem, block]) @ self.directions[problem].T
                (shares[problem, block],) = _votes(
                    cosine, self.labels[problem], self.num_classes, (int(k),)
                )
        return shares

    def answers(self, asked: Asked) -> Labels:
        """Answer as `Fitted.answers` states."""
        answers = np.empty(asked.shape, dtype=np.int64)
        support = asked.support
        aside = (support.points @ support.middle.swapaxes(1, 2))[:, :, 0]  # (S, N)
        middle = np.vecdot(support.middle, support.middle)[:, 0]  # (S,), squared length
        inverse = _inverse(np.sqrt(np.vecdot(support.features, support.features)))  # (S, N)
        for each in asked.met():
            # With p and x around the middle m: (p + m)(x + m) = px + mx + pm + mm.
            moved = each.along + middle[each.problem]  # (q,)
            squares = each.squares + each.along + moved
            check_finite(squares)
            cosine = np.add(each.products.T, moved[:, None], order="C")  # (q, N)
            cosine += aside[each.problem]
            cosine *= inverse[each.problem]
            cosine *= _inverse(np.sqrt(np.maximum(squares, 0.0)))[:, None]
            (shares,) = _votes(
                cosine,
                self.labels[each.problem],
                self.num_classes,
                (int(self.num_neighbours[each.problem]),),
            )
            answers[each.problem, each.query] = shares.argmax(axis=1)
        return answers


def _choose_neighbours(
    directions: Floats, labels: Labels, num_classes: int, grid: tuple[int, ...]
) -> Choice:
    """Leave each clip out in turn; the error is the squared error of the shares of votes."""
    errors = np.zeros((len(labels), len(grid)))
    for problem, (clips, truth) in enumerate(zip(directions, labels, strict=True)):
        for start in range(0, len(clips), QUERY_BLOCK):
            block = slice(start, start + QUERY_BLOCK)
            cosine = clips[block] @ clips.T
            rows = np.arange(len(cosine))
            cosine[rows, start + rows] = -np.inf  # a clip does not vote for itself
            target = one_hot(truth[block], num_classes)
            for index, shares in enumerate(_votes(cosine, truth, num_classes, grid)):
                errors[problem, index] += ((shares - target) ** 2).sum()
    return choose(errors, labels, fixed=0, chosen_on=LEAVE_ONE_OUT)


def _votes(cosine: Floats, labels: Labels, num_classes: int, grid: tuple[int, ...]) -> list[Floats]:
    """Count the votes of the nearest k clips, for each k of the grid: shares (Q, K).

    Args:
        cosine: float64 (Q, N), of each query clip with each support clip.
        labels: int64 (N,), of the support clips.
        num_classes: K.
        grid: numbers of neighbours, in rising order.
    """
    num_query = len(cosine)
    most = min(grid[-1], cosine.shape[1])
    if most == 1:
        nearest = cosine.argmax(axis=1)[:, None]
    elif most < len(labels):
        nearest = np.argpartition(-cosine, most - 1, axis=1)[:, :most]
    else:
        nearest = np.tile(np.arange(most), (num_query, 1))
    found = np.take_along_axis(cosine, nearest, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    nearest = np.take_along_axis(nearest, order, axis=1)
    found = np.take_along_axis(found, order, axis=1)
    weight = np.exp((found - found[:, :1]) / TEMPERATURE)
    cell = np.arange(num_query)[:, None] * num_classes + labels[nearest]  # (Q, most)
    shares = []
    for k in grid:
        counted = np.bincount(
            cell[:, :k].ravel(), weights=weight[:, :k].ravel(), minlength=num_query * num_classes
        ).reshape(num_query, num_classes)
        shares.append(counted / counted.sum(axis=1, keepdims=True))
    return shares


def _inverse(lengths: Floats) -> Floats:
    """Divide 1 by lengths; what has none keeps 0."""
    return np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)


def _directions(features: Floats) -> Floats:
    """Scale features (..., D) to length 1; what has no length stays 0."""
    length = np.sqrt((features**2).sum(axis=-1, keepdims=True))
    directions: Floats = features / np.where(length > 0, length, 1.0)
    return directions
