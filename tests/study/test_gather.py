from __future__ import annotations

from taskgrain.config.load import load_study
from taskgrain.config.settings import Study
from taskgrain.labels.taxonomy import Taxonomy
from taskgrain.study.gather import compared_pairs, endpoints, nested_ladder

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
    assert (first.source, first.versus, first.shots) == ("fine", "coarse", 5)
    assert (second.versus, second.readout) == ("middle", "lstm-mean")
    assert third.shots == 1
