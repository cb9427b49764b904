from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable

import pytest

from taskgrain.report.lookup import Lookup
from taskgrain.report.source_tables import source_table
from taskgrain.report.tables import Table, cell_of, highest_of, tex, to_csv, to_tex
from taskgrain.report.transfer_tables import (
    all_rows_csv,
    episode_tables,
    other_rows,
    readout_table,
    transfer_tables,
)
from taskgrain.report.words import MINUS
from taskgrain.results import COLUMNS, ResultRow
from tests.report.conftest import READOUTS, STUDY

Make = Callable[..., ResultRow]
MakeLookup = Callable[..., Lookup]


@pytest.fixture
def table(make_lookup: MakeLookup, row: Make, difference: Make, control: Make) -> Table:
    free = {"probe": None, "readout": None, "shots": None, "width": None}
    rows = [
        row(0.40 + 0.1 * place, source=source, shots=shots)
        for place, source in enumerate(("action-groups", "categories"))
        for shots in (1, 5)
    ]
    lookup = make_lookup(*rows, difference(0.1), control("chance", 1 / 13, **free))
    (made,) = transfer_tables(lookup)
    return made


def test_csv_holds_every_value_of_the_table_with_full_precision(table: Table) -> None:
    lines = list(csv.reader(io.StringIO(to_csv(table))))
    width = 2 + 3 * len(table.columns)
    assert {len(line) for line in lines} == {width}
    cells = [cell for block in table.blocks for line in block.lines for cell in line.cells]
    values = {cell.value for cell in cells if cell.value is not None}
    written = {float(text) for line in lines[1:] for text in line[2:] if text}
    assert len(values) >= 4
    assert values <= written


def test_tex_has_the_same_printed_numbers_as_the_table(table: Table) -> None:
    text = to_tex(table)
    cells = [cell for block in table.blocks for line in block.lines for cell in line.cells]
    assert all(tex(cell.shown) in text for cell in cells)
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 1


def test_every_tex_row_fills_every_column(table: Table) -> None:
    body = [line for line in to_tex(table).splitlines() if line.endswith(r"\\")]
    assert len(body) >= 5
    for line in body:
        spans = [int(count) for count in re.findall(r"\\multicolumn\{(\d+)\}", line)]
        assert line.count("&") + 1 + sum(count - 1 for count in spans) == 1 + len(table.columns)


def test_tex_escapes_what_users_write() -> None:
    assert tex("50% of $a_1 & #b\\") == r"50\% of \$a\_1 \& \#b\textbackslash{}"


def test_chance_is_printed_once_over_all_shots(table: Table) -> None:
    controls = table.blocks[-1]
    (line,) = controls.lines
    assert [cell.columns for cell in line.cells] == [2]


def test_the_highest_of_a_column_is_marked_and_no_test_is_made_of_intervals(row: Make) -> None:
    low, near, far = row(0.40), row(0.44), row(0.60, width=None)
    assert highest_of([low, near]) is near
    assert highest_of([low, far, near, None]) is far
    assert highest_of([far, None]) is None


def test_a_source_that_did_not_learn_is_called_so_in_every_table(
    make_lookup: MakeLookup, row: Make, difference: Make
) -> None:
    own = {"target": "source-validation", "probe": "head", "metric": "top-1", "width": 0.01}
    floor = row(0.3, **{**own, "width": None, "seed": None, "control": "majority"})
    rows = (row(0.5), row(0.4, source="action-groups"), difference(0.1), floor, row(0.2, **own))
    (table,) = transfer_tables(make_lookup(*rows))
    headers = [line.header for block in table.blocks for line in block.lines]
    assert [each for each in headers if "learned" in each] == ["categories (not learned)"] * 2
    assert "action-groups" in headers


def test_a_gain_of_more_than_a_point_in_the_last_epoch_is_marked(
    make_lookup: MakeLookup, row: Make
) -> None:
    own = {"target": "source-validation", "probe": "head", "readout": None, "shots": None}
    gain = {**own, "metric": "gain-last-epoch", "width": None}
    lookup = make_lookup(row(0.011, **gain), row(0.009, source="action-groups", **gain))
    shown = {line.header: line.cells[-1].shown for line in source_table(lookup).blocks[0].lines}
    assert shown["categories"] == "+1.1 ↗"
    assert shown["action-groups"] == "+0.9"


def test_what_no_table_shows_is_left_for_the_last_one(make_lookup: MakeLookup, row: Make) -> None:
    shown, other = row(0.4), row(0.4, metric="top-1")
    lookup = make_lookup(shown, other)
    assert other_rows(lookup, transfer_tables(lookup)) == (other,)


def test_the_row_over_all_seeds_is_shown_before_any_seeds_own(
    make_lookup: MakeLookup, row: Make
) -> None:
    over = row(0.5, seed=None, interval="seeds")
    held = row(0.5, seed=None, interval="clips")
    lookup = make_lookup(row(0.4, seed=0), held, over, row(0.6, seed=1))
    (made,) = transfer_tables(lookup)
    shown = {line.header: line.cells[0].row for line in made.blocks[0].lines}
    assert shown["categories"] is over


