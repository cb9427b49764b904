"""What training minimises: classification, captioning, or a weighted sum of both.

Shapes: B clips, K classes, L caption tokens, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from taskgrain.errors import RunError
from taskgrain.labels.vocabulary import EOS, PAD
from taskgrain.models.model import ModelOutput


@dataclass(frozen=True, slots=True)
class LossWeights:
    """The weight of each term in the sum; 0 leaves the task out.

    Label smoothing (Szegedy et al. 2016, section 7) takes a share of the probability of the true
    class or token and spreads it evenly over all.
    """

    classification: float
    captioning: float
    label_smoothing: float = 0.0  # share, 0 to 1, of both terms

    def __post_init__(self) -> None:
        """Refuse weights that leave nothing to minimise."""
        for name, weight in (
            ("classification", self.classification),
            ("captioning", self.captioning),
        ):
            if not (math.isfinite(weight) and weight >= 0):
                raise ValueError(f"{name} weight is {weight}; expected a number, 0 or more")
        if self.classification == self.captioning == 0:
            raise ValueError("both loss weights are 0; expected at least one above 0")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label smoothing is {self.label_smoothing}; expected 0 to below 1")


@dataclass(frozen=True, slots=True)
class LossTerms:
    """The terms of a batch before weighting; None where a task is left out."""

    classification: Tensor | None  # float (), nats a clip
    captioning: Tensor | None  # float (), nats a token
    num_clips: int  # that `classification` is a mean over; 0 without it
    num_tokens: int  # that `captioning` is a mean over; 0 without it


@dataclass(frozen=True, slots=True)
class LossSums:
    """Terms of many batches: sums and counts that add, so that a mean is taken once."""

    classification_nats: float = 0.0
    num_clips: int = 0
    captioning_nats: float = 0.0
    num_tokens: int = 0

    @classmethod
    def of(cls, terms: LossTerms) -> LossSums:
        """Turn the means of a batch back into sums."""
        classification_mean = (
            0.0 if terms.classification is None else float(terms.classification.detach())
        )
        captioning_mean = 0.0 if terms.captioning is None else float(terms.captioning.detach())
        return cls(
            classification_mean * terms.num_clips,
            terms.num_clips,
            captioning_mean * terms.num_tokens,
            terms.num_tokens,
        )

    def __add__(self, other: LossSums) -> LossSums:
        return LossSums(
            self.classification_nats + other.classification_nats,
            self.num_clips + other.num_clips,
            self.captioning_nats + other.captioning_nats,
            self.num_tokens + other.num_tokens,
        )

    @property
    def classification(self) -> float | None:
        """Nats a clip; None when no clip was classified."""
        return self.classification_nats / self.num_clips if self.num_clips else None

    @property
    def captioning(self) -> float | None:
        """Nats a token; None when no token was predicted."""
        return self.captioning_nats / self.num_tokens if self.num_tokens else None


def joint_loss(
    output: ModelOutput, *, target: Tensor, caption: Tensor, weights: LossWeights
) -> tuple[Tensor, LossTerms]:
    """Compare the output of a model with the labels.

    Args:
        output: of the model; teacher-forced where it captions.
        target: long (B,), 0 to K - 1; not looked at where classification has no weight.
        caption: long (B, L), BOS first, right-padded with PAD; likewise.
        weights: of the two terms.

    Returns:
        The weighted sum, float (), and its unweighted terms. Classification is the mean over
        clips, captioning over tokens: neither depends on padding or on the order of the clips.

    Raises:
        ValueError: if the model lacks the head or decoder of a weighted term, if a target is
            negative, or if the captions hold no token.
    """
    total = output.features.new_zeros(())
    classification, captioning, num_tokens = None, None, 0
    if weights.classification > 0:
        classification = _classification_loss(
            output.log_probs, target, smoothing=weights.label_smoothing
        )
        total = total + weights.classification * classification
    if weights.captioning > 0:
        captioning = _captioning_loss(
            output.token_logits, caption, smoothing=weights.label_smoothing
        )
        total = total + weights.captioning * captioning
        num_tokens = count_tokens(caption)
    num_clips = 0 if classification is None else len(target)
    return total, LossTerms(classification, captioning, num_clips, num_tokens)


def weights_of_parts(weights: LossWeights, parts: Sequence[tuple[int, int]]) -> list[LossWeights]:
    """Weigh the parts of a batch so that their losses add up to the loss of the whole.

    Each clip then counts as much as any other of the whole, and each token likewise, however
    clips and tokens are spread over the parts.

    Args:
        weights: of the whole.
        parts: clips and tokens of each part, as `LossTerms` counts them; tokens may be 0
            in all parts where captioning has no weight.
    """
    # A mean over all N is the sum over parts of (n / N) times the mean of the part. Clips and
    # tokens are spread differently over the parts, so that each term has its own n and N.
    num_clips = sum(clips for clips, _ in parts)
    num_tokens = sum(tokens for _, tokens in parts)
    return [
        LossWeights(
            weights.classification * (clips / num_clips),
            weights.captioning * (tokens / num_tokens) if num_tokens else weights.captioning,
            weights.label_smoothing,
        )
        for clips, tokens in parts
    ]


def count_tokens(caption: Tensor) -> int:
    """Count the tokens of long (B, L) that are to be predicted: all but BOS and padding."""
    return int((caption[:, 1:] != PAD).sum())


def padding_as_ends(caption: Tensor) -> Tensor:
    """Turn the padding of long (B, L) into ends, which are predicted and counted as words are.

    The authors' code does so: after its end a caption ends again at every position, up to the
    fixed length, and every one of the L - 1 positions counts alike. The decoder is fed those ends
    too. Captions are not to be cut to the longest of a batch beforehand.
    """
    return caption.masked_fill(caption == PAD, EOS)


def check_finite(
    terms: LossTerms, *, step: int, clip_ids: tuple[str, ...], on_validation: bool = False
) -> None:
    """Raise an error for a NaN or infinite loss, before it spoils the weights or a checkpoint.

    Raises:
        RunError: naming the step, the term and the clips of the batch.
    """
    for name, term in (
        ("classification", terms.classification),
        ("captioning", terms.captioning),
    ):
        if term is not None and not bool(torch.isfinite(term)):
            kept = (
                " on validation clips; no checkpoint was replaced"
                if on_validation
                else "; no weight was changed"
            )
            raise RunError(
                f"step {step}: the {name} loss is {float(term.detach())}{kept}. "
                f"Lower the learning rate, or look at the clips: {', '.join(clip_ids)}"
            )


def _classification_loss(log_probs: Tensor | None, target: Tensor, *, smoothing: float) -> Tensor:
    if log_probs is None:
        raise ValueError("classification has a weight, but the model has no head")
    if bool((target < 0).any()):
        raise ValueError("a target is negative: this source does not classify every clip")
    loss = F.nll_loss(log_probs, target)
    # (1 - s) nll + s mean(-log p), as `F.cross_entropy` smooths. It takes logits, though, and means
    # of log-probabilities are none: their exponentials need not sum to 1.
    return loss if smoothing == 0 else loss.lerp(-log_probs.mean(), smoothing)


def _captioning_loss(token_logits: Tensor | None, caption: Tensor, *, smoothing: float) -> Tensor:
    if token_logits is None:
        raise ValueError("captioning has a weight, but the model has no decoder")
    following = caption[:, 1:]  # (B, L - 1): what each step should say next
    if not bool((following != PAD).any()):
        raise ValueError("the captions of this batch hold no token to predict")
    # Padding is not counted: a clip weighs as many tokens as its caption has.
    return F.cross_entropy(
        token_logits.flatten(0, 1),
        following.flatten(),
        ignore_index=PAD,
        label_smoothing=smoothing,
    )
