"""The caption decoder: features and the tokens so far to next-token logits.

With attention (Bahdanau et al. 2015) it looks at the steps of a clip anew before each word.

Shapes: B clips, T' steps, D width of the features, L caption tokens, V vocabulary, E width of a
word, P width of the LSTM and of the condition, R its layers; of attention: P width of the query, A
width inside, M width of the values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from taskgrain.labels.vocabulary import BOS

MIN_TOKENS = 2  # BOS and something to predict
# With these first weights the loss on validation clips is 1.08 nats a token after 4 epochs and .80
# after 10; torch's defaults have 1.21 after 4 (docs/log.md, "The decoder's first weights").
WORD_SCALE = 0.1  # of torch's embeddings, which have deviation 1
CONDITION_GAIN = 4.0  # over the initialisation of He et al. for ReLU


@dataclass(frozen=True, slots=True)
class Memory:
    """Keys and values of the attention, one row a clip: computed once a clip, not once a word."""

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
    """Describe what happens in a clip, one token after the other.

    As in the authors' code: p = mean over the steps of ReLU(Linear(features)); an LSTM that
    starts from h0 = c0 = p in every layer; its input is the word's embedding with p beside it.
    With attention the input also holds the context vector that the last layer's previous h
    retrieves from the steps (see `AdditiveAttention`; the authors' own variant is unknown).
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
        """Scale the first weights so that the clip counts beside the words.

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
        """Compute the state before any token, from features float (B, T', D) of the encoder.

        `step` with BOS then gives the logits of the first word.
        """
        condition = self.condition(features).relu().mean(dim=1)  # (B, P)
        first = condition.expand(self.num_layers, -1, -1).contiguous()  # (R, B, P)
        if self.attention is None:
            return DecoderState(condition, hidden=first, cell=first)
        memory = self.attention.remember(features, values=features @ self._of_found().t())
        return DecoderState(condition, hidden=first, cell=first, memory=memory)

    def step(self, token: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Read one more token; the state holds the prefix, which is not computed again.

        Args:
            token: long (B,), the last token.
            state: what the previous step, or `start`, gave.

        Returns:
            float (B, V) logits of the next token, and the state after `token`.
        """
        logits, after = self._advance(token[:, None], state)
        return logits[:, 0], after

    def _advance(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Feed tokens: long (B, t); return float (B, t, V) logits and the state after them."""
        words = self.words(tokens)  # (B, t, E)
        if state.memory is not None:
            return self._attend(words, state, state.memory)
        condition = state.condition[:, None].expand(-1, tokens.shape[1], -1)
        seen, (hidden, cell) = self.lstm(
            torch.cat([words, condition], dim=2), (state.hidden, state.cell)
        )
        return self.out(seen), DecoderState(state.condition, hidden=hidden, cell=cell)

    def _attend(
        self, words: Tensor, state: DecoderState, memory: Memory
    ) -> tuple[Tensor, DecoderState]:
        """Decode word by word, since the query of each word depends on the words before it.

        The first layer's gates are linear in what that layer sees, so that only the last term waits
        for the word before:

            W [word, p, sum_t a_t f_t] + U h + b
                = (W_word word + W_p p + b)     of all words at once
                + sum_t a_t (W_found f_t)       W_found f_t once a clip: the values of `memory`
                + U h

        From float (B, t, E) embeddings, and the state before the first of them, to float (B, t, V)
        logits and the state after the words.
        """
        assert self.attention is not None, "only attention leaves a memory"
        # Word by word through nn.LSTM, the product with the whole input took a third of a caption
        # step.
        known = self._known_gates(words, state.condition)  # (B, t, 4 P)
        hidden, cell, outputs = list(state.hidden), list(state.cell), []
        for of_word in known.unbind(dim=1):
            attended = self.attention(hidden[-1], memory)  # (B, 4 P)
            gates = torch.addmm(of_word + attended, hidden[0], self._weight("hh", 0).t())
            hidden[0], cell[0] = _lstm_cell(gates, cell[0])
            for layer in range(1, self.num_layers):
                gates = nn.functional.linear(
                    hidden[layer - 1], self._weight("ih", layer), self._bias(layer)
                )
                gates = torch.addmm(gates, hidden[layer], self._weight("hh", layer).t())
                hidden[layer], cell[layer] = _lstm_cell(gates, cell[layer])
            outputs.append(hidden[-1])
        logits = self.out(torch.stack(outputs, dim=1))
        return logits, DecoderState(
            state.condition, hidden=torch.stack(hidden), cell=torch.stack(cell), memory=memory
        )

    def _known_gates(self, words: Tensor, condition: Tensor) -> Tensor:
        """Compute what words and clip alone add to the first layer's gates.

        From float (B, t, E) and float (B, P) to float (B, t, 4 P).
        """
        weight = self._weight("ih", 0)
        of_word = weight[:, : words.shape[2]]
        of_condition = weight[:, words.shape[2] : words.shape[2] + condition.shape[1]]
        of_clip = nn.functional.linear(condition, of_condition, self._bias(0))  # (B, 4 P)
        return nn.functional.linear(words, of_word) + of_clip[:, None]

    def _of_found(self) -> Tensor:
        """Return W_found: (4 P, D), the first layer's weights of what attention finds."""
        return self._weight("ih", 0)[:, -self.condition.in_features :]

    def _weight(self, kind: Literal["ih", "hh"], layer: int) -> Tensor:
        """Return a layer's weights of its input, (4 P, ...), or of its hidden state, (4 P, P)."""
        weight: Tensor = getattr(self.lstm, f"weight_{kind}_l{layer}")
        return weight

    def _bias(self, layer: int) -> Tensor:
        """Return the sum of a layer's two biases: (4 P,)."""
        bias: Tensor = getattr(self.lstm, f"bias_ih_l{layer}")
        return bias + getattr(self.lstm, f"bias_hh_l{layer}")


def _lstm_cell(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Compute one step of an LSTM, with its gates in torch's order: input, forget, cell, output.

    From gates float (B, 4 P), before their nonlinearities, and the cell state float (B, P) to the
    hidden and the cell state.
    """
    enter, forget, new, leave = gates.chunk(4, dim=1)
    cell = forget.sigmoid() * cell + enter.sigmoid() * new.tanh()
    return leave.sigmoid() * cell.tanh(), cell
