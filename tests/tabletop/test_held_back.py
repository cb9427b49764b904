from __future__ import annotations

from collections import Counter
from itertools import combinations, pairwise

import numpy as np
import pytest

from taskgrain.tabletop.dataset import WorldSpec, plan
from taskgrain.tabletop.film import SPRITE_OVERSAMPLING
from taskgrain.tabletop.held_back import HELD_BACK_NOUNS, HELD_BACK_PALETTE
from taskgrain.tabletop.scene import Scene
from taskgrain.tabletop.shapes import (
    COVERS,
    NOUNS,
    PALETTE,
    colour_of,
    draw_thing,
    thing_size,
)

COLOUR = (206.0, 44.0, 44.0)


def _silhouette(noun: str) -> np.ndarray:
    """Draw a thing on the square of its longer side, reduced to 24 x 24 cells of opacity."""
    sprite = draw_thing(noun, COLOUR, span=1.0, light=-1, frame_height=120)
    height, width = sprite.image.shape[:2]
    size = max(height, width)
    square = np.zeros((size, size))
    top, left = size - height, (size - width) // 2
    square[top : top + height, left : left + width] = sprite.image[..., 3] / 255
    cells = np.linspace(0, size, 25).astype(int)
    return np.array(
        [[square[a:b, c:d].mean() for c, d in pairwise(cells)] for a, b in pairwise(cells)]
    )


def _scenes(world: str, seed: int, number: int) -> list[Scene]:
    spec = WorldSpec("tabletop" if world == "tabletop" else "tabletop-tasks", seed, number, 0)
    return [clip.scene for clip in plan(spec) if isinstance(clip.scene, Scene)]


def test_there_are_eight_nouns_and_three_colours_that_the_source_has_not() -> None:
    assert len(HELD_BACK_NOUNS) == 8
    assert len(HELD_BACK_PALETTE) == 3
    assert not set(HELD_BACK_NOUNS) & set(NOUNS + COVERS)
    assert not set(HELD_BACK_PALETTE) & set(PALETTE)


def test_no_outline_of_a_held_back_noun_is_that_of_another() -> None:
    outlines = {noun: _silhouette(noun) for noun in (*HELD_BACK_NOUNS, *NOUNS)}
    alike = {
        (first, second): float(
            np.minimum(outlines[first], outlines[second]).sum()
            / np.maximum(outlines[first], outlines[second]).sum()
        )
        for first, second in combinations(outlines, 2)
    }
    held = {pair: share for pair, share in alike.items() if set(pair) & set(HELD_BACK_NOUNS)}
    known = {pair: share for pair, share in alike.items() if pair not in held}
    assert len(held) == 8 * 19 + 28
    assert max(held.values()) < max(known.values())  # no closer than the source's own are
    assert max(held.values()) < 0.75


@pytest.mark.parametrize("noun", HELD_BACK_NOUNS)
def test_a_held_back_thing_fills_the_box_that_it_is_measured_by(noun: str) -> None:
    sprite = draw_thing(noun, COLOUR, span=1.0, light=-1, frame_height=200)
    width, height = thing_size(noun, "medium")
    drawn = sprite.image.shape[1] / sprite.image.shape[0]
    assert drawn == pytest.approx(width / height, rel=0.12)
    # Three clear pixels surround the box: ink in the outer two was cut off.
    unit = 200 * SPRITE_OVERSAMPLING / max(1.0, width / height)
    assert sprite.image.shape[1] <= round(width / height * unit) + 4
    assert sprite.image.shape[0] <= round(unit) + 4
    bottom = (sprite.image.shape[0] - sprite.anchor_y) / sprite.unit
    assert bottom == pytest.approx(0.5 / max(1.0, width / height), abs=0.04)  # it stands


def test_held_back_colours_are_as_far_from_the_others_as_those_are_from_each_other() -> None:
    rgb = {name: np.array(colour_of(name)) for name in (*PALETTE, *HELD_BACK_PALETTE)}
    known = [np.linalg.norm(rgb[a] - rgb[b]) for a, b in combinations(PALETTE, 2)]
    held = [np.linalg.norm(rgb[a] - rgb[b]) for a in HELD_BACK_PALETTE for b in rgb if a != b]
    assert len(held) == 3 * 10
    assert min(held) >= min(known)


def test_the_source_never_shows_what_is_held_back() -> None:
    for seed in (0, 7, 123):
        for scene in _scenes("tabletop", seed, 400):
            things = (scene.main, scene.second, scene.third, scene.fourth, scene.cover)
            assert not {thing.noun for thing in things} & set(HELD_BACK_NOUNS)
            assert not {thing.colour for thing in things} & set(HELD_BACK_PALETTE)


def test_main_things_of_the_target_have_every_noun_and_colour_as_often() -> None:
    scenes = _scenes("tabletop-tasks", 3, 5400)
    nouns = Counter(scene.main.noun for scene in scenes)
    colours = Counter(scene.main.colour for scene in scenes)
    assert set(nouns) == {*NOUNS, *HELD_BACK_NOUNS}
    assert set(colours) == {*PALETTE, *HELD_BACK_PALETTE}
    # 200 and 491 are expected; five standard deviations are 70 and 106.
    assert all(130 < count < 270 for count in nouns.values())
    assert all(385 < count < 597 for count in colours.values())


def test_only_the_main_thing_is_ever_held_back() -> None:
    for scene in _scenes("tabletop-tasks", 3, 400):
        others = (scene.second, scene.third, scene.fourth, scene.cover)
        assert not {thing.noun for thing in others} & set(HELD_BACK_NOUNS)
        assert not {thing.colour for thing in others} & set(HELD_BACK_PALETTE)


def test_a_target_of_the_sources_seed_shares_no_scene_with_it() -> None:
    source, target = _scenes("tabletop", 5, 200), _scenes("tabletop-tasks", 5, 200)
    assert not {scene.camera for scene in source} & {scene.camera for scene in target}
