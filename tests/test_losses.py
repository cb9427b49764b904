from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from taskgrain.errors import RunError
from taskgrain.losses import (
    LossSums,
    LossTerms,
    LossWeights,
    check_finite,
    count_tokens,
    joint_loss,
    padding_as_ends,
    weights_of_parts,
)
from taskgrain.models.model import ModelOutput

BOTH = LossWeights(classification=0.25, captioning=0.75)
CAPTION = torch.tensor([[1, 4, 5, 2, 0], [1, 4, 2, 0, 0], [1, 5, 4, 5, 2]])
TARGET = torch.tensor([0, 2, 1])
NUM_TOKENS = 9


def make_output(num_clips: int = 3, num_tokens: int = 4) -> ModelOutput:
    generator = torch.Generator().manual_seed(0)
    return ModelOutput(
        features=torch.zeros(num_clips, 2, 3),
        log_probs=torch.randn(num_clips, 3, generator=generator).log_softmax(1),
        token_logits=torch.randn(num_clips, num_tokens, 6, generator=generator),
    )


def rows(output: ModelOutput, chosen: list[int]) -> ModelOutput:
    assert output.log_probs is not None
    assert output.token_logits is not None
    return ModelOutput(
        output.features[chosen], output.log_probs[chosen], output.token_logits[chosen]
    )


def loss_of(output: ModelOutput, chosen: list[int], caption: Tensor = CAPTION) -> LossTerms:
    _, terms = joint_loss(
        rows(output, chosen), target=TARGET[chosen], caption=caption[chosen], weights=BOTH
    )
    return terms


def values(terms: LossTerms) -> tuple[float, float]:
    assert terms.classification is not None
    assert terms.captioning is not None
    return float(terms.classification), float(terms.captioning)


def test_knowing_nothing_costs_the_logarithm_of_the_number_of_choices() -> None:
    output = ModelOutput(
        torch.zeros(3, 2, 3), torch.full((3, 3), -math.log(3)), torch.zeros(3, 4, 6)
    )
    total, terms = joint_loss(output, target=TARGET, caption=CAPTION, weights=BOTH)
    assert values(terms) == pytest.approx((math.log(3), math.log(6)))
    assert float(total) == pytest.approx(0.25 * math.log(3) + 0.75 * math.log(6))


def test_captioning_is_a_mean_over_tokens_and_classification_over_clips() -> None:
    output = make_output()
    assert output.log_probs is not None
    assert output.token_logits is not None
    log_probs = output.token_logits.log_softmax(2)
    spoken = [
        -float(log_probs[row, step, CAPTION[row, step + 1]])
        for row in range(3)
        for step in range(4)
        if CAPTION[row, step + 1] != 0
    ]
    assert len(spoken) == NUM_TOKENS
    named = [-float(output.log_probs[row, TARGET[row]]) for row in range(3)]
    terms = loss_of(output, [0, 1, 2])
    assert values(terms) == pytest.approx((sum(named) / 3, sum(spoken) / NUM_TOKENS))
    assert (terms.num_clips, terms.num_tokens) == (3, NUM_TOKENS)


@pytest.mark.parametrize("weights", [(0.0, 1.0), (0.3, 0.7), (1.0, 0.0), (2.0, 5.0)])
def test_the_loss_is_what_a_slow_sum_over_clips_and_words_gives(
    weights: tuple[float, float],
) -> None:
    output = make_output()
    assert output.log_probs is not None
    assert output.token_logits is not None
    named, spoken = [], []
    for clip in range(3):
        named.append(-float(output.log_probs[clip, TARGET[clip]]))
        for step, word in enumerate(CAPTION[clip, 1:].tolist()):
            if word != 0:
                scores = [math.exp(float(logit)) for logit in output.token_logits[clip, step]]
                spoken.append(-math.log(scores[word] / sum(scores)))
    expected = weights[0] * sum(named) / len(named) + weights[1] * sum(spoken) / len(spoken)
    total, _ = joint_loss(output, target=TARGET, caption=CAPTION, weights=LossWeights(*weights))
    assert float(total) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("parts", [[[0, 1], [2]], [[0], [2], [1]], [[2, 1, 0]]])
def test_the_losses_of_parts_add_up_to_the_loss_of_the_whole(parts: list[list[int]]) -> None:
    output = make_output()
    whole, _ = joint_loss(output, target=TARGET, caption=CAPTION, weights=BOTH)
    sizes = [(len(part), count_tokens(CAPTION[part])) for part in parts]
    assert sum(tokens for _, tokens in sizes) == NUM_TOKENS
    added = 0.0
    for part, weights in zip(parts, weights_of_parts(BOTH, sizes), strict=True):
        total, _ = joint_loss(
            rows(output, part), target=TARGET[part], caption=CAPTION[part], weights=weights
        )
        added += float(total)
    assert added == pytest.approx(float(whole))


def test_one_part_has_the_weights_of_the_whole_to_the_bit() -> None:
    assert weights_of_parts(BOTH, [(7, 31)]) == [BOTH]
    alone = LossWeights(classification=1.0, captioning=0.0)
    assert weights_of_parts(alone, [(3, 0), (1, 0)]) == [LossWeights(0.75, 0), LossWeights(0.25, 0)]


def test_counted_padding_is_an_end_that_is_predicted_at_every_position() -> None:
    ends = padding_as_ends(CAPTION)
    assert ends.tolist() == [[1, 4, 5, 2, 2], [1, 4, 2, 2, 2], [1, 5, 4, 5, 2]]
    assert count_tokens(ends) == 3 * 4
    output = make_output()
    assert output.token_logits is not None
    log_probs = output.token_logits.log_softmax(2)
    spoken = [-float(log_probs[row, step, ends[row, step + 1]]) for row in range(3)
              for step in range(4)]  # fmt: skip
    terms = loss_of(output, [0, 1, 2], ends)
    assert values(terms)[1] == pytest.approx(sum(spoken) / 12)
    assert values(terms)[1] != pytest.approx(values(loss_of(output, [0, 1, 2]))[1])


