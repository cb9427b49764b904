"""The caption decoder: features and the tokens so far to next-token logits.

Shapes: B clips, T' steps, D width of the features, L caption tokens, V vocabulary, E width of a
word, P width of the LSTM and of the condition, R its layers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from taskgrain.labels.vocabulary import BOS
from taskgrain.models.attention import AdditiveAttention, Memory

MIN_TOKENS = 2  # BOS and something to predict
WORD_SCALE = 0.1  # of torch's embeddings, which have deviation 1
CONDITION_GAIN = 4.0  # over the initialisation of He et al. for ReLU


@dataclass(frozen=True, slots=True)
class DecoderState:
    """Where the decoder stands after the tokens it was fed, one row a clip."""

    condition: Tensor  # float (B, P), what the decoder knows of the clip
    hidden: Tensor  # float (R, B, P)
    cell: Tensor  # float (R, B, P)
    memory: Memory | None = None  # what attention looks at; None without attention


def reorder(state: DecoderState, rows: Tensor) -> DecoderState:
    """Pick rows of a state: long (N,), in that order; they may repeat. For `taskgrain.decoding`."""
    return DecoderState(
        state.condition[rows],
        hidden=state.hidden[:, rows],
        cell=state.cell[:, rows],
        memory=None if state.memory is None else state.memory.rows(rows),
    )


class CaptionDecoder(nn.Module):
    """Say what happens in a clip, one token after the other.

    As in the authors' code: p = mean over the steps of ReLU(Linear(features)); an LSTM that
    starts from h0 = c0 = p in every layer; its input is the word's embedding with p beside it.
    With attention there stands beside both what the last layer's h, as the words so far left it,
    finds in the steps of the clip (see `AdditiveAttention`; the authors' own variant is unknown).
    """

    def __init__(
        self,
        width: int,
        *,
        vocabulary_size: int,
        word_width: int,
        lstm_width: int,
        num_layers: int = 2,
        attention: bool = False,
    ) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary_size
        self.num_layers = num_layers
        self.condition = nn.Linear(width, lstm_width)
        self.words = nn.Embedding(vocabulary_size, word_width)
        self.lstm = nn.LSTM(
            word_width + lstm_width + (width if attention else 0),
            lstm_width,
            num_layers=num_layers,
            batch_first=True,
        )
        self.out = nn.Linear(lstm_width, vocabulary_size)
        self.attention = (
            AdditiveAttention(width, query_width=lstm_width, inner_width=lstm_width)
            if attention
            else None
        )

    @torch.no_grad()
    def let_features_speak(self) -> None:
        """Scale the first weights so that the clip is heard beside the words.

        Features are means of gated tanh, about a tenth of a word's embedding as torch draws it:
        left so, the decoder first learns to speak without looking, and the encoder learns nothing.
        """
        self.words.weight.mul_(WORD_SCALE)
        bound = CONDITION_GAIN * math.sqrt(6 / self.condition.in_features)  # He et al. 2015
        self.condition.weight.mul_(bound * math.sqrt(self.condition.in_features))

    def forward(self, features: Tensor, caption: Tensor, is_hidden: Tensor | None = None) -> Tensor:
        """Predict each token from the true ones before it (teacher forcing).

        Args:
            features: float (B, T', D) from the encoder.
            caption: long (B, L), starting with BOS, right-padded with PAD.
            is_hidden: bool (B,), captions whose words are hidden from the decoder: BOS is fed in
                their place, and all tokens are predicted from the clip alone (Tschannen et al.
                2023, arXiv 2306.07915, section 3.2). None hides none.

        Returns:
            float (B, L - 1, V) logits; [:, t] predicts caption[:, t + 1].

        Raises:
            ValueError: if L is below 2: there would be nothing to predict.
        """
        if caption.ndim != 2 or caption.shape[1] < MIN_TOKENS:
            raise ValueError(
                f"caption is {tuple(caption.shape)}; expected (B, L) with L of 2 or more"
            )
        fed = caption[:, :-1]
        if is_hidden is not None:
            fed = fed.masked_fill(is_hidden[:, None], BOS)
        logits, _ = self._advance(fed, self.start(features))
        return logits

    def start(self, features: Tensor) -> DecoderState:
        """Look at the clips, before any token.

        Args:
            features: float (B, T', D) from the encoder.

        Returns:
            The state from which `step` with BOS gives the first word.
        """
        condition = self.condition(features).relu().mean(dim=1)  # (B, P)
        first = condition.expand(self.num_layers, -1, -1).contiguous()  # (R, B, P)
        memory = None if self.attention is None else self.attention.remember(features)
        return DecoderState(condition, hidden=first, cell=first, memory=memory)

    def step(self, token: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Take one more token; what came before is in the state and is not computed again.

        Args:
            token: long (B,), the token said last.
            state: what the previous step, or `start`, gave.

        Returns:
            float (B, V) logits of the next token, and the state after `token`.
        """
        logits, after = self._advance(token[:, None], state)
        return logits[:, 0], after

    def _advance(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Feed tokens: long (B, t); give float (B, t, V) logits and the state after them."""
        condition = state.condition[:, None].expand(-1, tokens.shape[1], -1)
        inputs = torch.cat([self.words(tokens), condition], dim=2)  # (B, t, E + P)
        if state.memory is not None:
            return self._attend(inputs, state, state.memory)
        said, (hidden, cell) = self.lstm(inputs, (state.hidden, state.cell))
        return self.out(said), DecoderState(state.condition, hidden=hidden, cell=cell)

    def _attend(
        self, inputs: Tensor, state: DecoderState, memory: Memory
    ) -> tuple[Tensor, DecoderState]:
        """Go on word by word, since what a word looks for depends on those before it.

        Float (B, t, E + P) inputs to float (B, t, V) logits and the state after them.
        """
        assert self.attention is not None, "only attention leaves a memory"
        hidden, cell, said = state.hidden, state.cell, []
        for word in inputs.unbind(dim=1):
            found = self.attention(hidden[-1], memory)  # (B, D)
            step, (hidden, cell) = self.lstm(
                torch.cat([word, found], dim=1)[:, None], (hidden, cell)
            )
            said.append(step)
        logits = self.out(torch.cat(said, dim=1))
        return logits, DecoderState(state.condition, hidden=hidden, cell=cell, memory=memory)
