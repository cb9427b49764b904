from __future__ import annotations

import pytest
from scipy import stats

from taskgrain.statistics.proportion import proportion_interval


@pytest.mark.parametrize(("right", "count"), [(0, 1), (1, 1), (3, 40), (200, 400), (399, 400)])
def test_it_is_wilsons_interval(right: int, count: int) -> None:
    found = proportion_interval(right, count)
    expected = stats.binomtest(right, count).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert found.low <= found.value == right / count <= found.high
    assert found.n == count


@pytest.mark.parametrize(("right", "count"), [(0, 0), (-1, 5), (6, 5)])
def test_what_is_no_proportion_is_refused(right: int, count: int) -> None:
    with pytest.raises(ValueError, match=f"{right} of {count}; expected 0 to N"):
        proportion_interval(right, count)
