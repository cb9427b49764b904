from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from taskgrain.prepare.self_labelled_tasks import NOISE_LEVELS, TASKS, TaskName

NAMES = sorted(TASKS)


def numbered(num_frames: int) -> NDArray[np.uint8]:
    """Frames that say which they are: every pixel of frame t is 40 + t."""
    frames = np.empty((num_frames, 16, 24, 3), np.uint8)
    frames[:] = np.arange(40, 40 + num_frames)[:, None, None, None]
    return frames


def numbers(frames: NDArray[np.uint8]) -> list[int]:
    return [int(frame[0, 0, 0]) - 40 for frame in frames]


def sides(name: TaskName, num_frames: int, seed: int = 0) -> tuple[NDArray[np.uint8], ...]:
    task = TASKS[name]
    return task.make(numbered(num_frames * task.stretch), np.random.default_rng(seed))


@pytest.mark.parametrize("name", NAMES)
def test_both_sides_have_as_many_frames_of_one_size(name: TaskName) -> None:
    for num_frames in (6, 7, 24):
        first, second = sides(name, num_frames)
        assert first.shape == second.shape == (num_frames, 16, 24, 3)
        assert first.dtype == second.dtype == np.uint8


@pytest.mark.parametrize("name", NAMES)
def test_sides_are_drawn_from_the_generator_alone(name: TaskName) -> None:
    for one, other in zip(sides(name, 12, seed=5), sides(name, 12, seed=5), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", NAMES)
def test_a_task_is_called_after_its_sides(name: TaskName) -> None:
    assert "-or-".join(TASKS[name].sides) == name


def test_reversed_is_forward_backwards() -> None:
    forward, reversed_ = sides("forward-or-reversed", 9)
    assert numbers(forward) == list(range(9))
    assert numbers(reversed_) == list(range(8, -1, -1))


def test_double_speed_shows_twice_as_long_about_the_same_moment() -> None:
    normal, double = sides("normal-or-double-speed", 8)
    assert numbers(normal) == list(range(4, 12))
    assert numbers(double) == list(range(0, 16, 2))
    assert abs(np.mean(numbers(normal)) - np.mean(numbers(double))) <= 0.5


@given(num_frames=st.integers(6, 40), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_shuffled_has_the_same_frames_and_the_same_ends(num_frames: int, seed: int) -> None:
    ordered, shuffled = (numbers(side) for side in sides("ordered-or-shuffled", num_frames, seed))
    assert ordered == sorted(shuffled) == list(range(num_frames))
    stayed = [place for place, number in enumerate(shuffled) if place == number]
    assert stayed == [0, num_frames - 1]


def test_frozen_is_any_frame_of_the_window_under_the_noise_that_real_has() -> None:
    footage = numbered(12)
    chosen = set()
    for seed in range(30):
        real, frozen = (side.astype(int) for side in sides("real-or-frozen", 12, seed))
        noise = real - footage
        still = frozen - noise
        assert len(np.unique(still)) == 1
        chosen.add(int(still[0, 0, 0, 0]) - 40)
    assert len(chosen) > 6
    assert noise.std() == pytest.approx(NOISE_LEVELS, rel=0.05)
    assert (noise[1:] != noise[:-1]).any(axis=(1, 2, 3)).all()
    np.testing.assert_array_equal(noise[..., 0], noise[..., 2])


def test_noise_stays_within_what_a_pixel_can_hold() -> None:
    for value in (0, 255):
        footage = np.full((6, 8, 8, 3), value, np.uint8)
        real, frozen = TASKS["real-or-frozen"].make(footage, np.random.default_rng(0))
        np.testing.assert_array_equal(real, frozen)
        assert np.abs(real.astype(int) - value).max() < 8 * NOISE_LEVELS
