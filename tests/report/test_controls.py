from __future__ import annotations

from collections.abc import Callable

import pytest

from taskgrain.report.controls import alarm_phrase, alarm_rows, findings, missing_controls
from taskgrain.report.lookup import Lookup
from taskgrain.report.words import plain
from taskgrain.results import ResultRow

Make = Callable[..., ResultRow]
MakeLookup = Callable[..., Lookup]
CHANCE = {"probe": None, "readout": None, "shots": None, "width": None}


@pytest.mark.parametrize(
    ("control_value", "words"),
    [
        (0.20, "above it with the whole interval"),
        (0.38, "the intervals overlap"),
        (0.60, "below it with the whole interval"),
    ],
)
def test_a_control_is_compared_by_intervals(
    make_lookup: MakeLookup, row: Make, control: Make, control_value: float, words: str
) -> None:
    lookup = make_lookup(row(0.40), control("motion-energy", control_value))
    (finding,) = findings(lookup)
    assert words in plain(finding.sentence)


def test_shuffled_labels_alarm_only_after_correction(
    make_lookup: MakeLookup, control: Make
) -> None:
    chance = control("chance", 1 / 13, **CHANCE)
    harmless = [control("permuted-labels", 0.09, p=0.0004, shots=shots) for shots in (1, 5, 10)]
    assert not alarm_rows(make_lookup(chance, *harmless))
    leaking = control("permuted-labels", 0.4, p=0.0001)
    assert alarm_rows(make_lookup(chance, leaking, *harmless)) == (leaking,)


def test_an_alarm_is_said_in_words(make_lookup: MakeLookup, control: Make) -> None:
    lookup = make_lookup(control("permuted-labels", 0.4, p=1e-6))
    (finding,) = findings(lookup)
    assert finding.is_alarm
    assert "ALARM" in plain(finding.sentence)


def test_shuffled_labels_without_a_p_value_are_not_called_sound(
    make_lookup: MakeLookup, control: Make
) -> None:
    (finding,) = findings(make_lookup(control("permuted-labels", 0.4)))
    assert "could not be evaluated" in plain(finding.sentence)


def test_controls_that_were_not_run_are_named(make_lookup: MakeLookup, control: Make) -> None:
    missing = missing_controls(make_lookup(control("motion-energy", 0.2)))
    assert "raw pixels" in missing
    assert "motion energy" not in missing


def test_chance_holds_for_every_probe_and_number_of_shots(
    make_lookup: MakeLookup, row: Make, control: Make
) -> None:
    lookup = make_lookup(row(0.4), control("chance", 1 / 13, **CHANCE))
    (finding,) = findings(lookup)
    assert finding.control == "chance"
    assert "7.7" in plain(finding.sentence)


def test_shuffled_labels_are_read_in_top_1_where_the_studys_metric_has_no_row(
    make_lookup: MakeLookup, control: Make
) -> None:
    wrong = control("permuted-labels", 0.2, source="categories", metric="top-1", shots=1, p=0.5)
    right = control("permuted-labels", 0.1, source="categories", metric="top-1", shots=5, p=0.5)
    other = control("permuted-labels", 0.3, source="action-groups", metric="top-1", p=0.5)
    (finding,) = findings(make_lookup(wrong, other, right))
    assert "scores 10.0" in plain(finding.sentence)


def test_the_alarm_names_what_rang_loudest(make_lookup: MakeLookup, control: Make) -> None:
    chance = control("chance", 1 / 13, **CHANCE)
    leaks = [
        control("permuted-labels", value, source=name, p=p)
        for name, value, p in (("categories", 0.4, 1e-6), ("captions-full", 0.5, 1e-9))
    ]
    said = plain(alarm_phrase(make_lookup(chance, *leaks)))
    assert "in 2 of 2 tests (p < 0.001 after correction)" in said
    assert "“captions-full” reach 50.0\N{NO-BREAK SPACE}% where chance is 7.7" in said
    assert "(p < 0.0001)" in said
    assert plain(alarm_phrase(make_lookup(chance))) == ""


def test_an_encoder_of_random_labels_is_a_control(
    make_lookup: MakeLookup, row: Make, control: Make
) -> None:
    lookup = make_lookup(row(0.4), control("random-labels", 0.2))
    (finding,) = findings(lookup)
    assert finding.title == "encoder trained on random labels"
    assert "categories that were shuffled over the clips. It scores 20.0" in plain(finding.sentence)
    assert "encoder trained on random labels" in missing_controls(make_lookup(row(0.4)))
