"""The probes that are small networks, trained for many problems at once.

Every problem has weights of its own, begun alike and stepped apart: one never sees another.

Shapes: S problems, B clips of a batch, T' encoder steps, D width, H hidden width, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from taskgrain.transfer.probes.clips import Floats, Labels, Queries, check_finite

BATCH_CLIPS = 256  # of each problem; smaller supports are taken whole
BLOCK_CLIPS = 1024  # query clips at a time
ATTENTION_HEADS = 4
# Of the first weights against the customary ones: at one shot, what they happen to be would
# otherwise outweigh what is learned (13 classes in noise: 28 % right against 38 %).
FIRST_SCALE = 0.1

Form = Literal["mlp", "recurrent", "attentive"]
Weights = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a network is trained: AdamW, its rate falling to 0 along a cosine."""

    hidden_width: int
    num_steps: int
    learning_rate: float
    weight_decay: float
    seed: int  # of the first weights and of the batches


@dataclass(frozen=True, slots=True, eq=False)
class TrainedNetworks:
    """A trained network for each problem."""

    form: Form
    weights: Mapping[str, Tensor]  # float32, (S, ...)
    chosen: tuple[str | None, ...]
    chosen_on: str | None

    def scores(self, query: Floats) -> Floats:
        """Compute the logits of query (S, Q, D) or (S, Q, T', D): float64 (S, Q, K)."""
        forward = FORMS[self.form][1]
        # In float64, a clip's answer does not depend on how many are answered with it.
        weights = {name: each.double() for name, each in self.weights.items()}
        with torch.inference_mode(), _one_thread():
            logits = [
                forward(weights, _contiguous(query[:, start : start + BLOCK_CLIPS]))
                for start in range(0, query.shape[1], BLOCK_CLIPS)
            ]
            return torch.cat(logits, dim=1).numpy()

    def answers(self, queries: Queries) -> Labels:
        """Answer as `Fitted.answers` states, from standardised copies of the query clips."""
        features, rows = queries.clips.features, queries.rows
        query = queries.scaling(features[None] if rows is None else features[rows])
        check_finite(query)
        every = np.broadcast_to(query, (len(self.chosen), *query.shape[1:]))
        answers: Labels = self.scores(every).argmax(axis=2)
        return answers


def train(
    form: Form, features: Floats, labels: Labels, *, num_classes: int, schedule: Schedule
) -> TrainedNetworks:
    """Train on features (S, N, D) or (S, N, T', D), labels (S, N): the mean cross-entropy, nats.

    Computes in float32 on one thread. The first weights and the batches depend on the seed and
    the shapes, not on the problem.
    """
    first_weights, forward = FORMS[form]
    generator = torch.Generator().manual_seed(schedule.seed)
    first = first_weights(features.shape[-1], schedule.hidden_width, num_classes, generator)
    num_problems, num_clips = labels.shape
    weights = {
        name: each.expand(num_problems, *each.shape).clone().requires_grad_()
        for name, each in first.items()
    }
    inputs, target = _contiguous(features).float(), torch.from_numpy(labels)
    # Summed over problems and averaged within each: no problem's gradient depends on another, and
    # AdamW steps every weight by its own gradient alone.
    with torch.enable_grad(), _one_thread():
        optimizer = torch.optim.AdamW(
            weights.values(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
        )
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, schedule.num_steps)
        for index in _batches(num_clips, schedule):
            logits = forward(weights, inputs[:, index])  # (S, B, K)
            loss = F.cross_entropy(
                logits.flatten(0, 1), target[:, index].flatten(), reduction="none"
            )
            optimizer.zero_grad()
            loss.view(num_problems, -1).mean(dim=1).sum().backward()
            optimizer.step()
            falling.step()
    trained = {name: each.detach() for name, each in weights.items()}
    text = f"hidden={schedule.hidden_width} steps={schedule.num_steps}"
    return TrainedNetworks(form, trained, (text,) * num_problems, "fixed in advance")


def _batches(num_clips: int, schedule: Schedule) -> Iterator[slice | Tensor]:
    """Choose the clips of each step: all, or batches that go through all before any again."""
    if num_clips <= BATCH_CLIPS:
        yield from (slice(None) for _ in range(schedule.num_steps))
        return
    generator = np.random.default_rng(schedule.seed)
    waiting = np.empty(0, dtype=np.int64)
    for _ in range(schedule.num_steps):
        if len(waiting) < BATCH_CLIPS:
            waiting = np.concatenate([waiting, generator.permutation(num_clips)])
        yield torch.from_numpy(waiting[:BATCH_CLIPS])
        waiting = waiting[BATCH_CLIPS:]


