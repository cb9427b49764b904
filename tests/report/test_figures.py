from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from taskgrain.report.figures import curves_figure, ladder_figure, ladder_heights, looks_of
from taskgrain.report.figures import shots_figure as draw_shots
from taskgrain.report.lookup import Lookup
from taskgrain.report.palette import COLOURS
from taskgrain.report.run_folder import CurvePoint
from taskgrain.results import ResultRow
from tests.report.conftest import STUDY

Make = Callable[..., ResultRow]
MakeLookup = Callable[..., Lookup]


def test_a_figure_is_well_formed_without_a_date_and_the_same_twice(
    make_lookup: MakeLookup, row: Make
) -> None:
    lookup = make_lookup(row(0.4), row(0.5, source="action-groups"))
    first, second = ladder_figure(lookup), ladder_figure(lookup)
    assert first is not None
    assert second is not None
    assert first.svg == second.svg
    assert "<dc:date>" not in first.svg
    assert ElementTree.fromstring(first.svg.split("?>", 1)[1]).tag.endswith("svg")


def test_names_in_figures_are_text_and_not_markup_or_mathematics(
    make_lookup: MakeLookup, row: Make
) -> None:
    drawing = ladder_figure(make_lookup(row(0.4, source="<b>$\\frac$ 斑马")))
    assert drawing is not None
    assert "<b>" not in drawing.svg
    assert "&lt;b&gt;$\\frac$ 斑马" in drawing.svg


def test_the_page_gets_its_own_colours_and_the_file_plain_ones(
    make_lookup: MakeLookup, row: Make
) -> None:
    drawing = ladder_figure(make_lookup(row(0.4)))
    assert drawing is not None
    assert "var(--classification-1)" in drawing.inline
    assert not any(colour.light in drawing.inline for colour in COLOURS.values())
    assert "var(" not in drawing.svg


def test_light_colours_are_distinct_so_that_they_can_be_replaced() -> None:
    assert len({colour.light for colour in COLOURS.values()}) == len(COLOURS)


def test_kinds_of_sources_stand_apart_on_the_ladder(make_lookup: MakeLookup, row: Make) -> None:
    lookup = make_lookup(row(0.4))
    heights = list(ladder_heights(looks_of(lookup)).values())
    steps = [round(b - a, 2) for a, b in pairwise(heights)]
    assert steps == [1.0, 1.45, 1.0, 1.45, 1.0]


def test_text_for_those_who_cannot_see_holds_the_values(make_lookup: MakeLookup, row: Make) -> None:
    drawing = ladder_figure(make_lookup(row(0.4321)))
    assert drawing is not None
    assert "categories 43.2" in drawing.alternative


def test_without_rows_there_is_no_figure(make_lookup: MakeLookup, row: Make) -> None:
    assert ladder_figure(make_lookup()) is None
    assert draw_shots(make_lookup(row(0.4))) is None
    assert curves_figure(make_lookup(row(0.4))) is None


def test_several_shots_and_seeds_draw_without_a_warning(make_lookup: MakeLookup, row: Make) -> None:
    lookup = make_lookup(*(row(0.4, shots=shots) for shots in (1, 5, "all")))
    points = tuple(
        CurvePoint("categories", seed, epoch, {}, {"top-1": 0.1 * epoch})
        for seed in (0, 1)
        for epoch in (1, 2)
    )
    assert draw_shots(lookup) is not None
    assert curves_figure(Lookup(replace(lookup.run, curves=points))) is not None


def test_a_source_with_a_very_long_name_is_shortened_in_figures_only(
    make_lookup: MakeLookup, row: Make
) -> None:
    name = "captions of everything that can be seen on the table"
    drawing = ladder_figure(make_lookup(row(0.4, source=name)))
    assert drawing is not None
    assert name not in drawing.svg
    assert name in drawing.alternative


def test_a_frozen_source_is_drawn_with_a_mark_and_colour_of_its_own(
    make_lookup: MakeLookup, row: Make
) -> None:
    frozen = STUDY + '[[sources]]\nname = "resnet"\nencoder = "published"\n'
    lookup = make_lookup(row(0.4), row(0.5, source="resnet"), study=frozen)
    look = looks_of(lookup)["resnet"]
    assert (look.kind, look.marker) == ("frozen", "^")
    drawing = ladder_figure(lookup)
    assert drawing is not None
    assert COLOURS["frozen-0"].light in drawing.svg
    assert "var(--frozen-0)" in drawing.inline


def test_a_line_joins_levels_of_one_encoder_and_no_encoders(
    make_lookup: MakeLookup, row: Make
) -> None:
    ladder = make_lookup(row(0.4), row(0.5, source="action-groups"))
    other = '[encoders.spatial]\n[[sources]]\nname = "2D"\nclassify = "category"\n'
    other = f'{STUDY}{other}encoder = "spatial"\n'
    encoders = make_lookup(row(0.4), row(0.5, source="action-groups"), study=other)
    joined, apart = ladder_figure(ladder), ladder_figure(encoders)
    assert joined is not None
    assert apart is not None
    assert (joined.title, apart.title) == ("The ladder", "Every source")
    assert "A line joins" in joined.caption
    assert "A line joins" not in apart.caption
