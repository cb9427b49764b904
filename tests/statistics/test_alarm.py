from __future__ import annotations

import numpy as np
import pytest

from taskgrain.statistics.alarm import is_alarm, permuted_label_interval
from taskgrain.statistics.student import p_above


def test_permutations_alone_raise_the_alarm_no_oftener_than_stated() -> None:
    # The most skewed case: separable classes at one shot, where accuracy counts fixed points.
    generator = np.random.default_rng(0)
    identity, draws, num_classes = np.arange(13), 50, 13
    p = []
    for _ in range(4000):
        order = generator.permuted(np.tile(identity, (draws, 1)), axis=1)
        p.append(p_above((order == identity).mean(axis=1).tolist(), null=1 / num_classes))
    assert np.mean(np.array(p) < 0.05) <= 0.05
    assert not any(is_alarm(each, family=24) for each in p)


def test_a_leak_of_a_few_percent_raises_the_alarm() -> None:
    accuracies = np.random.default_rng(0).normal(1 / 13 + 0.03, 0.02, size=50)
    found = permuted_label_interval(accuracies.tolist(), chance=1 / 13)
    assert found.kind == "draws"
    assert found.n == 50
    assert found.low > 1 / 13
    assert found.p is not None
    assert is_alarm(found.p, family=24)


def test_accuracies_below_chance_are_no_leak() -> None:
    found = permuted_label_interval([0.01, 0.02, 0.03] * 7, chance=0.25)
    assert found.p is not None
    assert found.p > 0.99


def test_few_draws_or_draws_without_spread_are_not_judged() -> None:
    assert permuted_label_interval([0.9, 1.0] * 9, chance=0.5).p is None
    assert permuted_label_interval([1.0] * 50, chance=0.5).p is None


def test_a_larger_family_needs_a_smaller_p() -> None:
    assert is_alarm(0.0005, family=1)
    assert not is_alarm(0.0005, family=2)
    with pytest.raises(ValueError, match="family of 0"):
        is_alarm(0.5, family=0)
