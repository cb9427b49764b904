"""Training: two processes of one thread, as a study runs, against plain eager PyTorch.

The peer is the same network written as torch's documentation would have it: contiguous tensors,
torch's own layers, losses and AdamW as they come, one process of two threads. Both learn categories
of random clips in float32, with batches of the quick study's size.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from functools import partial

import torch
from benchmarks.table import Row, main_of
from benchmarks.timing import best_seconds
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.grad import conv3d_weight

from taskgrain.losses import LossWeights, joint_loss
from taskgrain.models.convolution import weight_gradient
from taskgrain.models.encoder import ChangeDeviations
from taskgrain.train.memory import kept_memory
from taskgrain.train.optim import Descent, make_optimizer, set_lr
from taskgrain.train.precision import make_scaler
from tests.networks import COMPACT_WIDTHS, build_model, compact_shape

BATCH, FRAMES, PIXELS, CLASSES = 16, 16, 48, 40
LEARNING_RATE, WEIGHT_DECAY, MAX_NORM = 2e-3, 0.01, 1.0
CHANGE = 72.0  # grey levels: about how far random pixels are from their mean over time
WARM_UP = 5  # steps that are not timed
ROUNDS = 3
Step = Callable[[Tensor, Tensor], None]


class PlainEncoder(nn.Module):
    """The compact encoder and its head, written out; (B, T, H, W, 3) clips to log-probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.spatial = plain_channel(planes=6, kernel=1, strides=(1, 1, 1, 1))
        self.temporal = plain_channel(planes=3, kernel=3, strides=(2, 2, 1, 1))
        self.lstm = nn.LSTM(2 * COMPACT_WIDTHS[-1], 128, batch_first=True, bidirectional=True)
        self.head = nn.Linear(256, CLASSES)

    def forward(self, video: Tensor) -> Tensor:
        levels = video.permute(0, 4, 1, 2, 3).float().contiguous()
        pixels = (levels - 120) / 60
        centred = (levels - levels.mean(2, keepdim=True)) / CHANGE
        both = torch.cat([pixels, centred], dim=1)
        difference = torch.diff(levels, dim=2, prepend=levels[:, :, :1]) / CHANGE
        seen = [
            channel(each).amax((3, 4)).transpose(1, 2)
            for channel, each in ((self.spatial, both[:, :, 2::4]), (self.temporal, difference))
        ]
        steps, _ = self.lstm(torch.cat(seen, dim=2))
        log_probs: Tensor = self.head(steps).log_softmax(2).mean(1)
        return log_probs


def plain_channel(*, planes: int, kernel: int, strides: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    widths = (planes, *COMPACT_WIDTHS)
    for before, width, stride in zip(widths, widths[1:], strides, strict=False):
        layers += [
            nn.Conv3d(before, width, (kernel, 3, 3), (stride, 2, 2), (kernel // 2, 1, 1)),
            nn.BatchNorm3d(width),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


def plain_step() -> Step:
    model = PlainEncoder()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)

    def step(video: Tensor, target: Tensor) -> None:
        optimizer.zero_grad()
        F.nll_loss(model(video), target).backward()
        nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        optimizer.step()

    return step


def our_step() -> Step:
    shape = compact_shape(changes=ChangeDeviations(CHANGE, CHANGE))
    model = build_model(shape, num_classes=CLASSES, vocabulary_size=None, seed=0)
    descent = Descent(
        make_optimizer(model, weight_decay=WEIGHT_DECAY),
        make_scaler("fp32", device=torch.device("cpu")),
    )
    parameters, caption = list(model.parameters()), torch.zeros(BATCH, 0, dtype=torch.long)
    set_lr(descent.optimizer, LEARNING_RATE)

    def step(video: Tensor, target: Tensor) -> None:
        descent.optimizer.zero_grad()
        loss, _ = joint_loss(
            model(video, caption), target=target, caption=caption, weights=LossWeights(1, 0)
        )
        loss.backward()
        descent.update(parameters, max_norm=MAX_NORM)

    return step


def seconds_a_clip(threads: int, is_plain: bool, steps: int) -> float:
    """Return the seconds on the wall that a clip takes in this process."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    video = torch.randint(0, 255, (BATCH, FRAMES, PIXELS, PIXELS, 3), dtype=torch.uint8)
    target = torch.randint(0, CLASSES, (BATCH,))
    if is_plain:
        return _timed(plain_step(), video, target, steps)
    with kept_memory():
        return _timed(our_step(), video, target, steps)


def _timed(step: Step, video: Tensor, target: Tensor, steps: int) -> float:
    for _ in range(WARM_UP):
        step(video, target)
    started = time.perf_counter()
    for _ in range(steps):
        step(video, target)
    return (time.perf_counter() - started) / (steps * BATCH)


def gradient_rows(small: bool) -> list[Row]:
    """Compare the weight gradient of each 3D layer with torch's own, on one thread."""
    torch.set_num_threads(1)
    rows, num_frames, pixels, kernel = [], FRAMES, PIXELS, (3, 3, 3)
    widths, padding = (3, *COMPACT_WIDTHS), (1, 1, 1)
    for before, width, steps in zip(widths, widths[1:], (2, 2, 1, 1), strict=False):
        stride = (steps, 2, 2)
        frames, above = (
            torch.rand(shape).contiguous(memory_format=torch.channels_last_3d)
            for shape in (
                (BATCH, before, num_frames, pixels, pixels),
                (BATCH, width, num_frames // steps, pixels // 2, pixels // 2),
            )
        )
        ours = partial(
            weight_gradient, frames, above, kernel=kernel, stride=stride, padding=padding
        )
        peer = partial(
            conv3d_weight, frames, (width, before, *kernel), above, stride=stride, padding=padding
        )
        best = best_seconds({"ours": ours, "peer": peer}, rounds=2 if small else 15)
        what = f"weight gradient, {before} -> {width} planes, {num_frames} x {pixels} x {pixels}"
        rows.append(Row(what, best["ours"], "torch's own", best["peer"]))
        num_frames, pixels = num_frames // steps, pixels // 2
    return rows


def measure(small: bool) -> list[Row]:
    # Two threads on busy cores wait for each other: the small form has one.
    steps, threads = (2, 1) if small else (60, 2)
    context = multiprocessing.get_context("spawn")
    ours, peers = [], []
    for _ in range(1 if small else ROUNDS):
        with context.Pool(2) as pool:
            each = pool.starmap(seconds_a_clip, [(1, False, steps)] * 2, chunksize=1)
        ours.append(1 / sum(1 / seconds for seconds in each))
        with context.Pool(1) as pool:
            peers += pool.starmap(seconds_a_clip, [(threads, True, steps)])
    return [
        *gradient_rows(small),
        Row(
            "training a clip, compact encoder, float32, two processes of one thread",
            min(ours),
            "plain contiguous PyTorch, one process of two threads",
            min(peers),
            wanted=2.5,
            note=f"{1 / min(ours):.0f} against {1 / min(peers):.0f} clips/s",
        ),
    ]


if __name__ == "__main__":
    main_of(measure, __doc__)
