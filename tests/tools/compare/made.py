from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CLASSES = ("cut", "fold", "pour", "stir", "wipe")


def clip_names(per_class: int) -> list[str]:
    """Ids in an order that is neither that of classes nor that of the alphabet."""
    count = per_class * len(CLASSES)
    return [f"clip-{(index * 7) % count:03d}" for index in range(count)]


def class_of(clip: str) -> int:
    return int(clip.split("-")[1]) % len(CLASSES)


def write_labels(path: Path, clips: list[str], *, splits: dict[str, str] | None = None) -> Path:
    lines = [f"{clip},{CLASSES[class_of(clip)]}" for clip in clips]
    if splits is not None:
        lines = [f"{line},{splits[clip]}" for line, clip in zip(lines, clips, strict=True)]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def features_of(clips: list[str], *, gap: float, seed: int = 0) -> NDArray[np.float32]:
    """Classes whose means are `gap` apart in each of 16 directions: float32 (N, 16)."""
    means = gap * np.random.default_rng(99).normal(size=(len(CLASSES), 16))
    noise = np.random.default_rng(seed).normal(size=(len(clips), 16))
    return (means[[class_of(clip) for clip in clips]] + noise).astype(np.float32)


def write_npz(path: Path, clips: list[str], *, gap: float, seed: int = 0) -> Path:
    np.savez(path, clip=np.array(clips), features=features_of(clips, gap=gap, seed=seed))
    return path