def test_the_order_of_the_clips_does_not_matter() -> None:
    output = make_output()
    assert values(loss_of(output, [0, 1, 2])) == pytest.approx(values(loss_of(output, [2, 0, 1])))


def test_a_batch_twice_over_costs_as_much_as_once() -> None:
    output = make_output()
    assert values(loss_of(output, [0, 1, 2])) == pytest.approx(
        values(loss_of(output, [0, 1, 2, 0, 1, 2]))
    )


def test_padding_costs_nothing() -> None:
    long = make_output(num_tokens=7)
    assert long.token_logits is not None
    short = ModelOutput(long.features, long.log_probs, long.token_logits[:, :4])
    padded = torch.nn.functional.pad(CAPTION, (0, 3))
    assert values(loss_of(short, [0, 1, 2])) == pytest.approx(
        values(loss_of(long, [0, 1, 2], padded))
    )


@pytest.mark.parametrize("parts", [[[0, 1], [2]], [[0], [1], [2]], [[2, 1, 0]]])
def test_the_sums_of_parts_give_the_mean_of_the_whole(parts: list[list[int]]) -> None:
    output = make_output()
    whole = values(loss_of(output, [0, 1, 2]))
    sums = sum((LossSums.of(loss_of(output, part)) for part in parts), LossSums())
    assert (sums.classification, sums.captioning) == pytest.approx(whole)


def test_sums_over_nothing_are_no_number() -> None:
    assert LossSums().classification is None
    assert LossSums().captioning is None


def test_a_task_of_weight_zero_is_not_looked_at() -> None:
    output = ModelOutput(torch.zeros(3, 2, 3), make_output().log_probs, token_logits=None)
    total, terms = joint_loss(
        output,
        target=TARGET,
        caption=torch.zeros(3, 0, dtype=torch.long),
        weights=LossWeights(classification=1.0, captioning=0.0),
    )
    assert terms.captioning is None
    assert terms.num_tokens == 0
    assert terms.classification is not None
    assert float(total) == float(terms.classification)


def test_a_weighted_task_needs_its_part_of_the_model() -> None:
    bare = ModelOutput(torch.zeros(3, 2, 3), None, None)
    for weights, part in ((LossWeights(1, 0), "no head"), (LossWeights(0, 1), "no decoder")):
        with pytest.raises(ValueError, match=part):
            joint_loss(bare, target=TARGET, caption=CAPTION, weights=weights)


def test_a_clip_without_a_class_is_refused() -> None:
    with pytest.raises(ValueError, match="a target is negative"):
        joint_loss(make_output(), target=torch.tensor([0, -1, 1]), caption=CAPTION, weights=BOTH)


def test_captions_without_a_token_are_refused() -> None:
    with pytest.raises(ValueError, match="no token to predict"):
        joint_loss(make_output(), target=TARGET, caption=torch.zeros_like(CAPTION), weights=BOTH)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["classification", "captioning"])
def test_a_loss_that_is_no_number_names_step_term_and_clips(name: str, bad: float) -> None:
    term, fine = torch.tensor(bad), torch.tensor(1.0)
    terms = LossTerms(
        term if name == "classification" else fine, term if name == "captioning" else fine, 2, 2
    )
    with pytest.raises(RunError, match=rf"step 17: the {name} loss is (nan|inf).*clip-a, clip-b"):
        check_finite(terms, step=17, clip_ids=("clip-a", "clip-b"))
    check_finite(LossTerms(fine, None, 2, 0), step=17, clip_ids=())


@pytest.mark.parametrize("weights", [(0.0, 0.0), (-1.0, 1.0), (1.0, float("nan"))])
def test_weights_that_make_no_loss_are_refused(weights: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"loss weights are 0|weight is"):
        LossWeights(*weights)


def test_smoothed_labels_spread_their_share_over_all_choices_written_out() -> None:
    output, share = make_output(), 0.2
    assert output.log_probs is not None
    assert output.token_logits is not None
    weights = LossWeights(classification=0.25, captioning=0.75, label_smoothing=share)
    _, terms = joint_loss(output, target=TARGET, caption=CAPTION, weights=weights)
    losses = []
    for row, target in enumerate(TARGET.tolist()):
        soft = torch.full((3,), share / 3)
        soft[target] += 1 - share
        losses.append(-float((soft * output.log_probs[row]).sum()))
    tokens = []
    for row, step in ((row, step) for row in range(3) for step in range(4)):
        token = int(CAPTION[row, step + 1])
        if token != 0:
            soft = torch.full((6,), share / 6)
            soft[token] += 1 - share
            tokens.append(-float((soft * output.token_logits[row, step].log_softmax(0)).sum()))
    assert len(tokens) == NUM_TOKENS
    expected = (sum(losses) / 3, sum(tokens) / NUM_TOKENS)
    assert values(terms) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("share", [-0.1, 1.0, math.nan])
def test_a_share_that_leaves_nothing_of_a_label_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="label smoothing is"):
        LossWeights(1, 0, share)


def test_parts_of_a_batch_smooth_as_the_whole_does() -> None:
    weights = LossWeights(1, 0, 0.1)
    assert {part.label_smoothing for part in weights_of_parts(weights, [(2, 0), (1, 0)])} == {0.1}
