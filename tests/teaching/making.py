from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from taskgrain.teaching.featuring import FeaturedLesson, feature_lesson
from taskgrain.teaching.lesson import Lesson
from taskgrain.teaching.seeing import LessonEncoder
from taskgrain.transfer.features import Place
from tests.making import moving_square, write_video


def make(folder: Path, num_clips: int, *, first: int = 0) -> Path:
    """Write clips of two actions, each of another length and colour."""
    for number in range(first, first + num_clips):
        frames = moving_square(8 + number % 7) // (1 + number % 3) + number
        path = folder / ("jump", "wave hand")[number % 2] / f"{number:02}.mp4"
        write_video(path, frames.astype(np.uint8))
    return folder


def featured(
    lesson: Lesson, encoders: list[LessonEncoder], cache: Path | None = None
) -> FeaturedLesson:
    return feature_lesson(lesson, encoders, cache, tell=lambda _: None, advance=lambda _: None)


def counting(encoder: LessonEncoder, counts: list[int]) -> LessonEncoder:
    """Return the encoder, which now counts how many clips it reads at once."""

    def counted(
        read: Callable[[Tensor], Mapping[Place, Tensor]],
    ) -> Callable[[Tensor], Mapping[Place, Tensor]]:
        def read_counted(video: Tensor) -> Mapping[Place, Tensor]:
            counts.append(len(video))
            return read(video)

        return read_counted

    readers = {n: replace(each, read=counted(each.read)) for n, each in encoder.readers.items()}
    return LessonEncoder(encoder.name, readers)
