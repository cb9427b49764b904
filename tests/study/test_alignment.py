from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from itertools import combinations
from math import log2
from pathlib import Path

import numpy as np
import pytest

from taskgrain.config.clips import Target
from taskgrain.config.learning import LADDER, Source
from taskgrain.errors import ConfigError
from taskgrain.labels.ssv2 import GROUP_OF
from taskgrain.labels.taxonomy import Taxonomy, taxonomy_of
from taskgrain.randomness import OrderedDraws
from taskgrain.statistics.alignment import Kind, information_bits, joint_counts
from taskgrain.study.alignment import (
    FACTORS,
    SOURCE_SEED,
    TARGET_SEED,
    Alignment,
    Question,
    SourceWorld,
    TargetWorld,
    align,
    draw_tasks,
    label_slots,
    of_held_out,
    read_drawn_tasks,
    write_drawn_tasks,
)
from taskgrain.tabletop.attributes import Values, attributes_of
from taskgrain.tabletop.held_back import HELD_BACK_NOUNS
from taskgrain.tabletop.kitchen.doing import CATEGORIES as KITCHEN_CATEGORIES
from taskgrain.tabletop.scene import CATEGORIES, Scene, sample_scene
from taskgrain.tabletop.tasks import TASKS, meets

SCENES = 6000
NO_CONDITION: Mapping[str, tuple[str, ...]] = {}
TABLETOP = Target(name="tasks", world="tabletop")
KITCHENWARE = Target(name="kitchenware", world="kitchenware")


@pytest.fixture(scope="module")
def world() -> SourceWorld:
    return SourceWorld(SCENES, taxonomy_of(CATEGORIES), CATEGORIES, LADDER)


@pytest.fixture(scope="module")
def targets() -> TargetWorld:
    return TargetWorld(SCENES)


def question(targets: TargetWorld, name: str) -> Question:
    found = targets.of_tabletop(name, TASKS[name].classes)
    assert found is not None
    return found


def scenes_again(seed: int, *, shows_held_back: bool) -> list[Scene]:
    """Draw the scenes that the worlds counted, one by one."""
    draws = OrderedDraws(seed)
    return [
        sample_scene(CATEGORIES[index % len(CATEGORIES)], draws, shows_held_back=shows_held_back)
        for index in range(SCENES)
    ]


def entropy(items: list[object]) -> float:
    return -sum(n / len(items) * log2(n / len(items)) for n in Counter(items).values())


def plain_known(labels: list[object], values: list[object]) -> float:
    """Compute definition 1 by shuffling the factor 40 times."""

    def information(shuffled: list[object]) -> float:
        pairs: list[object] = list(zip(labels, shuffled, strict=True))
        return entropy(labels) + entropy(shuffled) - entropy(pairs)

    generator = random.Random(1)
    by_chance = [information(generator.sample(values, len(values))) for _ in range(40)]
    mean = sum(by_chance) / len(by_chance)
    if entropy(values) - mean < 1e-9:
        return 0.0
    return (information(values) - mean) / (entropy(values) - mean)


def plain_labels(source: str, scene: Scene) -> list[str]:
    """Say what a source says of a scene, slot by slot."""
    if source == "action-groups":
        return [GROUP_OF[scene.template]]
    words = {"captions-simplified": [scene.main.noun], "categories": []}
    return [scene.template, *words[source]]


