from __future__ import annotations

import colorsys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from taskgrain.data.augment import (
    Augmentation,
    Colour,
    Drawing,
    View,
    apply_view,
    change_colour,
    draw_view,
)
from taskgrain.data.sampling import FrameSampling, Window

SAMPLING = FrameSampling(8, 40, 56, 24, 32)
EVERYTHING = Augmentation(
    rate_jitter=0.3,
    crop_scale=(0.2, 1.0),
    mirror=0.5,
    brightness=0.4,
    contrast=0.4,
    saturation=0.4,
    hue=0.1,
)
STILL = Window(np.zeros(1, np.int64), slice(0, 1), slice(0, 1))


def clip(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 255, (30, 40, 56, 3), dtype=np.uint8)


def seen(augmentation: Augmentation, drawing: Drawing) -> NDArray[np.uint8]:
    view = draw_view(30, SAMPLING, augmentation, drawing)
    cut = clip()[view.window.frames, view.window.rows, view.window.columns]
    return apply_view(cut, view, SAMPLING, mirrors=view.is_mirrored)


@pytest.mark.parametrize("augmentation", [Augmentation(), EVERYTHING])
def test_a_clip_is_varied_the_same_whenever_and_wherever_it_is_asked_for(
    augmentation: Augmentation,
) -> None:
    once = seen(augmentation, Drawing(1, 2, "clip"))
    assert once.shape == (8, 24, 32, 3)
    assert once.dtype == np.uint8
    np.testing.assert_array_equal(once, seen(augmentation, Drawing(1, 2, "clip")))
    for other in (Drawing(1, 3, "clip"), Drawing(2, 2, "clip"), Drawing(1, 2, "other")):
        assert (once != seen(augmentation, other)).any()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 60),
    st.integers(0, 9),
    st.none() | st.integers(1, 4),
    st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)).map(sorted),
)
def test_every_view_lies_within_the_stored_clip(
    stored: int, epoch: int, stride: int | None, scale: list[float]
) -> None:
    sampling = FrameSampling(8, 40, 56, 24, 32, stride)
    augmentation = Augmentation(rate_jitter=0.9, crop_scale=(scale[0], scale[1]))
    window = draw_view(stored, sampling, augmentation, Drawing(0, epoch, "c")).window
    assert window.frames.min() >= 0
    assert window.frames.max() < stored
    assert (np.diff(window.frames) >= 0).all()
    assert 0 <= window.rows.start < window.rows.stop <= 40
    assert 0 <= window.columns.start < window.columns.stop <= 56


def test_resized_crops_have_the_area_and_the_aspect_that_was_asked_for() -> None:
    augmentation = Augmentation(crop_scale=(0.3, 0.5), crop_aspect=(0.9, 1.1))
    for epoch in range(40):
        window = draw_view(30, SAMPLING, augmentation, Drawing(0, epoch, "c")).window
        rows = (window.rows.stop - window.rows.start) / 40
        columns = (window.columns.stop - window.columns.start) / 56
        assert 0.27 <= rows * columns <= 0.53  # whole pixels
        assert 0.8 <= columns / rows <= 1.2


def test_a_crop_that_never_fits_is_the_largest_of_the_aspect_in_the_middle() -> None:
    wide = Augmentation(crop_scale=(1.0, 1.0), crop_aspect=(2.0, 4.0))
    window = draw_view(30, SAMPLING, wide, Drawing(0, 0, "c")).window
    assert (window.rows, window.columns) == (slice(10, 30), slice(0, 56))
    narrow = Augmentation(crop_scale=(1.0, 1.0), crop_aspect=(0.25, 0.5))
    window = draw_view(30, SAMPLING, narrow, Drawing(0, 0, "c")).window
    assert (window.rows, window.columns) == (slice(0, 40), slice(14, 42))


def test_half_of_the_clips_are_mirrored_where_half_is_asked_for() -> None:
    views = [draw_view(30, SAMPLING, EVERYTHING, Drawing(0, 0, str(n))) for n in range(400)]
    assert 150 < sum(view.is_mirrored for view in views) < 250
    assert not draw_view(30, SAMPLING, Augmentation(), Drawing(0, 0, "c")).is_mirrored


def test_a_new_augmentation_leaves_frames_and_fixed_crops_as_they_were() -> None:
    plain = draw_view(30, SAMPLING, Augmentation(), Drawing(3, 1, "c")).window
    coloured = Augmentation(brightness=0.5, mirror=1.0)
    also = draw_view(30, SAMPLING, coloured, Drawing(3, 1, "c")).window
    np.testing.assert_array_equal(plain.frames, also.frames)
    assert (plain.rows, plain.columns) == (also.rows, also.columns)


def test_mirroring_turns_left_and_right_about() -> None:
    video = np.zeros((2, 24, 32, 3), np.uint8)
    video[:, :, :4] = 200
    turned = apply_view(video, View(STILL, True, None), SAMPLING, mirrors=True)
    assert (turned[:, :, -4:] == 200).all()
    assert (turned[:, :, :-4] == 0).all()


@pytest.mark.parametrize("colour", [Colour(1, 1, 1, 0), Colour(1, 1, 1, 1)])
def test_no_change_and_a_whole_turn_of_hue_are_the_identity(colour: Colour) -> None:
    video = clip()[:2]
    changed = change_colour(video, colour).astype(int)
    assert abs(changed - video).max() <= 1


def test_brightness_is_a_factor_and_saturates() -> None:
    video = np.full((1, 2, 2, 3), (10, 100, 200), np.uint8)
    assert change_colour(video, Colour(1.5, 1, 1, 0))[0, 0, 0].tolist() == [15, 150, 255]


def test_contrast_moves_values_away_from_the_mean_luma_of_the_clip() -> None:
    video = np.zeros((1, 2, 2, 3), np.uint8)
    video[0, 0], video[0, 1] = 80, 120
    changed = change_colour(video, Colour(1, 2, 1, 0))
    assert (changed[0, 0] == 60).all()
    assert (changed[0, 1] == 140).all()


def test_without_saturation_a_clip_is_grey_of_the_same_luma() -> None:
    changed = change_colour(clip()[:2], Colour(1, 1, 0, 0)).astype(int)
    assert (changed.max(axis=3) - changed.min(axis=3)).max() <= 1
    luma = clip()[:2] @ np.array([0.299, 0.587, 0.114])
    assert abs(changed[..., 0] - luma).max() <= 1


def test_hue_turns_colours_and_leaves_grey_alone() -> None:
    video = np.full((1, 1, 2, 3), 90, np.uint8)
    video[0, 0, 1] = (160, 60, 60)
    changed = change_colour(video, Colour(1, 1, 1, 0.25))
    assert abs(changed[0, 0, 0].astype(int) - 90).max() <= 1
    before, after = (colorsys.rgb_to_hsv(*(v[0, 0, 1] / 255))[0] for v in (video, changed))
    turned = abs(after - before)
    assert min(turned, 1 - turned) > 0.12
