from __future__ import annotations

from collections.abc import Callable

import pytest

from taskgrain.report.answer import answer
from taskgrain.report.lookup import Lookup
from taskgrain.report.verdict import Verdict
from taskgrain.report.words import MINUS, Number, plain
from taskgrain.results import ResultRow
from tests.report.conftest import STUDY

Make = Callable[..., ResultRow]
MakeLookup = Callable[..., Lookup]


@pytest.mark.parametrize(
    ("value", "verdict", "words"),
    [
        (0.05, Verdict.BETTER, "finer labels, “categories”, gave features that transfer better"),
        (-0.05, Verdict.WORSE, "finer labels, “categories”, gave features that transfer worse"),
        (0.01, Verdict.UNSEPARATED, "cannot be told apart"),
        (-0.01, Verdict.UNSEPARATED, "the interval includes 0"),
        (0.03, Verdict.UNSEPARATED, "cannot be told apart"),
    ],
)
def test_the_verdict_follows_the_interval_of_the_difference(
    make_lookup: MakeLookup, difference: Make, value: float, verdict: Verdict, words: str
) -> None:
    found = answer(make_lookup(difference(value)))
    assert found.verdict == verdict
    assert words in plain(found.sentence)


def test_the_sentence_prints_the_rows_numbers_in_percent_and_points(
    make_lookup: MakeLookup, row: Make, difference: Make
) -> None:
    rows = (row(0.471), row(0.42, source="action-groups"), difference(0.051))
    sentence = plain(answer(make_lookup(*rows)).sentence)
    assert "47.1\N{NO-BREAK SPACE}% against 42.0\N{NO-BREAK SPACE}%" in sentence
    assert "+5.1 percentage points (95 % interval +2.1 to +8.1, over test clips" in sentence


def test_every_number_of_the_sentence_is_a_rows_number(
    make_lookup: MakeLookup, row: Make, difference: Make
) -> None:
    rows = (row(0.471), row(0.42, source="action-groups"), difference(0.051))
    numbers = [part for part in answer(make_lookup(*rows)).sentence if isinstance(part, Number)]
    known = {each for made in rows for each in (made.value, made.low, made.high)}
    assert len(numbers) == 5
    assert {number.value for number in numbers} <= known


def test_a_difference_without_an_interval_claims_nothing(
    make_lookup: MakeLookup, difference: Make
) -> None:
    found = answer(make_lookup(difference(0.4, width=None)))
    assert found.verdict == Verdict.NO_INTERVAL
    assert "nothing is claimed" in plain(found.sentence)


def test_a_run_without_the_primary_row_says_so(make_lookup: MakeLookup, row: Make) -> None:
    found = answer(make_lookup(row(0.4)))
    assert found.verdict == Verdict.NO_ROW
    assert "No answer yet" in plain(found.sentence)


def test_a_run_without_a_study_file_gets_no_single_answer(
    make_lookup: MakeLookup, difference: Make
) -> None:
    found = answer(make_lookup(difference(0.4), study=None))
    assert found.verdict == Verdict.NO_ROW
    assert "no primary endpoint" in plain(found.sentence)


@pytest.mark.parametrize(
    "column",
    [
        {"target": "kitchenware/motion"},
        {"probe": "nearest-mean"},
        {"shots": 1},
        {"metric": "top-1"},
        {"versus": "captions-full"},
        {"source": "joint-full"},
        {"control": "permuted-labels"},
    ],
)
def test_rows_beside_the_primary_endpoint_do_not_answer(
    make_lookup: MakeLookup, difference: Make, column: dict[str, object]
) -> None:
    assert answer(make_lookup(difference(0.4, **column))).verdict == Verdict.NO_ROW


def test_fewer_than_eight_seeds_are_a_preview_and_not_a_claim(
    make_lookup: MakeLookup, difference: Make
) -> None:
    found = answer(make_lookup(difference(0.4)))
    assert found.is_preview
    assert "one drawn world, one seed: a preview; not a claim" in plain(found.limits[0])


def test_a_row_over_eight_seeds_decides_and_is_no_preview(
    make_lookup: MakeLookup, difference: Make
) -> None:
    each = [difference(-0.4, seed=seed) for seed in range(8)]
    over = difference(0.2, seed=None, interval="seeds")
    found = answer(make_lookup(*each, over))
    assert found.verdict == Verdict.BETTER
    assert not found.is_preview
    assert "over encoder seeds" in plain(found.sentence)


def test_eight_seeds_without_an_interval_over_seeds_stay_a_preview(
    make_lookup: MakeLookup, difference: Make
) -> None:
    found = answer(make_lookup(*(difference(0.4, seed=seed) for seed in range(8))))
    assert found.is_preview
    assert "no interval over them" in plain(found.limits[0])


def test_seeds_that_disagree_cannot_be_told_apart(
    make_lookup: MakeLookup, difference: Make
) -> None:
    found = answer(make_lookup(difference(0.4, seed=0), difference(-0.4, seed=1)))
    assert found.verdict == Verdict.UNSEPARATED
    assert "seed 0: +40.0" in plain(found.sentence)
    assert f"seed 1: {MINUS}40.0" in plain(found.sentence)


def test_finer_is_said_of_classification_levels_only(
    make_lookup: MakeLookup, difference: Make
) -> None:
    lookup = make_lookup(difference(0.4))
    captions = difference(0.4, source="captions-full")
    text = STUDY.replace('source = "categories"', 'source = "captions-full"')
    found = answer(make_lookup(captions, study=text))
    assert found.verdict == Verdict.BETTER
    assert "finer" not in plain(found.sentence)
    assert "finer" in plain(answer(lookup).sentence)