def plain_alignment(source: str, name: str) -> float:
    """Compute definition 2 of a task, scene by scene, in the factors that its classes differ in."""
    task = TASKS[name]
    of_source = [
        (scene, attributes_of(scene)) for scene in scenes_again(SOURCE_SEED, shows_held_back=False)
    ]
    of_source = [each for each in of_source if meets(each[1], task.given)]
    of_target = [attributes_of(s) for s in scenes_again(TARGET_SEED, shows_held_back=True)]
    classes: dict[str, list[Values]] = {value: [] for value in task.classes}
    for values in of_target:
        value = task.value_of(values)
        if value is not None:
            classes[value].append(values)
    pairs = []
    for first, second in combinations(classes.values(), 2):
        best = 0.0
        for factor in ("verb", "direction", "relation", "outcome", "reality", "noun"):
            held = [[each[factor] for each in scenes if each[factor]] for scenes in (first, second)]
            shown = {values[factor] for _, values in of_source} - {None}
            if not held[0] or not held[1]:
                continue
            apart = sum(
                abs(held[0].count(v) / len(held[0]) - held[1].count(v) / len(held[1])) / 2
                for v in shown
            )
            apart *= min(len(held[0]) / len(first), len(held[1]) / len(second))
            if apart < 0.2:  # what samples of this size may differ by
                continue
            having = [(scene, values) for scene, values in of_source if values[factor]]
            labels = [plain_labels(source, scene) for scene, _ in having]
            slots: list[list[object]] = [list(slot) for slot in zip(*labels, strict=True)]
            known = [plain_known(slot, [values[factor] for _, values in having]) for slot in slots]
            best = max(best, apart * max(known))
        pairs.append(best)
    return sum(pairs) / len(pairs)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["action-groups", "categories", "captions-simplified"])
@pytest.mark.parametrize(
    "name",
    [
        *("direction-left-right", "reality", "reality-of-poking", "outcome-of-lifting"),
        *("relation-behind-onto", "noun-vessels", "noun-new-fish-snail", "light"),
    ],
)
def test_alignment_is_what_the_definitions_say_scene_by_scene(
    world: SourceWorld, targets: TargetWorld, source: str, name: str
) -> None:
    found = align(world, question(targets, name)).of[source]
    assert found == pytest.approx(plain_alignment(source, name), abs=0.03)


def test_a_source_whose_label_is_the_factor_knows_all_of_it(world: SourceWorld) -> None:
    for source, factor in (
        *(("categories", factor) for factor in ("verb", "direction", "relation", "reality")),
        *(("captions-simplified", factor) for factor in ("noun", "outcome")),
        *(("captions-full", factor) for factor in ("noun", "colour", "size")),
    ):
        assert world.known(source, factor, NO_CONDITION) == pytest.approx(1.0)


def test_no_label_knows_what_none_can_say(world: SourceWorld) -> None:
    for source in world.sources:
        for factor in ("light", "pan", "tilt", "start", "pace", "sleeve", "table", "hand-at-end"):
            assert abs(world.known(source, factor, NO_CONDITION)) < 0.01
    assert abs(world.known("categories", "noun", NO_CONDITION)) < 0.02
    assert abs(world.known("captions-simplified", "colour", NO_CONDITION)) < 0.02


def test_groups_know_nothing_of_what_they_merge(world: SourceWorld) -> None:
    for verb in ("putting", "poking", "turning", "picking up"):
        given = {"verb": (verb,)}
        assert abs(world.known("action-groups", "reality", given)) < 0.02 or verb == "putting"
        assert world.known("categories", "reality", given) == pytest.approx(1.0)


def test_captions_count_slot_by_slot_and_never_as_strings(world: SourceWorld) -> None:
    full = next(source for source in LADDER if source.name == "captions-full")
    slots = label_slots(full, taxonomy_of(CATEGORIES), world.population)
    assert len(slots) == 4
    whole = np.unique(np.stack(slots), axis=1, return_inverse=True)[1].astype(np.int16)
    light = world.population.attributes["light"]
    as_strings = float(information_bits(joint_counts(whole, light)))
    by_slot = [float(information_bits(joint_counts(slot, light))) for slot in slots]
    assert as_strings > 0.4  # bits, where the truth is 0
    assert max(by_slot) < 0.01
    assert abs(world.known("captions-full", "light", NO_CONDITION)) < 0.01


