from __future__ import annotations

import pytest
import torch

from taskgrain.labels.vocabulary import UNK
from taskgrain.losses import LossSums, LossWeights
from taskgrain.train.step import TrainingOptions
from taskgrain.train.validate import Validation, is_exact, validate
from tests.networks import build_model, compact_shape


def test_captions_are_compared_whatever_their_padding() -> None:
    said = torch.tensor([[4, 5, 2], [4, 2, 0], [4, 5, 6]])
    true = torch.tensor([[4, 5, 2, 0, 0], [4, 5, 2, 0, 0], [4, 5, 6, 2, 0]])
    assert is_exact(said, true).tolist() == [True, False, False]
    assert is_exact(true, said).tolist() == [True, False, False]


def test_a_caption_with_an_unknown_word_is_never_matched() -> None:
    caption = torch.tensor([[4, UNK, 2], [4, 5, 2]])
    assert is_exact(caption, caption).tolist() == [False, True]


@pytest.mark.parametrize(
    ("top_1", "exact_match", "score"), [(0.5, None, 0.5), (None, 0.25, 0.25), (0.5, 0.25, 0.375)]
)
def test_the_score_is_the_mean_of_what_there_is(
    top_1: float | None, exact_match: float | None, score: float
) -> None:
    assert Validation(top_1, exact_match, LossSums()).score == score


@pytest.mark.parametrize("is_training", [True, False])
def test_a_model_without_clips_is_not_scored(is_training: bool) -> None:
    model = build_model(
        compact_shape(spatial_widths=(2,), temporal_widths=(2,)),
        num_classes=2,
        vocabulary_size=None,
        seed=0,
    )
    model.train(is_training)
    with pytest.raises(ValueError, match="no validation clip"):
        validate(
            model,
            [],
            options=TrainingOptions(
                epochs=1,
                weights=LossWeights(1, 0),
                learning_rate=0.1,
                weight_decay=0.0,
                seed=0,
            ),
            step=0,
        )
    assert model.training == is_training
