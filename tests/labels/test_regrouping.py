from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from taskgrain.errors import TaxonomyError
from taskgrain.labels.regrouping import regroup, regrouped_level
from taskgrain.labels.taxonomy import ACTION_GROUP, Taxonomy, taxonomy_of
from taskgrain.tabletop.dataset import category_names

CATEGORIES = tuple("abcdefghij")
LEVEL = ("x", "x", "x", "x", "y", "y", "y", "z", "z", None)
TAXONOMY = Taxonomy(CATEGORIES, {"kind": LEVEL})


def sizes(taxonomy: Taxonomy, level: str) -> list[int]:
    names = [name for name in taxonomy.levels[level] if name is not None]
    return sorted(Counter(names).values())


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_as_many_and_as_large_as_the_levels(seed: int) -> None:
    found = regroup(TAXONOMY, "kind", seed=seed)
    assert regrouped_level("kind") == "regrouped-kind"
    assert sizes(found, "regrouped-kind") == [2, 3, 4] == sizes(TAXONOMY, "kind")
    assert found.names("regrouped-kind") == ("group-1", "group-2", "group-3")
    assert [found.levels["regrouped-kind"].count(f"group-{n}") for n in (1, 2, 3)] == [4, 3, 2]
    assert found.levels["regrouped-kind"][9] is None  # the level leaves it out
    assert found.levels["kind"] == LEVEL
    assert found.categories == CATEGORIES


def test_the_groups_of_the_drawn_source_are_matched() -> None:
    taxonomy = taxonomy_of(category_names("tabletop"))
    found = regroup(taxonomy, ACTION_GROUP, seed=0)
    assert sizes(found, "regrouped-action-group") == sizes(taxonomy, ACTION_GROUP)
    assert len(found.names("regrouped-action-group")) == len(taxonomy.names(ACTION_GROUP)) > 3


def test_a_seed_gives_the_same_groups_and_another_others() -> None:
    levels = [regroup(TAXONOMY, "kind", seed=seed).levels["regrouped-kind"] for seed in (3, 3, 4)]
    assert levels[0] == levels[1] != levels[2]


def test_any_two_categories_are_together_as_often_as_chance_has_it() -> None:
    together = np.zeros((9, 9))
    for seed in range(2000):
        level = np.array(regroup(TAXONOMY, "kind", seed=seed).levels["regrouped-kind"][:9])
        together += level[:, None] == level
    pairs = together[~np.eye(9, dtype=bool)] / 2000
    expected = (4 * 3 + 3 * 2 + 2 * 1) / (9 * 8)
    assert pairs == pytest.approx(expected, abs=0.05)


def test_a_level_of_that_name_and_one_that_is_not_there_are_refused() -> None:
    with pytest.raises(TaxonomyError, match="has the name of a random regrouping"):
        regroup(regroup(TAXONOMY, "kind", seed=0), "kind", seed=0)
    with pytest.raises(TaxonomyError, match="no level 'verb'"):
        regroup(TAXONOMY, "verb", seed=0)
