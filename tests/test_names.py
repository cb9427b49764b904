from __future__ import annotations

from typing import get_args

import pytest

from taskgrain import names
from taskgrain.names import METRICS, is_fraction, metric_key
from taskgrain.report.words import control_words, metric_words, probe_words, readout_words
from taskgrain.transfer.probes import PROBES


def test_every_name_that_a_setting_may_give_has_its_words() -> None:
    assert set(get_args(names.ProbeName)) == set(PROBES) < set(names.PROBE_WORDS)
    assert set(get_args(names.Readout)) | {names.OWN_HEAD} == set(names.READOUTS)
    assert set(get_args(names.IntervalKind)) == set(names.INTERVALS)
    controls = {
        each
        for part in get_args(names.Control)
        for each in (get_args(part) or (part,))
    }  # fmt: skip
    assert controls == set(names.CONTROLS)
    assert all(names.CONTROLS[each].purpose for each in get_args(names.ChosenControl))


def test_words_are_those_of_the_name_or_the_name_itself() -> None:
    assert probe_words("k-nn") == "nearest neighbours (cosine)"
    assert control_words("pixels") == "raw pixels"
    assert readout_words("lstm-last+target-norm") == "LSTM, last step; norms of the target"
    assert metric_words("5-way-accuracy") == "5-way accuracy in episodes"
    for words in (probe_words, control_words, metric_words):
        assert words("of-a-later-version") == "of-a-later-version"


@pytest.mark.parametrize(
    ("metric", "key"),
    [
        ("top-1", "top-1"),
        ("accuracy-at-ten-class", "accuracy-at-"),
        ("exact-match-at-simplified", "exact-match-at-"),
        ("detectable-difference-top-1", "detectable-difference"),
        ("topography", None),
    ],
)
def test_a_metric_of_many_forms_belongs_to_one_key(metric: str, key: str | None) -> None:
    assert metric_key(metric) == key
    assert key is None or metric_words(metric).startswith(METRICS[key].words)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        *(("mean-per-class", True), ("20-way-accuracy", True), ("accuracy-at-group", True)),
        *(("entropy-bits", False), ("cider-d", False), ("detectable-difference", False)),
    ],
)
def test_fractions_are_known(metric: str, expected: bool) -> None:
    assert is_fraction(metric) is expected
