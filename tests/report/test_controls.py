from __future__ import annotations

from collections.abc import Callable

import pytest

from taskgrain.config.learning import Source
from taskgrain.report.answer import is_finer
from taskgrain.report.controls import (
    alarm_phrase,
    alarm_rows,
    false_claims,
    findings,
    missing_controls,
)
from taskgrain.report.lookup import Lookup
from taskgrain.report.source_tables import learned_table
from taskgrain.report.transfer_tables import transfer_tables
from taskgrain.report.words import plain
from taskgrain.results import ResultRow
from tests.report.conftest import STUDY, with_sources

Make = Callable[..., ResultRow]
MakeLookup = Callable[..., Lookup]
CHANCE = {"probe": None, "readout": None, "shots": None, "width": None}


BESIDE: dict[str, object] = {"versus": "motion-energy"}


@pytest.mark.parametrize(
    ("value", "columns", "words"),
    [
        (0.05, {}, "the source is better."),
        (-0.05, {}, "the source is worse, training added nothing that the control lacks."),
        (0.02, {}, "the two cannot be told apart."),
        (0.0, {"low_90": -0.01, "high_90": 0.01}, "no difference beyond the study's margin."),
        (0.05, {"width": None}, "without an interval nothing is said."),
    ],
)
def test_a_control_is_compared_by_its_paired_difference(
    make_lookup: MakeLookup,
    row: Make,
    control: Make,
    value: float,
    columns: dict[str, object],
    words: str,
) -> None:
    # Intervals that do not overlap, and ones that do, make no difference.
    for level in (0.1, 0.4):
        beside = row(value, **BESIDE, **columns)
        (finding,) = findings(make_lookup(row(0.40), control("motion-energy", level), beside))
        assert plain(finding.sentence).endswith(words)
        assert "paired, the source minus the control is" in plain(finding.sentence)


def test_a_difference_over_seeds_judges_a_control_before_any_seeds_own(
    make_lookup: MakeLookup, row: Make, control: Make
) -> None:
    each = [row(value, seed=seed, **BESIDE) for seed, value in enumerate((0.1, -0.1))]
    lookup = make_lookup(row(0.40), control("motion-energy", 0.2), *each)
    assert "seed 0: +10.0 (+7.0 to +13.0), seed 1: " in plain(findings(lookup)[0].sentence)
    assert plain(findings(lookup)[0].sentence).endswith("cannot be told apart.")
    over = row(0.05, seed=None, interval="seeds", p=0.01, **BESIDE)
    lookup = make_lookup(row(0.40), control("motion-energy", 0.2), *each, over)
    assert "+5.0 (+2.0 to +8.0): the source is better." in plain(findings(lookup)[0].sentence)


def test_a_control_that_was_not_compared_is_said_to_be_so(
    make_lookup: MakeLookup, row: Make, control: Make
) -> None:
    other = row(0.05, **BESIDE, shots=1)
    (finding,) = findings(make_lookup(row(0.40), control("motion-energy", 0.1), other))
    assert plain(finding.sentence).endswith("the two were not compared.")


def test_seeds_that_both_answered_do_not_stand_for_one_that_failed(
    make_lookup: MakeLookup, row: Make, control: Make, failed_row: Make
) -> None:
    each = [row(0.05, seed=0, **BESIDE), failed_row(seed=None, **BESIDE)]
    (finding,) = findings(make_lookup(row(0.40), control("motion-energy", 0.2), *each))
    assert plain(finding.sentence).endswith("the two were not compared.")


def test_a_control_that_failed_under_one_seed_has_no_score(
    make_lookup: MakeLookup, row: Make, control: Make, failed_row: Make
) -> None:
    of = {"source": None, "control": "random-encoder"}
    rows = [control("random-encoder", 0.1, seed=0), failed_row(**of, seed=1)]
    lookup = make_lookup(row(0.40), *rows, failed_row(**of, seed=None))
    assert [finding.control for finding in findings(lookup)] == []
    (table,) = transfer_tables(lookup)
    lines = {line.header: line for block in table.blocks for line in block.lines}
    assert [cell.shown for cell in lines["untrained encoder"].cells] == ["no result"]


def test_shuffled_labels_of_a_seed_that_did_not_fail_are_shown(
    make_lookup: MakeLookup, row: Make, control: Make, failed_row: Make
) -> None:
    failed = failed_row(control="permuted-labels", seed=0)
    lookup = make_lookup(row(0.40), failed, control("permuted-labels", 0.1, seed=1, p=0.5))
    (finding,) = findings(lookup)
    assert "scores 10.0" in plain(finding.sentence)


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


SOURCES = (
    Source(name="action-groups", classify="action-group"),
    Source(name="categories", classify="category"),
    Source(name="again", classify="category", twin_of="categories"),
)
AA: dict[str, object] = {"source": "again", "versus": "categories"}
OVER: dict[str, object] = {**AA, "seed": None, "interval": "seeds"}


def with_twin(make_lookup: MakeLookup, *rows: ResultRow) -> Lookup:
    return with_sources(make_lookup(*rows), *SOURCES)


