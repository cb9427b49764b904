from __future__ import annotations

import numpy as np
import pytest

from taskgrain.errors import TaxonomyError
from taskgrain.labels.ssv2 import BRACKETED, GROUP_OF, OFFICIAL_INDEX
from taskgrain.labels.taxonomy import ACTION_GROUP, CATEGORY, Taxonomy, taxonomy_of


def test_something_something_has_174_categories_in_50_groups() -> None:
    taxonomy = taxonomy_of(BRACKETED)
    assert len(taxonomy.names(CATEGORY)) == 174
    assert len(taxonomy.names(ACTION_GROUP)) == 50
    assert set(BRACKETED) == set(GROUP_OF) == set(OFFICIAL_INDEX)


def test_alphabetical_order_is_the_official_index() -> None:
    taxonomy = taxonomy_of(BRACKETED)
    assert {name: taxonomy.category_index(name) for name in BRACKETED} == dict(OFFICIAL_INDEX)


def test_each_category_goes_to_its_own_group() -> None:
    taxonomy = taxonomy_of(BRACKETED)
    names, index = taxonomy.names(ACTION_GROUP), taxonomy.index_of(ACTION_GROUP)
    for category, group in zip(taxonomy.categories, index, strict=True):
        assert names[group] == GROUP_OF[category]


def test_the_order_in_which_categories_are_met_does_not_matter() -> None:
    some = sorted(BRACKETED)[:9]
    assert taxonomy_of(reversed(some)) == taxonomy_of(some)


def test_categories_of_ones_own_have_no_action_groups() -> None:
    taxonomy = taxonomy_of(["waving", "nodding"])
    assert taxonomy.categories == ("nodding", "waving")
    with pytest.raises(TaxonomyError, match=r"no level 'action-group'.*category"):
        taxonomy.index_of(ACTION_GROUP)


def test_the_category_level_is_the_identity() -> None:
    taxonomy = taxonomy_of(["b", "a", "c"])
    np.testing.assert_array_equal(taxonomy.index_of(CATEGORY), [0, 1, 2])


def test_a_mistyped_category_names_its_neighbour() -> None:
    with pytest.raises(TaxonomyError, match="did you mean 'Closing something'"):
        taxonomy_of(BRACKETED).category_index("Closing somthing")


def test_a_taxonomy_survives_json() -> None:
    taxonomy = taxonomy_of(sorted(BRACKETED)[:12])
    assert Taxonomy.from_json(taxonomy.to_json()) == taxonomy


@pytest.mark.parametrize(
    "stored", [None, [], {}, {"categories": ["a"], "levels": {"x": []}}, {"levels": {}}]
)
def test_a_stored_taxonomy_of_another_form_is_refused(stored: object) -> None:
    with pytest.raises(TaxonomyError, match="stored taxonomy"):
        Taxonomy.from_json(stored)
