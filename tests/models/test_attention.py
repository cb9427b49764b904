from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from taskgrain.models.attention import AdditiveAttention


def make_attention() -> AdditiveAttention:
    torch.manual_seed(0)
    return AdditiveAttention(5, query_width=3, inner_width=4)


def make_clips() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 6, 5, generator=generator), torch.randn(2, 3, generator=generator)


@torch.no_grad()
def slow(attention: AdditiveAttention, query: Tensor, features: Tensor) -> list[list[float]]:
    """Bahdanau's formula, number by number."""
    key, asked = attention.key.weight.tolist(), attention.query.weight.tolist()
    bias, score = attention.key.bias.tolist(), attention.score.weight[0].tolist()
    found = []
    for clip, wanted in zip(features.tolist(), query.tolist(), strict=True):
        energies = []
        for step in clip:
            energy = 0.0
            for row in range(4):
                inner = bias[row]
                inner += sum(key[row][d] * step[d] for d in range(5))
                inner += sum(asked[row][p] * wanted[p] for p in range(3))
                energy += score[row] * math.tanh(inner)
            energies.append(math.exp(energy))
        weights = [energy / sum(energies) for energy in energies]
        found.append(
            [sum(w * step[d] for w, step in zip(weights, clip, strict=True)) for d in range(5)]
        )
    return found


def test_attention_is_bahdanaus_formula() -> None:
    attention = make_attention()
    features, query = make_clips()
    with torch.no_grad():
        found = attention(query, attention.remember(features))
    assert torch.allclose(found, torch.tensor(slow(attention, query, features)), atol=1e-6)


def test_weights_are_shares_of_the_steps() -> None:
    attention = make_attention()
    features, query = make_clips()
    weights = attention.weights(query, attention.remember(features))
    assert weights.shape == (2, 6)
    assert bool((weights > 0).all())
    assert torch.allclose(weights.sum(1), torch.ones(2))


def test_the_query_chooses_the_step() -> None:
    attention = make_attention()
    with torch.no_grad():
        for layer in (attention.key, attention.query):
            layer.weight.zero_()
        attention.key.bias.zero_()
        attention.key.weight[0, 0] = attention.query.weight[0, 0] = 1.0
        attention.score.weight[:] = torch.tensor([[50.0, 0.0, 0.0, 0.0]])
    features = torch.zeros(1, 3, 5)
    features[0, :, 0] = torch.tensor([-2.0, 1.0, -1.0])
    features[0, :, 1] = torch.tensor([10.0, 20.0, 30.0])
    memory = attention.remember(features)
    chosen = attention(torch.zeros(1, 3), memory)
    assert float(chosen[0, 1].detach()) == pytest.approx(20.0, abs=1e-3)
    undecided = attention.weights(torch.full((1, 3), 1e6), memory)  # tanh is 1 at every step
    assert torch.allclose(undecided, torch.full((1, 3), 1 / 3))


def test_rows_of_a_memory_are_those_of_the_clips() -> None:
    attention = make_attention()
    features, query = make_clips()
    rows = torch.tensor([1, 0, 1])
    picked = attention.remember(features).rows(rows)
    whole = attention(query, attention.remember(features))
    assert torch.allclose(attention(query[rows], picked), whole[rows])
