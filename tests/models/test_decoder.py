from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from taskgrain.decoding import BeamSettings, beam, greedy, score_alternatives
from taskgrain.labels.vocabulary import MAX_TOKENS
from taskgrain.models.decoder import (
    CONDITION_GAIN,
    WORD_SCALE,
    AdditiveAttention,
    CaptionDecoder,
    reorder,
)
from tests.networks import score_captions


def make_attention() -> AdditiveAttention:
    torch.manual_seed(0)
    return AdditiveAttention(5, query_width=3, inner_width=4)


def make_clips() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 6, 5, generator=generator), torch.randn(2, 3, generator=generator)


@torch.no_grad()
def summed(attention: AdditiveAttention, query: Tensor, features: Tensor) -> list[list[float]]:
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
    assert torch.allclose(found, torch.tensor(summed(attention, query, features)), atol=1e-6)


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


CAPTION = torch.tensor([[1, 5, 6, 7, 2, 0], [1, 8, 2, 0, 0, 0]])


def make_decoder(num_layers: int = 2, *, attention: bool = False) -> CaptionDecoder:
    torch.manual_seed(0)
    return CaptionDecoder(
        5,
        vocabulary_size=11,
        word_width=3,
        lstm_width=7,
        num_layers=num_layers,
        attention=attention,
    ).eval()


def make_features() -> Tensor:
    return torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_step_by_step_gives_the_teacher_forced_logits(num_layers: int, attention: bool) -> None:
    decoder, features = make_decoder(num_layers, attention=attention), make_features()
    forced = decoder(features, CAPTION)
    assert forced.shape == (2, 5, 11)
    state = decoder.start(features)
    for index in range(5):
        logits, state = decoder.step(CAPTION[:, index], state)
        assert torch.allclose(logits, forced[:, index], atol=1e-6)


def test_a_prediction_does_not_look_at_later_tokens() -> None:
    decoder, features = make_decoder(), make_features()
    changed = CAPTION.clone()
    changed[:, 3:] = 9
    before, after = decoder(features, CAPTION), decoder(features, changed)
    assert torch.allclose(before[:, :3], after[:, :3], atol=1e-6)
    assert not torch.allclose(before[:, 3:], after[:, 3:])


def test_padding_changes_no_prediction_before_it() -> None:
    decoder, features = make_decoder(), make_features()
    assert torch.allclose(
        decoder(features, CAPTION)[:, :4], decoder(features, CAPTION[:, :5]), atol=1e-6
    )


def test_every_layer_starts_from_the_condition() -> None:
    decoder, features = make_decoder(), make_features()
    state = decoder.start(features)
    condition = decoder.condition(features).clamp(min=0).mean(1)
    for layer in range(2):
        assert torch.equal(state.hidden[layer], condition)
        assert torch.equal(state.cell[layer], condition)


def test_the_clip_changes_what_is_said() -> None:
    decoder, features = make_decoder(), make_features()
    assert not torch.allclose(decoder(features, CAPTION), decoder(features + 1, CAPTION))


@pytest.mark.parametrize("length", [0, 1])
def test_a_caption_with_nothing_to_predict_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="L of 2 or more"):
        make_decoder()(make_features(), CAPTION[:, :length])


def test_the_papers_sizes_are_only_arguments() -> None:
    decoder = CaptionDecoder(
        1024, vocabulary_size=100, word_width=256, lstm_width=1024, num_layers=2
    )
    # Linear, embedding, two LSTM layers (four gates, two biases), Linear.
    lstm = 4 * 1024 * (256 + 1024 + 1024) + 4 * 1024 * (1024 + 1024) + 4 * 4 * 1024
    expected = 1024 * 1025 + 100 * 256 + lstm + 100 * 1025
    assert sum(p.numel() for p in decoder.parameters()) == expected


@pytest.mark.parametrize("attention", [False, True])
def test_the_decoder_is_its_formula_written_out(attention: bool) -> None:
    decoder, features = make_decoder(attention=attention), make_features()
    with torch.no_grad():
        assert torch.allclose(decoder(features, CAPTION), slow(decoder, features), atol=1e-5)


@torch.no_grad()
def slow(decoder: CaptionDecoder, features: Tensor) -> Tensor:
    """Clip by clip, word by word, layer by layer; gates in torch's order i, f, g, o."""
    weights = dict(decoder.lstm.named_parameters())
    clips = []
    for clip, caption in zip(features, CAPTION, strict=True):
        seen = [decoder.condition.weight @ step + decoder.condition.bias for step in clip]
        condition = torch.stack([each.clamp(min=0) for each in seen]).mean(0)
        hidden, cell = [condition] * decoder.num_layers, [condition] * decoder.num_layers
        logits = []
        for token in caption[:-1]:
            below = torch.cat([decoder.words.weight[token], condition])
            if decoder.attention is not None:
                memory = decoder.attention.remember(clip[None])
                below = torch.cat([below, decoder.attention(hidden[-1][None], memory)[0]])
            for layer in range(decoder.num_layers):
                gates = weights[f"weight_ih_l{layer}"] @ below + weights[f"bias_ih_l{layer}"]
                gates = gates + weights[f"weight_hh_l{layer}"] @ hidden[layer]
                gates = gates + weights[f"bias_hh_l{layer}"]
                enter, forget, new, leave = gates.chunk(4)
                cell[layer] = forget.sigmoid() * cell[layer] + enter.sigmoid() * new.tanh()
                hidden[layer] = leave.sigmoid() * cell[layer].tanh()
                below = hidden[layer]
            logits.append(decoder.out.weight @ below + decoder.out.bias)
        clips.append(torch.stack(logits))
    return torch.stack(clips)


