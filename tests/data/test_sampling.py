from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskgrain.data.sampling import (
    FrameSampling,
    central_window,
    see,
    spread_frames,
    strided_frames,
)
from taskgrain.randomness import generator_for

SEEDS = st.none() | st.integers(0, 9)


def rng_of(seed: int | None) -> np.random.Generator | None:
    return None if seed is None else np.random.default_rng(seed)


@given(st.integers(1, 200), st.integers(1, 64), SEEDS)
def test_frames_are_in_order_and_cover_the_clip(stored: int, wanted: int, seed: int | None) -> None:
    indices = spread_frames(stored, wanted, rng_of(seed))
    assert len(indices) == wanted
    assert (np.diff(indices) >= 0).all()
    span = stored / wanted
    assert 0 <= indices[0] <= span
    assert stored - 1 - span <= indices[-1] <= stored - 1


@given(st.integers(2, 200), st.integers(1, 64), st.floats(0.1, 0.9), st.integers(0, 9))
def test_a_share_of_the_clip_stays_within_it(
    stored: int, wanted: int, share: float, seed: int
) -> None:
    indices = spread_frames(stored, wanted, rng_of(seed), share=share)
    assert indices[0] >= 0
    assert indices[-1] <= stored - 1
    assert indices[-1] - indices[0] < stored * share + 1  # whole frames


@given(st.integers(1, 200), st.integers(1, 64), st.integers(1, 9), SEEDS)
def test_a_strided_window_lies_in_the_clip_or_repeats_its_last_frame(
    stored: int, wanted: int, step: int, seed: int | None
) -> None:
    indices = strided_frames(stored, wanted, step, rng_of(seed))
    assert len(indices) == wanted
    assert indices[0] >= 0
    assert indices[-1] <= stored - 1
    if stored >= (wanted - 1) * step + 1:
        assert (np.diff(indices) == step).all()
    else:
        assert indices[0] == 0
        assert indices[-1] == stored - 1


def test_as_many_frames_as_stored_are_all_frames() -> None:
    np.testing.assert_array_equal(spread_frames(24, 24, None), np.arange(24))
    np.testing.assert_array_equal(strided_frames(24, 24, 1, None), np.arange(24))


@pytest.mark.parametrize(("stored", "wanted", "step"), [(5, 4, 1), (8, 4, 1), (60, 16, 2)])
def test_every_place_of_a_strided_window_is_drawn(stored: int, wanted: int, step: int) -> None:
    rng = np.random.default_rng(0)
    starts = [int(strided_frames(stored, wanted, step, rng)[0]) for _ in range(4000)]
    counts = np.bincount(starts)
    places = stored - ((wanted - 1) * step + 1) + 1
    assert len(counts) == places
    assert counts.min() > 0.7 * 4000 / places


def test_a_strided_window_without_a_draw_is_in_the_middle() -> None:
    np.testing.assert_array_equal(strided_frames(20, 5, 2, None), [5, 7, 9, 11, 13])


def test_a_generator_is_its_seed_epoch_and_name() -> None:
    def first(seed: int, epoch: int, name: str) -> float:
        return float(generator_for(seed, epoch, name).random())

    assert first(1, 2, "clip") == first(1, 2, "clip")
    others = {first(1, 2, "clip"), first(1, 3, "clip"), first(2, 2, "clip"), first(1, 2, "clap")}
    assert len(others) == 4


def test_evaluation_sees_the_centre() -> None:
    frames = np.zeros((4, 10, 10, 3), np.uint8)
    frames[:, 1:9, 2:8] = 255
    assert see(frames, FrameSampling(4, 10, 10, 8, 6)).min() == 255


def test_evaluation_takes_a_stride_where_one_is_set() -> None:
    window = central_window(20, FrameSampling(5, 10, 10, 8, 8, stride=2))
    np.testing.assert_array_equal(window.frames, [5, 7, 9, 11, 13])


def test_a_crop_larger_than_the_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        FrameSampling(8, 20, 20, 24, 16)
    with pytest.raises(ValueError, match="stride is 0"):
        FrameSampling(8, 20, 20, 16, 16, stride=0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_frames", 0),
        ("num_frames", "16"),
        ("height", -3),
        ("width", 8.0),
        ("num_frames", 10**7),
    ],
)
def test_a_sampling_that_shows_nothing_or_too_much_is_refused(field: str, value: object) -> None:
    given = {"num_frames": 8, "store_height": 40, "store_width": 40, "height": 32, "width": 32}
    with pytest.raises(ValueError, match=f"{field} is .*, expected an integer of 1 to"):
        FrameSampling(**{**given, field: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="fit is 'foo'"):
        FrameSampling(8, 40, 40, 32, 32, fit="foo")  # type: ignore[arg-type]
