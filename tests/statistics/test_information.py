from __future__ import annotations

import random
from collections import Counter
from math import log2

import numpy as np
import pytest

from taskgrain.statistics.information import (
    entropies,
    information_bits,
    joint_counts,
    share_known,
)


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
    assert share_known(table, seed=1) != share_known(table)
    assert share_known(table, permutations=20) != share_known(table)
