from __future__ import annotations

from collections.abc import Callable

from taskgrain.report.lookup import Lookup
from taskgrain.report.source_tables import caption_table, grain_table, source_table
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
