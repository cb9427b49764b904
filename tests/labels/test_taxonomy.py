from __future__ import annotations

import json
from collections import Counter
from math import copysign

import numpy as np
import pytest

from taskgrain.config.checked import read_as
from taskgrain.errors import TaxonomyError
from taskgrain.labels.ssv2 import BRACKETED, GROUP_OF, OFFICIAL_INDEX, TEN_CLASS_OF
from taskgrain.labels.taxonomy import (
    ACTION_GROUP,
    CATEGORY,
    TEN_CLASS,
    Taxonomy,
    entropy_bits,
    regroup,
    regrouped_level,
    taxonomy_of,
)
from taskgrain.tabletop.dataset import category_names


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
    assert read_as(Taxonomy, json.loads(json.dumps(taxonomy.to_json()))) == taxonomy


@pytest.mark.parametrize(
    "stored", [None, [], {}, {"categories": ["a"], "levels": {"x": []}}, {"levels": {}}]
)
def test_a_stored_taxonomy_of_another_form_is_refused(stored: object) -> None:
    with pytest.raises(ValueError, match=r"expected a table|is missing|level 'x' names 0 of 1"):
        read_as(Taxonomy, stored)


def test_a_part_of_the_categories_leaves_the_names_of_the_others_out() -> None:
    taxonomy = Taxonomy(("a", "b", "c"), {"kind": ("x", "y", "x"), "some": (None, "z", None)})
    part = taxonomy.only({"c", "a"})
    assert part == Taxonomy(("a", "c"), {"kind": ("x", "x"), "some": (None, None)})
    assert (part.names("kind"), part.names("some")) == (("x",), ())
    assert part.category_index("c") == 1


SSV2 = taxonomy_of(BRACKETED)


def test_levels_go_from_fine_to_coarse() -> None:
    assert SSV2.fine_to_coarse == (CATEGORY, ACTION_GROUP, TEN_CLASS)
    levels = {"coarse": {"a": "x", "b": "x", "c": "x"}, "fine": {"a": "p", "b": "p", "c": "q"}}
    own = taxonomy_of("abc").with_levels(levels, where="test")
    assert own.fine_to_coarse == (CATEGORY, "fine", "coarse")


@pytest.mark.parametrize(
    ("level", "name"),
    [
        (CATEGORY, "Pushing something from left to right"),
        (ACTION_GROUP, "Pushing something"),
        (TEN_CLASS, "Moving something from left to right"),
    ],
)
def test_a_category_has_a_name_at_each_level(level: str, name: str) -> None:
    assert SSV2.name_of("Pushing something from left to right", level) == name


def test_a_level_that_leaves_the_category_out_has_no_name_for_it() -> None:
    assert SSV2.name_of("Opening something", TEN_CLASS) is None


def test_an_unknown_level_or_category_is_refused_with_a_known_one() -> None:
    with pytest.raises(TaxonomyError, match=r"no level 'action-grup'.*it has .*action-group"):
        SSV2.name_of("Opening something", "action-grup")
    with pytest.raises(TaxonomyError, match="did you mean 'Opening something'"):
        SSV2.name_of("Openin something", ACTION_GROUP)


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


def test_entropy_is_that_worked_out_by_hand() -> None:
    assert entropy_bits(Counter("aabc")) == pytest.approx(1.5)
    assert entropy_bits(Counter(range(8))) == pytest.approx(3.0)


@pytest.mark.parametrize("counts", [{}, {"a": 1}, {"a": 3}, {"a": 168_913}])
def test_one_label_tells_nothing_and_never_minus_nothing(counts: dict[str, int]) -> None:
    bits = entropy_bits(counts)
    assert bits == 0.0
    assert copysign(1, bits) == 1
