"""Training: two processes of one thread, as a study runs, against one process of two threads."""

from __future__ import annotations

import multiprocessing
import time

import torch

from taskgrain.losses import LossWeights, joint_loss
from taskgrain.models.build import build_model, compact_shape
from taskgrain.train.memory import kept_memory
from taskgrain.train.optimizer import make_optimizer

BATCH, FRAMES, PIXELS, STEPS = 32, 16, 56, 30


def clips_per_second(threads: int) -> float:
    torch.set_num_threads(threads)
    model = build_model(compact_shape(), num_classes=40, vocabulary_size=100, seed=0)
    optimizer = make_optimizer(model, weight_decay=0.01)
    video = torch.randint(0, 255, (BATCH, FRAMES, PIXELS, PIXELS, 3), dtype=torch.uint8)
    target, caption = torch.randint(0, 40, (BATCH,)), torch.randint(4, 100, (BATCH, 15))
    with kept_memory():
        for step in range(STEPS + 3):
            if step == 3:
                started = time.perf_counter()
            output = model(video, caption)
            loss, _ = joint_loss(
                output, target=target, caption=caption, weights=LossWeights(0.5, 0.5)
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return BATCH * STEPS / (time.perf_counter() - started)


def main() -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        two = sum(pool.map(clips_per_second, [1, 1]))
    with context.Pool(1) as pool:
        one = pool.map(clips_per_second, [2])[0]
    print(
        f"training the compact encoder in float32: {two:.0f} clips/s with two processes of one "
        f"thread, {one:.0f} with one of two threads: {two / one:.1f} times"
    )


if __name__ == "__main__":
    main()
