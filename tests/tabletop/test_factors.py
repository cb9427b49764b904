from __future__ import annotations

import json

import pytest

from taskgrain.tabletop.factors import Draws, flatten
from taskgrain.tabletop.kitchen.far import FarScene, sample_far_scene
from taskgrain.tabletop.kitchen.near import NearScene, sample_near_scene
from taskgrain.tabletop.scene import CATEGORIES, Scene, sample_scene


def test_a_draw_does_not_depend_on_what_was_drawn_before() -> None:
    first, second = Draws(0, "train", 7), Draws(0, "train", 7)
    for name in ("a", "b", "c"):
        second.uniform(name, 0, 1)
    assert first.uniform("zoom", 0, 1) == second.uniform("zoom", 0, 1)


def test_draws_fill_their_range_evenly() -> None:
    values = sorted(Draws(index).unit("x") for index in range(2000))
    largest_gap = max(abs(value - rank / 2000) for rank, value in enumerate(values))
    assert largest_gap < 0.04  # Kolmogorov-Smirnov: 1.63 / sqrt(2000) is the 1 % point


def test_a_shuffle_keeps_every_item() -> None:
    orders = {Draws(seed).shuffled("x", (1, 2, 3)) for seed in range(60)}
    assert len(orders) == 6
    assert {tuple(sorted(order)) for order in orders} == {(1, 2, 3)}


def test_a_scene_survives_json_exactly() -> None:
    for index, template in enumerate(CATEGORIES):
        scene = sample_scene(template, Draws("json", index))
        assert Scene.from_factors(json.loads(json.dumps(scene.to_factors()))) == scene


def test_a_kitchen_scene_survives_json_exactly() -> None:
    for index in range(20):
        far = sample_far_scene("failing", "tongs", Draws("json", index))
        near = sample_near_scene("failing", "tongs", Draws("json", index))
        assert FarScene.from_factors(json.loads(json.dumps(far.to_factors()))) == far
        assert NearScene.from_factors(json.loads(json.dumps(near.to_factors()))) == near
        with pytest.raises(ValueError, match="do not make a scene"):
            NearScene.from_factors(far.to_factors())


def test_a_missing_factor_is_named() -> None:
    factors = sample_scene(CATEGORIES[0], Draws(0)).to_factors()
    del factors["camera.zoom"]
    with pytest.raises(ValueError, match=r"camera.*zoom"):
        Scene.from_factors(factors)


def test_an_unknown_factor_is_named() -> None:
    factors = sample_scene(CATEGORIES[0], Draws(0)).to_factors()
    with pytest.raises(ValueError, match="gravity"):
        Scene.from_factors(factors | {"room.gravity": 9.81})


def test_flat_factors_are_plain_json_values() -> None:
    factors = flatten(sample_scene(CATEGORIES[0], Draws(0)))
    assert len(factors) > 60
    assert {type(value) for value in factors.values()} <= {str, int, float, bool}