def test_only_the_kitchenware_world_is_called_aligned(
    make_lookup: MakeLookup, difference: Make
) -> None:
    own = STUDY.replace('world = "kitchenware"', 'root = "clips"')
    drawn = answer(make_lookup(difference(0.4)))
    filmed = answer(make_lookup(difference(0.4), study=own))
    assert any("positive control" in plain(limit) for limit in drawn.limits)
    assert not any("positive control" in plain(limit) for limit in filmed.limits)
    assert "one target data set" in plain(filmed.limits[0])


INNER = {"width": 0.015, "low_90": -0.01, "high_90": 0.012}


@pytest.mark.parametrize(
    ("value", "columns", "outcome"),
    [
        (0.4, {}, "a positive control: it came out."),
        (-0.4, {}, "finer labels made it worse, so it failed."),
        (0.001, INNER, "finer labels made no difference, so it failed."),
        (0.01, {}, "it is undecided."),
        (0.4, {"width": None}, "it is undecided."),
    ],
)
def test_what_is_said_of_a_positive_control_follows_its_outcome(
    make_lookup: MakeLookup,
    difference: Make,
    value: float,
    columns: dict[str, object],
    outcome: str,
) -> None:
    limits = answer(make_lookup(difference(value, **columns))).limits
    assert plain(limits[-1]).endswith(outcome)
    assert len(limits) == 2


def test_a_90_percent_interval_within_the_margin_is_no_difference(
    make_lookup: MakeLookup, difference: Make
) -> None:
    found = answer(make_lookup(difference(0.001, **INNER)))
    assert found.verdict == Verdict.NO_DIFFERENCE
    said = plain(found.sentence)
    assert "“categories” and “action-groups”, of these encoders, transfer equally well on" in said
    assert f"its 90 % interval, {MINUS}1.0 to +1.2, lies within the margin of 2 points" in said


@pytest.mark.parametrize(
    ("low_90", "high_90"), [(-0.02, 0.012), (-0.01, 0.02), (-0.021, 0.01), (None, None)]
)
def test_an_interval_that_reaches_the_margin_shows_nothing(
    make_lookup: MakeLookup, difference: Make, low_90: float | None, high_90: float | None
) -> None:
    row = difference(0.001, width=0.03, low_90=low_90, high_90=high_90)
    assert answer(make_lookup(row)).verdict == Verdict.UNSEPARATED


def test_the_margin_is_the_studys_own(make_lookup: MakeLookup, difference: Make) -> None:
    row = difference(0.001, **INNER)
    strict = answer(make_lookup(row, study="margin = 1.1\n" + STUDY))
    assert strict.verdict == Verdict.UNSEPARATED
    wide = answer(make_lookup(row, study="margin = 1.3\n" + STUDY))
    assert wide.verdict == Verdict.NO_DIFFERENCE
    assert "within the margin of 1.3 points" in plain(wide.sentence)


def test_a_small_difference_that_is_there_is_called_small(
    make_lookup: MakeLookup, difference: Make
) -> None:
    found = answer(make_lookup(difference(0.008, width=0.005, low_90=0.004, high_90=0.012)))
    assert found.verdict == Verdict.BETTER
    assert "it is small: its 90 % interval, +0.4 to +1.2, lies within" in plain(found.sentence)


def test_no_difference_has_to_hold_over_the_seeds_too(
    make_lookup: MakeLookup, difference: Make
) -> None:
    crossed = difference(0.001, seed=None, interval="crossed", **INNER)
    wide: dict[str, object] = {"width": 0.06, "low_90": -0.03, "high_90": 0.04}
    over: dict[str, object] = {"seed": None, "interval": "seeds", "p": 0.5, "p_holm": 0.5}
    found = answer(make_lookup(crossed, difference(0.001, **over, **wide)))
    assert found.verdict == Verdict.UNSEPARATED
    found = answer(make_lookup(crossed, difference(0.001, **over, **INNER)))
    assert found.verdict == Verdict.NO_DIFFERENCE
    assert "“action-groups” transfer equally well" in plain(found.sentence)


def test_every_seed_has_to_lie_within_the_margin(make_lookup: MakeLookup, difference: Make) -> None:
    inside = difference(0.001, seed=0, **INNER)
    outside = difference(0.001, seed=1, width=0.03, low_90=-0.025, high_90=0.02)
    assert answer(make_lookup(inside, outside)).verdict == Verdict.UNSEPARATED
    both = answer(make_lookup(inside, difference(0.002, seed=1, **INNER)))
    assert both.verdict == Verdict.NO_DIFFERENCE


def test_an_answer_beside_a_failed_control_may_not_be_used(
    make_lookup: MakeLookup, difference: Make, control: Make
) -> None:
    leak = control("permuted-labels", 0.4, p=1e-9)
    found = answer(make_lookup(difference(0.4, seed=None, interval="seeds"), leak))
    assert found.is_preview
    assert "may not be used" in plain(found.limits[0])


def test_a_probe_that_failed_at_the_primary_endpoint_is_no_result(
    make_lookup: MakeLookup, difference: Make, failed_row: Make
) -> None:
    # The seed that has a difference does not answer for the one that has none.
    rows = (
        difference(0.05, seed=0),
        failed_row(versus="action-groups", seed=1, problem="seed one broke"),
        failed_row(versus="action-groups", seed=None),
    )
    found = answer(make_lookup(*rows))
    assert found.verdict == Verdict.NO_ROW
    sentence = plain(found.sentence)
    assert sentence.startswith("No result: the probe failed at the primary endpoint, “categories”")
    assert sentence.endswith("categories, seed 0: <b>it broke</b>")
    assert not any(isinstance(part, Number) for part in found.sentence)
