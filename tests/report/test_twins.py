from __future__ import annotations

from collections.abc import Callable

from taskgrain.config.learning import Source
from taskgrain.report.controls import findings
from taskgrain.report.lookup import Lookup
from taskgrain.report.transfer_tables import transfer_tables
from taskgrain.report.twins import false_claims
from taskgrain.report.words import plain
from taskgrain.results import ResultRow
from tests.report.conftest import STUDY, with_sources

Make = Callable[..., ResultRow]
MakeLookup = Callable[..., Lookup]
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