def _first_mlp(width: int, hidden: int, num_classes: int, generator: torch.Generator) -> Weights:
    return {
        "inner": _normal((width, hidden), width, generator),
        "inner_bias": torch.zeros(1, hidden),
        "outer": _normal((hidden, num_classes), hidden, generator),
        "outer_bias": torch.zeros(1, num_classes),
    }


def _mlp(weights: Mapping[str, Tensor], features: Tensor) -> Tensor:
    """Map (S, B, D) to logits (S, B, K) through one hidden layer."""
    hidden = F.gelu(torch.baddbmm(weights["inner_bias"], features, weights["inner"]))
    return torch.baddbmm(weights["outer_bias"], hidden, weights["outer"])


def _first_recurrent(
    width: int, hidden: int, num_classes: int, generator: torch.Generator
) -> Weights:
    bias = torch.zeros(1, 4 * hidden)
    bias[:, hidden : 2 * hidden] = 1.0  # the forget gate begins open
    return {
        "input": _normal((width, 4 * hidden), width, generator),
        "state": _normal((hidden, 4 * hidden), hidden, generator),
        "bias": bias,
        "outer": _normal((hidden, num_classes), hidden, generator),
        "outer_bias": torch.zeros(1, num_classes),
    }


def _recurrent(weights: Mapping[str, Tensor], features: Tensor) -> Tensor:
    """Map (S, B, T', D) to logits (S, B, K): an LSTM, read at the mean of its outputs."""
    features = _with_steps(features)
    num_problems, num_clips, num_steps, _ = features.shape
    hidden = weights["state"].shape[1]
    driven = torch.baddbmm(weights["bias"], features.flatten(1, 2), weights["input"])
    driven = driven.view(num_problems, num_clips, num_steps, 4 * hidden)
    cell = output = total = features.new_zeros(num_problems, num_clips, hidden)
    for step in range(num_steps):
        gates = torch.baddbmm(driven[:, :, step], output, weights["state"])
        enter, forget, new, leave = gates.chunk(4, dim=-1)
        cell = forget.sigmoid() * cell + enter.sigmoid() * new.tanh()
        output = leave.sigmoid() * cell.tanh()
        total = total + output
    return torch.baddbmm(weights["outer_bias"], total / num_steps, weights["outer"])


def _first_attentive(
    width: int, hidden: int, num_classes: int, generator: torch.Generator
) -> Weights:
    return {
        "question": torch.zeros(width, ATTENTION_HEADS),  # begins as the mean over the steps
        "value": _normal((width, hidden), width, generator),
        "value_bias": torch.zeros(1, hidden),
        "outer": _normal((hidden, num_classes), hidden, generator),
        "outer_bias": torch.zeros(1, num_classes),
    }


def _attentive(weights: Mapping[str, Tensor], features: Tensor) -> Tensor:
    """Map (S, B, T', D) to logits (S, B, K): each head weighs the steps for its part of H."""
    features = _with_steps(features)
    num_problems, num_clips, num_steps, width = features.shape
    steps = features.flatten(1, 2)  # (S, B*T', D)
    match = torch.bmm(steps, weights["question"]) / width**0.5
    attention = match.view(num_problems, num_clips, num_steps, -1).softmax(dim=2)
    value = torch.baddbmm(weights["value_bias"], steps, weights["value"])
    value = value.view(num_problems, num_clips, num_steps, ATTENTION_HEADS, -1)
    pooled = (attention[..., None] * value).sum(dim=2).flatten(2)  # (S, B, H)
    return torch.baddbmm(weights["outer_bias"], F.gelu(pooled), weights["outer"])


FirstWeights = Callable[[int, int, int, torch.Generator], Weights]
Forward = Callable[[Mapping[str, Tensor], Tensor], Tensor]
FORMS: dict[Form, tuple[FirstWeights, Forward]] = {
    "mlp": (_first_mlp, _mlp),
    "recurrent": (_first_recurrent, _recurrent),
    "attentive": (_first_attentive, _attentive),
}


def _normal(shape: tuple[int, int], fan_in: int, generator: torch.Generator) -> Tensor:
    return FIRST_SCALE * torch.randn(shape, generator=generator) / fan_in**0.5


def _with_steps(features: Tensor) -> Tensor:
    """Read (S, B, D) as one step, (S, B, 1, D)."""
    return features.unsqueeze(2) if features.ndim == 3 else features


def _contiguous(features: Floats) -> Tensor:
    return torch.from_numpy(np.require(features, requirements=["C", "W"]))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread, so that the bits do not depend on the machine's cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
