from __future__ import annotations

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from taskgrain.labels.ssv2 import BRACKETED, GROUP_OF, OFFICIAL_INDEX
from taskgrain.labels.template import fill, placeholder_count, words_of
from taskgrain.labels.vocabulary import Vocabulary
from taskgrain.randomness import Draws
from taskgrain.tabletop.kitchen.doing import TOOLS
from taskgrain.tabletop.kitchen.far import FarScene, sample_far_scene
from taskgrain.tabletop.kitchen.near import NearScene, sample_near_scene
from taskgrain.tabletop.scene import CATEGORIES, Factor, Scene, Thing, flatten, sample_scene
from taskgrain.tabletop.shapes import COVERS, NOUNS, PALETTE, SPANS

LONGEST_CAPTION = 13  # words; the fourteenth token ends it


def test_categories_are_something_something_templates() -> None:
    assert 36 <= len(CATEGORIES) <= 40
    assert set(CATEGORIES) <= set(OFFICIAL_INDEX)
    assert list(CATEGORIES) == sorted(CATEGORIES)


def test_categories_cover_groups_with_confusable_members() -> None:
    groups = [GROUP_OF[category] for category in CATEGORIES]
    assert len(set(groups)) >= 12
    assert min(groups.count(group) for group in set(groups)) >= 2


def test_there_are_enough_nouns_and_colours_and_no_tool_among_them() -> None:
    assert len(NOUNS) >= 16
    assert len(PALETTE) == 8
    assert not set(NOUNS + COVERS) & set(TOOLS)


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_longest_caption_of_a_category_fits(category: str) -> None:
    template = BRACKETED[category]
    number = placeholder_count(template)
    texts = [Thing(noun, "orange", "small", 1.0).text for noun in NOUNS + COVERS]
    longest = max(texts, key=lambda text: len(words_of(text)))
    caption = fill(template, [longest] * number)
    assert len(words_of(longest)) == 4
    assert len(words_of(caption)) <= LONGEST_CAPTION
    vocabulary = Vocabulary(tuple(sorted(set(words_of(caption)))))
    assert vocabulary.decode(vocabulary.encode(caption)) == " ".join(words_of(caption))


def test_articles_fit_the_word_that_follows() -> None:
    assert Thing("cup", "red", "small", 1.0).text == "a small red cup"
    assert Thing("cup", "orange", "medium", 1.0).text == "an orange cup"
    for noun, colour, size in product(NOUNS, PALETTE, SPANS):
        article, first, *rest = Thing(noun, colour, size, 1.0).text.split()
        assert article == ("an" if first[0] in "aeiou" else "a")
        assert (first, *rest)[-1] == noun


def test_a_caption_is_the_template_filled_in_lower_case() -> None:
    scene = sample_scene("Pushing something from left to right", Draws(0))
    scene = replace(scene, main=Thing("cup", "red", "small", 1.0))
    assert scene.caption == "pushing a small red cup from left to right"
    assert scene.bracketed == "Pushing [something] from left to right"


def test_covering_names_the_cover() -> None:
    scene = sample_scene("Covering something with something", Draws(3))
    assert scene.placeholders == (scene.main.text, scene.cover.text)


def test_a_replaced_factor_changes_no_other() -> None:
    scene = sample_scene(CATEGORIES[0], Draws(1))
    twin = replace(scene, camera=replace(scene.camera, zoom=1.0))
    before, after = scene.to_factors(), twin.to_factors()
    assert {name for name in before if before[name] != after[name]} == {"camera.zoom"}


def test_another_template_leaves_every_other_factor_as_it_was() -> None:
    first, second = (sample_scene(name, Draws(5, 9)).to_factors() for name in CATEGORIES[:2])
    changed = {name for name in first if first[name] != second[name]}
    assert changed <= {"template", "motion", "group"}
    assert "template" in changed


def _codes(values: list[Factor]) -> np.ndarray:
    """Sort values into at most four bins of equal weight."""
    if isinstance(values[0], float):
        ranks = np.argsort(np.argsort(np.array(values, dtype=float)))
        return ranks * 4 // len(values)
    return np.unique([str(value) for value in values], return_inverse=True)[1]


def _chi_square(first: np.ndarray, second: np.ndarray) -> tuple[float, int]:
    table = np.zeros((first.max() + 1, second.max() + 1))
    np.add.at(table, (first, second), 1)
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / table.sum()
    degrees = (table.shape[0] - 1) * (table.shape[1] - 1)
    return float(((table - expected) ** 2 / expected).sum()), degrees


@pytest.mark.slow
def test_no_factor_depends_on_the_template_or_on_the_noun() -> None:
    scenes = [
        sample_scene(CATEGORIES[index % len(CATEGORIES)], Draws("independence", index))
        for index in range(2000)
    ]
    rows = [scene.to_factors() for scene in scenes]
    names = [name for name in rows[0] if name not in ("world", "motion", "group", "template")]
    motion = _codes([row["motion"] for row in rows])
    noun = _codes([row["object"] for row in rows])
    checked = 0
    for name in names:
        codes = _codes([row[name] for row in rows])
        for cause in (motion, noun):
            if codes.max() == 0 or (cause is noun and name in ("object", "main.noun")):
                continue
            statistic, degrees = _chi_square(cause, codes)
            # A normal deviate of 4.5: one alarm in 300,000 checks by chance.
            assert (statistic - degrees) / np.sqrt(2 * degrees) < 4.5, name
            checked += 1
    assert checked > 100


def test_scenes_of_a_noun_differ_in_everything_else() -> None:
    scenes: list[Scene] = [sample_scene(CATEGORIES[0], Draws("vary", i)) for i in range(60)]
    rows = [scene.to_factors() for scene in scenes]
    fixed = {name for name in rows[0] if len({row[name] for row in rows}) == 1}
    assert fixed == {"world", "motion", "group", "template", "cover.size"}


@pytest.mark.slow
def test_no_two_factors_share_a_stream() -> None:
    scenes = [sample_scene(CATEGORIES[0], Draws("streams", index)) for index in range(2000)]
    far = [sample_far_scene("using", "fork", Draws("streams", index)) for index in range(2000)]
    near = [sample_near_scene("using", "fork", Draws("streams", index)) for index in range(2000)]
    for worlds in (scenes, far, near):
        rows = [one.to_factors() for one in worlds]
        names = [name for name in rows[0] if name != "object" and len({r[name] for r in rows}) > 1]
        ranks = np.array([_ranks([row[name] for row in rows]) for name in names])
        correlation = np.abs(np.corrcoef(ranks)) - np.eye(len(names))
        first, second = np.unravel_index(correlation.argmax(), correlation.shape)
        assert len(names) > 25
        # 0.02 is one standard deviation at 2,000 scenes.
        assert correlation.max() < 0.11, (names[first], names[second])


def _ranks(values: list[Factor]) -> np.ndarray:
    order: np.ndarray = np.unique(np.array(values), return_inverse=True)[1]
    return order


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
