"""How good a source model is at its own tasks.

Shapes: B clips, L caption tokens, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from taskgrain.data.dataset import Batch
from taskgrain.decoding import greedy
from taskgrain.labels.vocabulary import PAD, UNK
from taskgrain.losses import LossSums, check_finite, joint_loss
from taskgrain.metrics.accuracy import Accuracy
from taskgrain.models.decoder import CaptionDecoder
from taskgrain.models.model import SourceModel
from taskgrain.train.step import TrainingOptions, as_learned, encode


@dataclass(frozen=True, slots=True)
class Validation:
    """Scores, 0 to 1, and losses on the validation clips; None where a task is left out."""

    top_1: float | None
    exact_match: float | None  # captions that are right word for word
    sums: LossSums

    @property
    def score(self) -> float:
        """The mean of the scores that there are: what the best epoch is chosen by."""
        scores = [score for score in (self.top_1, self.exact_match) if score is not None]
        return sum(scores) / len(scores)


@torch.inference_mode()
def validate(
    model: SourceModel,
    batches: Iterable[Batch],
    *,
    options: TrainingOptions,
    step: int,
) -> Validation:
    """Score a model in eval mode, its losses as training has them; it is put back into its mode.

    Raises:
        RunError: if a loss is not finite; names this step, the term and the clips.
        ValueError: if there is no clip.
    """
    weights, device = options.weights, options.device
    was_training = model.training
    model.eval()
    sums, accuracy, num_exact, num_clips = LossSums(), None, 0, 0
    for batch in batches:
        caption = as_learned(batch.caption, options.counts_padding).to(device)
        target = batch.target.to(device)
        features = encode(model, batch.video.to(device), precision=options.precision)
        output = model.read_out(features, caption)
        _, terms = joint_loss(output, target=target, caption=caption, weights=weights)
        check_finite(terms, step=step, clip_ids=batch.clip_ids, on_validation=True)
        sums = sums + LossSums.of(terms)
        num_clips += len(batch.clip_ids)
        if weights.classification > 0 and output.log_probs is not None:
            counted = Accuracy.of(output.log_probs, target)
            accuracy = counted if accuracy is None else accuracy + counted
        if weights.captioning > 0 and model.decoder is not None:
            decoded = say(model.decoder, features)
            num_exact += int(is_exact(decoded, batch.caption[:, 1:].to(device)).sum())
    model.train(was_training)
    if num_clips == 0:
        raise ValueError("there is no validation clip to score a model on")
    return Validation(
        top_1=None if accuracy is None else accuracy.top_1,
        exact_match=num_exact / num_clips if weights.captioning > 0 else None,
        sums=sums,
    )


def say(decoder: CaptionDecoder, features: Tensor) -> Tensor:
    """Decode float (B, T', D) features greedily: long (B, L), without BOS, PAD after EOS."""
    return greedy(
        decoder.step,
        decoder.start(features),
        batch_size=features.shape[0],
        device=features.device,
    )


def is_exact(decoded: Tensor, true: Tensor) -> Tensor:
    """Compare captions token by token, whatever their padding.

    Args:
        decoded: long (B, L), without BOS, right-padded with PAD.
        true: long (B, L'), likewise.

    Returns:
        bool (B,). A true caption with an unknown word is never matched: no decoder can produce it.
    """
    length = max(decoded.shape[1], true.shape[1])
    decoded = F.pad(decoded, (0, length - decoded.shape[1]), value=PAD)
    true = F.pad(true, (0, length - true.shape[1]), value=PAD)
    return (decoded == true).all(1) & (true != UNK).all(1)
