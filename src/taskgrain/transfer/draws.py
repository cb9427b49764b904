"""What "5-shot" means here: which support clips each draw holds.

Shapes: K classes, k shots.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from taskgrain.errors import ConfigError
from taskgrain.results import Shots
from taskgrain.transfer.task import TargetTask


def support_draws(
    task: TargetTask, *, num_shots: Shots, num_draws: int, seed: int
) -> NDArray[np.int64]:
    """Draw k support clips of every class, without replacement.

    A draw depends on the pool's labels, the seed and its own index, and on nothing else: it is the
    same for every source, and draw i at one shot is part of draw i at five. Each draw permutes
    every class once and takes the first k that could be decoded.

    Args:
        task: whose support pool is drawn from; clips that failed to decode are not drawn.
        num_shots: k, or "all" for the whole pool.
        num_draws: at least 1; "all" is one draw, whatever this says.
        seed: of the draws.

    Returns:
        int64 (draws, K * k), indices into `task.support_ids`, class after class; for "all"
        (1, number of clips in the pool that could be decoded).

    Raises:
        ConfigError: naming task, class, clips had and wanted, if a class has too few.
    """
    if num_draws < 1:
        raise ValueError(f"num_draws is {num_draws}; expected at least 1")
    usable = task.has_support
    members = [
        np.flatnonzero(task.support_labels == index) for index in range(len(task.class_names))
    ]
    wanted = 1 if num_shots == "all" else num_shots
    for name, clips in zip(task.class_names, members, strict=True):
        if usable[clips].sum() < wanted:
            raise ConfigError(
                f"target {task.name}: class {name!r} has {usable[clips].sum()} usable support "
                f"clips, {wanted} wanted; ask for fewer shots or add clips"
            )
    if num_shots == "all":
        return np.concatenate([clips[usable[clips]] for clips in members])[None]
    return np.stack(
        [_one_draw(members, usable, num_shots, (seed, draw)) for draw in range(num_draws)]
    )


def _one_draw(
    members: list[NDArray[np.int64]],
    usable: NDArray[np.bool_],
    num_shots: int,
    entropy: tuple[int, int],
) -> NDArray[np.int64]:
    """Give int64 (K * k,)."""
    generator = np.random.default_rng(entropy)
    permuted = [generator.permutation(clips) for clips in members]
    return np.concatenate([clips[usable[clips]][:num_shots] for clips in permuted])
