"""From next-token logits to captions; knows token indices and nothing of models or words.

Shapes: B clips, L tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from taskgrain.labels.vocabulary import BOS, EOS, MAX_TOKENS, PAD

State = TypeVar("State")
Step = Callable[[Tensor, State], tuple[Tensor, State]]
"""Token long (B,) and state to logits float (B, V) and the state after that token.

The state carries all that was said before, so no step computes the prefix again.
"""

NEVER_SAID = (PAD, BOS)  # they stand around captions, not in them


def greedy(
    step: Step[State],
    start: State,
    *,
    batch_size: int,
    device: torch.device,
    max_tokens: int = MAX_TOKENS,
) -> Tensor:
    """Say the most probable token, again and again, until every caption has ended.

    Args:
        step: gives the logits after one more token.
        start: the state before BOS.
        batch_size: B.
        device: where the tokens are made.
        max_tokens: the longest caption, EOS counted.

    Returns:
        long (B, L), L at most `max_tokens`, without BOS; PAD after EOS. A caption that reaches
        `max_tokens` has no EOS. Of equal logits the lowest index is said.

    Raises:
        ValueError: if `max_tokens` is below 1.
    """
    if max_tokens < 1:
        raise ValueError(f"max_tokens is {max_tokens}; expected 1 or more")
    token = torch.full((batch_size,), BOS, dtype=torch.long, device=device)
    is_finished = torch.zeros(batch_size, dtype=torch.bool, device=device)
    said: list[Tensor] = []
    state = start
    for _ in range(max_tokens):
        logits, state = step(token, state)
        token = _most_probable(logits).masked_fill(is_finished, PAD)
        said.append(token)
        is_finished = is_finished | (token == EOS)
        if bool(is_finished.all()):
            break
    return torch.stack(said, dim=1)


def _most_probable(logits: Tensor) -> Tensor:
    """Give the index of the largest of float (B, V) logits: long (B,)."""
    allowed = logits.clone()
    allowed[:, list(NEVER_SAID)] = float("-inf")
    return allowed.argmax(dim=1)
