"""Linear scores: what nearest mean, ridge and logistic regression come to once they are fitted.

Shapes: S problems, Q query clips, D width, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from taskgrain.transfer.probes.arrays import Floats, Labels
from taskgrain.transfer.probes.asked import Asked
from taskgrain.transfer.probes.raw import compare


@dataclass(frozen=True, slots=True, eq=False)
class LinearScores:
    """Scores that are linear in the features."""

    coef: Floats  # (S, K, D)
    intercept: Floats  # (S, K)
    chosen: tuple[str | None, ...]  # (S,)
    chosen_on: str | None

    def scores(self, query: Floats) -> Floats:
        """Score query (S, Q, D): float64 (S, Q, K)."""
        product: Floats = query @ self.coef.swapaxes(1, 2) + self.intercept[:, None]
        return product

    def answers(self, asked: Asked) -> Labels:
        """Answer as `Fitted.answers` states."""
        answers = np.empty(asked.shape, dtype=np.int64)
        for each in compare(asked.clips, asked.rows, self.coef, asked.scaling, lengths=False):
            scores = each.products + self.intercept[each.problem][:, None]  # (K, q)
            answers[each.problem, each.query] = scores.argmax(axis=0)
        return answers
