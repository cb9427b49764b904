from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from taskgrain.config.clips import Target
from taskgrain.randomness import Draws, OrderedDraws
from taskgrain.tabletop.attributes import ATTRIBUTES, attributes_of
from taskgrain.tabletop.dataset import WorldSpec, plan, write_annotations
from taskgrain.tabletop.held_back import HELD_BACK_NOUNS, HELD_BACK_PALETTE
from taskgrain.tabletop.scene import CATEGORIES, Scene, sample_scene
from taskgrain.tabletop.tasks import (
    ABSENT,
    TASKS,
    Population,
    Task,
    asked_of,
    meets,
    sample_population,
)

SUPPORT, SCORED = 1200, 2000
PAGE = Path(__file__).parents[2] / "docs" / "tasks.md"
HEAD = """# The population of factor tasks

What a target `world = "tabletop"` may be asked, declared before any study. Written from
`taskgrain.tabletop.tasks` by `python -m tests.tabletop.test_tasks`; a test keeps it so.

- `tasks` of a target draws some of them by its seed; `factors` names some, or attributes, by hand.
- Which of them the labels of a source speak of is computed ([protocol](protocol.md), "Alignment").
- Held back from the source are the nouns {nouns},
  and the colours {colours}.
- A scene whose value is none of the classes, or that does not meet the condition, is not asked.

| task | attribute | classes | where |
|---|---|---|---|
"""


def page() -> str:
    """Write the page of the declared tasks."""
    head = HEAD.format(nouns=", ".join(HELD_BACK_NOUNS), colours=", ".join(HELD_BACK_PALETTE))
    lines = []
    for task in TASKS.values():
        where = " and ".join(f"{name} is {' or '.join(v)}" for name, v in task.given.items())
        classes = ", ".join(task.classes)
        lines.append(f"| `{task.name}` | {task.attribute} | {classes} | {where} |\n")
    return head + "".join(lines)


def test_every_declared_task_is_documented() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


def test_the_population_covers_every_attribute() -> None:
    assert len(TASKS) >= 60
    assert {task.attribute for task in TASKS.values()} == set(ATTRIBUTES)


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_a_task_has_two_to_eight_known_classes(task: Task) -> None:
    assert 2 <= len(task.classes) == len(set(task.classes)) <= 8
    assert set(task.classes) <= set(ATTRIBUTES[task.attribute].values)
    for name, values in task.given.items():
        assert set(values) <= set(ATTRIBUTES[name].values)
    Target.model_validate({"name": "tasks", "factors": [task.name]})  # it can be named by hand


def test_no_two_tasks_ask_the_same() -> None:
    asked = [
        (each.attribute, frozenset(each.classes), str(sorted(each.given.items())))
        for each in TASKS.values()
    ]
    assert len(set(asked)) == len(asked)


def test_new_and_known_values_are_never_classes_of_one_task() -> None:
    new = {*HELD_BACK_NOUNS, *HELD_BACK_PALETTE}
    numbers = Counter(
        len(new & set(task.classes)) / len(task.classes)
        for task in TASKS.values()
        if task.attribute in ("noun", "colour")
    )
    assert set(numbers) == {0.0, 1.0}
    assert min(numbers.values()) >= 8


@pytest.mark.slow
def test_every_class_has_enough_clips_of_a_target_of_the_usual_size() -> None:
    population = sample_population(40_000, seed=3, shows_held_back=True)
    for task in TASKS.values():
        counts = np.bincount(population.classes(task) + 1, minlength=len(task.classes) + 1)[1:]
        share = counts.min() / 40_000
        assert share * SUPPORT >= 20, task.name
        assert share * SCORED >= 30, task.name


def test_what_is_asked_of_a_scene_follows_from_its_attributes() -> None:
    scenes = [sample_scene(name, Draws("ask", i)) for i, name in enumerate(CATEGORIES * 5)]
    for scene in scenes:
        values, asked = attributes_of(scene), asked_of(scene)
        for name, task in TASKS.items():
            value = values[task.attribute]
            applies = all(values[key] in allowed for key, allowed in task.given.items())
            assert asked[name] == (value if applies and value in task.classes else None)
        assert {name: asked[name] for name in values} == values


def test_factors_hold_every_task_for_every_clip_of_the_target_alone(tmp_path: Path) -> None:
    for world in ("tabletop", "tabletop-tasks"):
        root = tmp_path / world
        write_annotations(
            root, plan(WorldSpec("tabletop" if world == "tabletop" else "tabletop-tasks", 2, 50, 9))
        )
        lines = (root / "factors.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        assert len(rows) == 59
        for row in rows:
            held = {*TASKS, *ATTRIBUTES} & set(row)
            assert held == ({*TASKS, *ATTRIBUTES} if world == "tabletop-tasks" else set())
            if held:
                assert {name: row[name] for name in held} == asked_of(Scene.from_factors(row))


def test_columns_hold_what_the_scenes_have() -> None:
    scenes = [sample_scene(name, Draws("codes", i)) for i, name in enumerate(CATEGORIES * 3)]
    population = Population.of(scenes)
    assert [CATEGORIES[code] for code in population.templates] == [each.template for each in scenes]
    for name, attribute in ATTRIBUTES.items():
        read = [attributes_of(each)[name] for each in scenes]
        coded = population.attributes[name]
        assert [None if c == ABSENT else attribute.values[c] for c in coded] == read
    for task in TASKS.values():
        expected = [
            task.classes.index(asked_of(each)[task.name] or "") if asked_of(each)[task.name] else -1
            for each in scenes
        ]
        assert population.classes(task).tolist() == expected, task.name
        met = [meets(attributes_of(each), task.given) for each in scenes]
        assert population.meeting(task.given).tolist() == met


@pytest.mark.slow
def test_undrawn_scenes_are_distributed_as_drawn_ones_are() -> None:
    undrawn = sample_population(8000, seed=1, shows_held_back=False)
    drawn = Population.of(
        sample_scene(CATEGORIES[index % len(CATEGORIES)], Draws("drawn", index))
        for index in range(8000)
    )
    assert np.array_equal(undrawn.templates, drawn.templates)
    for name, attribute in ATTRIBUTES.items():
        shares = [
            np.bincount(each.attributes[name] + 1, minlength=len(attribute.values) + 1) / 8000
            for each in (undrawn, drawn)
        ]
        # Five standard deviations of a difference of shares of a half are .04.
        assert np.abs(shares[0] - shares[1]).max() < 0.04, name
        assert (shares[0][1:] > 0).tolist() == (shares[1][1:] > 0).tolist(), name


def test_equal_seeds_give_equal_populations_and_others_do_not() -> None:
    first, again, other = (
        sample_population(500, seed=seed, shows_held_back=True) for seed in (4, 4, 5)
    )
    names = list(ATTRIBUTES)
    assert all(np.array_equal(first.attributes[n], again.attributes[n]) for n in names)
    assert any(not np.array_equal(first.attributes[n], other.attributes[n]) for n in names)


def test_ordered_draws_are_those_of_their_order() -> None:
    draws = OrderedDraws(7)
    first = [draws.within("a").unit("x"), draws.unit("x"), draws.unit("y")]
    again = OrderedDraws(7)
    assert first == [again.unit("other"), again.within("b").unit("x"), again.unit("z")]
    assert len(set(first)) == 3


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
