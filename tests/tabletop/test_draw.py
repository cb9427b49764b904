from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from taskgrain.randomness import Draws
from taskgrain.tabletop.draw import cast, direct, render
from taskgrain.tabletop.film import Pixels
from taskgrain.tabletop.kitchen.doing import TOOLS
from taskgrain.tabletop.kitchen.far import sample_far_scene
from taskgrain.tabletop.kitchen.far_draw import render_far
from taskgrain.tabletop.kitchen.near import sample_near_scene
from taskgrain.tabletop.kitchen.near_draw import render_near
from taskgrain.tabletop.motion import Extent, Key, Pose, tipped, track
from taskgrain.tabletop.scene import CATEGORIES, Scene, sample_scene
from taskgrain.tabletop.shapes import NOUNS, draw_thing


def _draw(scene: Scene) -> Pixels:
    return render(scene, width=128, height=96)


def _still(scene: Scene) -> Scene:
    """Take the camera's own motion and grain away, so that what moves is the action."""
    camera = replace(
        scene.camera, drift_x=0.0, drift_y=0.0, drift_zoom=0.0, sway=0.0, grain=0.0, occluder="none"
    )
    return replace(scene, camera=camera)


@pytest.mark.parametrize("category", CATEGORIES[::4])
def test_drawing_is_the_same_to_the_bit(category: str) -> None:
    scene = sample_scene(category, Draws("bits"))
    first, second = _draw(scene), _draw(scene)
    assert first.shape == (scene.num_frames, 96, 128, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, second)


def test_drawing_another_scene_in_between_changes_nothing() -> None:
    scene = sample_scene(CATEGORIES[3], Draws("pure", 0))
    before = _draw(scene)
    _draw(sample_scene(CATEGORIES[9], Draws("pure", 1)))
    assert np.array_equal(_draw(scene), before)


