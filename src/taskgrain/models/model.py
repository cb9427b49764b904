"""What a source trains: an encoder with a head, a decoder, or both.

Shapes: B clips, T frames, T' steps, H W pixels, D width, K classes, L tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from taskgrain.models.decoder import CaptionDecoder

FEATURE_DIMENSIONS = 3  # clips, steps, width


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """The outputs of a model for a batch; None for a part that the model lacks."""

    features: Tensor  # float (B, T', D)
    log_probs: Tensor | None  # float (B, K), mean over the steps
    token_logits: Tensor | None  # float (B, L - 1, V)


class SourceModel(nn.Module):
    """Encoder, head and decoder in one module, so that they are trained and stored together.

    The encoder may be anyone's: a module with `width: int` and
    `forward(video: uint8 (B, T, H, W, 3)) -> float (B, T', width)`.
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        head: ClassificationHead | None = None,
        decoder: CaptionDecoder | None = None,
    ) -> None:
        super().__init__()
        encoder_width(encoder)
        self.encoder = encoder
        self.head = head
        self.decoder = decoder

    def forward(self, video: Tensor, caption: Tensor) -> ModelOutput:
        """Encode clips and read them out, the decoder with teacher forcing.

        Args:
            video: uint8 (B, T, H, W, 3), RGB.
            caption: long (B, L), BOS first; not looked at without a decoder.

        Returns:
            Features, log-probabilities and token logits.
        """
        return self.read_out(self.encoder(video), caption)

    def read_out(
        self, features: Tensor, caption: Tensor, is_hidden: Tensor | None = None
    ) -> ModelOutput:
        """Read out features: float (B, T', D); see `forward`, and `CaptionDecoder.forward`."""
        features = features.float()
        return ModelOutput(
            features,
            log_probs=None if self.head is None else self.head(features),
            token_logits=None
            if self.decoder is None
            else self.decoder(features, caption, is_hidden),
        )


def encoder_width(encoder: nn.Module) -> int:
    """Read an encoder's width.

    Raises:
        ValueError: if it has none, or one that is not a positive integer.
    """
    width = getattr(encoder, "width", None)
    if not isinstance(width, int) or isinstance(width, bool) or width < 1:
        raise ValueError(
            f"{type(encoder).__name__}.width is {width!r}; an encoder needs width: int, "
            "the last size of its features (B, T', width)"
        )
    return width


@contextmanager
def in_eval_mode(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode; every module in it gets its own mode back."""
    was_training = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in was_training.items():
            module.training = mode


@torch.inference_mode()
def check_encoder(encoder: nn.Module, video: Tensor) -> None:
    """Try an encoder once on video: uint8 (B, T, H, W, 3); its mode and weights are kept.

    Raises:
        ValueError: if its features are not float (B, T', width).
    """
    width = encoder_width(encoder)
    with in_eval_mode(encoder):  # so that no BatchNorm counts the clips
        features = encoder(video)
    returned, is_right = type(features).__name__, False
    if isinstance(features, Tensor):
        returned = f"{features.dtype} {tuple(features.shape)}"
        is_right = (
            features.is_floating_point()
            and features.ndim == FEATURE_DIMENSIONS
            and (features.shape[0], features.shape[2]) == (video.shape[0], width)
            and features.shape[1] >= 1
        )
    if not is_right:
        raise ValueError(
            f"{type(encoder).__name__} gave {returned} for a video {tuple(video.shape)}; "
            f"expected float (B, T', width) = ({video.shape[0]}, T', {width})"
        )


class ClassificationHead(nn.Module):
    """Classify at every step, and average over the steps (paper and authors' code)."""

    def __init__(self, width: int, *, num_classes: int) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes is {num_classes}; expected 1 or more")
        self.num_classes = num_classes
        self.linear = nn.Linear(width, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        """Classify features float (B, T', D): float (B, K) log-probabilities, in nats.

        They are means over the steps, so that their exponentials sum to at most 1 (and to less
        where steps disagree); the loss is their NLL as it stands.
        """
        logits = self.linear(features)  # (B, T', K)
        return F.log_softmax(logits, dim=2).mean(dim=1)
