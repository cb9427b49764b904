"""One step of training, and how the tasks share it.

Shapes: B clips, T' steps, D width, L caption tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW

from taskgrain.data.batch import Batch
from taskgrain.errors import RunError
from taskgrain.labels.vocabulary import PAD
from taskgrain.losses import LossSums, LossTerms, LossWeights, check_finite, joint_loss
from taskgrain.models.model import SourceModel
from taskgrain.models.seeds import derive_seed
from taskgrain.train.precision import Precision


@dataclass(frozen=True, slots=True)
class StepOptions:
    """What a step needs to know; the same for all steps of a run."""

    weights: LossWeights
    seed: int
    max_gradient_norm: float
    device: torch.device
    precision: Precision


@dataclass(frozen=True, slots=True)
class Shares:
    """Sums, over the steps measured, of each term's share of the gradient; they add."""

    classification: float = 0.0
    captioning: float = 0.0
    num_measured: int = 0

    def __add__(self, other: Shares) -> Shares:
        return Shares(
            self.classification + other.classification,
            self.captioning + other.captioning,
            self.num_measured + other.num_measured,
        )


def train_step(
    model: SourceModel,
    batch: Batch,
    *,
    optimizer: AdamW,
    step: int,
    options: StepOptions,
    measures_shares: bool,
) -> tuple[LossSums, Shares]:
    """Change the weights once.

    All that is random inside the step, dropout, comes from (seed, step): nothing depends on
    the steps that this process has seen before.

    Raises:
        RunError: if loss or gradient is not finite; no weight was changed then.
    """
    torch.manual_seed(derive_seed(options.seed, "step", step))
    caption = without_padding(batch.caption).to(options.device)
    features = encode(model, batch.video.to(options.device), precision=options.precision)
    total, terms = joint_loss(
        model.read_out(features, caption),
        target=batch.target.to(options.device),
        caption=caption,
        weights=options.weights,
    )
    check_finite(terms, step=step, clip_ids=batch.clip_ids)
    shares = gradient_shares(terms, features, options.weights) if measures_shares else Shares()
    optimizer.zero_grad()
    total.backward()
    norm = float(clip_grad_norm_(model.parameters(), options.max_gradient_norm))
    if not math.isfinite(norm):
        raise RunError(
            f"step {step}: the gradient is {norm} though the loss is finite; no weight was "
            f"changed. Lower the learning rate, or look at the clips: {', '.join(batch.clip_ids)}"
        )
    optimizer.step()
    return LossSums.of(terms), shares


def encode(model: SourceModel, video: Tensor, *, precision: Precision) -> Tensor:
    """Encode video: uint8 (B, T, H, W, 3), in the run's precision, as float32 (B, T', D)."""
    is_bf16 = precision == "bf16"
    with torch.autocast(video.device.type, dtype=torch.bfloat16, enabled=is_bf16):
        features: Tensor = model.encoder(video)
    return features.float()


def without_padding(caption: Tensor) -> Tensor:
    """Cut the columns of long (B, L) that are PAD in every row; the decoder need not see them."""
    length = int((caption != PAD).any(0).sum())
    return caption[:, :length]


def gradient_shares(terms: LossTerms, features: Tensor, weights: LossWeights) -> Shares:
    """Compare how strongly the weighted terms pull at the features.

    Args:
        terms: unweighted, with their graph, which is kept.
        features: float (B, T', D), in that graph.
        weights: of the terms.

    Returns:
        Each term's gradient norm at the features over the sum of both; 1 for a term alone, and
        nothing measured where both gradients are 0.
    """
    if terms.captioning is None or terms.classification is None:
        is_alone = float(terms.captioning is None)
        return Shares(classification=is_alone, captioning=1 - is_alone, num_measured=1)
    pull = [
        weight * float(torch.autograd.grad(term, features, retain_graph=True)[0].norm())
        for weight, term in (
            (weights.classification, terms.classification),
            (weights.captioning, terms.captioning),
        )
    ]
    if sum(pull) == 0:
        return Shares()
    return Shares(pull[0] / sum(pull), pull[1] / sum(pull), num_measured=1)


@contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """Compute the same bits every time inside the block; global settings are put back after it.

    On accelerators, where some operations have no deterministic form, torch warns instead.
    """
    was_on = torch.are_deterministic_algorithms_enabled()
    only_warned = torch.is_deterministic_algorithms_warn_only_enabled()
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.use_deterministic_algorithms(True, warn_only=device.type != "cpu")
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(was_on, warn_only=only_warned)