def test_slots_are_those_that_a_form_says(world: SourceWorld) -> None:
    for form, number in (("template", 1), ("simplified", 2), ("simplified-head-noun", 2)):
        source = Source.model_validate({"name": "said", "caption": form})
        assert len(label_slots(source, taxonomy_of(CATEGORIES), world.population)) == number
    joint = next(source for source in LADDER if source.name == "joint-full")
    assert len(label_slots(joint, taxonomy_of(CATEGORIES), world.population)) == 5


def test_a_level_that_leaves_categories_out_is_known_by_those_that_it_names() -> None:
    pokes = [name for name in CATEGORIES if "poke" in name or "Poking" in name]
    names = [
        ("none" if name.startswith("Pretending") else "some") if name in pokes else None
        for name in CATEGORIES
    ]
    taxonomy = Taxonomy(CATEGORIES, {"touch": tuple(names)})
    source = Source.model_validate({"name": "touch", "classify": "touch"})
    world = SourceWorld(2000, taxonomy, CATEGORIES, [source])
    assert world.known("touch", "reality", NO_CONDITION) == pytest.approx(1.0)
    assert world.known("touch", "relation", NO_CONDITION) == 0.0  # no poke has one


@pytest.mark.slow
def test_categories_that_the_source_holds_back_are_known_to_none() -> None:
    kept = [name for name in CATEGORIES if "oke" not in name and "Poking" not in name]
    world = SourceWorld(3000, taxonomy_of(CATEGORIES), kept, LADDER)
    targets = TargetWorld(3000)
    assert "poking" not in world.shown(NO_CONDITION)["verb"]
    found = align(world, question(targets, "outcome-of-poking"))
    assert set(found.of.values()) == {0.0}


@pytest.mark.slow
def test_held_out_categories_ask_for_what_learned_ones_name_of_them() -> None:
    novel = ["Putting something onto something", "Pretending to put something onto something"]
    base = [name for name in CATEGORIES if name not in novel]
    taxonomy = taxonomy_of(base)
    sources = [each for each in LADDER if each.name in ("action-groups", "categories")]
    world = SourceWorld(6000, taxonomy, base, sources)
    found = align(world, of_held_out(3000, novel))
    # The two differ in reality alone. Other categories of their group are real or pretended, so
    # that categories know it whole, and groups of which all share one kind know part of it.
    real = world.known("action-groups", "reality", NO_CONDITION)
    assert found.of["categories"] == pytest.approx(1.0, abs=0.02)
    assert found.of["action-groups"] == pytest.approx(real, abs=0.02)
    assert found.kind("categories", "action-groups") == "named"


def test_random_groups_are_left_out_since_they_are_the_seeds() -> None:
    source = {"name": "random-groups", "classify": "action-group", "regrouped": True}
    world = SourceWorld(
        500, taxonomy_of(CATEGORIES), CATEGORIES, [LADDER[0], Source.model_validate(source)]
    )
    assert world.sources == ("action-groups",)


@pytest.mark.slow
def test_new_nouns_are_named_in_kind_by_captions_and_unnamed_by_categories(
    world: SourceWorld, targets: TargetWorld
) -> None:
    found = align(world, question(targets, "noun-new-of-eight"))
    assert not set(world.shown(NO_CONDITION)["noun"]) & set(HELD_BACK_NOUNS)
    assert max(found.of.values()) < 0.01
    assert found.kind("categories", "action-groups") == "unnamed"
    assert found.kind("captions-simplified", "categories") == "kind-named"
    known = align(world, question(targets, "noun-vessels"))
    assert known.kind("captions-simplified", "categories") == "named"
    assert known.kind("categories", "action-groups") == "unnamed"


def test_kitchenware_asks_for_reality_which_is_shown_and_tools_which_are_not(
    world: SourceWorld, targets: TargetWorld
) -> None:
    motions = ("failing", "other", "pretending", "using")
    motion = targets.question(KITCHENWARE, "motion", motions)
    tool = targets.question(KITCHENWARE, "object", ("fork", "knife", "spoon", "tongs"))
    whole = targets.question(KITCHENWARE, None, KITCHEN_CATEGORIES)
    assert motion is not None
    assert tool is not None
    assert whole is not None
    # Of six pairs: using and pretending 1, so are other and pretending; failing and any other
    # half; using and other are both real.
    assert align(world, motion).of["categories"] == pytest.approx((1 + 1 + 3 * 0.5) / 6)
    assert align(world, motion).kind("categories", "action-groups") == "named"
    found = align(world, tool)
    assert set(found.of.values()) == {0.0}
    assert found.kind("captions-simplified", "categories") == "kind-named"
    assert align(world, whole).kind("categories", "action-groups") == "named"


