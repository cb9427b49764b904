from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from taskgrain.data.dataset import Batch
from taskgrain.errors import RunError
from taskgrain.labels.vocabulary import UNK
from taskgrain.losses import LossSums, LossTerms, LossWeights
from taskgrain.models.build import add_readouts
from taskgrain.models.model import SourceModel
from taskgrain.train.optim import Descent, make_optimizer, set_lr
from taskgrain.train.precision import Precision, make_scaler
from taskgrain.train.step import (
    Shares,
    TrainingOptions,
    Validation,
    draw_hidden,
    gradient_shares,
    is_exact,
    reproducible,
    train_step,
    validate,
    without_padding,
)
from tests.networks import build_model, compact_shape

CPU = torch.device("cpu")
OPTIONS = TrainingOptions(
    epochs=1, weights=LossWeights(0.25, 0.75), learning_rate=0.5, weight_decay=0.0, seed=0
)


class Pooled(nn.Module):
    """An encoder without norms: its features of a clip depend on no other."""

    width = 4

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 4)
        self.factor = factor

    def forward(self, video: Tensor) -> Tensor:
        features: Tensor = self.linear(video.float().mean((2, 3)) / 255)
        return features * self.factor


def make_model(factor: float = 1.0) -> SourceModel:
    torch.manual_seed(0)
    return add_readouts(Pooled(factor), num_classes=3, vocabulary_size=9, seed=0)


def make_batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    caption = torch.tensor(
        [[1, 4, 5, 6, 7, 2], [1, 2, 0, 0, 0, 0], [1, 4, 2, 0, 0, 0], [1, 8, 4, 2, 0, 0]]
    )
    video = torch.randint(0, 256, (4, 2, 5, 5, 3), dtype=torch.uint8, generator=generator)
    return Batch(("a", "b", "c", "d"), video, torch.tensor([0, 1, 2, 0]), caption)


def part(batch: Batch, rows: slice) -> Batch:
    return Batch(batch.clip_ids[rows], batch.video[rows], batch.target[rows], batch.caption[rows])


def descent_of(model: SourceModel, precision: Precision = "fp32") -> Descent:
    descent = Descent(
        make_optimizer(model, weight_decay=0, kind="sgd"), make_scaler(precision, device=CPU)
    )
    set_lr(descent.optimizer, 0.5)
    return descent


def step_on(
    model: SourceModel,
    batches: Sequence[Batch],
    descent: Descent,
    *,
    precision: Precision = "fp32",
    counts_padding: bool = False,
) -> tuple[LossSums, Shares]:
    options = replace(
        OPTIONS, max_gradient_norm=0.0, precision=precision, counts_padding=counts_padding
    )
    return train_step(
        model, batches, descent=descent, step=7, options=options, measures_shares=False
    )


def weights_after(cuts: list[slice], counts_padding: bool) -> tuple[dict[str, Tensor], LossSums]:
    model, batch = make_model(), make_batch()
    batches = [part(batch, cut) for cut in cuts]
    sums, _ = step_on(model, batches, descent_of(model), counts_padding=counts_padding)
    return model.state_dict(), sums


@pytest.mark.parametrize("counts_padding", [False, True])
@pytest.mark.parametrize(
    "cuts",
    [
        [slice(0, 1), slice(1, 4)],
        [slice(0, 2), slice(2, 4)],
        [slice(3, 4), slice(0, 1), slice(1, 3)],
    ],
)
def test_several_batches_move_the_weights_as_one_does(
    cuts: list[slice], counts_padding: bool
) -> None:
    whole, whole_sums = weights_after([slice(0, 4)], counts_padding)
    parts, part_sums = weights_after(cuts, counts_padding)
    untouched = make_model().state_dict()
    assert any(not torch.allclose(untouched[name], value) for name, value in whole.items())
    for name, value in whole.items():
        assert torch.allclose(value, parts[name], atol=1e-6), name
    assert part_sums.num_tokens == whole_sums.num_tokens == (20 if counts_padding else 11)
    assert part_sums.captioning == pytest.approx(whole_sums.captioning)
    assert part_sums.classification == pytest.approx(whole_sums.classification)


