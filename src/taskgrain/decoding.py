"""From next-token logits to captions; knows token indices and nothing of models or words.

Shapes: B clips, L tokens, V vocabulary, W beams a clip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from taskgrain.labels.vocabulary import BOS, EOS, MAX_TOKENS, PAD

State = TypeVar("State")
Step = Callable[[Tensor, State], tuple[Tensor, State]]
"""Token long (B,) and state to logits float (B, V) and the state after that token.

The state carries the whole prefix, so no step computes it again.
"""
Reorder = Callable[[State, Tensor], State]
"""State and rows long (R,) to the state with those rows of it, in that order; rows may repeat."""

NEVER_SAID = (PAD, BOS)  # they stand around captions, and are no answer
SORTED_SCORES = 512  # the longest row that is sorted; of longer ones the best are picked


def _check_positive(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} is {value}; expected 1 or more")


@dataclass(frozen=True, slots=True)
class BeamSettings:
    """How widely to look for a caption.

    `width` is W, the beginnings that are followed; with 1 the captions are those of `greedy`.
    Whole captions are compared by score / length ** `length_penalty`, length in tokens with EOS:
    0 compares sums, which favours short captions; 1 means per token.

    Raises:
        ValueError: if `width` or `max_tokens` is below 1, or `length_penalty` below 0 or infinite.
    """

    width: int
    length_penalty: float = 0.0
    max_tokens: int = MAX_TOKENS  # the longest caption, EOS counted

    def __post_init__(self) -> None:
        _check_positive("max_tokens", self.max_tokens)
        _check_positive("width", self.width)
        if not 0.0 <= self.length_penalty < float("inf"):
            raise ValueError(f"length_penalty is {self.length_penalty}; expected 0 or more")


GREEDY = BeamSettings(width=1)


def greedy(
    step: Step[State],
    start: State,
    *,
    batch_size: int,
    device: torch.device,
    max_tokens: int = MAX_TOKENS,
) -> Tensor:
    """Decode greedily: append the most probable token until every caption has ended.

    Args:
        step: gives the logits after one more token.
        start: the state before BOS.
        batch_size: B.
        device: where the tokens are made.
        max_tokens: the longest caption, EOS counted.

    Returns:
        long (B, L), L at most `max_tokens`, without BOS; PAD after EOS. A caption that reaches
        `max_tokens` has no EOS. Of equal logits the lowest index is taken.

    Raises:
        ValueError: if `max_tokens` is below 1.
    """
    _check_positive("max_tokens", max_tokens)
    token = torch.full((batch_size,), BOS, dtype=torch.long, device=device)
    is_finished = torch.zeros(batch_size, dtype=torch.bool, device=device)
    tokens: list[Tensor] = []
    state = start
    for _ in range(max_tokens):
        logits, state = step(token, state)
        token = _allowed(logits).argmax(dim=1).masked_fill(is_finished, PAD)
        tokens.append(token)
        is_finished = is_finished | (token == EOS)
        if bool(is_finished.all()):
            break
    return torch.stack(tokens, dim=1)


def beam(
    step: Step[State],
    start: State,
    settings: BeamSettings,
    *,
    reorder: Reorder[State],
    batch_size: int,
    device: torch.device,
) -> Tensor:
    """Follow the most probable beginnings of each caption side by side; return the best whole one.

    After each token the W most probable beginnings of a clip go on; one that has ended stays among
    them unchanged. The score of a beginning is the sum of its tokens' log-probabilities in nats,
    EOS counted; PAD and BOS are never chosen. The search ends when every beam has ended.

    Args:
        step: gives the logits after one more token; fed B * W rows, the beams of a clip together.
        start: the state before BOS, of B rows.
        settings: how wide, how long, and how long captions compare with short ones.
        reorder: picks rows of a state.
        batch_size: B.
        device: where the tokens are made.

    Returns:
        long (B, L), as `greedy` returns it. Of equal scores the earlier beam is taken, then the
        lowest index.
    """
    width = settings.width
    first_row = torch.arange(batch_size, device=device)[:, None] * width  # (B, 1)
    state = reorder(start, (first_row // width).expand(-1, width).flatten())
    token = torch.full((batch_size * width,), BOS, dtype=torch.long, device=device)
    tokens = torch.empty((batch_size, width, 0), dtype=torch.long, device=device)
    is_finished = torch.zeros((batch_size, width), dtype=torch.bool, device=device)
    # All beams begin alike: only the first may go on, or the others would repeat it.
    scores = torch.full((batch_size, width), float("-inf"), dtype=torch.float64, device=device)
    scores[:, 0] = 0.0
    lengths = torch.zeros((batch_size, width), dtype=torch.long, device=device)
    for _ in range(settings.max_tokens):
        logits, state = step(token, state)
        log_probs = _allowed(logits.double()).log_softmax(dim=1).unflatten(0, (-1, width))
        scores, chosen = _best(_continued(scores, log_probs, is_finished), width)
        parent, spoken = chosen // log_probs.shape[2], chosen % log_probs.shape[2]
        is_finished = is_finished.gather(1, parent)
        lengths = lengths.gather(1, parent) + ~is_finished
        tokens = torch.cat(
            [
                tokens.gather(1, parent[:, :, None].expand(-1, -1, tokens.shape[2])),
                spoken[:, :, None],
            ],
            dim=2,
        )
        # A beam of probability 0 is there only where fewer than W tokens can be chosen.
        is_finished = is_finished | (spoken == EOS) | scores.isneginf()
        if bool(is_finished.all()):
            break
        state = reorder(state, (first_row + parent).flatten())
        token = spoken.flatten()
    _, best = _best(scores / lengths.double() ** settings.length_penalty, 1)  # (B, 1)
    caption = tokens.gather(1, best[:, :, None].expand(-1, -1, tokens.shape[2]))[:, 0]
    return caption[:, : int((caption != PAD).sum(1).max()) if batch_size else 0]


def score_alternatives(
    step: Step[State], start: State, captions: Tensor, clips: Tensor, *, reorder: Reorder[State]
) -> Tensor:
    """Compute how probable several captions of each clip are; beginnings are computed once.

    Args:
        step: gives the logits after one more token; fed each beginning that captions of a clip
            share as one row, and none that has ended.
        start: the state before BOS, of B rows.
        captions: long (R, L), BOS first, right-padded with PAD.
        clips: long (R,), the row of `start` that each caption is of.
        reorder: picks rows of a state.

    Returns:
        float64 (R, L - 1): the log-probability in nats of each token after BOS, among those that
        can be chosen; 0 at padding. The sum of a row is the log-probability of its caption.

    Raises:
        ValueError: if a caption does not begin with BOS.
    """
    if captions.ndim != 2 or bool((captions[:, :1] != BOS).any()):
        raise ValueError(f"captions {tuple(captions.shape)} must be (B, L), BOS first")
    log_probs_of = torch.zeros(captions[:, 1:].shape, dtype=torch.float64, device=captions.device)
    num_tokens = int(captions.max()) + 1 if captions.numel() else 1
    # At each position the rows of the state are the different beginnings that still go on, so that
    # what captions of a clip share is computed once.
    state, beginning = start, clips.clone()  # (R,), the row of the state that a caption goes on
    for position, (token, following) in enumerate(
        zip(captions.T[:-1], captions.T[1:], strict=True)
    ):
        goes_on = following != PAD
        if not bool(goes_on.any()):
            break
        # Captions that have begun alike are one row: its number and the next token as one key.
        keys = beginning[goes_on] * num_tokens + token[goes_on]
        rows, row_of = keys.unique(return_inverse=True)
        logits, state = step(rows % num_tokens, reorder(state, rows // num_tokens))
        log_probs = _allowed(logits.double()).log_softmax(dim=1)
        log_probs_of[goes_on, position] = log_probs[row_of, following[goes_on]]
        beginning[goes_on] = row_of
    return log_probs_of


def _allowed(logits: Tensor) -> Tensor:
    """Rule out the tokens of NEVER_SAID: float (B, V) logits to a copy of them."""
    allowed = logits.clone()
    allowed[:, list(NEVER_SAID)] = float("-inf")
    return allowed


def _continued(scores: Tensor, log_probs: Tensor, is_finished: Tensor) -> Tensor:
    """Score each beam with each next token.

    Float64 (B, W), float64 (B, W, V) and bool (B, W) to float64 (B, W * V). A finished beam has
    one way to go on: PAD, for nothing.
    """
    silence = log_probs.new_full((log_probs.shape[2],), float("-inf"))
    silence[PAD] = 0.0
    following = torch.where(is_finished[:, :, None], silence, log_probs)
    return (scores[:, :, None] + following).flatten(1)


def _best(scores: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Return the largest scores of each row and where they stand; of equal ones the first first."""
    if scores.shape[1] <= SORTED_SCORES:
        ordered = scores.sort(dim=1, descending=True, stable=True)
        return ordered.values[:, :number], ordered.indices[:, :number]
    left = scores.clone()
    chosen = []
    for _ in range(number):  # `topk` promises no order among equals, and sorting takes far longer
        index = left.argmax(dim=1, keepdim=True)
        left.scatter_(1, index, float("-inf"))
        chosen.append(index)
    indices = torch.cat(chosen, dim=1)
    return scores.gather(1, indices), indices