def test_of_data_that_are_not_drawn_and_of_other_factors_nothing_is_known(
    targets: TargetWorld,
) -> None:
    own = Target(name="mine", root=Path("mine"))
    assert targets.question(own, None, ("a", "b")) is None
    assert targets.question(TABLETOP, "group", ("a", "b")) is None
    assert targets.question(KITCHENWARE, "variant", ("a", "b")) is None


def test_an_attribute_and_the_category_can_be_asked_for_by_hand(
    world: SourceWorld, targets: TargetWorld
) -> None:
    size = targets.question(TABLETOP, "size", ("big", "small"))
    assert size is not None
    assert align(world, size).of["captions-full"] == pytest.approx(1.0)
    category = targets.question(TABLETOP, None, CATEGORIES[:12])
    assert category is not None
    found = align(world, category)
    # Every two templates differ in an attribute that categories name.
    assert found.of["categories"] == pytest.approx(1.0)
    assert found.of["action-groups"] < 0.95


def test_factors_are_in_the_order_of_the_attributes(world: SourceWorld) -> None:
    assert tuple(world.population.attributes) == FACTORS


def made_kinds() -> dict[str, Kind]:
    numbers: dict[Kind, int] = {"named": 20, "kind-named": 4, "unnamed": 30, "between": 6}
    return {f"{kind}-{index}": kind for kind in numbers for index in range(numbers[kind])}


def test_a_third_of_the_drawn_tasks_is_of_each_kind_as_far_as_there_are_enough() -> None:
    kinds = made_kinds()
    for number, expected in (
        (9, (3, 3, 3, 0)),
        (12, (4, 4, 4, 0)),
        (24, (10, 4, 10, 0)),
        (54, (20, 4, 30, 0)),
        (57, (20, 4, 30, 3)),
    ):
        drawn = draw_tasks(kinds, number, seed=1)
        assert len(drawn) == number == len(set(drawn))
        counts = Counter(kinds[name] for name in drawn)
        assert tuple(counts[k] for k in ("named", "kind-named", "unnamed", "between")) == expected
        assert list(drawn) == [name for name in kinds if name in drawn]


def test_tasks_are_drawn_by_the_seed_and_more_of_them_keep_the_fewer() -> None:
    kinds = made_kinds()
    first = draw_tasks(kinds, 12, seed=1)
    assert first == draw_tasks(kinds, 12, seed=1)
    assert first != draw_tasks(kinds, 12, seed=2)
    assert set(first) <= set(draw_tasks(kinds, 24, seed=1))


def test_more_tasks_than_are_declared_are_refused() -> None:
    with pytest.raises(ConfigError, match="tasks = 61, but 60 tasks are declared"):
        draw_tasks(made_kinds(), 61, seed=0)


def test_drawn_tasks_are_kept_beside_the_targets_clips(tmp_path: Path) -> None:
    assert read_drawn_tasks(tmp_path) == ()
    write_drawn_tasks(tmp_path, ("light", "pan"))
    assert read_drawn_tasks(tmp_path) == ("light", "pan")


def test_a_gain_is_of_the_finer_source_over_the_coarser() -> None:
    found = Alignment({"fine": 0.8, "coarse": 0.3}, {"fine": 0.9, "coarse": 0.3})
    assert found.gain("fine", "coarse") == pytest.approx(0.5)
    assert found.gain_if_shown("fine", "coarse") == pytest.approx(0.6)
    assert found.kind("coarse", "fine") == "unnamed"
