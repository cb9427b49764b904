from __future__ import annotations

from collections import Counter
from dataclasses import fields

import numpy as np
import pytest

from taskgrain.randomness import Draws
from taskgrain.tabletop import scene
from taskgrain.tabletop.dataset import AnyScene, World, WorldSpec, plan
from taskgrain.tabletop.kitchen import far
from taskgrain.tabletop.kitchen.doing import CATEGORIES, FOODS, TOOLS, Doing
from taskgrain.tabletop.kitchen.far import FarScene, sample_far_scene
from taskgrain.tabletop.kitchen.far_draw import far_worktop
from taskgrain.tabletop.kitchen.motion import Worktop, direct_kitchen
from taskgrain.tabletop.kitchen.near import NearScene, sample_near_scene
from taskgrain.tabletop.kitchen.near_draw import near_worktop
from taskgrain.tabletop.shapes import COVERS, NOUNS

LOOKS: tuple[World, ...] = ("kitchenware", "kitchenware-far")
every_look = pytest.mark.parametrize("look", LOOKS)


def _scenes(train: int, validation: int, look: World) -> list[Doing]:
    spec = WorldSpec(look, 3, train=train, validation=validation)
    scenes: list[AnyScene] = [clip.scene for clip in plan(spec)]
    return [scene for scene in scenes if isinstance(scene, Doing)]


def _worktop(look: World, motion: str, tool: str, draws: Draws) -> Worktop:
    if look == "kitchenware":
        return near_worktop(sample_near_scene(motion, tool, draws))
    return far_worktop(sample_far_scene(motion, tool, draws))


def test_there_are_the_thirteen_categories() -> None:
    assert len(CATEGORIES) == 13
    assert "Using a fork" in CATEGORIES
    assert "Pretending to use tongs" in CATEGORIES
    assert "Trying but failing to use a knife" in CATEGORIES
    assert "Doing other things" in CATEGORIES


@every_look
def test_support_and_scored_clips_are_balanced(look: World) -> None:
    scenes = _scenes(390, 1105, look)
    support = Counter(one.category for one in scenes[:390])
    scored = Counter(one.category for one in scenes[390:])
    assert set(support.values()) == {30}
    assert set(scored.values()) == {85}
    assert set(support) == set(scored) == set(CATEGORIES)


@every_look
def test_other_things_are_done_with_every_tool_alike(look: World) -> None:
    scenes = _scenes(390, 1105, look)
    for part in (scenes[:390], scenes[390:]):
        tools = Counter(one.tool for one in part if one.motion == "other")
        assert set(tools) == set(TOOLS)
        assert max(tools.values()) - min(tools.values()) <= 1


@every_look
def test_every_clip_says_its_motion_and_its_object(look: World) -> None:
    for one in _scenes(26, 0, look):
        assert isinstance(one, NearScene | FarScene)
        factors = one.to_factors()
        assert factors["motion"] in {"using", "pretending", "failing", "other"}
        assert factors["object"] in TOOLS


@every_look
def test_the_path_of_the_tool_does_not_depend_on_the_tool(look: World) -> None:
    for motion in ("using", "pretending", "failing", "other"):
        draws = Draws("path", motion)
        scripts = [direct_kitchen(_worktop(look, motion, tool, draws)) for tool in TOOLS]
        assert all(script == scripts[0] for script in scripts[1:])


@every_look
def test_using_and_failing_move_the_tool_alike(look: World) -> None:
    for index in range(30):
        using, failing = (
            direct_kitchen(_worktop(look, motion, "fork", Draws("alike", index)))
            for motion in ("using", "failing")
        )
        assert using.tool == failing.tool
        assert using.food != failing.food


@every_look
def test_a_pretending_tool_follows_the_same_way_above_the_food(look: World) -> None:
    for index in range(30):
        using, pretending = (
            direct_kitchen(_worktop(look, motion, "spoon", Draws("above", index)))
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


@every_look
def test_food_goes_along_only_when_the_tool_is_used(look: World) -> None:
    for index in range(30):
        draws = Draws("fate", index)
        moved = {}
        for motion in ("using", "pretending", "failing", "other"):
            top = _worktop(look, motion, "knife", draws)
            script, start = direct_kitchen(top), top.piece
            end = script.food[-1].pose
            moved[motion] = abs(end.x - start.x) + abs(end.lift - start.lift)
        assert moved["pretending"] == moved["other"] == 0
        assert moved["using"] > 0.15
        assert moved["failing"] < moved["using"]


@every_look
def test_a_failing_tool_leaves_the_food_on_the_table(look: World) -> None:
    for index in range(30):
        food = direct_kitchen(_worktop(look, "failing", "fork", Draws("left", index))).food
        assert food[-1].pose.lift == food[0].pose.lift
        assert food[-1].pose.angle != food[0].pose.angle


def test_no_look_shares_a_noun_and_the_far_one_no_skin_with_the_source() -> None:
    first = set(NOUNS) | set(COVERS)
    assert not first & (set(TOOLS) | set(FOODS) | set(far.DISHES))
    assert not set(scene.SKIN_TONES) & set(far.GLOVES)
    assert {field.name for field in fields(far.Look)}.isdisjoint(
        {"drift_x", "drift_y", "drift_zoom", "vignette"}
    )


def test_clips_of_the_two_looks_are_pairs() -> None:
    for near, other in zip(*(plan(WorldSpec(look, 4, 30, 0)) for look in LOOKS), strict=True):
        assert isinstance(near.scene, NearScene)
        assert isinstance(other.scene, FarScene)
        assert near.clip_id == other.clip_id
        assert near.scene.category == other.scene.category
        assert near.scene.tool == other.scene.tool
        assert near.scene.num_frames == other.scene.num_frames
        assert near.scene.handling == other.scene.handling


def test_the_near_look_is_filmed_as_the_source_is() -> None:
    """Its rooms, hands and cameras come from the same ranges, and from draws of their own."""
    draws = [Draws("filmed", index) for index in range(400)]
    near = [sample_near_scene("using", "fork", each) for each in draws]
    source = [scene.sample_scene(scene.CATEGORIES[0], each) for each in draws]
    for part in ("room", "camera", "arm", "layout"):
        assert [getattr(one, part) for one in near] == [getattr(one, part) for one in source]


def test_in_the_near_look_everything_happens_on_the_table() -> None:
    for index in range(60):
        for motion in ("using", "pretending", "failing", "other"):
            one = sample_near_scene(motion, "fork", Draws("on", index))
            script = direct_kitchen(near_worktop(one))
            assert all(key.pose.lift >= 0 for key in (*script.tool, *script.food))
            for key in script.food:
                assert 0.2 < key.pose.depth < 1.05
                assert abs(key.pose.x) < 0.5
