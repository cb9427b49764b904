"""One step of training, and how the tasks share it; and the validation that ends an epoch.

Shapes: B clips, T' steps, D width, L caption tokens, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from taskgrain.data.dataset import Batch
from taskgrain.decoding import GREEDY, BeamSettings, beam, greedy
from taskgrain.errors import RunError
from taskgrain.labels.vocabulary import PAD, UNK
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
from taskgrain.metrics.accuracy import Accuracy
from taskgrain.models.decoder import CaptionDecoder, reorder
from taskgrain.models.model import SourceModel
from taskgrain.randomness import derive_seed
from taskgrain.train.optim import (
    LEAST_SCALE,
    USUAL_RULE,
    Descent,
    OptimizerKind,
    PlateauRule,
    Schedule,
)
from taskgrain.train.precision import AUTOCAST, Precision


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How to train, the same for every step; named as in `config.learning.Train` where it is there.

    A resumed run must have the same options, those of `train.state.CHANGES_NO_NUMBER` apart.
    """

    epochs: int  # at most: a plateau or early stopping may end training before
    weights: LossWeights
    learning_rate: float  # the highest of the schedule
    weight_decay: float
    seed: int  # of dropout and of the captions that are hidden; weights and clips have their own
    precision: Precision = "fp32"
    device: str = "cpu"
    optimizer: OptimizerKind = "adamw"
    momentum: float = 0.9  # of sgd
    schedule: Schedule = "one-cycle"
    plateau: PlateauRule = USUAL_RULE  # of the schedule of that name
    early_stopping: int | None = None  # epochs without a better score; None never stops early
    accumulate: int = 1  # batches of a step; an epoch's last step may have fewer
    max_gradient_norm: float = 1.0  # 0: gradients are not clipped
    counts_padding: bool = False  # in the caption loss; see `losses.padding_as_ends`
    hidden_captions: float = 0.0  # share of captions that are learned with their words hidden
    num_steps: int | None = None  # of the whole run, in place of epochs; the last may be cut short
    share_every: int = 25  # steps from one measurement of the gradient shares to the next
    tensorboard: bool = False  # also write each epoch into the folder's `tensorboard/`
    save_seconds: float = 300.0  # at most this much work is lost when the process is killed


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
    batches: Sequence[Batch],
    *,
    descent: Descent,
    step: int,
    options: TrainingOptions,
    measures_shares: bool,
) -> tuple[LossSums, Shares]:
    """Change the weights once, by the gradient of several batches as if they were one.

    Classification is a mean over the clips of all of them, captioning over their tokens; only
    BatchNorm sees each batch by itself. All that is random inside the step, dropout and which
    captions are hidden, comes from (seed, step): nothing depends on the steps that this process
    has seen before.

    Args:
        model: on the options' device.
        batches: at least one; of a size that fits into memory.
        descent: what moves the weights.
        step: of the run.
        options: of the run.
        measures_shares: whether to compare the terms' gradients, on the first batch.

    Raises:
        RunError: if loss or gradient is not finite; no weight was changed then. Under fp16 a
            gradient may overflow: the step is then left out, and the run stops only if it still
            overflows at the smallest scale of the loss.
    """
    # Seeded at every step, and not once: a resumed run has drawn nothing before this step.
    torch.manual_seed(derive_seed(options.seed, "step", step))
    captions = [as_learned(batch.caption, options.counts_padding) for batch in batches]
    parts = [
        (len(batch.clip_ids), count_tokens(caption))
        for batch, caption in zip(batches, captions, strict=True)
    ]
    # Each batch gets the part of the whole loss that its clips and tokens are: the gradients add up
    # to that of one large batch, and its graph is freed before the next batch is encoded.
    sums, shares = LossSums(), Shares()
    descent.optimizer.zero_grad()
    for index, weights in enumerate(weights_of_parts(options.weights, parts)):
        batch, caption = batches[index], captions[index].to(options.device)
        features = encode(model, batch.video.to(options.device), precision=options.precision)
        total, terms = joint_loss(
            model.read_out(features, caption, draw_hidden(len(caption), options)),
            target=batch.target.to(options.device),
            caption=caption,
            weights=weights,
        )
        # Before any weight moves, and batch by batch, so that the clips that are named are few.
        check_finite(terms, step=step, clip_ids=batch.clip_ids)
        if measures_shares and index == 0:
            shares = gradient_shares(terms, features, options.weights)
        descent.scaled(total).backward()
        sums = sums + LossSums.of(terms)
    norm = descent.update(list(model.parameters()), max_norm=options.max_gradient_norm)
    _check_gradient(norm, descent, step, batches, options.precision)
    return sums, shares


