from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskgrain.data.sampling import FrameSampling, frame_indices, generator_for, see


@given(st.integers(1, 200), st.integers(1, 64), st.none() | st.integers(0, 9))
def test_frames_are_in_order_and_cover_the_clip(stored: int, wanted: int, seed: int | None) -> None:
    rng = None if seed is None else np.random.default_rng(seed)
    indices = frame_indices(stored, wanted, rng)
    assert len(indices) == wanted
    assert (np.diff(indices) >= 0).all()
    span = stored / wanted
    assert 0 <= indices[0] <= span
    assert stored - 1 - span <= indices[-1] <= stored - 1


def test_as_many_frames_as_stored_are_all_frames() -> None:
    np.testing.assert_array_equal(frame_indices(24, 24, None), np.arange(24))


def test_a_clip_is_cut_the_same_whenever_and_wherever_it_is_asked_for() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (30, 20, 20, 3), dtype=np.uint8)
    sampling = FrameSampling(8, 20, 20, 16, 16)
    once = see(frames, sampling, generator_for(1, 2, "clip"))
    again = see(frames, sampling, generator_for(1, 2, "clip"))
    other_epoch = see(frames, sampling, generator_for(1, 3, "clip"))
    assert once.shape == (8, 16, 16, 3)
    np.testing.assert_array_equal(once, again)
    assert (once != other_epoch).any()


def test_evaluation_sees_the_centre() -> None:
    frames = np.zeros((4, 10, 10, 3), np.uint8)
    frames[:, 1:9, 2:8] = 255
    assert see(frames, FrameSampling(4, 10, 10, 8, 6), None).min() == 255


def test_a_crop_larger_than_the_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        FrameSampling(8, 20, 20, 24, 16)
