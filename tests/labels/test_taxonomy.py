from __future__ import annotations

import json

import numpy as np
import pytest

from taskgrain.errors import TaxonomyError
from taskgrain.labels.ssv2 import BRACKETED, GROUP_OF, OFFICIAL_INDEX, TEN_CLASS_OF
from taskgrain.labels.taxonomy import ACTION_GROUP, CATEGORY, TEN_CLASS, Taxonomy, taxonomy_of


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


def test_the_ten_classes_leave_most_categories_out() -> None:
    taxonomy = taxonomy_of(BRACKETED)
    names, index = taxonomy.names(TEN_CLASS), taxonomy.index_of(TEN_CLASS)
    assert len(names) == 10
    assert (index.min(), index.max(), (index == -1).sum()) == (-1, 9, 174 - 41)
    for category, position in zip(taxonomy.categories, index, strict=True):
        name = taxonomy.name_of(category, TEN_CLASS)
        assert name == TEN_CLASS_OF.get(category) == (None if position == -1 else names[position])


def test_ten_classes_need_two_of_them() -> None:
    one = ["Pouring something into something", "Pouring something onto something"]
    assert TEN_CLASS not in taxonomy_of([*one, "Opening something"]).levels
    assert taxonomy_of([*one, "Holding something"]).names(TEN_CLASS) == (
        "Holding something",
        "Pouring something",
    )


def test_a_category_has_a_name_at_every_level() -> None:
    taxonomy = taxonomy_of(BRACKETED)
    assert taxonomy.name_of("Closing something", CATEGORY) == "Closing something"
    assert taxonomy.name_of("Closing something", ACTION_GROUP) == "Opening or closing something"
    with pytest.raises(TaxonomyError, match="did you mean 'Closing something'"):
        taxonomy.name_of("Closing somthing", ACTION_GROUP)
    with pytest.raises(TaxonomyError, match="no level 'verb'"):
        taxonomy.name_of("Closing something", "verb")


def test_levels_of_one_s_own_are_added_after_the_others() -> None:
    verb = {"a": "push", "b": "push", "c": "wave"}
    taxonomy = Taxonomy(("a", "b", "c"), {"old": ("x", None, "y")})
    added = taxonomy.with_levels({"verb": verb}, where="hierarchy.csv")
    assert list(added.levels) == ["old", "verb"]
    assert added.names("verb") == ("push", "wave")
    np.testing.assert_array_equal(added.index_of("verb"), [0, 0, 1])
    assert added.with_levels({"verb": verb}, where="again") == added
    assert list(taxonomy.levels) == ["old"]


def test_every_problem_of_a_level_of_one_s_own_is_named() -> None:
    taxonomy = taxonomy_of(["waving", "nodding"])
    fine = {"waving": "x", "nodding": "y"}
    levels = {
        "verb": {"wavin": "x", "nodding": " "},
        "category": fine,
        "simplified-head-noun": fine,
        "my verb": fine,
    }
    with pytest.raises(TaxonomyError) as caught:
        taxonomy.with_levels(levels, where="h.csv")
    assert str(caught.value).splitlines() == [
        "h.csv: level 'verb': category 'nodding' has no name",
        "h.csv: level 'verb': category 'waving' is missing",
        "h.csv: level 'verb': category 'wavin' is not among the 2 of the dataset; did you mean "
        "'waving'?",
        "h.csv: a level cannot be called 'category': that name is taken; call it otherwise",
        "h.csv: a level cannot be called 'simplified-head-noun': that name is taken; call it "
        "otherwise",
        "h.csv: a level cannot be called 'my verb': expected up to 64 letters, digits, '.', '_' "
        "and '-', the first a letter or a digit",
    ]


def test_the_hierarchy_of_a_larger_dataset_serves_a_part_of_it() -> None:
    taxonomy = taxonomy_of(["waving", "nodding"])
    larger = {"waving": "hand", "nodding": "head", "shaking": "head"}
    added = taxonomy.with_levels({"limb": larger}, where="h.csv")
    assert added.levels["limb"] == ("head", "hand")


def test_a_known_level_is_not_given_other_names() -> None:
    taxonomy = taxonomy_of(["Opening something", "Closing something"])
    own = {"Opening something": "open", "Closing something": "close"}
    with pytest.raises(TaxonomyError, match=r"h.csv: level 'action-group' is known, with other"):
        taxonomy.with_levels({ACTION_GROUP: own}, where="h.csv")


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
    taxonomy = taxonomy_of(BRACKETED)
    assert None in taxonomy.levels[TEN_CLASS]
    assert Taxonomy.from_json(json.loads(json.dumps(taxonomy.to_json()))) == taxonomy


def test_a_taxonomy_stored_before_levels_left_categories_out_still_reads() -> None:
    stored = {"categories": ["a", "b"], "levels": {"action-group": ["x", "x"]}}
    assert Taxonomy.from_json(stored) == Taxonomy(("a", "b"), {ACTION_GROUP: ("x", "x")})


@pytest.mark.parametrize(
    "stored", [None, [], {}, {"categories": ["a"], "levels": {"x": []}}, {"levels": {}}]
)
def test_a_stored_taxonomy_of_another_form_is_refused(stored: object) -> None:
    with pytest.raises(TaxonomyError, match="stored taxonomy"):
        Taxonomy.from_json(stored)


def test_a_part_of_the_categories_leaves_the_names_of_the_others_out() -> None:
    taxonomy = Taxonomy(("a", "b", "c"), {"kind": ("x", "y", "x"), "some": (None, "z", None)})
    part = taxonomy.only({"c", "a"})
    assert part == Taxonomy(("a", "c"), {"kind": ("x", "x"), "some": (None, None)})
    assert (part.names("kind"), part.names("some")) == (("x",), ())
    assert part.category_index("c") == 1
