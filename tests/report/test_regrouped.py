from __future__ import annotations

from collections.abc import Callable

from taskgrain.config.learning import Source
from taskgrain.report.answer import is_finer
from taskgrain.report.controls import findings
from taskgrain.report.learning import learned_table
from taskgrain.report.lookup import Lookup
from taskgrain.report.words import plain
from taskgrain.results import ResultRow
from tests.report.conftest import STUDY, with_sources

Make = Callable[..., ResultRow]
MakeLookup = Callable[..., Lookup]
SOURCES = (
    Source(name="action-groups", classify="action-group"),
    Source(name="mixed", classify="action-group", regrouped=True),
    Source(name="categories", classify="category"),
)


def with_random_groups(make_lookup: MakeLookup, *rows: ResultRow) -> Lookup:
    return with_sources(make_lookup(*rows), *SOURCES)


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
