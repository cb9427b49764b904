from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from taskgrain.randomness import Draws
from taskgrain.tabletop.attributes import ATTRIBUTES, MEANINGS, attributes_of, kitchen_attributes
from taskgrain.tabletop.dataset import WorldSpec, plan
from taskgrain.tabletop.draw import direct
from taskgrain.tabletop.kitchen.doing import CATEGORIES as KITCHEN_CATEGORIES
from taskgrain.tabletop.scene import CATEGORIES, SLEEVES, Scene, sample_scene

REST = 0.05  # frame heights above the table that still count as lying on it


def _scenes(number: int) -> list[Scene]:
    clips = plan(WorldSpec("tabletop-tasks", 11, number, 0))
    return [clip.scene for clip in clips if isinstance(clip.scene, Scene)]


def test_every_value_occurs_and_no_other() -> None:
    rows = [attributes_of(scene) for scene in _scenes(3000)]
    for name, attribute in ATTRIBUTES.items():
        found = {row[name] for row in rows} - {None}
        assert found == set(attribute.values), name
        assert len(set(attribute.values)) == len(attribute.values) >= 2


def test_every_template_means_something_and_no_two_mean_the_same() -> None:
    assert set(MEANINGS) == set(CATEGORIES)
    meant = {
        (each.verb, each.direction, each.relation, each.outcome, name.startswith("Pretending"))
        for name, each in MEANINGS.items()
    }
    assert len(meant) == len(CATEGORIES)


@pytest.mark.parametrize("template", CATEGORIES)
def test_things_are_counted_as_the_script_leaves_them(template: str) -> None:
    meaning = MEANINGS[template]
    tipped = meaning.outcome == "falls over"
    # A thing that comes closer is drawn larger, about its middle.
    at_rest = 0.08 if meaning.direction == "towards the camera" else 0.0
    for index in range(8):
        scene = sample_scene(template, Draws("count", index))
        script, stage = direct(scene)
        values = attributes_of(scene)
        last = script.main[-1].pose
        rest = stage.second.height * 0.94 if meaning.relation == "onto" else at_rest
        is_there = abs(last.x) < 0.9 and (tipped or abs(last.lift - rest) < REST)
        at_start = values["things-at-start"]
        assert at_start == str(scene.layout.clutter)
        gained = int(is_there) - int(script.starts_on_table)
        assert values["things-at-end"] == str(scene.layout.clutter + gained)


@pytest.mark.parametrize("template", CATEGORIES)
def test_an_attribute_is_there_exactly_where_its_factor_moves_something(template: str) -> None:
    scene = sample_scene(template, Draws("free"))
    values = attributes_of(scene)

    def differs(twin: Scene) -> bool:
        return direct(twin)[0] != direct(scene)[0]

    arm, manner = scene.arm, scene.manner
    other_side = replace(scene, arm=replace(arm, side=-arm.side))
    has_hand = bool(direct(scene)[0].hand)
    assert (values["arm"] is not None) == (has_hand and differs(other_side))
    assert (values["sleeve"] is not None) == has_hand
    assert (values["stripes"] is not None) == has_hand
    other_end = replace(scene, manner=replace(manner, stays=not manner.stays))
    assert (values["hand-at-end"] is not None) == differs(other_end)


def test_the_unsaid_way_is_that_of_the_main_thing() -> None:
    checked = 0
    for scene in _scenes(2000):
        value = attributes_of(scene)["unsaid-way"]
        keys = direct(scene)[0].main
        moved = keys[-1].pose.x - keys[0].pose.x
        if value is not None and abs(moved) > 1e-6:  # a pretended poke moves nothing
            assert value == ("right" if moved > 0 else "left")
            checked += 1
    assert checked > 150


def test_continuous_attributes_leave_a_gap_between_their_values() -> None:
    scene = sample_scene(CATEGORIES[1], Draws("gap"))
    drifts = {"left": (-0.1, -0.05), "steady": (-0.02, 0.02), "right": (0.05, 0.1)}
    for value, ends in drifts.items():
        for drift in ends:
            twin = replace(scene, camera=replace(scene.camera, drift_x=drift))
            assert attributes_of(twin)["pan"] == value
    for drift in (-0.04, 0.03):
        twin = replace(scene, camera=replace(scene.camera, drift_x=drift))
        assert attributes_of(twin)["pan"] is None


def test_a_sleeve_is_called_by_its_colour() -> None:
    assert len(ATTRIBUTES["sleeve"].values) == len(SLEEVES)
    for name, (red, green, blue) in zip(ATTRIBUTES["sleeve"].values, SLEEVES, strict=True):
        strongest = {"red": red, "green": green, "blue": blue}
        if name in strongest:
            assert max(strongest, key=lambda plane: strongest[plane]) == name


def test_values_of_continuous_attributes_are_about_as_frequent_as_each_other() -> None:
    rows = [attributes_of(scene) for scene in _scenes(4000)]
    for name in ("pan", "tilt", "zoom", "start", "finish", "pace", "place", "brightness"):
        counts = Counter(row[name] for row in rows if row[name] is not None)
        assert min(counts.values()) > 0.55 * max(counts.values()), name


def test_kitchen_categories_map_to_reality_and_to_tools() -> None:
    said = {name: kitchen_attributes(name) for name in KITCHEN_CATEGORIES}
    assert said["Using a fork"] == {"reality": "real", "noun": "fork"}
    assert said["Pretending to use tongs"] == {"reality": "pretended", "noun": "tongs"}
    assert said["Trying but failing to use a knife"] == {"reality": "failing", "noun": "knife"}
    assert said["Doing other things"] == {"reality": "real"}
    shown = ATTRIBUTES["reality"].values + ATTRIBUTES["noun"].values
    assert not {"failing", "fork", "knife", "spoon", "tongs"} & set(shown)
