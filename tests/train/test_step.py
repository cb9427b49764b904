from __future__ import annotations

import pytest
import torch

from taskgrain.losses import LossTerms, LossWeights
from taskgrain.train.step import Shares, gradient_shares, reproducible, without_padding


def test_shares_are_the_norms_of_the_weighted_gradients() -> None:
    features = torch.zeros(2, 3, 4, requires_grad=True)
    terms = LossTerms(3 * features[0, 0, 0], 4 * features[1, 2, 3], 2, 5)
    shares = gradient_shares(terms, features, LossWeights(0.5, 1.0))
    assert shares.classification == pytest.approx(1.5 / 5.5)
    assert shares.captioning == pytest.approx(4 / 5.5)
    assert shares.num_measured == 1


def test_measuring_shares_leaves_the_gradient_as_it_is() -> None:
    weight = torch.ones(4, requires_grad=True)
    features = (2 * weight).view(1, 2, 2)
    terms = LossTerms((features**2).sum(), features.sum(), 1, 1)
    gradient_shares(terms, features, LossWeights(1, 1))
    assert weight.grad is None
    assert terms.classification is not None
    assert terms.captioning is not None
    (terms.classification + terms.captioning).backward()
    assert weight.grad is not None
    assert torch.equal(weight.grad, torch.full((4,), 10.0))


def test_a_task_alone_has_all_of_the_gradient() -> None:
    features = torch.zeros(1, 1, 1, requires_grad=True)
    term = features.sum()
    alone = LossTerms(term, None, 1, 0), LossTerms(None, term, 0, 1)
    assert gradient_shares(alone[0], features, LossWeights(1, 0)) == Shares(1.0, 0.0, 1)
    assert gradient_shares(alone[1], features, LossWeights(0, 1)) == Shares(0.0, 1.0, 1)


def test_two_gradients_of_nothing_are_not_measured() -> None:
    features = torch.zeros(1, 1, 1, requires_grad=True)
    terms = LossTerms((features**2).sum(), (features**2).sum(), 1, 1)
    assert gradient_shares(terms, features, LossWeights(1, 1)) == Shares()


def test_columns_of_padding_are_cut_and_no_others() -> None:
    caption = torch.tensor([[1, 4, 2, 0, 0], [1, 2, 0, 0, 0]])
    assert torch.equal(without_padding(caption), caption[:, :3])
    assert torch.equal(without_padding(caption[:, :2]), caption[:, :2])
    assert without_padding(caption[:, :0]).shape == (2, 0)


def test_settings_are_put_back_after_an_error() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()

    def fail_inside() -> None:
        with reproducible(torch.device("cpu")):
            assert torch.are_deterministic_algorithms_enabled()
            torch.rand(3)
            raise KeyError

    with pytest.raises(KeyError):
        fail_inside()
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.equal(torch.get_rng_state(), before)
