from __future__ import annotations

import pytest

from taskgrain.errors import TaxonomyError
from taskgrain.labels.caption import CAPTION_FORMS
from taskgrain.labels.grains import Grains
from taskgrain.labels.ssv2 import BRACKETED
from taskgrain.labels.taxonomy import ACTION_GROUP, CATEGORY, TEN_CLASS, taxonomy_of
from tests.making import PUSH

SSV2 = Grains(taxonomy_of(BRACKETED))


def test_grains_go_from_fine_levels_to_coarse_then_to_captions() -> None:
    assert SSV2.names == (CATEGORY, ACTION_GROUP, TEN_CLASS, *CAPTION_FORMS)
    levels = {"coarse": {"a": "x", "b": "x", "c": "x"}, "fine": {"a": "p", "b": "p", "c": "q"}}
    own = Grains(taxonomy_of("abc").with_levels(levels, where="test"))
    assert own.names == (CATEGORY, "fine", "coarse", *CAPTION_FORMS)


@pytest.mark.parametrize(
    ("grain", "said"),
    [
        (CATEGORY, "Pushing something from left to right"),
        (ACTION_GROUP, "Pushing something"),
        (TEN_CLASS, "Moving something from left to right"),
        ("template", "pushing something from left to right"),
        ("simplified", "pushing coffee from left to right"),
        ("simplified-head-noun", "pushing cup from left to right"),
        ("full", "pushing a cup of coffee from left to right"),
    ],
)
def test_each_grain_of_a_clip_is_one_lookup(grain: str, said: str) -> None:
    assert SSV2.say(grain, PUSH, ["a cup of coffee"]) == said


def test_a_level_that_leaves_the_category_out_says_nothing() -> None:
    assert SSV2.say(TEN_CLASS, "Opening [something]", ["a box"]) is None


def test_an_unknown_grain_or_category_names_its_neighbour() -> None:
    with pytest.raises(TaxonomyError, match=r"no grain 'action-grup'.*did you mean 'action-group'"):
        SSV2.say("action-grup", PUSH, ["a cup"])
    with pytest.raises(TaxonomyError, match="did you mean 'Opening something'"):
        SSV2.say(ACTION_GROUP, "Openin [something]", ["a box"])
