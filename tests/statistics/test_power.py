from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from taskgrain.statistics.power import minimum_detectable_difference


@pytest.mark.parametrize(("num_seeds", "expected"), [(3, 3.26), (5, 1.68), (8, 1.16), (20, 0.66)])
def test_a_difference_of_that_size_is_found_in_four_of_five_studies(
    num_seeds: int, expected: float
) -> None:
    difference = minimum_detectable_difference(0.02, num_seeds=num_seeds)
    assert difference / 0.02 == pytest.approx(expected, abs=0.005)
    generator = np.random.default_rng(num_seeds)
    studies = generator.normal(difference, 0.02, size=(20_000, num_seeds))
    assert np.mean(stats.ttest_1samp(studies, 0.0, axis=1).pvalue < 0.05) == pytest.approx(
        0.8, abs=0.01
    )


def test_power_and_level_are_those_asked_for() -> None:
    difference = minimum_detectable_difference(1.0, num_seeds=5, power=0.9, level=0.01)
    studies = np.random.default_rng(0).normal(difference, 1.0, size=(20_000, 5))
    found = stats.ttest_1samp(studies, 0.0, axis=1).pvalue < 0.01
    assert np.mean(found) == pytest.approx(0.9, abs=0.01)


def test_seeds_that_agree_need_no_difference() -> None:
    assert minimum_detectable_difference(0.0, num_seeds=2) == 0.0


def test_arguments_outside_their_range_are_refused() -> None:
    with pytest.raises(ValueError, match="sd is -1"):
        minimum_detectable_difference(-1.0, num_seeds=3)
    with pytest.raises(ValueError, match="1 seeds; a paired t test needs at least 2"):
        minimum_detectable_difference(1.0, num_seeds=1)
    with pytest.raises(ValueError, match=r"power is 1\.0"):
        minimum_detectable_difference(1.0, num_seeds=3, power=1.0)
    with pytest.raises(ValueError, match=r"level is 0\.5"):
        minimum_detectable_difference(1.0, num_seeds=3, level=0.5)
