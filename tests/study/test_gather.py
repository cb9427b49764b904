from __future__ import annotations

import pytest

from taskgrain.config.load import load_study
from taskgrain.config.settings import Study
from taskgrain.errors import ConfigError
from taskgrain.labels.taxonomy import Taxonomy
from taskgrain.study.gather import compared_pairs, endpoints, nested_ladder
from taskgrain.study.targets import are_two_looks

TAXONOMY = Taxonomy(
    ("a", "b", "c", "d", "e", "f"),
    {
        "pair": ("ab", "ab", "cd", "cd", "ef", "ef"),
        "half": ("abcd", "abcd", "abcd", "abcd", "ef", "ef"),
        "across": ("x", "y", "x", "y", "x", "y"),
        "some": ("ab", "ab", "cd", "cd", None, None),
    },
)
CATEGORY = '{name="fine", classify="category"}'
PAIR = '{name="middle", classify="pair"}'
HALF = '{name="coarse", classify="half"}'
PRIMARY = 'primary={source="fine", versus="coarse", target="kitchenware"}'
ENCODER = "encoders.other={spatial_widths=[]}"


def study_of(*sources: str, overrides: tuple[str, ...] = ()) -> Study:
    return load_study("smoke", [f"sources=[{', '.join(sources)}]", PRIMARY, *overrides])


def test_a_trend_runs_over_the_nested_levels_from_coarse_to_fine() -> None:
    assert nested_ladder(study_of(CATEGORY, HALF, PAIR), TAXONOMY) == ["coarse", "middle", "fine"]


def test_captions_joint_sources_and_other_encoders_have_no_place_on_it() -> None:
    others = (
        '{name="said", caption="full"}',
        '{name="joint", classify="pair", caption="full", lambda=0.5}',
        '{name="other", classify="pair", encoder="other"}',
        '{name="warm", classify="pair", warm_start="coarse"}',
    )
    study = study_of(HALF, *others, CATEGORY, overrides=(ENCODER,))
    assert nested_ladder(study, TAXONOMY) == ["coarse", "fine"]


def test_a_level_that_leaves_clips_out_has_no_place_on_it() -> None:
    some = '{name="some", classify="some"}'
    study = study_of(CATEGORY, HALF, some, PAIR)
    assert nested_ladder(study, TAXONOMY) == ["coarse", "middle", "fine"]


def test_levels_that_do_not_nest_have_no_ladder() -> None:
    across = '{name="across", classify="across"}'
    assert nested_ladder(study_of(CATEGORY, HALF, PAIR, across), TAXONOMY) == []


def test_the_familys_pairs_are_compared_beside_the_primary_ones() -> None:
    family = (
        'family=[{source="fine", versus="middle", target="kitchenware"}, '
        '{source="fine", versus="coarse", target="kitchenware", shots=1}]'
    )
    study = study_of(HALF, PAIR, CATEGORY, overrides=(family,))
    assert compared_pairs(study) == [("middle", "coarse"), ("fine", "coarse"), ("fine", "middle")]
    first, second, third = endpoints(study)
    assert (first.source, first.versus, first.shots) == ("fine", ("coarse",), 5)
    assert (second.versus, second.readout) == (("middle",), "lstm-mean")
    assert third.shots == 1


def test_each_rival_of_an_endpoint_is_compared() -> None:
    family = 'family=[{source="fine", versus=["middle", "coarse"], target="kitchenware"}]'
    study = study_of(HALF, PAIR, CATEGORY, overrides=(family,))
    assert compared_pairs(study) == [("middle", "coarse"), ("fine", "coarse"), ("fine", "middle")]
    assert endpoints(study)[1].versus == ("middle", "coarse")


TWO_LOOKS = (
    'targets=[{name="near", world="kitchenware"}, {name="far", world="kitchenware-far"}]',
    'primary={source="fine", versus="coarse", target="near"}',
)


def test_an_endpoint_may_compare_the_differences_on_two_targets() -> None:
    family = 'family=[{source="fine", versus="coarse", target="near", minus_target="far"}]'
    study = study_of(HALF, CATEGORY, overrides=(*TWO_LOOKS, family))
    first, second = endpoints(study)
    assert (first.at, second.at) == ("near", "near minus far")
    assert compared_pairs(study) == [("fine", "coarse")]


@pytest.mark.parametrize(
    ("endpoint", "problem"),
    [
        ('target="near", minus_target="near", versus="coarse"', "the difference of a difference"),
        ('target="near", minus_target="nowhere", versus="coarse"', "minus_target is 'nowhere'"),
        (
            'target="near", versus=["coarse"]',
            r"\.versus: found .*; expected text in quotes or at least 2 in the list",
        ),
        ('target="near", versus=3', r"\.versus: found 3; expected text in quotes or a list in"),
        ('target="near", versus=["coarse", "a b"]', r"family\[0\]\.versus\[1\]: found"),
        ('target="near", versus=["coarse", "coarse"]', "versus names 'coarse' twice"),
        ('target="near", versus=["coarse", "fine"]', "compares 'fine' with itself"),
        ('target="near", versus=["coarse", "no"]', "versus is 'no'"),
        ('target="near", versus="coarse"', "is the primary endpoint"),
    ],
)
def test_endpoints_that_cannot_be_read_are_refused(endpoint: str, problem: str) -> None:
    family = f'family=[{{source="fine", {endpoint}}}]'
    with pytest.raises(ConfigError, match=problem):
        study_of(HALF, CATEGORY, overrides=(*TWO_LOOKS, family))


def test_targets_whose_classes_rotate_are_not_compared_with_another() -> None:
    targets = 'targets=[{name="near", world="kitchenware"}, {name="novel", novel=true}]'
    family = 'family=[{source="fine", versus="coarse", target="near", minus_target="novel"}]'
    held = "data.hold_out={siblings=4}"
    with pytest.raises(ConfigError, match="the classes of 'novel' are others under each seed"):
        study_of(HALF, CATEGORY, overrides=(targets, TWO_LOOKS[1], held, family))


def test_the_drawn_looks_of_one_seed_are_pairs_and_no_other_targets() -> None:
    near, far = study_of(HALF, CATEGORY, overrides=TWO_LOOKS).targets
    assert are_two_looks(near, far)
    assert are_two_looks(far, near)
    assert not are_two_looks(near, near)
    assert not are_two_looks(near, far.model_copy(update={"seed": 1}))
    assert not are_two_looks(near, far.model_copy(update={"world": None}))