def compared(difference: Make) -> list[ResultRow]:
    """Compare twins at two probes and two targets: one would be claimed."""
    return [
        difference(0.05),
        difference(0.04, **OVER, p=0.01),
        difference(0.04, **OVER, p=0.2, probe="nearest-mean"),  # the test decides
        difference(0.01, **OVER, p=0.04, target="far"),  # and so does the interval
        difference(0.2, **{**AA, "seed": 0}, shots=1),
        difference(-0.2, **{**AA, "seed": 1}, shots=1),  # seeds without a test over them disagree
        difference(0.5, **OVER, p=0.001, metric="top-1"),  # another metric does not count twice
        difference(0.5, **OVER, p=0.001, readout="channels-mean"),
    ]


def test_false_claims_are_counted_over_probes_shots_and_targets(
    make_lookup: MakeLookup, difference: Make
) -> None:
    said = plain(false_claims(with_twin(make_lookup, *compared(difference))))
    assert "(“again” and “categories”): any difference is chance." in said
    assert "False claims: 1 of 4 at 0.05, over all probes, shots and targets" in said
    assert "not corrected and outside the Holm family." in said


def test_a_twin_below_the_other_is_a_false_claim_too(
    make_lookup: MakeLookup, difference: Make
) -> None:
    rows = (difference(0.05), difference(-0.04, **OVER, p=0.01))
    assert "False claims: 1 of 1" in plain(false_claims(with_twin(make_lookup, *rows)))


def test_of_one_seed_it_says_that_encoders_do_differ(
    make_lookup: MakeLookup, difference: Make
) -> None:
    rows = (difference(0.05), difference(0.04, **AA))
    said = plain(false_claims(with_twin(make_lookup, *rows)))
    assert "False claims: 1 of 1" in said
    assert "two encoders do differ; a rate of false claims needs several seeds." in said


def test_without_twins_nothing_is_said(make_lookup: MakeLookup, difference: Make) -> None:
    assert false_claims(make_lookup(*compared(difference))) == ()
    assert false_claims(with_twin(make_lookup, difference(0.05))) == ()


def test_the_page_has_them_among_the_controls_and_marks_them_in_tables(
    make_lookup: MakeLookup, difference: Make
) -> None:
    lookup = with_twin(make_lookup, *compared(difference))
    assert [each.title for each in findings(lookup)] == ["A/A"]
    headers = {
        block.title: [line.header for line in block.lines]
        for block in transfer_tables(lookup)[0].blocks
    }
    assert headers["Difference from action-groups, percentage points"] == ["categories"]
    assert headers["Difference from categories, percentage points"] == ["again, A/A"]


def test_a_twin_is_no_step_of_the_ladder(make_lookup: MakeLookup, difference: Make) -> None:
    lookup = with_twin(make_lookup, difference(0.05))
    assert lookup.is_ladder


def test_a_study_file_names_its_twins(make_lookup: MakeLookup, difference: Make) -> None:
    text = STUDY + '[[sources]]\nname = "again"\nclassify = "category"\ntwin_of = "categories"\n'
    assert make_lookup(difference(0.05), study=text).twins == {"again": "categories"}


REGROUPED_SOURCES = (
    Source(name="action-groups", classify="action-group"),
    Source(name="mixed", classify="action-group", regrouped=True),
    Source(name="categories", classify="category"),
)


def with_random_groups(make_lookup: MakeLookup, *rows: ResultRow) -> Lookup:
    return with_sources(make_lookup(*rows), *REGROUPED_SOURCES)


def test_the_report_names_random_groups_as_what_they_control(
    make_lookup: MakeLookup, row: Make, difference: Make
) -> None:
    rows = (difference(0.05), row(0.3, source="mixed"), difference(-0.01, source="mixed"))
    (found,) = findings(with_random_groups(make_lookup, *rows))
    said = plain(found.sentence)
    assert found.title == "random groups of categories"
    assert said.startswith("“mixed” learned the categories in random groups, as many and as large")
    assert "a label of as many bits without its meaning. It scores 30.0" in said
    assert "minus “action-groups” that is \N{MINUS SIGN}1.0 points" in said


def test_random_groups_are_no_step_of_the_ladder_and_nothing_is_finer_than_they(
    make_lookup: MakeLookup, difference: Make
) -> None:
    lookup = with_random_groups(make_lookup, difference(0.05))
    assert lookup.is_ladder
    assert is_finer(lookup, "categories", "action-groups")
    assert not is_finer(lookup, "categories", "mixed")


def test_the_floor_of_the_shown_seed_stands_beside_its_score(
    make_lookup: MakeLookup, row: Make
) -> None:
    own: dict[str, object] = {
        "source": "mixed",
        "target": "source-validation",
        "metric": "top-1",
        "probe": None,
        "readout": None,
        "shots": None,
        "draws": None,
    }
    floors = [
        row(value, **own, seed=seed, control="majority", width=None)
        for seed, value in ((0, 0.1), (1, 0.2))
    ]
    scores = [row(value, **own, seed=seed) for seed, value in ((0, 0.6), (1, 0.5))]
    table = learned_table(with_random_groups(make_lookup, *floors, *scores))
    (line,) = table.blocks[0].lines
    assert [cell.shown for cell in line.cells] == ["50.0", "", "20.0", "", "yes"]


def test_a_study_file_says_which_groups_are_random(
    make_lookup: MakeLookup, difference: Make
) -> None:
    text = STUDY + '[[sources]]\nname = "mixed"\nclassify = "action-group"\nregrouped = true\n'
    (facts,) = [
        each
        for each in make_lookup(difference(0.05), study=text).source_settings
        if each.name == "mixed"
    ]
    assert facts.regrouped
