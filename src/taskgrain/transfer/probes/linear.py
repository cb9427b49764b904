"""Linear scores: what nearest mean, ridge and logistic regression come to once they are fitted.

Shapes: S problems, Q query clips, D width, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

from taskgrain.transfer.probes.arrays import Floats


@dataclass(frozen=True, slots=True, eq=False)
class LinearScores:
    """Scores that are linear in the features."""

    coef: Floats  # (S, K, D)
    intercept: Floats  # (S, K)
    chosen: tuple[str | None, ...]  # (S,)
    chosen_on: str | None

    def before(self, mean: Floats, scale: Floats) -> LinearScores:
        """Score features that are yet to be standardised by mean and scale, (1 or S, 1, D).

        Standardising the weights is cheaper than standardising every query clip.
        """
        coef = self.coef / scale
        intercept = self.intercept - (coef @ mean.swapaxes(1, 2))[:, :, 0]
        return LinearScores(coef, intercept, self.chosen, self.chosen_on)

    def scores(self, query: Floats) -> Floats:
        """Score query (S, Q, D): float64 (S, Q, K)."""
        product: Floats = query @ self.coef.swapaxes(1, 2) + self.intercept[:, None]
        return product
