from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskgrain.statistics.holm import holm

FAMILIES = st.lists(st.floats(0, 1), max_size=6)


def closed_testing(p: list[float]) -> list[float]:
    """Bonferroni on every set of hypotheses that holds one: the slow definition of Holm."""
    sets = [s for size in range(1, len(p) + 1) for s in combinations(range(len(p)), size)]
    return [
        max(min(1.0, len(s) * min(p[i] for i in s)) for s in sets if own in s)
        for own in range(len(p))
    ]


@given(FAMILIES)
@settings(max_examples=60, deadline=None)
def test_adjusted_values_are_those_of_closed_testing(p: list[float]) -> None:
    assert holm(p) == pytest.approx(closed_testing(p))


@given(FAMILIES)
@settings(max_examples=40, deadline=None)
def test_the_order_of_the_family_does_not_matter(p: list[float]) -> None:
    order = np.random.default_rng(len(p)).permutation(len(p))
    assert holm([p[i] for i in order]) == tuple(np.array(holm(p))[order])


def test_a_family_by_hand() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx((0.06, 0.03, 0.06))
    assert holm([0.2]) == (0.2,)
    assert holm([]) == ()
    assert holm([0.9, 0.8]) == (1.0, 1.0)


def test_one_false_rejection_or_more_is_rarer_than_the_level_and_uncorrected_it_is_not() -> None:
    generator = np.random.default_rng(0)
    p = generator.random((4000, 5))
    adjusted = np.array([holm(each) for each in p.tolist()])
    assert np.mean((p < 0.05).any(axis=1)) > 0.2
    assert 0.04 <= np.mean((adjusted < 0.05).any(axis=1)) <= 0.06


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match=f"p is {wrong}; expected 0 to 1"):
        holm([0.5, wrong])
