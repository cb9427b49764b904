"""A linear read-out of categories on the frozen features of a source that learned groups alone.

Shapes: B clips of a batch, N and M clips, T' encoder steps, D width, K categories.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from taskgrain.data.batch import Batch
from taskgrain.data.manifest import ClipRecord
from taskgrain.data.sampling import generator_for
from taskgrain.transfer.probes import LOGISTIC_C, Standardiser
from taskgrain.transfer.probes.probe import FIXED

MAX_TRAINING_CLIPS = 20_000  # of D = 1024: 82 MB in float32
MAX_STEPS = 200


def read_out_clips(records: Sequence[ClipRecord]) -> list[ClipRecord]:
    """Choose the training clips that the read-out is fitted on: up to 20,000, drawn once."""
    drawn = generator_for(0, 0, "linear-read-out").permutation(len(records))[:MAX_TRAINING_CLIPS]
    return [records[index] for index in sorted(drawn)]


@torch.inference_mode()
def mean_features(
    encoder: nn.Module, batches: Iterable[Batch], device: str
) -> Iterator[tuple[tuple[str, ...], NDArray[np.float32]]]:
    """Give the clip ids of each batch with float32 (B, D), the mean over an encoder's steps."""
    for batch in batches:
        features = encoder(batch.video.to(device)).float()  # (B, T', D)
        yield batch.clip_ids, features.mean(dim=1).cpu().numpy()


@dataclass(frozen=True, slots=True)
class ReadOut:
    """What the read-out says of clips, and how it was fitted."""

    said: tuple[str, ...]  # the category of each clip
    chosen: str  # its hyper-parameter
    chosen_on: str


def read_out_categories(
    training: NDArray[np.float32], categories: Sequence[str], scored: NDArray[np.float32]
) -> ReadOut:
    """Fit a logistic regression on all categories at once, and let it name those of clips.

    It minimises what the transfer layer's does, with the C fixed there, but in float32 and with at
    most 200 steps of L-BFGS: 174 categories on 20,000 clips are a minute's work so, and the exact
    minimum is hours away.

    Args:
        training: float32 (N, D), standardised by their own mean and deviation.
        categories: of the training clips, two or more among them.
        scored: float32 (M, D).
    """
    standardise = Standardiser.of(training)
    names, index = np.unique(np.array(categories), return_inverse=True)
    features = torch.from_numpy(standardise(training)).float()
    weight, bias = _fitted(features, torch.from_numpy(index.astype(np.int64)), len(names))
    logits = torch.from_numpy(standardise(scored)).float() @ weight.T + bias  # (M, K)
    said = names[logits.argmax(dim=1).numpy()]
    return ReadOut(tuple(said.tolist()), f"C={LOGISTIC_C:g}", FIXED)


def _fitted(features: Tensor, target: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Minimise |w|^2 / 2 + C * (sum of the cross-entropies, nats), divided by C * N.

    Gives weights float (K, D) and intercepts float (K,), which are not penalised.
    """
    weight = torch.zeros(num_classes, features.shape[1], requires_grad=True)
    bias = torch.zeros(num_classes, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=MAX_STEPS, history_size=20, line_search_fn="strong_wolfe"
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        penalty = weight.square().sum() / (2 * LOGISTIC_C * len(features))
        loss = F.cross_entropy(features @ weight.T + bias, target) + penalty
        loss.backward()
        return loss

    optimizer.step(objective)
    return weight.detach(), bias.detach()
