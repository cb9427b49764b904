"""Scores of clips held as counts of right answers, and computed where they are asked for.

A score is a count over the number of draws. Counts take a byte or two, float64 scores of every
answer, seed and clip of two sources eight each, several times over.

Shapes: A answers, S encoder seeds, N clips, n of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskgrain.transfer.answers import Answers, Evaluation, answers_like

Floats = NDArray[np.float64]
Counts = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class HitTable:
    """The scores of one evaluation: a set for each of its answers."""

    hits: Counts  # (A, N)
    draws: Floats  # (A,)

    @classmethod
    def of(cls, evaluation: Evaluation, answers: Sequence[Answers]) -> HitTable:
        """Count the right answers of an evaluation; of one answer or more."""
        return cls(np.stack([evaluation.hits(each) for each in answers]), _draws(answers))

    @property
    def shape(self) -> tuple[int, int]:
        """A and N."""
        return len(self.hits), self.hits.shape[1]

    def of_set(self, index: int) -> Floats:
        """Compute the scores of one answer: float64 (N,), in [0, 1]."""
        scores: Floats = self.hits[index] / self.draws[index]
        return scores

    def of_clips(self, clips: NDArray[np.int64]) -> Floats:
        """Compute the scores of all answers on some clips: float64 (A, n)."""
        scores: Floats = self.hits[:, clips] / self.draws[:, None]
        return scores


@dataclass(frozen=True, slots=True, eq=False)
class PairedTable:
    """Differences of two sources: of each answer a set a seed, then their mean over the seeds."""

    ours: Counts  # (A, S, N)
    theirs: Counts  # (A, S, N)
    draws: Floats  # (A,)

    @classmethod
    def of(
        cls, first: Sequence[Evaluation], second: Sequence[Evaluation], answers: Sequence[Answers]
    ) -> PairedTable:
        """Count the right answers of two sources, seed by seed in the same order."""
        ours, theirs = (
            np.stack(
                [np.stack([each.hits(answers_like(each, kind)) for each in group])
                 for kind in answers]
            )
            for group in (first, second)
        )  # fmt: skip
        return cls(ours, theirs, _draws(answers))

    @property
    def shape(self) -> tuple[int, int]:
        """A * (S + 1) and N."""
        return len(self.ours) * self.sets_of_answer, self.ours.shape[2]

    @property
    def sets_of_answer(self) -> int:
        """S + 1."""
        return self.ours.shape[1] + 1

    def of_set(self, index: int) -> Floats:
        """Compute the differences of one answer for one seed, or their mean: float64 (N,)."""
        answer, place = divmod(index, self.sets_of_answer)
        if place < self.ours.shape[1]:
            return self._differences(answer, np.s_[place : place + 1])[0]
        return _mean(self._differences(answer, np.s_[:])[None])[0]

    def of_clips(self, clips: NDArray[np.int64]) -> Floats:
        """Compute all sets on some clips: float64 (A * (S + 1), n), in [-1, 1]."""
        draws = self.draws[:, None, None]
        found = self.ours[:, :, clips] / draws - self.theirs[:, :, clips] / draws  # (A, S, n)
        return np.concatenate([found, _mean(found)[:, None]], axis=1).reshape(-1, len(clips))

    def scores(self, answer: int) -> tuple[Floats, Floats]:
        """Compute the scores of both sources at one answer: float64 (S, N) each."""
        draws = self.draws[answer]
        return self.ours[answer] / draws, self.theirs[answer] / draws

    def _differences(self, answer: int, seeds: slice) -> Floats:
        draws = self.draws[answer]
        found: Floats = self.ours[answer, seeds] / draws - self.theirs[answer, seeds] / draws
        return found


def _draws(answers: Sequence[Answers]) -> Floats:
    return np.array([each.num_draws for each in answers], np.float64)


def _mean(values: Floats) -> Floats:
    """Average (A, S, n) over the seeds, one after the other, whatever n is."""
    total = values[:, 0].copy()
    for seed in range(1, values.shape[1]):
        total += values[:, seed]
    return total / values.shape[1]
