from __future__ import annotations

import random
from collections import Counter
from itertools import combinations
from math import log2

import numpy as np
import pytest

from taskgrain.statistics.alignment import (
    ClassShares,
    alignment,
    distances,
    entropies,
    information_bits,
    joint_counts,
    kind_of,
    share_known,
)

Scene = dict[str, str | None]


def shares_of(scenes: list[Scene]) -> ClassShares:
    """Count the values of a class's scenes; None counts for no value."""
    factors = {factor for scene in scenes for factor in scene}
    counts = {factor: Counter(scene.get(factor) for scene in scenes) for factor in factors}
    shares = {
        factor: {value: n / len(scenes) for value, n in held.items() if value is not None}
        for factor, held in counts.items()
    }
    return ClassShares(shares, len(scenes))


def plain_alignment(
    classes: list[list[Scene]], known: dict[str, float], shown: dict[str, set[str]]
) -> float:
    """Compute the mean over pairs of the largest distance times what is known, scene by scene."""
    found = []
    for first, second in combinations(classes, 2):
        best = 0.0
        for factor, share in known.items():
            values = {scene[factor] for scene in (*first, *second)}
            distance = 0.0
            for value in values:
                if value in shown[factor]:
                    ours = sum(scene[factor] == value for scene in first) / len(first)
                    theirs = sum(scene[factor] == value for scene in second) / len(second)
                    distance += abs(ours - theirs) / 2
            best = max(best, distance * share)
        found.append(best)
    return sum(found) / len(found)


def _scenes(number: int, **weights: dict[str, float]) -> list[Scene]:
    generator = random.Random(str(weights))
    return [
        {
            factor: generator.choices(list(values), list(values.values()))[0]
            for factor, values in weights.items()
        }
        for _ in range(number)
    ]


def test_alignment_is_what_the_definition_says_scene_by_scene() -> None:
    even = {"x": 1.0, "y": 1.0}
    classes = [
        _scenes(4000, verb={"push": 9, "pull": 1}, noun=even),
        _scenes(4000, verb={"push": 2, "pull": 8}, noun={"x": 3, "y": 1}),
        _scenes(4000, verb={"pull": 1}, noun={"x": 1, "new": 3}),
    ]
    known = {"verb": 0.8, "noun": 0.5}
    shown = {"verb": {"push", "pull"}, "noun": {"x", "y"}}
    apart = distances([shares_of(scenes) for scenes in classes], ("verb", "noun"), shown)
    assert apart.shape == (3, 2)
    found = alignment(apart, [known["verb"], known["noun"]])
    assert found == pytest.approx(plain_alignment(classes, known, shown), abs=0.01)
    assert 0.3 < found < 0.6


def test_classes_that_are_values_of_a_factor_are_aligned_as_much_as_it_is_known() -> None:
    classes = [ClassShares({"noun": {value: 1.0}}) for value in ("cup", "box", "duck")]
    apart = distances(classes, ("noun",), {"noun": ("cup", "box", "duck")})
    assert np.array_equal(apart, np.ones((3, 1)))
    for known in (0.0, 0.3, 1.0):
        assert alignment(apart, [known]) == pytest.approx(known)


def test_values_that_the_source_never_shows_are_at_no_distance() -> None:
    classes = [ClassShares({"noun": {value: 1.0}}) for value in ("cup", "fish", "crown")]
    shown = {"noun": ("cup", "box")}
    # What is known against what is new: half of the distance can be known.
    assert distances(classes, ("noun",), shown).tolist() == [[0.5], [0.5], [0.0]]
    assert distances(classes, ("noun",), None).tolist() == [[1.0], [1.0], [1.0]]
    assert distances(classes, ("noun",), {}).tolist() == [[0.0]] * 3


def test_only_scenes_that_have_a_factor_are_compared_in_it() -> None:
    half = ClassShares({"way": {"left": 0.5}})
    other = ClassShares({"way": {"right": 1.0}})
    none = ClassShares({"way": {}})
    assert distances([half, other], ("way",), None).tolist() == [[0.5]]
    assert distances([half, none], ("way",), None).tolist() == [[0.0]]
    assert distances([other, none], ("absent",), None).tolist() == [[0.0]]


def test_samples_of_one_distribution_are_at_no_distance() -> None:
    even = dict.fromkeys("abcdefgh", 1.0)
    generator = random.Random(3)
    at_none = 0
    for _ in range(100):
        samples = [
            shares_of([{"f": generator.choice(list(even))} for _ in range(300)]) for _ in range(2)
        ]
        apart = distances(samples, ("f",), None)[0, 0]
        plain = sum(abs(samples[0].shares["f"][v] - samples[1].shares["f"][v]) for v in even) / 2
        assert plain > 0.01  # what sampling alone makes
        at_none += int(apart == 0)
    assert at_none == 100


