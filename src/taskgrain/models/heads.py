"""The classification head: features to class log-probabilities.

Shapes: B clips, T' steps, D width of the features, K classes.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class ClassificationHead(nn.Module):
    """Classify at every step and average what the steps say (paper and authors' code)."""

    def __init__(self, width: int, *, num_classes: int) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes is {num_classes}; expected 1 or more")
        self.num_classes = num_classes
        self.linear = nn.Linear(width, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        """Classify clips.

        Args:
            features: float (B, T', D) from the encoder.

        Returns:
            float (B, K): the mean over the steps of the log-probabilities, in nats. Their
            exponentials sum to at most 1 (and to less where steps disagree); the loss is
            their NLL as it stands.
        """
        logits = self.linear(features)  # (B, T', K)
        return F.log_softmax(logits, dim=2).mean(dim=1)
