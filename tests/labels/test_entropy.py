from __future__ import annotations

from collections import Counter
from math import copysign

import pytest

from taskgrain.labels.entropy import entropy_bits


def test_entropy_is_that_worked_out_by_hand() -> None:
    assert entropy_bits(Counter("aabc")) == pytest.approx(1.5)
    assert entropy_bits(Counter(range(8))) == pytest.approx(3.0)


@pytest.mark.parametrize("counts", [{}, {"a": 1}, {"a": 3}, {"a": 168_913}])
def test_one_label_tells_nothing_and_never_minus_nothing(counts: dict[str, int]) -> None:
    bits = entropy_bits(counts)
    assert bits == 0.0
    assert copysign(1, bits) == 1