def test_an_overflow_under_fp16_is_no_loss_that_is_no_number() -> None:
    model = make_model(factor=1e-3)
    descent = descent_of(model, "fp16")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    descent.scaler.load_state_dict({**descent.scaler.state_dict(), "scale": 2.0**127})
    sums, _ = step_on(model, [make_batch()], descent, precision="fp16")
    assert math.isfinite(sums.captioning_nats)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert descent.scaler.get_scale() == 2.0**126
    descent.scaler.load_state_dict({**descent.scaler.state_dict(), "scale": 2.0**16})
    step_on(model, [make_batch()], descent, precision="fp16")
    assert any(not torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_gradient_that_always_overflows_stops_the_run_with_its_clips() -> None:
    model = make_model()
    descent = descent_of(model, "fp16")
    next(model.encoder.parameters()).register_hook(lambda gradient: gradient * math.inf)
    for _ in range(26):  # from 2**16 down to 2**-10
        step_on(model, [make_batch()], descent, precision="fp16")
    with pytest.raises(RunError, match=r"step 7: the gradient overflows float16 .* a, b, c, d"):
        step_on(model, [make_batch()], descent, precision="fp16")


@pytest.mark.parametrize(
    ("precision", "mend"),
    [
        ("fp32", r"; lower the learning rate"),
        ("bf16", r'; set train\.precision = "fp32", or lower the learning rate'),
    ],
)
def test_an_infinite_gradient_stops_a_run_and_names_its_precision(
    precision: Precision, mend: str
) -> None:
    model = make_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    next(model.encoder.parameters()).register_hook(lambda gradient: gradient * math.inf)
    two = [part(make_batch(), slice(0, 2)), part(make_batch(), slice(2, 4))]
    said = rf"step 7: the gradient is \S+ in {precision} .* changed{mend}.* a, b, c, d"
    with pytest.raises(RunError, match=said):
        step_on(model, two, descent_of(model), precision=precision)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_loss_that_is_no_number_names_the_clips_of_its_batch_alone() -> None:
    model = make_model(factor=math.nan)
    two = [part(make_batch(), slice(0, 2)), part(make_batch(), slice(2, 4))]
    with pytest.raises(RunError, match=r"step 7: the classification loss is nan.*: a, b$"):
        step_on(model, two, descent_of(model))


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


def test_hidden_captions_are_drawn_anew_in_every_step_and_from_the_step_alone() -> None:
    options = replace(OPTIONS, weights=LossWeights(0, 1), hidden_captions=0.4)

    def drawn(step: int) -> list[bool]:
        torch.manual_seed(step)
        hidden = draw_hidden(500, options)
        assert hidden is not None
        return hidden.tolist()

    assert drawn(1) == drawn(1) != drawn(2)
    assert sum(drawn(1)) / 500 == pytest.approx(0.4, abs=0.07)
    assert draw_hidden(500, replace(options, hidden_captions=0.0)) is None


def test_a_step_learns_hidden_captions_from_the_clip_alone() -> None:
    losses = {}
    for share in (0.0, 1.0):
        options = replace(OPTIONS, weights=LossWeights(0, 1), hidden_captions=share)
        model = make_model()
        descent = Descent(make_optimizer(model, weight_decay=0), make_scaler("fp32", device=CPU))
        sums, _ = train_step(
            model, [make_batch()], descent=descent, step=0, options=options, measures_shares=False
        )
        losses[share] = sums.captioning
    model, batch = make_model(), make_batch()
    features = model.encoder(batch.video)
    assert model.decoder is not None
    hidden = torch.ones(4, dtype=torch.bool)
    logits = model.decoder(features, batch.caption, hidden)
    expected = nn.functional.cross_entropy(
        logits.flatten(0, 1), batch.caption[:, 1:].flatten(), ignore_index=0
    )
    assert losses[1.0] == pytest.approx(float(expected.detach()), abs=1e-5)
    assert losses[0.0] != pytest.approx(losses[1.0], abs=2e-5)


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
