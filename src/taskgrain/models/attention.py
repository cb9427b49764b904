"""Additive attention (Bahdanau et al. 2015): which steps of a clip the next word is about.

Shapes: B clips, T' steps, D width of the features, P width of the query, A width inside, M width of
the values.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Memory:
    """What attention looks at, one row a clip; made once a clip, not once a word."""

    values: Tensor  # float (B, T', M), which attention sums
    keys: Tensor  # float (B, T', A), W f_t + b of each step

    def rows(self, rows: Tensor) -> Memory:
        """Pick rows: long (R,), in that order; they may repeat."""
        return Memory(self.values[rows], self.keys[rows])


class AdditiveAttention(nn.Module):
    """Weigh steps by a_t = softmax over t of v . tanh(W f_t + b + U h), and sum their values."""

    def __init__(self, width: int, *, query_width: int, inner_width: int) -> None:
        super().__init__()
        self.key = nn.Linear(width, inner_width)  # W, b
        self.query = nn.Linear(query_width, inner_width, bias=False)  # U
        self.score = nn.Linear(inner_width, 1, bias=False)  # v

    def remember(self, features: Tensor, values: Tensor | None = None) -> Memory:
        """Prepare the clips once, before any query.

        Args:
            features: float (B, T', D), which the weights depend on.
            values: float (B, T', M), which are summed; None for the features themselves.
        """
        return Memory(features if values is None else values, self.key(features))

    def forward(self, query: Tensor, memory: Memory) -> Tensor:
        """Sum the values of the steps that a query is about.

        Args:
            query: float (B, P).
            memory: what `remember` returned.

        Returns:
            float (B, M): the sum of a_t times the value of step t.
        """
        weights = self.weights(query, memory)
        return torch.bmm(weights[:, None], memory.values)[:, 0]

    def weights(self, query: Tensor, memory: Memory) -> Tensor:
        """Return a_t: float (B, T'), each 0 to 1, 1 in sum over the steps; see `forward`."""
        inner = (memory.keys + self.query(query)[:, None]).tanh()  # (B, T', A)
        return self.score(inner)[:, :, 0].softmax(dim=1)
