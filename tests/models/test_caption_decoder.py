from __future__ import annotations

import pytest
import torch
from torch import Tensor

from taskgrain.models.caption_decoder import CaptionDecoder

CAPTION = torch.tensor([[1, 5, 6, 7, 2, 0], [1, 8, 2, 0, 0, 0]])


def make_decoder(num_layers: int = 2) -> CaptionDecoder:
    torch.manual_seed(0)
    return CaptionDecoder(
        5, vocabulary_size=11, word_width=3, lstm_width=7, num_layers=num_layers
    ).eval()


def make_features() -> Tensor:
    return torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("num_layers", [1, 2])
def test_step_by_step_gives_the_teacher_forced_logits(num_layers: int) -> None:
    decoder, features = make_decoder(num_layers), make_features()
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
