from __future__ import annotations

from collections import Counter
from dataclasses import fields

import numpy as np

from taskgrain.tabletop import kitchenware, scene
from taskgrain.tabletop.dataset import WorldSpec, plan
from taskgrain.tabletop.factors import Draws
from taskgrain.tabletop.kitchen_motion import direct_kitchen, piece_pose
from taskgrain.tabletop.kitchenware import CATEGORIES, TOOLS, KitchenScene, sample_kitchen_scene
from taskgrain.tabletop.shapes import COVERS, NOUNS


def _scenes(train: int, validation: int) -> list[KitchenScene]:
    spec = WorldSpec("kitchenware", 3, train=train, validation=validation)
    scenes = [clip.scene for clip in plan(spec)]
    return [scene for scene in scenes if isinstance(scene, KitchenScene)]


def test_there_are_the_thirteen_categories() -> None:
    assert len(CATEGORIES) == 13
    assert "Using a fork" in CATEGORIES
    assert "Pretending to use tongs" in CATEGORIES
    assert "Trying but failing to use a knife" in CATEGORIES
    assert "Doing other things" in CATEGORIES


def test_support_and_scored_clips_are_balanced() -> None:
    scenes = _scenes(390, 1105)
    support = Counter(one.category for one in scenes[:390])
    scored = Counter(one.category for one in scenes[390:])
    assert set(support.values()) == {30}
    assert set(scored.values()) == {85}
    assert set(support) == set(scored) == set(CATEGORIES)


def test_other_things_are_done_with_every_tool_alike() -> None:
    scenes = _scenes(390, 1105)
    for part in (scenes[:390], scenes[390:]):
        tools = Counter(one.tool for one in part if one.motion == "other")
        assert set(tools) == set(TOOLS)
        assert max(tools.values()) - min(tools.values()) <= 1


def test_every_clip_says_its_motion_and_its_object() -> None:
    for one in _scenes(26, 0):
        factors = one.to_factors()
        assert factors["motion"] in {"using", "pretending", "failing", "other"}
        assert factors["object"] in TOOLS


def test_the_path_of_the_tool_does_not_depend_on_the_tool() -> None:
    for motion in ("using", "pretending", "failing", "other"):
        draws = Draws("path", motion)
        scripts = [direct_kitchen(sample_kitchen_scene(motion, tool, draws)) for tool in TOOLS]
        assert all(script == scripts[0] for script in scripts[1:])


def test_using_and_failing_move_the_tool_alike() -> None:
    for index in range(30):
        using, failing = (
            direct_kitchen(sample_kitchen_scene(motion, "fork", Draws("alike", index)))
            for motion in ("using", "failing")
        )
        assert using.tool == failing.tool
        assert using.food != failing.food


def test_a_pretending_tool_follows_the_same_way_above_the_food() -> None:
    for index in range(30):
        using, pretending = (
            direct_kitchen(sample_kitchen_scene(motion, "spoon", Draws("above", index)))
            for motion in ("using", "pretending")
        )
        rise = {
            round(over.pose.lift - touching.pose.lift, 6)
            for touching, over in zip(using.tool[1:], pretending.tool[1:], strict=True)
        }
        assert len(rise) == 1
        assert rise.pop() > 0.05
        across = [
            over.pose.x - touching.pose.x
            for touching, over in zip(using.tool, pretending.tool, strict=True)
        ]
        assert np.allclose(across, 0)


def test_food_goes_along_only_when_the_tool_is_used() -> None:
    for index in range(30):
        draws = Draws("fate", index)
        moved = {}
        for motion in ("using", "pretending", "failing", "other"):
            one = sample_kitchen_scene(motion, "knife", draws)
            script, start = direct_kitchen(one), piece_pose(one)
            end = script.food[-1].pose
            moved[motion] = abs(end.x - start.x) + abs(end.lift - start.lift)
        assert moved["pretending"] == moved["other"] == 0
        assert moved["using"] > 0.15
        assert moved["failing"] < moved["using"]


def test_a_failing_tool_leaves_the_food_on_the_table() -> None:
    for index in range(30):
        one = sample_kitchen_scene("failing", "fork", Draws("left", index))
        food = direct_kitchen(one).food
        assert food[-1].pose.lift == food[0].pose.lift
        assert food[-1].pose.angle != food[0].pose.angle


def test_the_second_world_shares_no_noun_and_no_skin_with_the_first() -> None:
    first = set(NOUNS) | set(COVERS)
    assert not first & (set(TOOLS) | set(kitchenware.FOODS) | set(kitchenware.DISHES))
    assert not set(scene.SKIN_TONES) & set(kitchenware.GLOVES)
    assert {field.name for field in fields(kitchenware.Look)}.isdisjoint(
        {"drift_x", "drift_y", "drift_zoom", "vignette"}
    )
