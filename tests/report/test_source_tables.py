from __future__ import annotations

from collections.abc import Callable

from taskgrain.names import Control
from taskgrain.report.answer import answer
from taskgrain.report.controls import findings
from taskgrain.report.endpoint_tables import endpoint_table, trend_table
from taskgrain.report.lookup import Lookup
from taskgrain.report.source_tables import (
    caption_table,
    grain_table,
    learned_phrase,
    learned_table,
    passes_table,
    source_table,
)
from taskgrain.report.verdict import Verdict
from taskgrain.report.words import plain
from taskgrain.results import ResultRow
from tests.report.conftest import STUDY

Make = Callable[..., ResultRow]
MakeLookup = Callable[..., Lookup]
OWN = {"target": "source-validation", "readout": None, "shots": None, "width": None, "draws": None}
SAID = {**OWN, "probe": "decoder", "source": "captions-full"}
HEAD = {**OWN, "probe": "head"}


def test_floors_stand_below_the_source_whose_captions_they_compare(
    make_lookup: MakeLookup, row: Make
) -> None:
    table = caption_table(
        make_lookup(
            row(0.1, **SAID, metric="exact-match"),
            row(0.41, **SAID, metric="bleu-4"),
            row(2.5, **SAID, metric="cider-d"),
            row(0.3, **SAID, metric="bleu-4", control="blind-decoder"),
            row(0.2, **{**SAID, "source": "joint-full"}, metric="bleu-4"),
            row(0.25, **{**SAID, "source": "joint-full"}, metric="bleu-4", seed=1),
        )
    )
    assert [column.label for column in table.columns] == [
        "exact match",
        "BLEU-4",
        "CIDEr-D",
    ]
    first, second = table.blocks
    assert [(line.header, [cell.shown for cell in line.cells]) for line in first.lines] == [
        ("captions-full", ["10.0", "0.410", "2.500"]),
        ("blind decoder", ["", "0.300", ""]),
    ]
    assert [cell.shown for cell in second.lines[0].cells] == ["", "0.200", ""]
    assert "Of 2 seeds the first is shown" in table.caption


def test_floors_of_captions_are_no_controls_of_a_target(make_lookup: MakeLookup, row: Make) -> None:
    lookup = make_lookup(row(0.3, **SAID, metric="bleu-4", control="commonest-word"), row(0.5))
    assert lookup.controls() == ()


def test_heads_are_shown_at_every_grain_in_one_order(make_lookup: MakeLookup, row: Make) -> None:
    coarse = {**HEAD, "source": "action-groups"}
    table = grain_table(
        make_lookup(
            row(0.2, **{**coarse, "probe": "linear"}, metric="categories-linear"),
            row(0.1, **coarse, metric="categories-floor"),
            row(0.6, **HEAD, metric="accuracy-at-ten-class"),
            row(0.4, **HEAD, metric="mean-per-class"),
            row(0.5, **HEAD, metric="top-1"),
        )
    )
    assert [column.label for column in table.columns] == [
        "mean over classes",
        "at ten-class",
        "categories, floor",
        "categories, linear",
    ]
    shown = {
        line.header: [cell.shown for cell in line.cells]
        for block in table.blocks
        for line in block.lines
    }
    assert shown == {
        "action-groups": ["", "", "10.0", "20.0"],
        "categories": ["40.0", "60.0"] + [""] * 2,
    }


def test_a_run_that_scored_no_more_than_its_own_task_shows_it_once(
    make_lookup: MakeLookup, row: Make
) -> None:
    lookup = make_lookup(
        row(0.1, **SAID, metric="exact-match"),
        row(0.7, **HEAD, metric="top-5"),
        row(0.5, **HEAD, metric="top-1"),
    )
    assert not source_table(lookup).is_empty
    assert caption_table(lookup).is_empty
    assert grain_table(lookup).is_empty


def test_a_source_that_learned_nothing_has_no_line(make_lookup: MakeLookup, row: Make) -> None:
    frozen = STUDY + '[[sources]]\nname = "resnet"\nencoder = "published"\n'
    lookup = make_lookup(row(0.5, **HEAD, metric="top-1"), row(0.4, source="resnet"), study=frozen)
    assert lookup.source_settings[0].is_frozen
    assert "resnet" in lookup.sources
    (block,) = source_table(lookup).blocks
    assert [line.header for line in block.lines] == ["categories"]


OWN_SCORE: dict[str, object] = {
    "target": "source-validation",
    "probe": "head",
    "readout": None,
    "shots": None,
    "metric": "top-1",
    "draws": None,
}
FLOORS: dict[Control, float] = {"chance": 0.1, "majority": 0.2, "motion-energy": 0.3}


def own_rows(make: Make, source: str, value: float) -> list[ResultRow]:
    """Make a source's own score, 3 points to either side, and its floors."""
    where = {**OWN_SCORE, "source": source}
    floors = [
        make(floor, **{**where, "seed": None, "control": name, "width": None})
        for name, floor in FLOORS.items()
    ]
    return [make(value, **where), *floors]


def test_a_run_without_floors_did_not_measure_it(make_lookup: MakeLookup, row: Make) -> None:
    lookup = make_lookup(row(0.5, **OWN_SCORE))
    assert plain(learned_phrase(lookup)).endswith("was not measured.")
    assert learned_phrase(make_lookup(row(0.5))) == ()
    assert learned_table(lookup).is_empty