def _check_gradient(
    norm: float, descent: Descent, step: int, batches: Sequence[Batch], precision: Precision
) -> None:
    """Stop a run whose gradient is not finite, unless a smaller scale of the loss may mend it."""
    clips = ", ".join(clip_id for batch in batches for clip_id in batch.clip_ids)
    if not descent.scaler.is_enabled() and not math.isfinite(norm):
        mend = "" if precision == "fp32" else 'set train.precision = "fp32", or '
        raise RunError(
            f"step {step}: the gradient is {norm} in {precision} though the loss is finite; no "
            f"weight was changed; {mend}lower the learning rate, or look at the clips: {clips}"
        )
    if descent.is_lost:
        raise RunError(
            f"step {step}: the gradient overflows float16 even where the loss is scaled by "
            f"{LEAST_SCALE}; no weight was changed. Train in fp32 or bf16, or look at the "
            f"clips: {clips}"
        )


def encode(model: SourceModel, video: Tensor, *, precision: Precision) -> Tensor:
    """Encode video: uint8 (B, T, H, W, 3), in the run's precision, as float32 (B, T', D)."""
    # The encoder alone computes in the run's precision; head, decoder and losses get float32.
    dtype = AUTOCAST.get(precision)
    with torch.autocast(
        video.device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None
    ):
        features: Tensor = model.encoder(video)
    return features.float()


def draw_hidden(num_clips: int, options: TrainingOptions) -> Tensor | None:
    """Draw the captions whose words the decoder is not shown: bool (B,); None without any."""
    # Drawn on the CPU, from the step's seed: every device hides the same captions.
    if options.hidden_captions == 0:
        return None
    return torch.rand(num_clips).lt(options.hidden_captions).to(options.device)


def as_learned(caption: Tensor, counts_padding: bool) -> Tensor:
    """Return captions, long (B, L), as the loss takes them: padding as ends, or cut away."""
    return padding_as_ends(caption) if counts_padding else without_padding(caption)


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


@dataclass(frozen=True, slots=True)
class Validation:
    """Scores, 0 to 1, and losses on the validation clips; None where a task is left out."""

    top_1: float | None
    exact_match: float | None  # captions that are right word for word
    sums: LossSums

    @property
    def score(self) -> float:
        """The mean of the scores that the source has; the best epoch is chosen by it."""
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
    """Score a model in eval mode, with the losses of training; then put it back into its mode.

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
            decoded = decode_captions(model.decoder, features)
            num_exact += int(is_exact(decoded, batch.caption[:, 1:].to(device)).sum())
    model.train(was_training)
    if num_clips == 0:
        raise ValueError("there is no validation clip to score a model on")
    return Validation(
        top_1=None if accuracy is None else accuracy.top_1,
        exact_match=num_exact / num_clips if weights.captioning > 0 else None,
        sums=sums,
    )


def decode_captions(
    decoder: CaptionDecoder, features: Tensor, beams: BeamSettings = GREEDY
) -> Tensor:
    """Decode float (B, T', D) features by beam search, greedily where `beams` has one beam.

    Returns:
        long (B, L), without BOS, PAD after EOS.
    """
    start, size, device = decoder.start(features), features.shape[0], features.device
    if beams.width == 1:  # the same captions, without sorting
        return greedy(
            decoder.step, start, batch_size=size, device=device, max_tokens=beams.max_tokens
        )
    return beam(decoder.step, start, beams, reorder=reorder, batch_size=size, device=device)


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
