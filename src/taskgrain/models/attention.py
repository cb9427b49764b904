"""Additive attention (Bahdanau et al. 2015): which steps of a clip the next word is about.

Shapes: B clips, T' steps, D width of the features, P width of what asks, A width inside.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Memory:
    """What attention looks at, one row a clip; made once a clip, not once a word."""

    features: Tensor  # float (B, T', D)
    keys: Tensor  # float (B, T', A), W f_t + b of each step

    def rows(self, rows: Tensor) -> Memory:
        """Pick rows: long (R,), in that order; they may repeat."""
        return Memory(self.features[rows], self.keys[rows])


class AdditiveAttention(nn.Module):
    """Weigh the steps: softmax over t of v . tanh(W f_t + b + U h), and sum the features so."""

    def __init__(self, width: int, *, query_width: int, inner_width: int) -> None:
        super().__init__()
        self.key = nn.Linear(width, inner_width)  # W, b
        self.query = nn.Linear(query_width, inner_width, bias=False)  # U
        self.score = nn.Linear(inner_width, 1, bias=False)  # v

    def remember(self, features: Tensor) -> Memory:
        """Look at the clips once: float (B, T', D)."""
        return Memory(features, self.key(features))

    def forward(self, query: Tensor, memory: Memory) -> Tensor:
        """Ask about the clips.

        Args:
            query: float (B, P), what asks.
            memory: what `remember` gave.

        Returns:
            float (B, D): the mean of the features over the steps, weighted by `weights`.
        """
        weights = self.weights(query, memory)
        return (weights[:, :, None] * memory.features).sum(dim=1)

    def weights(self, query: Tensor, memory: Memory) -> Tensor:
        """Give float (B, T'), each 0 to 1, 1 in sum over the steps; see `forward`."""
        inner = (memory.keys + self.query(query)[:, None]).tanh()  # (B, T', A)
        return self.score(inner)[:, :, 0].softmax(dim=1)