@pytest.mark.parametrize("category", CATEGORIES[::8])
def test_a_scene_looks_alike_at_two_sizes(category: str) -> None:
    scene = sample_scene(category, Draws("sizes"))
    small, large = _draw(scene), render(scene, width=320, height=240)
    for index in (0, len(small) // 2, len(small) - 1):
        reduced = cv2.resize(large[index], (128, 96), interpolation=cv2.INTER_AREA)
        pair = np.stack([small[index].ravel(), reduced.ravel()]).astype(float)
        assert np.corrcoef(pair)[0, 1] > 0.97


@pytest.mark.parametrize("noun", NOUNS)
def test_a_drawn_thing_fills_the_span_that_it_says(noun: str) -> None:
    sprite = draw_thing(noun, (200, 60, 60), span=0.31, light=1.0, frame_height=96)
    rows, columns = np.nonzero(sprite.image[..., 3] > 128)
    longest = max(np.ptp(rows), np.ptp(columns)) / sprite.unit
    assert 0.27 <= longest <= 0.34


@pytest.mark.slow
def test_things_acted_on_span_a_quarter_of_the_frame() -> None:
    checked = 0
    for index in range(400):
        scene = sample_scene(CATEGORIES[index % len(CATEGORIES)], Draws("span", index))
        script, stage = direct(scene)
        sprite = cast(scene, script, stage, height=96)[0].sprite
        rows, columns = np.nonzero(sprite.image[..., 3] > 128)
        scale = 0.805 + 0.3 * scene.layout.depth
        assert max(np.ptp(rows), np.ptp(columns)) / sprite.unit * scale >= 0.25
        checked += 1
    assert checked == 400


def test_changing_the_colour_changes_only_the_thing() -> None:
    scene = _still(sample_scene("Approaching something with your camera", Draws("colour", 4)))
    twin = replace(scene, main=replace(scene.main, colour="red", shade=1.0))
    other = replace(scene, main=replace(scene.main, colour="blue", shade=1.0))
    changed = np.abs(_draw(twin)[0].astype(int) - _draw(other)[0]).max(axis=-1) > 8
    assert 0.01 < changed.mean() < 0.25


def test_pretending_looks_like_really_doing_until_the_outcome() -> None:
    pairs = {
        "poke something": "Poking something so that it falls over",
        "pick something up": "Picking something up",
        "put something on a surface": "Putting something on a surface",
    }
    for verb, really in pairs.items():
        scene = _still(sample_scene(really, Draws("pretend", 2)))
        twin = replace(scene, template=f"Pretending to {verb}")
        first, second = _draw(scene), _draw(twin)
        third = len(first) // 4
        early = np.abs(first[:third].astype(int) - second[:third]).mean()
        late = np.abs(first[-3:].astype(int) - second[-3:]).mean()
        assert late > 4 * early + 0.5


def test_left_to_right_goes_right() -> None:
    for index in range(20):
        for verb in ("Pushing", "Pulling"):
            scene = sample_scene(f"{verb} something from left to right", Draws("way", index))
            mirror = replace(scene, template=f"{verb} something from right to left")
            for either, sign in ((scene, 1), (mirror, -1)):
                script, _ = direct(either)
                assert sign * (script.main[-1].pose.x - script.main[0].pose.x) > 0.15


def test_only_a_fall_leaves_the_table() -> None:
    for index in range(30):
        scene = sample_scene("Pushing something so that it falls off the table", Draws("f", index))
        almost = replace(
            scene, template="Pushing something so that it almost falls off but doesn't"
        )
        assert direct(scene)[0].main[-1].pose.lift < -1
        assert direct(almost)[0].main[-1].pose.lift == 0


def test_the_same_number_of_things_is_on_the_table_whatever_the_template() -> None:
    scene = sample_scene(CATEGORIES[0], Draws("clutter", 1))
    for category in CATEGORIES:
        twin = replace(scene, template=category)
        script, stage = direct(twin)
        things = [actor for actor in cast(twin, script, stage, height=96) if len(actor.keys) == 1]
        moving = len(script.main) > 1
        standing = len(things) + int(script.starts_on_table and moving)
        assert standing == scene.layout.clutter, category


def test_a_track_passes_through_its_keys() -> None:
    keys = (Key(0, Pose(0, 0)), Key(0.5, Pose(1, 0.5, 0.2)), Key(1, Pose(0, 1), "fall"))
    rows = track(keys, np.array([0, 0.25, 0.5, 1.0]), softness=1.0)
    assert rows[:, 0].tolist() == [0, 0.5, 1, 0]
    assert track(keys[:1], np.zeros(3), softness=1.0).shape == (3, 5)


def test_a_tipped_thing_lies_on_its_side_and_on_the_table() -> None:
    pose = tipped(Pose(0, 0.5), Extent(0.2, 0.4), direction=1, angle=np.pi / 2)
    middle_above_table = pose.lift + 0.2
    assert middle_above_table == pytest.approx(0.1)  # half its width
    assert pose.x > 0


def test_every_noun_can_be_told_from_every_other() -> None:
    shapes = {}
    for noun in NOUNS:
        sprite = draw_thing(noun, (128, 128, 128), span=0.38, light=1.0, frame_height=96)
        shapes[noun] = cv2.resize(sprite.image, (24, 24), interpolation=cv2.INTER_AREA).astype(int)
    closest = min(
        float(np.abs(shapes[first] - shapes[second]).mean())
        for first in NOUNS
        for second in NOUNS
        if first < second
    )
    assert closest > 12


@pytest.mark.parametrize("tool", TOOLS)
def test_kitchen_drawing_is_the_same_to_the_bit(tool: str) -> None:
    far = sample_far_scene("using", tool, Draws("bits"))
    first = render_far(far, width=128, height=96)
    assert first.shape == (far.num_frames, 96, 128, 3)
    assert np.array_equal(first, render_far(far, width=128, height=96))
    near = sample_near_scene("using", tool, Draws("bits"))
    second = render_near(near, width=128, height=96)
    assert second.shape == first.shape
    assert np.array_equal(second, render_near(near, width=128, height=96))
    assert not np.array_equal(first, second)