def test_sources_that_learned_are_said_to_have(make_lookup: MakeLookup, row: Make) -> None:
    rows = [*own_rows(row, "categories", 0.6), *own_rows(row, "action-groups", 0.9)]
    lookup = make_lookup(*rows)
    assert plain(learned_phrase(lookup)) == "All 2 sources learned their own labels."
    first, second = learned_table(lookup).blocks[0].lines
    assert [cell.shown for cell in first.cells] == ["60.0", "10.0", "20.0", "30.0", "yes"]
    assert (first.header, second.header) == ("categories", "action-groups")


def test_a_source_that_did_not_learn_enters_no_claim(
    make_lookup: MakeLookup, row: Make, difference: Make
) -> None:
    rows = [*own_rows(row, "categories", 0.32), *own_rows(row, "action-groups", 0.9)]
    lookup = make_lookup(*rows, difference(0.4), study=STUDY)
    said = plain(learned_phrase(lookup)).replace("\N{NO-BREAK SPACE}", " ")
    assert said == (
        "1 of 2 sources did not learn: “categories” (top-1 accuracy 32.0 %, at least 29.0; "
        "motion energy has 30.0 %). No claim rests on it."
    )
    assert learned_table(lookup).blocks[0].lines[0].cells[-1].shown == "no"
    found = answer(lookup)
    assert found.verdict == Verdict.NOT_LEARNED
    sentence = plain(found.sentence)
    assert sentence.startswith("Nothing is claimed of features from “categories” and “action-gr")
    assert "a difference of +40.0 percentage points" in sentence
    assert "better" not in sentence
    assert plain(found.limits[-1]).endswith("a positive control: it was not put to the test.")


def test_the_table_of_endpoints_says_not_learned(
    make_lookup: MakeLookup, row: Make, difference: Make
) -> None:
    family = '[[family]]\nsource = "joint-full"\nversus = "action-groups"\ntarget = "kitchenware"\n'
    rows = [*own_rows(row, "categories", 0.32), *own_rows(row, "action-groups", 0.9)]
    lookup = make_lookup(*rows, difference(0.4), study=STUDY + family)
    primary, further = endpoint_table(lookup).blocks
    assert primary.lines[0].cells[1].shown == "not learned"
    assert further.lines[0].cells[1].shown == "no result"


def test_of_several_seeds_the_lowest_is_shown(make_lookup: MakeLookup, row: Make) -> None:
    where = {**OWN_SCORE, "source": "categories"}
    rows = [
        *own_rows(row, "categories", 0.6),
        row(0.32, **where, seed=1),
        row(0.5, **where, seed=2),
    ]
    (line,) = learned_table(make_lookup(*rows)).blocks[0].lines
    assert line.header == "categories, seed 1, the lowest of 3"
    assert [cell.shown for cell in line.cells][:1] == ["32.0"]
    assert line.cells[-1].shown == "no"


def test_many_sources_that_did_not_learn_are_named_alone(
    make_lookup: MakeLookup, row: Make
) -> None:
    names = ("action-groups", "categories", "joint-full")
    lookup = make_lookup(*(each for name in names for each in own_rows(row, name, 0.2)))
    assert plain(learned_phrase(lookup)) == (
        "3 of 3 sources did not learn: “action-groups”; “categories”; “joint-full”. No claim rests "
        "on them."
    )


def test_a_source_that_did_not_learn_is_not_better_than_a_control(
    make_lookup: MakeLookup, row: Make, control: Make
) -> None:
    beside = row(0.2, versus="pixels")
    rows = [*own_rows(row, "categories", 0.32), row(0.5), control("pixels", 0.3), beside]
    (finding,) = findings(make_lookup(*rows))
    said = plain(finding.sentence)
    assert said.endswith(": nothing is claimed, “categories” has not learned its own labels.")
    assert "+20.0" in said


def test_a_trend_through_a_source_that_did_not_learn_has_no_p(
    make_lookup: MakeLookup, row: Make
) -> None:
    slope = row(0.02, source=None, metric="trend", seed=None, interval="seeds", p=0.01)
    learned = trend_table(make_lookup(row(0.5), slope))
    assert [line.header for line in learned.blocks[0].lines][-1] == "p, logistic regression"
    lookup = make_lookup(row(0.5), slope, *own_rows(row, "categories", 0.32))
    table = trend_table(lookup)
    assert [line.header for line in table.blocks[0].lines] == ["logistic regression"]
    assert table.caption.endswith("No claim: categories did not learn.")


def test_trainings_of_fewer_passes_have_a_table_and_enter_nothing_else(
    make_lookup: MakeLookup, row: Make
) -> None:
    whole = own_rows(row, "categories", 0.6)
    fewer = [
        row(value, **{**OWN_SCORE, "source": "categories", "seed": seed, "passes": passes})
        for passes, seed, value in ((9000, 0, 0.2), (9000, 1, 0.4), (30000, 0, 0.5))
    ]
    lookup = make_lookup(*fewer, *whole)
    plain_lookup = make_lookup(*whole)
    assert lookup.own_scores == plain_lookup.own_scores
    assert lookup.sources == plain_lookup.sources
    assert passes_table(plain_lookup).is_empty
    table = passes_table(lookup)
    assert [column.label for column in table.columns] == ["9,000", "30,000", "tested"]
    (line,) = table.blocks[0].lines
    assert line.header.startswith("categories, ")
    assert [cell.shown for cell in line.cells] == ["30.0", "50.0", "60.0"]
    assert [cell.note for cell in line.cells] == ["2 seeds", "", ""]