def test_a_distance_that_is_there_is_found_and_not_made_larger() -> None:
    for truth in (0.2, 0.5, 0.9):
        first = _scenes(20_000, f={"a": 1 + truth, "b": 1 - truth})
        second = _scenes(20_000, f={"a": 1 - truth, "b": 1 + truth})
        apart = distances([shares_of(first), shares_of(second)], ("f",), None)
        assert apart[0, 0] == pytest.approx(truth, abs=0.02)


def test_a_source_that_knows_nothing_is_aligned_with_nothing() -> None:
    assert alignment(np.ones((3, 2)), [0.0, 0.0]) == 0.0
    assert alignment(np.ones((3, 2)), [-0.01, -0.002]) == 0.0  # less than chance is nothing


def test_kinds_follow_the_thresholds() -> None:
    assert kind_of(0.10, 0.10) == "named"
    assert kind_of(0.0999, 0.0999) == "between"
    assert kind_of(0.0, 0.10) == "kind-named"
    assert kind_of(0.05, 0.9) == "kind-named"
    assert kind_of(0.01, 0.01) == "unnamed"
    assert kind_of(-0.5, -0.5) == "unnamed"
    assert kind_of(0.0101, 0.02) == "between"


def plain_entropy(items: list[object]) -> float:
    return -sum(n / len(items) * log2(n / len(items)) for n in Counter(items).values())


def plain_information(labels: list[int], values: list[int]) -> float:
    pairs: list[object] = list(zip(labels, values, strict=True))
    return plain_entropy([*labels]) + plain_entropy([*values]) - plain_entropy(pairs)


def plain_share(labels: list[int], values: list[int]) -> float:
    """Compute (I - I0) / (H - I0) as the protocol writes it, by shuffling the factor itself."""
    generator = random.Random(5)
    by_chance = []
    for _ in range(200):
        shuffled = generator.sample(values, len(values))
        by_chance.append(plain_information(labels, shuffled))
    mean = sum(by_chance) / len(by_chance)
    return (plain_information(labels, values) - mean) / (plain_entropy([*values]) - mean)


def table_of(labels: list[int], values: list[int]) -> np.ndarray:
    return joint_counts(np.array(labels, np.int16), np.array(values, np.int16))


def made(kind: str, number: int = 600) -> tuple[list[int], list[int]]:
    """Make labels and values: half known, hardly known, independent, many labels."""
    generator = random.Random(kind)
    values = [generator.randrange(4) for _ in range(number)]
    labels = {
        "half": [value // 2 for value in values],
        "noisy": [v if generator.random() < 0.4 else generator.randrange(4) for v in values],
        "independent": [generator.randrange(6) for _ in values],
        "many": [generator.randrange(150) for _ in values],
    }
    return labels[kind], values


@pytest.mark.parametrize("kind", ["half", "noisy", "independent", "many"])
def test_what_is_known_is_what_shuffling_every_scene_gives(kind: str) -> None:
    labels, values = made(kind)
    table = table_of(labels, values)
    assert float(information_bits(table)) == pytest.approx(plain_information(labels, values))
    assert float(entropies(table.sum(axis=0))) == pytest.approx(plain_entropy([*values]))
    assert share_known(table) == pytest.approx(plain_share(labels, values), abs=0.006)


def test_a_label_that_is_the_factor_knows_all_of_it() -> None:
    values = [number % 7 for number in range(700)]
    assert share_known(table_of(values, values)) == pytest.approx(1.0)
    renamed = [(3 * value + 1) % 7 for value in values]
    assert share_known(table_of(renamed, values)) == pytest.approx(1.0)


def test_a_label_of_one_of_two_bits_knows_half() -> None:
    labels, values = made("half", 40_000)
    assert share_known(table_of(labels, values)) == pytest.approx(0.5, abs=0.002)


@pytest.mark.parametrize("kind", ["independent", "many"])
def test_an_independent_label_knows_nothing_however_many_names_it_has(kind: str) -> None:
    labels, values = made(kind)
    plain = float(information_bits(table_of(labels, values)))
    assert abs(share_known(table_of(labels, values))) < 0.03
    if kind == "many":  # four scenes a label: the plain sum would call this much
        assert plain > 0.4


def test_one_label_or_one_value_tells_nothing() -> None:
    varied, one = [0, 1, 2, 0, 1, 2], [0] * 6
    assert share_known(table_of(one, varied)) == 0.0
    assert share_known(table_of(varied, one)) == 0.0
    unique = list(range(6))  # chance alone tells everything
    assert share_known(table_of(unique, varied)) == 0.0


def test_equal_tables_give_equal_shares_to_the_bit() -> None:
    table = table_of(*made("noisy"))
    assert share_known(table) == share_known(table)