def test_attention_looks_at_steps_that_the_condition_does_not_tell_apart() -> None:
    decoder = make_decoder(attention=True)
    with torch.no_grad():
        decoder.condition.weight.zero_()
    features = make_features()
    before, after = decoder(features, CAPTION), decoder(features * 3, CAPTION)
    assert not torch.allclose(before, after)
    before[:, -1].sum().backward()
    assert decoder.attention is not None
    for name, weight in decoder.attention.named_parameters():
        assert weight.grad is not None, name
        assert bool((weight.grad != 0).any()), name


@pytest.mark.parametrize("attention", [False, True])
def test_a_reordered_state_goes_on_as_its_rows_would(attention: bool) -> None:
    decoder, features = make_decoder(attention=attention), make_features()
    _, state = decoder.step(CAPTION[:, 0], decoder.start(features))
    rows = torch.tensor([1, 0, 1])
    expected, _ = decoder.step(CAPTION[:, 1], state)
    logits, after = decoder.step(CAPTION[rows, 1], reorder(state, rows))
    assert torch.allclose(logits, expected[rows], atol=1e-6)
    assert (after.memory is None) is not attention


@pytest.mark.parametrize("attention", [False, True])
def test_a_decoder_can_be_searched_and_scored(attention: bool) -> None:
    decoder, features = make_decoder(attention=attention), make_features()
    start, device = decoder.start(features), torch.device("cpu")
    with torch.inference_mode():
        said = greedy(decoder.step, start, batch_size=2, device=device)
        narrow, wide = (
            beam(
                decoder.step,
                start,
                BeamSettings(width, max_tokens=MAX_TOKENS),
                reorder=reorder,
                batch_size=2,
                device=device,
            )
            for width in (1, 6)
        )
        assert torch.equal(narrow, said)
        clips = torch.tensor([0, 0, 1, 1])
        captions = CAPTION.repeat(2, 1)
        tokens = score_alternatives(decoder.step, start, captions, clips, reorder=reorder)
        of_choices = tokens.sum(dim=1).unflatten(0, (2, 2))
        for clip in range(2):
            alone = decoder.start(features[clip : clip + 1])
            for choice in range(2):
                single = score_captions(decoder.step, alone, CAPTION[choice : choice + 1])
                assert float(of_choices[clip, choice]) == pytest.approx(float(single), abs=1e-5)

        def likelihood(caption: Tensor) -> Tensor:
            first = torch.ones((2, 1), dtype=torch.long)
            return score_captions(decoder.step, start, torch.cat([first, caption], dim=1))

        assert bool((likelihood(wide) >= likelihood(said) - 1e-6).all())


def test_what_is_said_of_a_clip_does_not_depend_on_its_neighbours() -> None:
    decoder, features = make_decoder(attention=True), make_features()
    together = decoder(features, CAPTION)
    alone = decoder(features[1:], CAPTION[1:])
    assert torch.allclose(together[1:], alone, atol=1e-6)


def test_first_weights_are_torchs_own_unless_the_clip_is_to_be_heard() -> None:
    decoder, scaled = make_decoder(), make_decoder()
    scaled.let_features_speak()
    assert torch.equal(scaled.words.weight, decoder.words.weight * WORD_SCALE)
    # torch draws from within 1 / sqrt(D), He et al. from within sqrt(6 / D).
    expected = decoder.condition.weight * CONDITION_GAIN * 6**0.5
    assert torch.allclose(scaled.condition.weight, expected)
    assert torch.equal(scaled.out.weight, decoder.out.weight)


def test_hidden_words_change_no_prediction_and_shown_ones_do() -> None:
    decoder, features = make_decoder(), make_features()
    changed = CAPTION.clone()
    changed[:, 2] = 9
    is_hidden = torch.tensor([True, False])
    before, after = (decoder(features, each, is_hidden) for each in (CAPTION, changed))
    assert torch.equal(before[0], after[0])
    assert not torch.allclose(before[1], after[1])
    assert torch.equal(before[1], decoder(features, CAPTION)[1])
    only_beginnings = torch.tensor([[1, 1, 1, 1, 1, 0], [1, 8, 2, 0, 0, 0]])
    assert torch.allclose(before[0], decoder(features, only_beginnings)[0], atol=1e-6)