def test_all_rows_are_written_with_all_columns(row: Make) -> None:
    lines = list(csv.DictReader(io.StringIO(all_rows_csv((row(0.1 + 0.2), row(0.5))))))
    assert tuple(lines[0]) == COLUMNS
    assert float(lines[0]["value"]) == 0.1 + 0.2


def test_a_difference_is_never_shown_as_a_sources_accuracy(
    make_lookup: MakeLookup, row: Make, difference: Make
) -> None:
    (made,) = transfer_tables(make_lookup(difference(0.1), row(0.4)))
    shown = {line.header: line.cells[0].shown for line in made.blocks[0].lines}
    assert shown["categories"] == "40.0"


def test_read_outs_are_columns_at_the_primary_endpoints_probe_and_shots(
    make_lookup: MakeLookup, row: Make, difference: Make, control: Make
) -> None:
    norms = "channels-mean+target-norm"
    rows = (
        row(0.4),
        row(0.5, readout="channels-mean"),
        row(0.6, readout=norms),
        row(0.9, readout=norms, shots=1),
        row(0.3, source="action-groups", readout=norms),
        difference(0.3, readout=norms),
        control("random-encoder", 0.2, readout="channels-mean"),
    )
    metric = 'metric = "mean-per-class"'
    study = STUDY.replace(metric, f'{metric}\nreadout = "lstm-mean"')
    table = readout_table(make_lookup(*rows, study=study))
    assert [column.label for column in table.columns] == [
        "LSTM, mean of its steps",
        "both channels before the LSTM",
        "both channels before the LSTM; norms of the target",
    ]
    sources, differences, controls = table.blocks
    shown = {line.header: [cell.shown for cell in line.cells] for line in sources.lines}
    assert shown["categories"] == ["40.0", "50.0", "60.0"]
    assert shown["action-groups"] == ["", "", "30.0"]
    assert [cell.shown for cell in differences.lines[0].cells] == ["", "", "+30.0"]
    assert [cell.shown for cell in controls.lines[0].cells] == ["", "20.0", ""]
    assert readout_table(make_lookup(row(0.4))).is_empty


def test_the_transfer_table_reads_sources_as_the_primary_endpoint_does(
    make_lookup: MakeLookup, row: Make
) -> None:
    study = f'{STUDY}readout = "channels-mean"\n{READOUTS}'
    rows = (
        row(0.4),
        row(0.4, seed=1),
        row(0.6, readout="channels-mean"),
        row(0.3, source="action-groups"),
    )
    (made,) = transfer_tables(make_lookup(*rows, study=study))
    shown = {line.header: line.cells[0].shown for line in made.blocks[0].lines}
    assert shown["categories"] == "60.0"
    assert shown["action-groups"] == ""


def test_episodes_have_a_table_of_their_own_with_their_own_chance(
    make_lookup: MakeLookup, row: Make, difference: Make, control: Make
) -> None:
    asked = {"metric": "5-way-accuracy", "interval": "episodes"}
    free = {"probe": None, "readout": None, "shots": None, "width": None}
    lookup = make_lookup(
        row(0.4),
        control("chance", 1 / 13, **free, metric="top-1"),
        control("majority", 1 / 12, **free),
        row(0.7, **asked),
        row(0.6, **asked, shots=2),
        difference(0.1, **asked),
        control("chance", 0.2, **free, metric="5-way-accuracy"),
        control("pixels", 0.3, **asked),
    )
    (table,) = episode_tables(lookup)
    assert table.title == "5-way episodes, logistic regression"
    assert [column.label for column in table.columns] == ["2", "5"]
    sources, differences, controls = (
        {line.header: [cell.shown for cell in line.cells] for line in block.lines}
        for block in table.blocks
    )
    assert sources["categories"] == ["60.0", "70.0"]
    assert differences == {"categories": ["", "+10.0"]}
    assert controls == {"chance": ["20.0"], "raw pixels": ["", "30.0"]}
    (transfer,) = transfer_tables(lookup)
    assert [column.label for column in transfer.columns] == ["5"]
    assert episode_tables(make_lookup(row(0.4))) == ()


def test_an_interval_below_zero_is_not_written_with_a_dash(row: Make) -> None:
    assert cell_of(row(0.4)).interval == "37.0\N{EN DASH}43.0"
    assert cell_of(row(0.02)).interval == f"{MINUS}1.0, 5.0"


def test_chance_stands_in_the_table_where_sources_have_floors_of_their_own(
    make_lookup: MakeLookup, row: Make, control: Make
) -> None:
    free = {"probe": None, "readout": None, "shots": None, "width": None, "metric": "top-1"}
    floor = control("chance", 0.5, **free, source="categories", target="source-validation")
    (made,) = transfer_tables(make_lookup(row(0.4), control("chance", 1 / 13, **free), floor))
    controls = next(block for block in made.blocks if block.title == "Controls")
    assert [(line.header, line.cells[0].shown) for line in controls.lines] == [("chance", "7.7")]
